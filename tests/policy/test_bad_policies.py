"""One bad file per mistake, with the exact text that a person is told beside it."""

from pathlib import Path

import pytest

from guardrails.policy.load import check_files

FOLDER = Path(__file__).parent.parent / "bad_policies"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_tells_where_and_what_is_wrong(file: Path) -> None:
    policies, problems = check_files({file.name: file.read_bytes().decode()}, "bad_policies")
    assert policies is None
    assert "".join(f"{problem}\n" for problem in problems) == file.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_expected_text_has_its_policy() -> None:
    assert [file.stem for file in FILES] == sorted(file.stem for file in FOLDER.glob("*.txt"))
    assert len(FILES) >= 60


def test_no_message_ends_in_a_full_stop_or_names_a_class() -> None:
    for file in FOLDER.glob("*.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line.endswith(".")
            assert "Document" not in line
            assert "validation" not in line

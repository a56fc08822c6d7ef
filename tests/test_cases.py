"""The policy language, case by case: `tests/cases/*.yaml`, each on SQLite and PostgreSQL."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.casework.document import Case, read_cases
from tests.casework.run import Write, run_case

FOLDER = Path(__file__).parent / "cases"
CASES = [case for path in sorted(FOLDER.glob("*.yaml")) for case in read_cases(path)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_decides_as_the_policy_language_says(case: Case, database_url: str, policy_folder: Write) -> None:
    run_case(case, database_url, policy_folder)


def test_every_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


def test_a_slip_in_a_case_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "slip.yaml"
    path.write_text(
        "about: a slip\ncases:\n- {name: a, policies: '', at: 2026-01-01T00:00:00Z, steps: [{expects: {verdict: deny}}]}\n",
        encoding="utf-8",
    )
    with pytest.raises(ValidationError, match="expects"):
        list(read_cases(path))

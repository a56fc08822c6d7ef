"""`guardrails init`: sets that load, decide and can be edited with completion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrails.cli.sets import shipped_sets
from guardrails.policy.load import load_policies
from guardrails.policy.schema import policy_schema
from tests.cli.run import failure, guardrails

SETS = sorted(shipped_sets())


def test_three_sets_come_with_the_package() -> None:
    assert {"startup", "departments", "agents"} <= set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_written_whole_and_is_valid(name: str, tmp_path: Path) -> None:
    result = guardrails("init", tmp_path / "rules", "--from", name)
    assert result.exit_code == 0
    written = {path.name for path in (tmp_path / "rules").iterdir()}
    assert written == {path.name for path in shipped_sets()[name].iterdir()} | {"schema.json"}
    assert "first.test.yaml" in written
    assert all(str(tmp_path / "rules" / each) in result.stdout for each in written)
    assert json.loads((tmp_path / "rules" / "schema.json").read_text(encoding="utf-8")) == policy_schema()
    assert load_policies(tmp_path / "rules").hash == load_policies(shipped_sets()[name]).hash
    assert guardrails("policy", "validate", tmp_path / "rules").exit_code == 0


def test_without_arguments_it_is_the_folder_that_commands_look_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert guardrails("init").exit_code == 0
    assert guardrails("policy", "validate").stdout.startswith("policies is valid")


def test_files_name_the_schema_beside_them(tmp_path: Path) -> None:
    guardrails("init", tmp_path / "rules", "--from", "departments")
    for path in (tmp_path / "rules").glob("*.yaml"):
        if not path.name.endswith(".test.yaml") and path.name != "prices.yaml":
            assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")


def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine", encoding="utf-8")
    assert "not an empty folder" in failure("init", tmp_path, code=2)
    assert "not an empty folder" in failure("init", tmp_path / "mine.yaml", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_an_unknown_name_lists_those_that_there_are(tmp_path: Path) -> None:
    said = failure("init", tmp_path / "rules", "--from", "startp", code=2)
    assert "did you mean `startup`?" in said
    assert all(name in said for name in SETS)
    assert not (tmp_path / "rules").exists()

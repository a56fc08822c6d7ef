"""`guardrails policy`: every problem at once, the schema, publication."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrails import Call, Gate
from guardrails.policy.schema import policy_schema
from tests.cli.run import POLICY, answer, failure, folder_with, guardrails

BAD = f"""{POLICY.replace("window: month", "windw: month")}
  - {{id: day, kind: spend_limit, limit: 1 USD, window: day, at: {{50%: downgrade to lwo}}}}
"""


def test_a_valid_set_is_one_line(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies")
    result = guardrails("policy", "validate", folder)
    assert (result.exit_code, result.stdout) == (0, f"{folder} is valid: 1 rule, 2 tiers in 2 files\n")
    assert answer("policy", "validate", folder, "--format", "json") == []
    assert guardrails("policy", "validate", folder, "--format", "csv").stdout == "path,line,column,code,message,hint\n"


def test_every_problem_of_rules_and_prices_with_place_snippet_and_nearest_spelling(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies", BAD)
    (folder / "prices.yaml").write_text("version: 1\nprices:\n  - {model: big, form: 2020-01-01}\n", encoding="utf-8")
    result = guardrails("policy", "validate", folder)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"{folder}/policy.yaml:10:5: unknown key `windw`, did you mean `window`?" in lines
    at = lines.index(f"{folder}/policy.yaml:10:5: unknown key `windw`, did you mean `window`?")
    assert lines[at + 1 : at + 3] == [" 10 |     windw: month", "    |     ^"]
    assert any("policy.yaml:13" in line and "did you mean `low`?" in line for line in lines)
    assert any("prices.yaml:3" in line and "did you mean `from`?" in line for line in lines)
    assert lines[-1].endswith("in 2 files")


def test_json_gives_path_line_column_code_message_hint(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies", BAD)
    problems = answer("policy", "validate", folder, "--format", "json", code=1)
    assert all(list(problem) == ["path", "line", "column", "code", "message", "hint"] for problem in problems)
    (unknown,) = [problem for problem in problems if problem["code"] == "unknown-key"]
    assert unknown == {
        "path": f"{folder}/policy.yaml",
        "line": 10,
        "column": 5,
        "code": "unknown-key",
        "message": "unknown key `windw`",
        "hint": "window",
    }


def test_without_a_path_it_is_the_folder_of_the_global_option(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies", BAD)
    assert guardrails("--policies", folder, "policy", "validate").exit_code == 1


@pytest.mark.parametrize(
    "text", ["version: 1\nrules:\n  - id: a\n    limit: [", "version: 1\nrul", "\tversion: 1", "a: &b [*b", "\x00", "'"]
)
def test_half_written_yaml_is_a_problem_and_no_failure(tmp_path: Path, text: str) -> None:
    folder = folder_with(tmp_path / "policies", text)
    assert answer("policy", "validate", folder, "--format", "json", code=1)
    # Every other command says the first problem, and where the others are.
    said = failure("--database", f"sqlite:///{tmp_path}/x.db", "--policies", folder, "decide", "--model", "big", code=1)
    assert "policy.yaml:" in said
    assert "`guardrails policy validate`" in said
    assert not (tmp_path / "x.db").exists()


def test_a_hostile_file_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies", 'version: 1\n"\u202ekey\\e[31m": 1\n')
    for format_ in ("table", "json", "csv"):
        result = guardrails("policy", "validate", folder, "--format", format_)
        assert result.exit_code == 1
        assert "\u202e" not in result.stdout
        assert "\x1b" not in result.stdout


@pytest.mark.parametrize("command", [("policy", "validate"), ("policy", "publish", "--by", "me", "--reason", "why")], ids=" ".join)
def test_a_folder_that_is_not_there_or_empty_could_not_be_read(tmp_path: Path, command: tuple[str, ...]) -> None:
    database = ("--database", f"sqlite:///{tmp_path}/x.db")
    (tmp_path / "empty").mkdir()
    assert "there is no policy file or folder" in failure(*database, *command, tmp_path / "none", code=3)
    assert "holds no policy file" in failure(*database, *command, tmp_path / "empty", code=3)
    (tmp_path / "empty" / "policy.yaml").symlink_to(tmp_path / "nowhere.yaml")
    assert "cannot be read" in failure(*database, *command, tmp_path / "empty", code=3)


def test_a_file_that_is_not_utf_8_is_a_problem_with_its_place(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies")
    (folder / "policy.yaml").write_bytes(b"version: 1\nrules: \xff\n")
    (problem,) = answer("policy", "validate", folder, "--format", "json", code=1)
    assert (problem["line"], problem["column"], problem["code"]) == (2, 8, "not-utf-8")


def test_schema_is_that_of_the_code() -> None:
    assert json.loads(guardrails("policy", "schema").stdout) == policy_schema()


def test_publishing_makes_a_set_the_active_one(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path}/x.db")
    folder = folder_with(tmp_path / "policies")
    first = answer(*database, "policy", "publish", folder, "--by", "ana", "--reason", "start", "--format", "json")
    assert first.items() >= {"generation": 1, "changed": True, "by": "ana", "reason": "start"}.items()
    again = answer(*database, "policy", "publish", folder, "--by", "ben", "--reason", "again", "--format", "json")
    assert again.items() >= {"generation": 1, "changed": False, "by": "ana", "reason": "start"}.items()
    with Gate.open(None, database[1]) as gate:
        edited = folder_with(tmp_path / "edited", POLICY.replace("5 USD", "0 USD"))
        assert "generation 2" in guardrails(*database, "policy", "publish", edited, "--by", "ben", "--reason", "freeze").stdout
        # A process that was open before decides by it with its next booking.
        assert not gate.reserve(Call(model="big", input_tokens=1, max_output_tokens=1)).allowed


def test_a_set_with_mistakes_is_not_published(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies", BAD)
    said = failure("--database", f"sqlite:///{tmp_path}/x.db", "policy", "publish", folder, "--by", "a", "--reason", "b", code=1)
    assert "1 more problem;" in said
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "x" * 600])
def test_who_and_why_are_short_text(tmp_path: Path, text: str) -> None:
    folder = folder_with(tmp_path / "policies")
    failure("--database", f"sqlite:///{tmp_path}/x.db", "policy", "publish", folder, "--by", text, "--reason", "b", code=2)

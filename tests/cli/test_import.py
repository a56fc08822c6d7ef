"""`guardrails import` as people and scripts use it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from guardrails.cli.main import cli
from tests.importers.ledgers import rows_of, spent_of, write

POLICY = """\
version: 1
labels:
  team: {required: true}
rules:
  - {id: team-month, kind: spend_limit, per: team, limit: 500 USD, window: month}
"""
GOOD: dict[str, Any] = {"id": "1", "at": "2026-03-02T08:00:00Z", "subject": {"team": "search"}, "cost_usd": "1.25"}


@pytest.fixture
def guardrails(sqlite_url: str, policy_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Result]:
    """Runs the program on a fresh ledger."""
    policies = policy_folder(POLICY)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        paths = [str(tmp_path / each) if each.endswith(".jsonl") else each for each in arguments]
        return CliRunner().invoke(cli, ["--database", sqlite_url, "--policies", str(policies), *paths], input=stdin)

    return invoke


def test_sums_up_what_became_of_the_rows(guardrails: Callable[..., Result], tmp_path: Path, sqlite_url: str) -> None:
    write(tmp_path / "a.jsonl", [GOOD, GOOD, {**GOOD, "cost_usd": 2}, "{"])
    write(
        tmp_path / "b.jsonl",
        [{**GOOD, "id": "2", "subject": {}, "cost_usd": "0.75"}, {**GOOD, "id": "3", "cost_usd": None, "model": "mystery", "units": {}}],
    )
    result = guardrails("import", "jsonl", "a.jsonl", "b.jsonl")
    assert result.exit_code == 1
    seen = json.loads(result.stdout)
    counts = {name: seen[name] for name in ("read", "new", "duplicate", "conflict", "quarantined", "skipped", "cost_usd", "files")}
    # 1.25 + 0.75
    assert counts == {"read": 6, "new": 3, "duplicate": 1, "conflict": 1, "quarantined": 1, "skipped": 0, "cost_usd": "2", "files": 2}
    assert [each["new"] for each in seen["by_file"]] == [1, 2]
    assert seen["unpriced"] == 1
    assert seen["labels"] == [{"finding": "label `team` is required", "rows": 1}]
    assert [(each["line"], each["kind"]) for each in seen["refused"]] == [(3, "conflict"), (4, "quarantined")]
    assert spent_of(sqlite_url, "team-month") == {"search": 1_250_000_000, "(none)": 750_000_000}


def test_twice_adds_nothing_and_is_done(guardrails: Callable[..., Result], tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [GOOD])
    assert guardrails("import", "jsonl", "a.jsonl").exit_code == 0
    again = guardrails("import", "jsonl", "a.jsonl")
    assert again.exit_code == 0
    seen = json.loads(again.stdout)
    assert (seen["read"], seen["new"], seen["duplicate"], seen["cost_usd"]) == (1, 0, 1, "0")


def test_reads_standard_input_and_sets_labels(guardrails: Callable[..., Result], sqlite_url: str) -> None:
    result = guardrails("import", "jsonl", "-", "--set", "team=ads", "--format", "csv", stdin=json.dumps({**GOOD, "subject": {}}))
    assert result.stdout.splitlines() == [
        "path,read,new,duplicate,conflict,quarantined,skipped,cost_usd",
        "standard input,1,1,0,0,0,0,1.25",
    ]
    assert spent_of(sqlite_url, "team-month") == {"ads": 1_250_000_000}


def test_a_dry_run_shows_rows_as_they_would_be_booked(guardrails: Callable[..., Result], tmp_path: Path, sqlite_url: str) -> None:
    write(tmp_path / "a.jsonl", [GOOD, {"id": "2"}])
    page = guardrails("import", "jsonl", "a.jsonl", "--dry-run", "--format", "table")
    assert page.exit_code == 1
    assert "team=search" in page.stdout
    assert "dry run: nothing is booked" in page.stdout
    seen = json.loads(guardrails("import", "jsonl", "a.jsonl", "--dry-run").stdout)
    assert [row["outcome"] for row in seen["rows"]] == ["new", "quarantined"]
    assert seen["rows"][0]["cost_usd"] == "1.25"
    assert not rows_of(sqlite_url, "entry")
    assert not rows_of(sqlite_url, "publication")


def test_an_empty_file_is_done(guardrails: Callable[..., Result], tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [])
    result = guardrails("import", "jsonl", "a.jsonl")
    assert (result.exit_code, json.loads(result.stdout)["read"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["import", "jsonl", "missing.jsonl"], 3, "cannot be read: No such file or directory"),
        (["import", "jsonl", "."], 3, "cannot be read: Is a directory"),
        (["import", "jsonl"], 2, "missing argument"),
        (["import", "nonsense", "a.jsonl"], 2, "'nonsense' is not one of"),
        (["import", "jsonl", "-", "--set", "team"], 2, "`team` is not LABEL=VALUE, write it as team=search"),
        (["import", "jsonl", "-", "--set", "team=default"], 2, "label `team` is `default`"),
        (["import", "jsonl", "-", "--set", "team=a", "--set", "team=b"], 2, "the label `team` is set twice"),
    ],
)
def test_says_in_a_line_or_two_what_is_wrong(sqlite_url: str, arguments: list[str], exit_code: int, message: str) -> None:
    command = [sys.executable, "-c", "from guardrails.cli.main import main; main()", "--database", sqlite_url, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (result.returncode, result.stdout) == (exit_code, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 2


def test_files_before_one_that_breaks_off_are_told(guardrails: Callable[..., Result], tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [GOOD])
    (tmp_path / "b.jsonl").write_bytes(b"\x1f\x8b\x08cut")
    result = guardrails("import", "jsonl", "a.jsonl", "b.jsonl")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["new"] == 1
    assert "breaks off after line 0" in result.stderr

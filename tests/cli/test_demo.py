"""`guardrails demo`: the whole story, on any day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from guardrails import Gate, Verdict
from guardrails.cli.demo import write_policies
from guardrails.cli.demo_replay import CALLS, replay, traced_calls, write_usage
from tests.cli.run import answer, failure, process


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the demo was run, and what it told."""
    folder = tmp_path_factory.mktemp("demo")
    result = process("demo", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    return folder, result.stdout


def test_it_tells_the_story_in_order(story: tuple[Path, str]) -> None:
    _, text = story
    parts = [
        "guardrails demo",
        "demo-team",
        "$ guardrails import litellm",
        "ALLOW",
        "DOWNGRADE",
        "DENY",
        "$ guardrails audit",
        "$ guardrails budgets",
    ]
    places = [text.index(part) for part in [*parts, "What to try next"]]
    assert places == sorted(places)
    assert all(line == line.rstrip() and line.isprintable() for line in text.splitlines())


def test_what_it_leaves_is_a_ledger_that_adds_up(story: tuple[Path, str]) -> None:
    folder, _ = story
    assert sorted(path.name for path in folder.iterdir()) == ["guardrails-demo"]
    place = ("--database", f"sqlite:///{folder}/guardrails-demo/guardrails.db")
    assert answer(*place, "ledger", "verify")["ok"] is True
    total = answer(*place, "audit")["total"]
    assert total["allowed"] + total["denied"] + total["downgraded"] == CALLS
    # Each admitted call has one entry, and so has each of the 120 imported rows.
    assert total["entries"] == total["allowed"] + total["downgraded"] + 120


def test_again_it_takes_the_next_free_folder(story: tuple[Path, str]) -> None:
    folder, _ = story
    assert "not an empty folder" in failure("demo", "--dir", folder, code=2)


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 3, 1, 0, 2, tzinfo=UTC),
        datetime(2026, 2, 28, 23, 2, tzinfo=UTC),  # in mid-trace a month begins in Berlin
        datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 1, tzinfo=UTC),  # Berlin's clocks have just gone back
    ],
    ids=str,
)
def test_every_verdict_occurs_on_any_day(now: datetime, tmp_path: Path) -> None:
    write_policies(tmp_path / "policies")
    with Gate.open(tmp_path / "policies", f"sqlite:///{tmp_path}/ledger.db", clock="caller") as gate:
        verdicts = {decision.verdict for decision in replay(gate, traced_calls(now), lambda _: None)}
    assert verdicts == set(Verdict)


def test_usage_ends_when_it_is_told_to(tmp_path: Path) -> None:
    assert write_usage(tmp_path / "usage.jsonl", datetime(2027, 1, 1, tzinfo=UTC)) == 120
    text = (tmp_path / "usage.jsonl").read_text(encoding="utf-8")
    assert '"startTime": "2027-01-01 00:00:00+00:00"' in text


def test_the_trace_keeps_its_order_and_sizes() -> None:
    now = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
    traced = traced_calls(now)
    instants = [each.call.at for each in traced if each.call.at is not None]
    assert len(instants) == CALLS
    assert instants == sorted(instants)
    assert instants[-1] == now
    # The first two rows of the file.
    assert [(each.call.input_tokens, each.output_tokens) for each in traced[:2]] == [(4_808, 10), (3_180, 8)]

"""Imported usage counts where live usage counts: in the window of its own instant, under every rule that meets it, early or late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from guardrails import Call, Gate, Usage, Verdict
from tests.importers.ledgers import AT, assert_adds_up, balances, counts, entries, run, spent_of, write
from tests.importers.test_once import POLICY, usage_rows

LIMIT = """\
version: 1
rules:
  - {id: team-month, kind: spend_limit, per: team, limit: 10 USD, window: month}
  - {id: company, kind: spend_limit, limit: 100 USD, window: lifetime}
"""


def reserve(url: str, policies: Path, at: datetime) -> Verdict:
    """What a small call of team search is answered."""
    with Gate.open(policies, url, clock="caller") as gate:
        call = Call(model="gpt-5-mini", input_tokens=10, max_output_tokens=10, subject={"team": "search"}, at=at)
        decision = gate.reserve(call)
        if decision.allowed:
            gate.release(decision, "only asked")
        return decision.verdict


def row(id_: str, cost_usd: float, at: str = "2026-03-02T08:00:00Z", **changes: object) -> dict[str, object]:
    return {"id": id_, "at": at, "model": "gpt-5-mini", "subject": {"team": "search"}, "cost_usd": cost_usd, **changes}


def test_a_past_row_counts_in_its_own_month(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    """Acceptance 83. What back-fill brings over a limit refuses the next call of that window, and of no other."""
    policies = policy_folder(LIMIT)
    rows = [row("1", 11, "2026-02-28T23:59:59Z"), row("2", 4, "2026-03-01T00:00:00Z")]
    run(database_url, write(tmp_path / "rows.jsonl", rows), policies=policies)
    assert spent_of(database_url, "team-month", datetime(2026, 2, 1, tzinfo=UTC)) == {"search": 11_000_000_000}
    assert spent_of(database_url, "team-month", datetime(2026, 3, 1, tzinfo=UTC)) == {"search": 4_000_000_000}
    assert spent_of(database_url, "company") == {"all": 15_000_000_000}
    assert reserve(database_url, policies, datetime(2026, 2, 28, tzinfo=UTC)) is Verdict.DENY
    assert reserve(database_url, policies, datetime(2026, 3, 1, tzinfo=UTC)) is Verdict.ALLOW
    assert_adds_up(database_url)


@pytest.mark.parametrize("first", ["rules", "rows"])
def test_rules_before_or_after_the_rows_count_the_same(
    database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path], first: str
) -> None:
    """Late truth: a rule that is new starts from the entries that are there."""
    policies = policy_folder(POLICY)
    rows = usage_rows(200)
    path = write(tmp_path / "rows.jsonl", rows)
    run(database_url, path, policies=policies if first == "rules" else None)
    if first == "rows":
        assert balances(database_url) == {}
    with Gate.open(policies, database_url, clock="caller") as gate:
        for each in rows:
            at = datetime.fromisoformat(str(each["at"]))
            gate.preview(Call(model="gpt-5.2", input_tokens=1_000, max_output_tokens=1, subject=each["subject"], at=at))
            gate.release(
                gate.reserve(Call(model="gpt-5.2", input_tokens=1_000, max_output_tokens=1, subject=each["subject"], at=at)), "asked"
            )
    # By hand, from the rows themselves: stated costs are exact, so that they alone are compared.
    once = {each["id"]: each for each in rows}.values()
    large = sum(1 for each in once if each["input_tokens"] > 500)
    months = {
        rule: sum(spent for (name, _, _), (spent, _, _) in balances(database_url).items() if name == rule)
        for rule in ("large", "model-day")
    }
    assert months["large"] == large
    assert months["model-day"] == sum(each["input_tokens"] + each["output_tokens"] for each in once if each["model"] == "gpt-5.2")
    known = sum(entry["cost_nano_usd"] or 0 for entry in entries(database_url).values())
    assert sum(spent for (name, _, _), (spent, _, _) in balances(database_url).items() if name == "team-month") == known
    assert_adds_up(database_url)


def test_a_ledger_without_a_policy_takes_rows(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    run(database_url, write(tmp_path / "rows.jsonl", [row("1", 11)]))
    assert len(entries(database_url)) == 1
    assert reserve(database_url, policy_folder(LIMIT), datetime(2026, 3, 5, tzinfo=UTC)) is Verdict.DENY


def test_a_set_published_in_the_middle_of_an_import_counts_all_of_it(
    database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]
) -> None:
    old, new = policy_folder(LIMIT), policy_folder(POLICY)
    rows = [row(str(n), 0.5, f"2026-03-{n:02d}T08:00:00Z") for n in range(1, 21)]
    run(database_url, write(tmp_path / "first.jsonl", rows[:10]), policies=old)
    Gate.open(new, database_url).close()
    run(database_url, write(tmp_path / "all.jsonl", rows), policies=None)
    assert spent_of(database_url, "team-month", datetime(2026, 3, 1, tzinfo=UTC)) == {"search": 10_000_000_000}
    assert_adds_up(database_url)


def test_a_negative_row_restores_headroom_only_where_it_names_its_entry(
    database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]
) -> None:
    """Acceptance 31."""
    policies = policy_folder(LIMIT)
    at = datetime(2026, 3, 5, tzinfo=UTC)
    run(database_url, write(tmp_path / "rows.jsonl", [row("typo", 4_000)]), policies=policies)
    run(database_url, write(tmp_path / "credit.jsonl", [row("credit", -3_999)]), policies=policies)
    assert spent_of(database_url, "team-month") == {"search": 4_000_000_000_000}
    assert reserve(database_url, policies, at) is Verdict.DENY
    # Before the entry that it corrects, in one file; without labels: it counts where its entry does.
    correction = {"id": "fix", "at": "2026-03-02T08:00:00Z", "cost_usd": "-3999.50", "corrects": "late"}
    result = run(database_url, write(tmp_path / "fix.jsonl", [correction, row("late", 4_000)]), policies=policies)
    assert counts(result.state) == {"new": 2}
    # 4000 + 4000 - 3999.50
    assert spent_of(database_url, "team-month") == {"search": 4_000_500_000_000}
    fix = {**correction, "id": "fix2", "corrects": "typo", "cost_usd": -3_996}
    run(database_url, write(tmp_path / "fix2.jsonl", [fix]), policies=policies)
    # 4000.50 - 3996
    assert spent_of(database_url, "team-month") == {"search": 4_500_000_000}
    assert reserve(database_url, policies, at) is Verdict.ALLOW
    # All four are in the report: 4000 - 3999 + 4000 - 3999.50 - 3996.
    assert sum(entry["cost_nano_usd"] for entry in entries(database_url).values()) == -3_994_500_000_000
    assert_adds_up(database_url)
    # A rule that comes later counts the same: 4000 + 4000 - 3999.50 - 3996, without the credit that names nothing.
    later = policy_folder(LIMIT + "  - {id: later, kind: spend_limit, per: team, limit: 900 USD, window: year}\n")
    reserve(database_url, later, at)
    assert spent_of(database_url, "later") == {"search": 4_500_000_000}


def test_a_decision_may_be_corrected_by_its_id(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    """Acceptance 31."""
    policies = policy_folder(LIMIT)
    with Gate.open(policies, database_url, clock="caller") as gate:
        decision = gate.reserve(Call(model="gpt-5-mini", input_tokens=10, max_output_tokens=10, subject={"team": "search"}, at=AT))
        gate.settle(decision, Usage(input_tokens=10, output_tokens=10, cost_usd=Decimal(500)))
    fix = {"id": "fix", "at": AT.isoformat(), "cost_usd": -499, "corrects": decision.id}
    assert counts(run(database_url, write(tmp_path / "fix.jsonl", [fix]), policies=policies).state) == {"new": 1}
    assert spent_of(database_url, "team-month") == {"search": 1_000_000_000}
    assert_adds_up(database_url)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"corrects": "nobody"}, "corrects: the ledger has no entry `nobody`"),
        ({"subject": {"team": "ads"}}, "subject: is not that of the entry `1`; leave it out, a correction counts where its entry does"),
        ({"model": "gpt-5.2"}, "model: is not that of the entry `1`, which is gpt-5-mini; leave it out, or name the same"),
    ],
)
def test_refuses_a_correction_of_something_else(database_url: str, tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    fix = {"id": "fix", "at": "2026-03-02T08:00:00Z", "cost_usd": -1, "corrects": "1", **changes}
    result = run(database_url, write(tmp_path / "rows.jsonl", [row("1", 5), fix]))
    assert [refused.reason for refused in result.refused] == [reason]


def test_an_aggregate_counts_as_many_requests_as_it_states(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    policies = policy_folder("version: 1\nrules:\n  - {id: all, kind: request_cap, limit: 1_000 requests, window: month}\n")
    run(database_url, write(tmp_path / "rows.jsonl", [row("1", 5, requests=40), row("2", 1)]), policies=policies)
    assert spent_of(database_url, "all") == {"all": 41}

"""`guardrails budgets`: what calls see, with where it is heading."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from guardrails import Gate
from guardrails.cli.budgets import Heading, heading
from guardrails.core.quantity import Measure
from guardrails.core.window import Period
from guardrails.gate.budgets import Budget
from guardrails.policy.load import load_files
from tests.cli.test_audit import run, told
from tests.gate.scene import PRICES, call, limit, policy

RULES = policy(
    limit("5", per="team", window="lifetime")
    + "  - {id: at-once, kind: concurrency_cap, limit: 4 concurrent}\n"
    + "  - {id: tokens, kind: token_cap, limit: 10k tokens, window: lifetime, mode: shadow}\n"
)


@pytest.fixture
def held(sqlite_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> str:
    """A ledger in which 1 USD, 1,000 tokens, are held."""
    with Gate.open(policy_folder({"policy.yaml": RULES, "prices.yaml": PRICES}), sqlite_url) as gate:
        gate.reserve(call(at=None, subject={"team": "ads"}))
    return sqlite_url


def test_every_balance_has_the_keys_of_the_contract(held: str) -> None:
    found = told(held, "budgets")
    assert [(each["rule"], each["kind"], each["mode"], each["scope"]) for each in found] == [
        ("month", "spend_limit", "enforce", {"team": "ads"}),
        ("at-once", "concurrency_cap", "enforce", {}),
        ("tokens", "token_cap", "shadow", {}),
    ]
    assert [(each["limit"], each["spent"], each["assumed"], each["held"], each["left"], each["share"]) for each in found] == [
        ("5 USD", "0 USD", "0 USD", "1 USD", "4 USD", "0.2"),
        ("4 concurrent", "0 concurrent", "0 concurrent", "1 concurrent", "3 concurrent", "0.25"),
        ("10000 tokens", "0 tokens", "0 tokens", "1000 tokens", "9000 tokens", "0.1"),
    ]
    assert found[0]["window"] == {"start": None, "end": None}


def test_decision_and_budgets_say_the_same(held: str) -> None:
    """Acceptance 28."""
    with Gate.open(None, held) as gate:
        preview = gate.preview(call(9_000, at=None, subject={"team": "ads"}))
    shown = told(held, "budgets")[0]
    (reason,) = [reason for reason in preview.as_json()["reasons"] if reason["rule"] == "month"]  # type: ignore[attr-defined]  # a list
    assert {name: reason[name] for name in ("limit", "spent", "held", "left")} == {
        name: shown[name] for name in ("limit", "spent", "held", "left")
    }


def test_csv_has_one_value_to_a_cell(held: str) -> None:
    rows = list(csv.DictReader(io.StringIO(run(held, "budgets", "--format", "csv").stdout)))
    assert [(row["rule"], row["limit"], row["held"], row["window_end"]) for row in rows[:1]] == [("month", "5 USD", "1 USD", "")]
    assert json.loads(rows[0]["scope"]) == {"team": "ads"}


def test_the_table_shows_each_rule_with_its_balances(held: str) -> None:
    lines = [" ".join(line.split()) for line in run(held, "budgets", "--format", "table").stdout.splitlines()]
    assert lines[0].endswith(":5 USD, lifetime")
    assert lines[2] == "ads █▋ 20 % 0 1.0000 5.0000 4.0000"
    assert any(line.startswith("tokens [shadow only]") and line.endswith(" tokens, lifetime") for line in lines)


def test_a_ledger_without_a_set_says_how_to_get_one(sqlite_url: str, tmp_path: Path) -> None:
    result = run(sqlite_url, "--policies", str(tmp_path), "budgets")
    assert result.exit_code == 3
    assert f"`guardrails policy publish {tmp_path} --by WHO --reason WHY`" in result.stderr


RULE = load_files({"a.yaml": policy(limit("100"))}).rules[0]
JUNE = Period(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))


def budget(spent: int, cap: int = 100) -> Budget:
    return Budget(RULE, Measure.REQUESTS, {}, JUNE, cap, spent, 0, 0)


def test_a_balance_heads_where_its_rate_leads() -> None:
    tenth, sixteenth = datetime(2026, 6, 10, tzinfo=UTC), datetime(2026, 6, 16, tzinfo=UTC)
    # 30 of 100 in 15 of 30 days: 60 at the end.
    assert heading(budget(30), sixteenth) == Heading(60, None)
    # 60 in 9 days: 200 in 30, and 100 after 15.
    assert heading(budget(60), tenth) == Heading(200, datetime(2026, 6, 16, tzinfo=UTC))
    # Passed already: nothing to foretell.
    assert heading(budget(150), sixteenth) == Heading(300, None)


def test_nothing_is_foretold_of_nothing() -> None:
    assert heading(budget(0), datetime(2026, 6, 16, tzinfo=UTC)) is None
    # 1.5 days are a twentieth of June.
    assert heading(budget(5), datetime(2026, 6, 2, 11, 59, tzinfo=UTC)) is None
    assert heading(budget(5), datetime(2026, 6, 2, 12, tzinfo=UTC)) == Heading(100, None)
    assert budget(5, 0).share is None
    assert budget(5).share == Fraction(1, 20)

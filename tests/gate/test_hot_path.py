"""The hot path: many callers share one write of a hot balance, and no statement of it scans a table."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from guardrails import Call, Gate, PolicyUnreadable, Usage
from guardrails.db.session import Row, Statement, open_session
from guardrails.ledger import book, lookup
from tests.gate.scene import PRICES, Scene, call, limit, policy


def writes_of(gate: Gate) -> list[list[tuple[str, int]]]:
    """What the Gate writes from now on: for each transaction its statements with their numbers of rows."""
    session = open_session(gate._engine)
    written: list[list[tuple[str, int]]] = []
    write = session.write

    def remembering(batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        write(batches, commit=commit)
        if commit:
            written.append([(statement.text, len(rows)) for statement, rows in batches if rows])

    session.write = remembering  # type: ignore[method-assign]  # a listener on this one session
    gate._ledger.close()
    gate._ledger.session = session
    return written


def test_thirty_two_calls_in_one_transaction_write_their_hot_balance_once(scene: Scene) -> None:
    """Acceptance 75."""
    gate = scene.open(policy(limit("1000")))
    gate.reserve(call(1))
    written = writes_of(gate)
    decisions = gate.reserve_many([call(1)] * 32)
    assert all(decision.allowed for decision in decisions)
    (transaction,) = written
    assert [rows for text, rows in transaction if text.startswith("UPDATE balance")] == [1]
    assert [rows for text, rows in transaction if text.startswith('INSERT INTO "record"')] == [32]


def test_no_statement_of_a_decision_or_settlement_scans_a_table(scene: Scene) -> None:
    """Acceptance 76."""
    gate = scene.open(policy(limit("1000", per="team")))
    for team in range(40):
        decision = gate.reserve(call(1, subject={"team": f"t{team}"}))
        gate.settle(decision, Usage(input_tokens=1, output_tokens=0))
    session = open_session(gate._engine)
    session.begin()
    if not scene.sqlite:
        session.read((Statement("SELECT set_config('enable_seqscan', 'off', true)"), ()))
    explain = "EXPLAIN QUERY PLAN" if scene.sqlite else "EXPLAIN"
    for statement, values in HOT:
        (rows,) = session.read((Statement(f"{explain} {statement.text}"), values))
        plan = "\n".join(str(row[-1]) for row in rows)
        assert ("SCAN" if scene.sqlite else "Seq Scan") not in plan, f"{statement.text}: {plan}"
    session.rollback()
    session.close()


ORG = "default"
KEYS = [b"0" * 16, b"1" * 16]
HOT: list[tuple[Statement, tuple[object, ...]]] = [
    (book._ACTIVE_AT, (1, ORG)),
    (book._HOLDS, (ORG, ["a", "b"])),
    (book._HOLDS_AT, (ORG, ["a", "b"], ORG, 1)),
    (book._BALANCES, (ORG, KEYS)),
    (book._RECORDS, (ORG, ["a", "b"])),
    (book._SEEDED, (ORG, ["a", "b"])),
    (lookup.DECIDED, (ORG, ["a", "b"])),
    (lookup._ENTRIES, (ORG, ["a", "b"])),
    (lookup._EVENTS, (ORG, ["a", "b"])),
    (lookup._RESPONSES, (ORG, ["a", "b"])),
    (lookup._ROUTES, (ORG, KEYS)),
    (lookup._LABELS, (ORG, KEYS)),
    (lookup._QUOTES, (ORG, ["a", "b"])),
]
"""Every statement that a booking reads with, as it is written, with values of its kinds."""


def test_a_gate_with_nothing_to_enforce_does_not_open(scene: Scene) -> None:
    """Acceptance 4."""
    with pytest.raises(PolicyUnreadable, match="no policies were given"):
        Gate.open(None, scene.url)


def test_every_rule_of_an_opened_gate_is_enforced_from_its_first_call(scene: Scene) -> None:
    """Acceptance 4."""
    rules = limit("0.5") + "  - {id: hour, kind: request_cap, limit: 0 requests, window: hour}\n"
    gate = Gate.open(scene.folder(policy(rules), PRICES), scene.url, clock="caller")
    with gate:
        decision = gate.reserve(Call(model="big", input_tokens=1_000, at=call().at))
    # 1,000 tokens in and 1,024 assumed out at 0.001 USD: 2.024 USD against 0.5 USD.
    assert decision.rules == ("month", "hour")

"""What was changed by hand is found, what was not adds up, and a rebuild mends what can be mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import text

from guardrails import Usage
from guardrails.db.connect import connect
from guardrails.gate.view import open_view, rebuild
from guardrails.ledger.verify import Finding, Verification
from tests.gate.scene import Scene, after, call, limit, policy

RULES = policy(
    limit("5", per="team")
    + "  - {id: day, kind: token_cap, limit: 10M tokens, window: day}\n  - {id: at-once, kind: concurrency_cap, limit: 9 concurrent}\n"
)
SEARCH = {"team": "search"}


@pytest.fixture
def kept(database_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Iterator[Scene]:
    """A ledger with a settled, a released and a live hold of 1 USD each."""
    scene = Scene(database_url, policy_folder)
    gate = scene.open(RULES)
    settled, released, _live = (gate.reserve(call(at=after(seconds=second), subject=SEARCH)) for second in range(3))
    gate.settle(settled, Usage(input_tokens=400, output_tokens=0))
    gate.release(released, "not sent")
    scene.close()
    yield scene
    scene.close()


def change(scene: Scene, statement: str) -> None:
    engine = connect(scene.url)
    try:
        with engine.connect() as connection, connection.begin():
            changed = connection.execute(text(statement)).rowcount
    finally:
        engine.dispose()
    assert changed > 0


def verified(scene: Scene) -> Verification:
    with open_view(scene.url, at=after(minutes=1)) as view:
        return view.verify()


def codes(scene: Scene) -> set[str]:
    return {finding.code for finding in verified(scene).findings}


def test_an_untouched_ledger_adds_up(kept: Scene) -> None:
    """Acceptance 27. One book, and a command that proves it."""
    assert verified(kept).as_json() == {
        "ok": True,
        "checked": {"balances": 3, "entries": 1, "records": 3, "live_holds": 1, "openings": 3},
        "findings": [],
    }
    assert rebuild(kept.url).as_json() == {"balances": 0, "opened": 0, "seeds": 0, "holds": 0}


@pytest.mark.parametrize(
    ("column", "finding"),
    [
        # 400 tokens of `big` cost 0.40 USD; the hold that lives keeps 1 USD.
        (
            "spent",
            Finding(
                "balance-spent", "month team=search from 2026-03-01T00:00:00Z", "spent is 0.400000001 USD, its facts add up to 0.4 USD"
            ),
        ),
        (
            "assumed",
            Finding(
                "balance-assumed", "month team=search from 2026-03-01T00:00:00Z", "assumed is 0.000000001 USD, its facts add up to 0 USD"
            ),
        ),
        (
            "held",
            Finding("balance-held", "month team=search from 2026-03-01T00:00:00Z", "held is 1.000000001 USD, its facts add up to 1 USD"),
        ),
    ],
)
def test_a_changed_balance_is_named_with_both_numbers_and_rebuilt(kept: Scene, column: str, finding: Finding) -> None:
    change(kept, f"UPDATE balance SET {column} = {column} + 1 WHERE rule = 'month'")  # noqa: S608 - our own names
    assert verified(kept).findings == [finding]
    assert rebuild(kept.url).balances == 1
    assert verified(kept).ok


def test_a_changed_cost_is_found_in_the_balance_that_counts_it(kept: Scene) -> None:
    change(kept, "UPDATE entry SET cost_nano_usd = 1")
    assert [finding.message for finding in verified(kept).findings] == ["spent is 0.4 USD, its facts add up to 0.000000001 USD"]


def test_a_deleted_entry_is_found(kept: Scene) -> None:
    change(kept, "DELETE FROM entry")
    assert codes(kept) == {"balance-spent", "hold-lost"}


def test_a_deleted_live_hold_is_found_and_lives_again_until_its_time(kept: Scene) -> None:
    before = kept.rows("SELECT * FROM live_hold")
    change(kept, "DELETE FROM live_hold")
    assert codes(kept) == {"balance-held", "hold-lost"}
    assert rebuild(kept.url).holds == 1
    assert kept.rows("SELECT * FROM live_hold") == before
    assert verified(kept).ok


def test_a_hold_that_lives_after_its_settlement_is_found_and_ended(kept: Scene) -> None:
    change(kept, "INSERT INTO live_hold (org, id, expires_us) SELECT org, decision, 1 FROM entry")
    assert codes(kept) == {"balance-held", "hold-twice"}
    assert rebuild(kept.url).holds == 1
    assert verified(kept).ok


def test_a_hold_that_nothing_admitted_is_found_and_ended(kept: Scene) -> None:
    change(kept, "INSERT INTO live_hold (org, id, expires_us) VALUES ('default', 'd-forged', 1)")
    assert codes(kept) == {"hold-without-record"}
    assert rebuild(kept.url).holds == 1
    assert verified(kept).ok


def test_a_deleted_balance_is_found_and_opened_again(kept: Scene) -> None:
    before = kept.counters()
    change(kept, "DELETE FROM balance WHERE rule = 'month'")
    assert codes(kept) == {"balance-missing"}
    assert rebuild(kept.url).opened == 1
    assert kept.counters() == before
    assert verified(kept).ok


def test_a_changed_route_is_found(kept: Scene) -> None:
    change(kept, "DELETE FROM route WHERE balance = (SELECT key FROM balance WHERE rule = 'day')")
    assert "route-changed" in codes(kept)
    change(kept, "DELETE FROM route")
    assert "route-missing" in codes(kept)


def test_facts_that_name_what_is_not_there_are_found(kept: Scene) -> None:
    change(kept, "DELETE FROM subject")
    assert codes(kept) >= {"subject-missing"}
    change(kept, "DELETE FROM quote")
    assert codes(kept) >= {"quote-missing"}


def test_a_measure_that_there_is_not_is_found(kept: Scene) -> None:
    change(kept, "UPDATE balance SET measure = 'EUR' WHERE rule = 'month'")
    assert codes(kept) == {"balance-measure"}

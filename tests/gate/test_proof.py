"""What a balance started from follows from the entries of before, under the set of that time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from guardrails import Gate, Usage
from guardrails.gate.view import rebuild
from tests.gate.scene import Scene, after, call, limit, policy
from tests.ledger.test_verify import change, codes, verified

TEAMS = limit("50", id="teams", per="team")
LARGE = limit("50", id="large", match="{input_tokens: {over: 300}}")


@pytest.fixture
def grown(database_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Iterator[Scene]:
    """Two teams have spent 0.40 and 0.20 USD before rules came in mid-window, and 0.10 and 0.40 USD since; a hold of 1 USD saw both."""
    scene = Scene(database_url, policy_folder)
    first = scene.open(policy(limit()))
    spend(first, "search", 400)
    spend(first, "ads", 200)
    live = first.reserve(call(at=after(seconds=1), subject={"team": "ads"}))
    second = scene.open(policy(limit() + TEAMS + LARGE))
    spend(second, "search", 100)
    spend(second, "ads", 400)
    second.settle(live, Usage(input_tokens=900, output_tokens=0))
    scene.close()
    yield scene
    scene.close()


def spend(gate: Gate, team: str, tokens: int) -> None:
    gate.settle(gate.reserve(call(tokens, at=after(seconds=2), subject={"team": team})), Usage(input_tokens=tokens, output_tokens=0))


def seeds(scene: Scene) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in scene.rows("SELECT rule, scope, seed_spent, spent FROM balance ORDER BY rule, scope")]


def test_what_new_rules_started_from_is_proven(grown: Scene) -> None:
    usd = 10**9
    assert seeds(grown) == [
        ("large", "{}", usd * 4 // 10, usd * 17 // 10),  # 0.40 of search before; 0.40 of ads since, and its hold, 0.90
        ("month", "{}", 0, usd * 20 // 10),  # 0.40 + 0.20 + 0.10 + 0.40 + 0.90
        ("teams", '{"team": "ads"}', usd * 2 // 10, usd * 15 // 10),  # 0.20 before; 0.40 + 0.90
        ("teams", '{"team": "search"}', usd * 4 // 10, usd * 5 // 10),  # 0.40 before; 0.10
    ]
    assert verified(grown).ok


def test_a_changed_start_is_found_and_rebuilt(grown: Scene) -> None:
    change(grown, "UPDATE balance SET seed_spent = seed_spent - 1, spent = spent - 1 WHERE rule = 'large'")
    (finding,) = verified(grown).findings
    assert finding.code == "seed-spent"
    assert finding.subject == "large from 2026-03-01T00:00:00Z"
    assert finding.message == "started from 0.399999999 USD spent, the entries of before add up to 0.4 USD"
    assert rebuild(grown.url).seeds == 1
    assert verified(grown).ok


def test_a_start_that_no_entry_gives_is_found(grown: Scene) -> None:
    change(grown, "UPDATE balance SET seed_assumed = 5, assumed = 5 WHERE rule = 'month'")
    assert codes(grown) == {"seed-unfounded"}
    assert rebuild(grown.url).seeds == 1
    assert verified(grown).ok


def test_an_entry_of_before_that_was_changed_is_found_in_what_followed_from_it(grown: Scene) -> None:
    change(grown, "UPDATE entry SET cost_nano_usd = cost_nano_usd - 1 WHERE seq = (SELECT min(seq) FROM entry)")
    assert codes(grown) == {"balance-spent", "seed-spent"}


def test_a_balance_whose_window_was_never_opened_is_found(grown: Scene) -> None:
    change(grown, "DELETE FROM opening WHERE rule = 'month'")
    assert codes(grown) == {"opening-missing"}


def test_a_policy_set_that_was_changed_proves_nothing(grown: Scene) -> None:
    change(grown, "UPDATE policy_set SET files = replace(files, 'limit: 50', 'limit: 51')")
    assert codes(grown) == {"opening-unproven", "seed-unfounded"}


def test_a_deleted_balance_is_opened_again_with_what_it_started_from(grown: Scene) -> None:
    before = grown.counters()
    change(grown, "DELETE FROM balance WHERE rule = 'teams'")
    assert "balance-missing" in codes(grown)
    assert rebuild(grown.url).opened == 2
    assert grown.counters() == before
    assert verified(grown).ok

"""Records read back: newest first, by what is asked for, and one in full with what became of its hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from guardrails import Decision, Usage, Verdict
from guardrails.audit.log import Decided, Wanted
from guardrails.core.window import LIFETIME, Period
from guardrails.gate.view import open_view
from tests.gate.scene import T0, USD, Scene, after, budget, call, limit, policy

RULES = policy(
    limit("5", per="team", at="{50%: downgrade to low, 100%: deny}")
    + "  - {id: interns, kind: tier_restriction, match: {team: interns}, allow: [low]}\n"
    + limit("1", id="shadow-day", window="day", mode="shadow")
)


@pytest.fixture
def scene(database_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Iterator[Scene]:
    scene = Scene(database_url, policy_folder)
    yield scene
    scene.close()
    scene.prove()


def listed(scene: Scene, **wanted: object) -> list[str]:
    """What decisions that are wanted are about, newest first."""
    with open_view(scene.url, at=T0) as view:
        return [f"{decision.call.subject['team']} {decision.verdict} {decision.rule}" for decision in view.decisions(Wanted(**wanted))]  # type: ignore[arg-type]  # by name


def decided(scene: Scene) -> list[Decision]:
    """1 USD allowed; 2 USD more would pass half of 5, 0.20 USD of `small` runs; interns refused; 60 USD refused, as 6 USD of `small`."""
    gate = scene.open(RULES)
    calls = [(1_000, "Search"), (2_000, "search"), (1_000, "interns"), (60_000, "search")]
    return [gate.reserve(call(tokens, at=after(minutes=minute), subject={"team": team})) for minute, (tokens, team) in enumerate(calls)]


def test_lists_the_newest_first(scene: Scene) -> None:
    decided(scene)
    assert listed(scene) == ["search deny month", "interns deny interns", "search downgrade month", "Search allow None"]


def test_lists_what_is_asked_for(scene: Scene) -> None:
    decided(scene)
    assert listed(scene, verdict=Verdict.DENY) == ["search deny month", "interns deny interns"]
    assert listed(scene, labels={"team": " SEARCH"}) == ["search deny month", "search downgrade month", "Search allow None"]
    assert listed(scene, labels={"user": ""}, rule="interns") == ["interns deny interns"]
    assert listed(scene, labels={"user": "ana"}) == []
    assert listed(scene, period=Period(after(minutes=1), after(minutes=2))) == ["search downgrade month"]
    assert listed(scene, rule="intern") == []


def test_a_rule_in_shadow_is_found_by_what_it_would_have_said(scene: Scene) -> None:
    decided(scene)
    # The first call needs 1 USD of 1 USD, which fits whole; all that come later do not.
    assert listed(scene, rule="shadow-day") == ["search deny month", "interns deny interns", "search downgrade month"]


def test_refusals_and_downgrades_are_counted_once_under_the_rule_that_decided(scene: Scene) -> None:
    decided(scene)
    with open_view(scene.url, at=T0) as view:
        found = view.decided_by(LIFETIME)
        total = view.report(LIFETIME).total
    assert found == (
        Decided("month", 1, 1, 60 * USD + 2 * USD - USD * 2 // 10, 0),  # 60 USD refused, 2 USD became 0.20 USD
        Decided("interns", 1, 0, USD, 0),
    )
    assert sum(each.saved_nano_usd for each in found) == total.saved_nano_usd
    assert (sum(each.denied for each in found), sum(each.downgraded for each in found)) == (total.denied, total.downgraded) == (2, 1)


@pytest.mark.parametrize(
    ("end", "outcome", "entries"),
    [("nothing", "live", 0), ("time", "overdue", 0), ("look", "expired", 1), ("settle", "settled", 1), ("release", "released", 0)],
)
def test_a_story_says_what_became_of_the_hold(scene: Scene, end: str, outcome: str, entries: int) -> None:
    gate = scene.open(RULES)
    decision = gate.reserve(call(at=T0, subject={"team": "ads"}, request_id="request-1"))
    at: datetime = after(seconds=1)
    match end:
        case "time":
            at = after(minutes=10)
        case "look":
            gate.reserve(call(1, at=after(minutes=10), subject={"team": "other"}))
        case "settle":
            gate.settle(decision, Usage(input_tokens=7, output_tokens=0))
        case "release":
            gate.release(decision, "not sent")
        case _:
            pass
    with open_view(scene.url, at=at) as view:
        by_id, by_request, unknown = view.story(decision.id), view.story("request-1"), view.story("d-unknown")
    assert by_id is not None
    assert by_id == by_request
    assert unknown is None
    assert (by_id.outcome, len(by_id.entries)) == (outcome, entries)
    assert by_id.decision == decision


def test_a_story_has_the_call_every_rule_and_what_was_booked(scene: Scene) -> None:
    gate = scene.open(RULES)
    gate.reserve(call(at=T0, subject={"team": "ads"}))
    decision = gate.reserve(call(2_000, at=T0, subject={"team": "ads"}))
    gate.settle(decision, Usage(input_tokens=1_500, output_tokens=0))
    with open_view(scene.url, at=T0) as view:
        story = view.story(decision.id)
    assert story is not None
    told = story.as_json()
    numbers = "0.00 USD spent and 1.00 USD held of 5.00 USD by team=ads until 2026-04-01T00:00:00Z, this call needs up to 2.00 USD"
    assert told["message"] == f"big downgraded to small by month: {numbers}, above 50 % low is used"
    assert told["call"] == {"model": "big", "input_tokens": 2_000, "max_output_tokens": 0, "operation": "chat", "subject": {"team": "ads"}}
    assert [reason["rule"] for reason in told["shadow"]] == ["shadow-day", "shadow-day"]  # type: ignore[attr-defined]  # a list
    (entry,) = story.entries
    assert (entry["model"], entry["input_tokens"], entry["cost_usd"]) == ("small", 1_500, "0.15")
    assert story.facts["saved_usd"] == "1.8"  # 2 USD of `big` less 0.20 USD of `small`


def test_a_refusal_reproduces_from_the_rows_of_the_ledger(scene: Scene) -> None:
    """Acceptance 26, 28, 33. What a refusal says was spent is the sum of the entries, and `budgets` says the same at that instant."""
    gate = scene.open(policy(limit("5", per="team")))
    for tokens in (1_234, 2_345):
        gate.settle(gate.reserve(call(tokens, subject={"team": "ads"})), Usage(input_tokens=tokens, output_tokens=0))
    gate.reserve(call(1_000, subject={"team": "ads"}))
    shown = budget(gate, "month", T0, team="ads")
    denied = gate.reserve(call(500, subject={"team": "ads"}))
    (reason,) = denied.reasons
    spent = sum(row["cost_nano_usd"] for row in scene.entries())
    assert spent == 3_579 * USD // 1_000
    assert (reason.spent_units, reason.held_units, reason.limit_units, reason.left_units) == (spent, USD, 5 * USD, shown.left)
    numbers = "3.579 USD spent and 1.00 USD held of 5.00 USD by team=ads until 2026-04-01T00:00:00Z, this call needs up to 0.50 USD"
    assert denied.message == f"big denied by month: {numbers}"
    assert shown.share is not None
    assert shown.share * 5_000 == 4_579
    with open_view(scene.url, at=T0) as view:
        assert view.report(LIFETIME).total.cost_nano_usd == spent

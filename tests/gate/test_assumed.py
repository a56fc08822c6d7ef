"""What is assumed is replaced once, by whichever attempt comes first, and reports know what is unpriced to this day."""

from __future__ import annotations

from decimal import Decimal

from guardrails import Usage
from guardrails.core.window import LIFETIME
from guardrails.gate.view import open_view
from tests.gate.scene import T0, USD, Scene, after, call, limit, pass_time, policy


def told(scene: Scene) -> tuple[int, int, int]:
    """(cost, assumed, unpriced) of the report."""
    with open_view(scene.url, at=T0) as view:
        total = view.report(LIFETIME).total
    return total.cost_nano_usd, total.assumed_nano_usd, total.unpriced


def test_a_second_attempt_does_not_take_back_what_the_first_has_replaced(scene: Scene) -> None:
    gate = scene.open(policy(limit()))
    decision = gate.reserve(call(1_000))
    pass_time(gate, after(minutes=10))
    assert told(scene) == (0, USD, 1)
    for attempt in (1, 2, 2, 1):
        gate.settle(decision, Usage(input_tokens=400, output_tokens=0), attempt=attempt)
    assert told(scene) == (USD * 8 // 10, 0, 0)


def test_a_hold_is_assumed_alike_before_and_after_anyone_looked(scene: Scene) -> None:
    gate = scene.open(policy(limit()))
    gate.reserve(call(1_000, subject={"team": "ads"}))
    reports = []
    for looked in (False, True):
        if looked:
            pass_time(gate, after(minutes=10))
        with open_view(scene.url, at=after(minutes=10)) as view:
            row = next(row for row in view.report(LIFETIME, ("team", "model")).rows if row.values == ("ads", "big"))
        reports.append(row.sums)
    assert reports[0] == reports[1]
    assert (reports[0].assumed_nano_usd, reports[0].unpriced, reports[0].entries) == (USD, 1, 1)


def test_a_cost_that_becomes_known_is_no_longer_unpriced(scene: Scene) -> None:
    gate = scene.open(policy(limit()))
    decision = gate.reserve(call(1_000))
    gate.settle(decision, Usage())
    gate.settle(decision, Usage())
    assert told(scene) == (0, USD, 1)
    gate.settle(decision, Usage(cost_usd=Decimal("0.25")))
    gate.settle(decision, Usage(cost_usd=Decimal("0.25")))
    assert told(scene) == (USD // 4, 0, 0)
    assert len(scene.entries(decision)) == 2


def test_a_hold_of_nothing_whose_cost_becomes_known_is_no_longer_unpriced(scene: Scene) -> None:
    gate = scene.open(policy(limit(), defaults="{unknown_price: allow}"))
    decision = gate.reserve(call(1_000, model="nobody-knows"))
    gate.settle(decision, Usage(input_tokens=1_000, output_tokens=0))
    assert told(scene) == (0, 0, 1)
    gate.settle(decision, Usage(input_tokens=1_000, output_tokens=0, cost_usd=Decimal(0)))
    assert told(scene) == (0, 0, 0)


def test_a_message_that_lacks_the_cost_does_not_make_a_known_one_unknown(scene: Scene) -> None:
    gate = scene.open(policy(limit()))
    decision = gate.reserve(call(1_000))
    gate.settle(decision, Usage(input_tokens=400, output_tokens=0))
    gate.settle(decision, Usage())
    assert told(scene) == (USD * 4 // 10, 0, 0)
    assert len(scene.entries(decision)) == 1


def test_a_charge_that_was_released_is_neither_assumed_nor_unpriced(scene: Scene) -> None:
    gate = scene.open(policy(limit()))
    decision = gate.reserve(call(1_000))
    pass_time(gate, after(minutes=10))
    gate.release(decision, "not sent after all")
    assert told(scene) == (0, 0, 0)


def test_a_hold_past_its_time_counts_nothing_where_the_policy_lets_it_go(scene: Scene) -> None:
    gate = scene.open(policy(limit(), defaults="{unknown_outcome: release}"))
    gate.reserve(call(1_000))
    with open_view(scene.url, at=after(minutes=10)) as view:
        assert view.report(LIFETIME).total.assumed_nano_usd == 0

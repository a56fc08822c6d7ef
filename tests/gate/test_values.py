"""What a Gate takes and returns: plain frozen values with exact numbers, that go to another process and back."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from guardrails import AlreadyResolved, Call, Denied, InvalidCall, RequestConflict, Usage, Verdict
from tests.gate.scene import T0, USD, Scene, after, amounts, call, limit, policy


def test_numbers_of_a_decision_are_exact_and_in_the_units_of_the_policy(scene: Scene) -> None:
    gate = scene.open(policy(limit("5") + "  - {id: tokens, kind: token_cap, limit: 9k tokens, window: month}\n"))
    gate.reserve(call(1_500))
    decision = gate.reserve(call(2_000))
    money, tokens = decision.reasons
    expected = [Decimal(5), Decimal(0), Decimal("1.5"), Decimal(2), Decimal("3.5")]
    assert [money.limit, money.spent, money.held, money.requested, money.left] == expected
    assert (tokens.limit, tokens.held, tokens.requested, tokens.left) == (9_000, 1_500, 2_000, 7_500)
    assert (decision.held.usd, decision.held.tokens) == (Decimal(2), 2_000)
    settlement = gate.settle(decision, Usage(input_tokens=1_234, output_tokens=0))
    assert (settlement.cost_usd, settlement.assumed_usd) == (Decimal("1.234"), Decimal(0))


def test_values_can_be_copied_hashed_and_sent_to_another_process(scene: Scene) -> None:
    gate = scene.open(policy(limit("1", per="team")))
    decision = gate.reserve(call(2_000, subject={"team": "search"}, units={}, request_id="q"))
    assert decision.verdict is Verdict.DENY
    for value in (decision, decision.call, decision.reasons[0], Usage(input_tokens=1, units={"gpu_hour": 2})):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value  # noqa: S301 - what this test has made
        assert hash(value) == hash(copy.deepcopy(value))
        assert dataclasses.asdict(cast("Any", value))
    for error in (Denied(decision), RequestConflict("q", ["model"]), AlreadyResolved("q", "settled")):
        received = pickle.loads(pickle.dumps(error))  # noqa: S301 - what this test has made
        assert (type(received), str(received), received.__dict__) == (type(error), str(error), error.__dict__)


def test_a_frozen_value_keeps_its_labels() -> None:
    subject = cast("Any", Call(model="big", subject={"team": "search"}).subject)
    with pytest.raises(TypeError, match="cannot be changed"):
        subject["team"] = "ads"


def test_a_providers_usage_object_settles_as_it_is(scene: Scene) -> None:
    gate = scene.open(policy(limit("5")))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, SimpleNamespace(prompt_tokens=1_000, completion_tokens=0, total_tokens=1_000))
    assert amounts(gate) == (USD, 0, 0)


@pytest.mark.parametrize("wrong", ["gpt-5.2", 5, None])
def test_what_is_no_call_and_no_usage_is_said_so(scene: Scene, wrong: object) -> None:
    gate = scene.open(policy(limit("5")))
    with pytest.raises(InvalidCall, match="a Call is needed"):
        gate.reserve(cast("Any", wrong))
    decision = gate.reserve(call(1_000))
    with pytest.raises(InvalidCall, match="no usage can be read"):
        gate.settle(decision, wrong)
    with pytest.raises(InvalidCall, match="must be a Decision"):
        gate.settle(cast("Any", 5), Usage(input_tokens=1, output_tokens=1))
    assert amounts(gate) == (0, 0, USD)


def test_an_expired_request_that_nothing_counts_for_is_not_answered_with_its_old_admission(scene: Scene) -> None:
    gate = scene.open(policy(limit("1"), defaults="{unknown_outcome: release}"))
    assert gate.reserve(call(1_000, request_id="q")).allowed
    assert gate.reserve(call(1_000, at=after(minutes=11))).allowed
    with pytest.raises(AlreadyResolved, match="expired"):
        gate.reserve(call(1_000, request_id="q", at=after(minutes=12)))


def test_a_request_that_expires_at_the_moment_it_is_asked_again_is_not_answered_either(scene: Scene) -> None:
    gate = scene.open(policy(limit("1"), defaults="{unknown_outcome: release}"))
    gate.reserve(call(1_000, request_id="q"))
    with pytest.raises(AlreadyResolved, match="expired"):
        gate.reserve(call(1_000, request_id="q", at=after(minutes=11)))


def test_a_preview_asks_anew_whatever_its_request_id_was_decided_before(scene: Scene) -> None:
    gate = scene.open(policy(limit("5")))
    decision = gate.reserve(call(1_000, request_id="q"))
    gate.settle(decision, Usage(input_tokens=1_000, output_tokens=0))
    assert gate.preview(call(9_000, request_id="q")).verdict is Verdict.DENY
    assert amounts(gate) == (USD, 0, 0)


def test_a_settlement_at_another_instant_ends_nobody_elses_hold(scene: Scene) -> None:
    gate = scene.open(policy(limit("2"), defaults="{unknown_outcome: release}"))
    gate.reserve(call(1_000))
    late = gate.reserve(call(1_000, at=after(minutes=9)))
    gate.settle(late, Usage(input_tokens=0, output_tokens=0))
    other = gate.reserve(call(1_000, at=after(minutes=9, seconds=30)))
    assert other.allowed
    gate.settle(scene.open(None).reserve(call(0, at=after(minutes=9, seconds=31))), Usage(input_tokens=0, output_tokens=0))
    assert scene.count("live_hold") == 2


def test_a_part_on_a_model_without_a_price_is_charged_what_is_left_of_the_hold(scene: Scene) -> None:
    gate = scene.open(policy(limit("5")))
    decision = gate.reserve(call(1_000, at=T0))
    part = Usage(model="nobody-knows", input_tokens=100_000, output_tokens=0)
    settlement = gate.settle(decision, Usage(input_tokens=400, output_tokens=0, parts=(part,)))
    # 1 USD was held, the attempt itself took 0.4 USD of it: 0.6 USD stand in for the part.
    assert (settlement.cost_usd, settlement.assumed_usd) == (None, Decimal("0.6"))
    assert "assumed" in settlement.marks
    assert amounts(gate) == (4 * USD // 10, 6 * USD // 10, 0)


def test_a_settlement_counts_its_priced_parts(scene: Scene) -> None:
    gate = scene.open(policy(limit("5")))
    decision = gate.reserve(call(1_000))
    part = Usage(model="small", input_tokens=1_000, output_tokens=0)
    # 1,000 tokens of `big` are 1 USD, 1,000 of `small` 0.1 USD.
    assert gate.settle(decision, Usage(input_tokens=1_000, output_tokens=0, parts=(part,))).cost_usd == Decimal("1.1")

"""What a settlement books: never refused, once per attempt, differences where the usage changes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from guardrails import AlreadyResolved, UnknownDecision, Usage, Verdict
from tests.gate.scene import T0, USD, Scene, after, amounts, call, limit, pass_time, policy

RULES = (
    limit("5")
    + "  - {id: tokens, kind: token_cap, limit: 1M tokens, window: month}\n"
    + "  - {id: calls, kind: request_cap, limit: 50 requests, window: month}\n"
)
CENT = USD // 100


def usage(tokens: int, **facts: object) -> Usage:
    return Usage(**{"input_tokens": tokens, "output_tokens": 0, **facts})  # type: ignore[arg-type]  # the facts are the test's own


def test_a_hold_turns_into_what_was_used(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    assert amounts(gate) == (0, 0, 2 * USD)  # 2,000 tokens at 0.001 USD
    settlement = gate.settle(decision, usage(1_500))
    assert (settlement.cost_nano_usd, settlement.marks, settlement.booked) == (3 * USD // 2, (), True)
    assert amounts(gate) == (3 * USD // 2, 0, 0)
    assert amounts(gate, "tokens") == (1_500, 0, 0)
    assert amounts(gate, "calls") == (1, 0, 0)


def test_the_same_usage_again_changes_nothing(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(1_500))
    before = scene.entries(), scene.counters()
    again = gate.settle(decision.id, usage(1_500))
    assert not again.booked
    assert (scene.entries(), scene.counters()) == before


def test_each_billed_attempt_is_an_entry_of_its_own_under_the_one_hold(scene: Scene) -> None:
    """Acceptance 60. Acceptance 61."""
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(1_000), attempt=1)
    gate.settle(decision, usage(1_000), attempt=2, model="small")
    gate.settle(decision, usage(500), attempt=3)
    # 1,000 x 0.001 + 1,000 x 0.0001 + 500 x 0.001 = 1.00 + 0.10 + 0.50 USD
    assert amounts(gate) == (160 * CENT, 0, 0)
    assert [(entry["attempt"], entry["model"], entry["cost_nano_usd"]) for entry in scene.entries()] == [
        (1, "big", USD),
        (2, "small", 10 * CENT),
        (3, "big", 50 * CENT),
    ]
    assert amounts(gate, "calls") == (1, 0, 0)  # one admitted call, however often it was tried


def test_more_usage_for_a_settled_attempt_books_the_difference(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(1_000))
    settlement = gate.settle(decision, usage(1_200))
    assert "difference" in settlement.marks
    assert [entry["cost_nano_usd"] for entry in scene.entries()] == [USD, 20 * CENT]
    assert amounts(gate) == (120 * CENT, 0, 0)


def test_less_usage_for_a_complete_attempt_leaves_it_as_it_was(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(1_000))
    gate.settle(decision, usage(10))
    assert amounts(gate) == (USD, 0, 0)
    assert amounts(gate, "tokens") == (1_000, 0, 0)


def test_less_usage_after_a_partial_settlement_books_downwards(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(1_000, partial=True))
    settlement = gate.settle(decision, usage(900))
    assert settlement.booked
    assert amounts(gate) == (90 * CENT, 0, 0)
    assert amounts(gate, "tokens") == (900, 0, 0)
    gate.settle(decision, usage(100))  # now it is complete, and stays
    assert amounts(gate) == (90 * CENT, 0, 0)


def test_usage_without_counts_books_the_hold_as_assumed_until_they_are_known(scene: Scene) -> None:
    """Acceptance 66."""
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    settlement = gate.settle(decision, Usage())
    assert (settlement.cost_nano_usd, settlement.assumed_nano_usd) == (None, 2 * USD)
    assert "assumed" in settlement.marks
    assert amounts(gate) == (0, 2 * USD, 0)
    assert amounts(gate, "tokens") == (0, 2_000, 0)
    gate.settle(decision, usage(700))
    assert amounts(gate) == (70 * CENT, 0, 0)
    assert amounts(gate, "tokens") == (700, 0, 0)
    assert amounts(gate, "calls") == (1, 0, 0)


def test_usage_without_counts_after_full_usage_adds_nothing(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(700))
    gate.settle(decision, Usage())
    assert amounts(gate) == (70 * CENT, 0, 0)
    assert amounts(gate, "tokens") == (700, 0, 0)


def test_usage_without_counts_twice_assumes_once(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, Usage())
    gate.settle(decision, Usage())
    assert amounts(gate) == (0, 2 * USD, 0)


def test_only_the_count_that_is_missing_is_assumed(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000, max_output_tokens=500))
    gate.settle(decision, Usage(input_tokens=1_800))
    # the price needs the output count: the cost is not known, the input is
    assert amounts(gate) == (0, 250 * CENT, 0)
    assert amounts(gate, "tokens") == (1_800, 500, 0)


def test_zero_is_a_count_and_not_a_missing_one(scene: Scene) -> None:
    """Acceptance 58."""
    gate = scene.open(policy(RULES))
    gate.settle(gate.reserve(call(2_000)), usage(0))
    assert amounts(gate) == (0, 0, 0)
    assert amounts(gate, "tokens") == (0, 0, 0)


def test_a_fallback_without_a_price_books_the_hold_as_assumed(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(100), model="nobody-knows-this-model")
    assert amounts(gate) == (0, 2 * USD, 0)
    assert amounts(gate, "tokens") == (100, 0, 0)


def test_a_cost_that_the_provider_states_wins_and_ours_is_kept_beside_it(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    gate.settle(gate.reserve(call(2_000)), usage(1_000, cost_usd=Decimal("0.75")))
    assert amounts(gate) == (75 * CENT, 0, 0)
    (entry,) = scene.entries()
    assert (entry["stated_nano_usd"], entry["priced_nano_usd"]) == (75 * CENT, USD)


def test_parts_of_an_answer_are_priced_as_the_models_that_ran_them(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    answer = usage(1_000, parts=(usage(1_000, model="small"), usage(100, model="big")))
    gate.settle(decision, answer)
    gate.settle(decision, answer)
    # 1.00 + 0.10 + 0.10 USD
    assert amounts(gate) == (120 * CENT, 0, 0)
    assert amounts(gate, "calls") == (1, 0, 0)
    assert [(entry["part"], entry["model"]) for entry in scene.entries()] == [(0, "big"), (1, "small"), (2, "big")]


def test_more_than_was_held_is_booked_in_full_and_marked(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    settlement = gate.settle(gate.reserve(call(5_000)), usage(6_000))
    assert "overrun" in settlement.marks
    assert amounts(gate) == (6 * USD, 0, 0)  # of a limit of 5
    assert gate.reserve(call(1)).verdict is Verdict.DENY


def test_usage_after_a_release_is_booked(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.release(decision, reason="not sent")
    assert amounts(gate) == (0, 0, 0)
    settlement = gate.settle(decision, usage(1_000))
    assert settlement.booked
    assert "late" in settlement.marks
    assert amounts(gate) == (USD, 0, 0)
    assert amounts(gate, "calls") == (1, 0, 0)


def test_usage_of_a_refused_call_that_ran_all_the_same_is_booked(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    refused = gate.reserve(call(6_000))
    assert refused.verdict is Verdict.DENY
    gate.settle(refused, usage(6_000))
    gate.settle(refused, usage(6_000))
    assert amounts(gate) == (6 * USD, 0, 0)
    assert amounts(gate, "tokens") == (6_000, 0, 0)


def test_usage_of_a_call_that_was_only_previewed_is_booked(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    preview = gate.preview(call(1_000))
    gate.settle(preview, usage(1_000))
    gate.settle(preview, usage(1_000))
    assert amounts(gate) == (USD, 0, 0)


@pytest.mark.parametrize("outcome", ["charge", "release"])
def test_usage_after_expiry_replaces_what_was_assumed(scene: Scene, outcome: str) -> None:
    gate = scene.open(policy(RULES, defaults=f"{{hold_ttl: 10 minutes, unknown_outcome: {outcome}}}"))
    decision = gate.reserve(call(2_000))
    later = after(minutes=11)
    pass_time(gate, later)
    assert amounts(gate, at=later) == ((0, 2 * USD, 0) if outcome == "charge" else (0, 0, 0))
    settlement = gate.settle(decision, usage(1_500))
    assert "late" in settlement.marks
    assert amounts(gate, at=later) == (3 * USD // 2, 0, 0)
    assert amounts(gate, "tokens", at=later) == (1_500, 0, 0)
    assert amounts(gate, "calls", at=later) == (1, 0, 0)


def test_several_attempts_after_expiry_replace_what_was_assumed_once(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    later = after(minutes=11)
    pass_time(gate, later)
    assert amounts(gate, at=later) == (0, 2 * USD, 0)
    gate.settle(decision, usage(1_000), attempt=2)
    gate.settle(decision, usage(500), attempt=1)
    gate.settle(decision, usage(1_100), attempt=2)
    # 1.10 + 0.50 USD, and nothing assumed
    assert amounts(gate, at=later) == (160 * CENT, 0, 0)
    assert amounts(gate, "tokens", at=later) == (1_600, 0, 0)
    assert amounts(gate, "calls", at=later) == (1, 0, 0)


def test_a_release_after_expiry_takes_back_what_was_assumed(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    later = after(minutes=11)
    pass_time(gate, later)
    assert amounts(gate, at=later) == (0, 2 * USD, 0)
    gate.release(decision, reason="was never sent")
    gate.release(decision, reason="was never sent")
    assert amounts(gate, at=later) == (0, 0, 0)
    assert amounts(gate, "calls", at=later) == (0, 0, 0)
    gate.settle(decision, usage(1_000))  # it was, after all
    assert amounts(gate, at=later) == (USD, 0, 0)
    assert amounts(gate, "calls", at=later) == (1, 0, 0)


def test_a_settled_hold_cannot_be_released(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(2_000))
    gate.settle(decision, usage(1_000))
    with pytest.raises(AlreadyResolved):
        gate.release(decision, reason="to hide it")
    assert amounts(gate) == (USD, 0, 0)


def test_what_the_ledger_does_not_know_is_said_so(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    with pytest.raises(UnknownDecision):
        gate.settle("d-nothing", usage(1))
    with pytest.raises(UnknownDecision):
        gate.release("d-nothing", reason="?")
    with pytest.raises(UnknownDecision):
        gate.extend("d-nothing", ttl_s=60)


def test_a_settlement_by_id_ends_no_other_hold_where_callers_keep_the_clock(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    first, second = gate.reserve(call(1_000)), gate.reserve(call(2_000))
    gate.settle(first.id, usage(1_000))
    assert amounts(gate) == (USD, 0, 2 * USD)
    gate.settle(second, usage(2_000))


def test_work_paid_by_another_unit_is_held_and_booked(scene: Scene) -> None:
    """Acceptance 6."""
    gate = scene.open(policy(RULES))
    job = gate.reserve(call(0, model="hours", units={"gpu_hour": Decimal("1.5")}, operation="training"))
    assert amounts(gate) == (0, 0, 450 * CENT)  # 1.5 x 3 USD
    gate.settle(job, usage(0, units={"gpu_hour": 1}))
    assert amounts(gate) == (3 * USD, 0, 0)


def test_a_price_change_after_admission_does_not_change_what_is_booked(scene: Scene) -> None:
    """Acceptance 68."""
    rules = policy(RULES)
    gate = scene.open(rules)
    decision = gate.reserve(call(1_000))
    dearer = scene.folder(
        rules, "version: 1\nprices:\n  - {model: big, from: 2020-01-01, input_usd_per_mtok: 2000, output_usd_per_mtok: 2000}\n"
    )
    other = scene.open(dearer)
    assert other.preview(call(1_000)).holds.nano_usd == 2 * USD
    gate.settle(decision, usage(1_000))
    assert amounts(gate) == (USD, 0, 0)
    assert gate.reserve(call(1_000, at=T0)).holds.nano_usd == 2 * USD

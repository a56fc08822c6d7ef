"""The life of a hold: extended, released, expired by its time alone, left without an outcome."""

from __future__ import annotations

from datetime import timedelta

import pytest

from guardrails import AlreadyResolved, Denied, InvalidCall, Usage, Verdict
from tests.gate.scene import T0, USD, Scene, after, amounts, call, limit, pass_time, policy

RULES = limit("5")
SLOTS = "  - {id: at-once, kind: concurrency_cap, limit: 2 concurrent}\n"
RELEASE = "{unknown_outcome: release}"
USED = Usage(input_tokens=1_000, output_tokens=0)


class Crash(Exception):
    """What goes wrong in the body of a context."""


def test_a_hold_ends_by_its_time_alone_without_a_sweeper(scene: Scene) -> None:
    """Acceptance 25."""
    gate = scene.open(policy(RULES, defaults=RELEASE))
    gate.reserve(call(5_000))
    just_before, end = after(minutes=10) - timedelta(microseconds=1), after(minutes=10)
    assert gate.reserve(call(5_000, at=just_before)).verdict is Verdict.DENY
    assert gate.reserve(call(5_000, at=end)).verdict is Verdict.ALLOW  # half-open: its last instant is not in it
    assert amounts(gate, at=end) == (0, 0, 5 * USD)


def test_an_expired_hold_counts_on_as_assumed_where_the_outcome_is_charged(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    gate.reserve(call(3_000))
    later = after(days=2)
    refused = gate.reserve(call(3_000, at=later))
    assert refused.verdict is Verdict.DENY
    reason = refused.reasons[0]
    assert (reason.spent_units, reason.assumed_units, reason.held_units) == (0, 3 * USD, 0)
    assert amounts(gate, at=later) == (0, 3 * USD, 0)


def test_what_is_read_has_expired_holds_where_the_next_admission_will_have_them(scene: Scene) -> None:
    """Acceptance 28."""
    gate = scene.open(policy(RULES))
    gate.reserve(call(3_000))
    later = after(minutes=30)
    before = amounts(gate, at=later)
    assert gate.preview(call(1, at=later)).reasons[0].assumed_units == 3 * USD
    pass_time(gate, later)
    assert amounts(gate, at=later) == before == (0, 3 * USD, 0)


@pytest.mark.parametrize("outcome", ["charge", "release"])
def test_a_slot_of_a_dead_caller_is_free_after_its_time(scene: Scene, outcome: str) -> None:
    """Acceptance 29."""
    gate = scene.open(policy(SLOTS, defaults=f"{{unknown_outcome: {outcome}}}"))
    gate.reserve_many([call(), call()])
    assert gate.reserve(call(at=after(minutes=9))).verdict is Verdict.DENY
    assert [decision.allowed for decision in gate.reserve_many([call(at=after(minutes=10))] * 3)] == [True, True, False]


def test_a_call_may_state_how_long_it_holds(scene: Scene) -> None:
    gate = scene.open(policy(SLOTS))
    gate.reserve(call(hold_ttl_s=3_600))
    gate.reserve(call(hold_ttl_s=60))
    assert [decision.allowed for decision in gate.reserve_many([call(at=after(minutes=2))] * 2)] == [True, False]


def test_an_extended_hold_lives_on(scene: Scene) -> None:
    gate = scene.open(policy(SLOTS))
    stream, batch = gate.reserve_many([call(), call()])
    assert gate.extend(stream, ttl_s=3_600) == after(hours=1)
    assert gate.extend(batch.id, ttl_s=7_200) > after(hours=1)
    assert gate.reserve(call(at=after(minutes=59))).verdict is Verdict.DENY
    assert gate.reserve(call(at=after(minutes=60))).verdict is Verdict.ALLOW


def test_an_extension_never_shortens(scene: Scene) -> None:
    gate = scene.open(policy(SLOTS))
    decision = gate.reserve(call())
    assert gate.extend(decision, ttl_s=1) == after(minutes=10)


def test_a_hold_can_be_extended_again_and_again(scene: Scene) -> None:
    gate = scene.open(policy(SLOTS))
    decision = gate.reserve(call())
    for minutes in (20, 40, 60):
        assert gate.extend(decision, ttl_s=60 * minutes) == after(minutes=minutes)
    gate.release(decision, reason="not sent")
    assert [row["kind"] for row in scene.rows("SELECT kind FROM hold_event ORDER BY n")] == ["extended", "extended", "extended", "released"]


def test_what_has_ended_is_not_extended(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    settled, released, expired, refused = gate.reserve_many([call(1_000), call(1_000), call(1_000), call(9_000)])
    gate.settle(settled, USED)
    gate.release(released, reason="not sent")
    pass_time(gate, after(minutes=11))
    for decision in (settled, released, expired, refused):
        with pytest.raises(AlreadyResolved):
            gate.extend(decision, ttl_s=60)


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf"), 10**9, True, "60"])
def test_an_extension_that_cannot_be_is_refused(scene: Scene, ttl_s: float) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call())
    with pytest.raises(InvalidCall):
        gate.extend(decision, ttl_s=ttl_s)


def test_a_release_gives_everything_back_and_is_in_the_record(scene: Scene) -> None:
    gate = scene.open(policy(RULES + SLOTS + "  - {id: calls, kind: request_cap, limit: 9 requests, window: month}\n"))
    decision = gate.reserve(call(1_000))
    gate.release(decision, reason="not sent")
    gate.release(decision.id, reason="said twice")
    assert [amounts(gate, rule) for rule in ("month", "at-once", "calls")] == [(0, 0, 0)] * 3
    assert [(row["kind"], row["reason"]) for row in scene.rows("SELECT kind, reason FROM hold_event")] == [("released", "not sent")]


def test_a_context_that_is_left_without_a_settlement_charges_the_hold(scene: Scene) -> None:
    """Acceptance 57."""
    gate = scene.open(policy(RULES + SLOTS))
    with gate.admit(call(1_000)) as admission:
        assert admission.model == "big"
        assert amounts(gate, "at-once") == (0, 0, 1)
    with pytest.raises(Crash), gate.admit(call(1_000)):
        raise Crash
    assert amounts(gate) == (0, 2 * USD, 0)
    assert amounts(gate, "at-once") == (0, 0, 0)


def test_a_context_that_is_left_without_a_settlement_gives_back_where_the_policy_says_so(scene: Scene) -> None:
    gate = scene.open(policy(RULES, defaults=RELEASE))
    with pytest.raises(Crash), gate.admit(call(1_000)):
        raise Crash
    assert amounts(gate) == (0, 0, 0)


def test_a_context_that_was_left_can_still_be_settled(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    with gate.admit(call(1_000)) as admission:
        pass
    admission.settle(Usage(input_tokens=400, output_tokens=0))
    assert amounts(gate) == (4 * USD // 10, 0, 0)


def test_a_context_settles_releases_and_refuses(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    with gate.admit(call(1_000)) as admission:
        admission.settle(USED)
    with gate.admit(call(1_000)) as admission:
        admission.release("not sent")
    with pytest.raises(Denied) as denied, gate.admit(call(9_000)):
        pytest.fail("a refused call must not run")
    assert denied.value.decision.id
    assert "month" in str(denied.value)
    assert amounts(gate) == (USD, 0, 0)


def test_an_error_after_the_settlement_changes_nothing(scene: Scene) -> None:
    gate = scene.open(policy(RULES))

    def run() -> None:
        with gate.admit(call(1_000)) as admission:
            admission.settle(USED)
            raise Crash

    with pytest.raises(Crash):
        run()
    assert amounts(gate) == (USD, 0, 0)


def test_a_usage_that_cannot_be_read_leaves_the_outcome_to_the_policy(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    with pytest.raises(InvalidCall), gate.admit(call(1_000)) as admission:
        admission.settle(object())
    assert amounts(gate) == (0, USD, 0)


def test_a_provider_s_usage_object_is_taken_as_it_is(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    with gate.admit(call(2_000)) as admission:
        admission.settle({"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500})
    assert amounts(gate) == (15 * USD // 10, 0, 0)


def test_a_late_settlement_counts_in_the_window_of_its_hold(scene: Scene) -> None:
    gate = scene.open(policy(limit("5", id="day", window="day")))
    decision = gate.reserve(call(2_000))
    tomorrow = T0 + timedelta(days=1)
    pass_time(gate, tomorrow)
    gate.settle(decision, USED)
    assert amounts(gate, "day", at=tomorrow) == (0, 0, 0)
    assert amounts(gate, "day", at=T0) == (USD, 0, 0)

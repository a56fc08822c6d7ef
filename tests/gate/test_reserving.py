"""What reserving promises: a decision and never an exception for a refusal, one hold per request id, one transaction for many."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from guardrails import AlreadyResolved, Call, InstantRefused, RequestConflict, Usage, Verdict
from guardrails.core import clock
from tests.gate.scene import T0, USD, Scene, after, amounts, call, limit, pass_time, policy

RULES = limit("5") + "  - {id: calls, kind: request_cap, limit: 50 requests, window: month}\n"


def test_a_refusal_is_a_decision_with_its_rule_numbers_and_place(scene: Scene) -> None:
    """Acceptance 32."""
    gate = scene.open(policy(RULES))
    gate.settle(gate.reserve(call(3_000)), Usage(input_tokens=3_000, output_tokens=0))
    gate.reserve(call(1_000))
    decision = gate.reserve(call(1_001))
    assert (decision.verdict, decision.model, decision.rules) == (Verdict.DENY, None, ("month",))
    reason = decision.reasons[0]
    # limit 5, spent 3, held 1, asked for 1.001: one tenth of a cent too much
    assert (reason.limit_units, reason.spent_units, reason.held_units, reason.requested_units) == (
        5 * USD,
        3 * USD,
        USD,
        1_001 * USD // 1_000,
    )
    assert reason.left_units == USD
    assert str(reason.source).endswith("policy.yaml:5")
    assert gate.reserve(call(1_000)).verdict is Verdict.ALLOW


def test_a_denied_call_changes_no_counter(scene: Scene) -> None:
    """Acceptance 30."""
    gate = scene.open(policy(RULES + "  - {id: at-once, kind: concurrency_cap, limit: 9 concurrent}\n"))
    gate.reserve(call(1_000))
    before = scene.counters()
    assert gate.reserve(call(4_001)).verdict is Verdict.DENY
    assert scene.counters() == before
    assert scene.count("live_hold") == 1
    assert scene.count("record") == 2


def test_a_preview_leaves_nothing_behind(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    preview = gate.preview(call(1_000))
    assert preview.verdict is Verdict.ALLOW
    assert preview.holds.nano_usd == USD
    assert {table: scene.count(table) for table in ("record", "live_hold", "balance", "entry", "subject")} == dict.fromkeys(
        ("record", "live_hold", "balance", "entry", "subject"), 0
    )


def test_many_calls_are_decided_in_order_each_seeing_the_ones_before_it(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decisions = gate.reserve_many([call(2_000), call(2_000), call(2_000), call(1_000), call(1)])
    # 2 + 2 = 4, the third does not fit into 5, the fourth does, then nothing is left
    assert [decision.allowed for decision in decisions] == [True, True, False, True, False]
    assert decisions[2].reasons[0].held_units == 4 * USD
    assert amounts(gate) == (0, 0, 5 * USD)
    assert gate.reserve_many([]) == []


def test_many_calls_are_held_together_or_not_at_all(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    gate.reserve(call(1_000, request_id="used"))
    before = scene.counters()
    with pytest.raises(RequestConflict):
        gate.reserve_many([call(100), call(200, request_id="new"), call(2, request_id="used")])
    with pytest.raises(RequestConflict):
        gate.reserve_many([call(100), call(200, request_id="twice"), call(2, request_id="twice")])
    assert scene.counters() == before
    assert scene.count("record") == 1


def test_the_same_request_id_is_one_decision_and_one_hold(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    first = gate.reserve(call(1_000, request_id="r-1"))
    assert gate.reserve(call(1_000, request_id="r-1")) == first
    assert scene.open().reserve(call(1_000, request_id="r-1")) == first
    assert gate.reserve_many([call(1_000, request_id="r-1"), call(1_000, request_id="r-1")]) == [first, first]
    assert amounts(gate) == (0, 0, USD)
    assert scene.count("record") == 1


def test_the_same_request_id_within_one_transaction_is_one_hold(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    one, other = gate.reserve_many([call(1_000, request_id="r-1"), call(1_000, request_id="r-1")])
    assert one == other
    assert amounts(gate) == (0, 0, USD)


def test_a_refused_request_id_stays_refused(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    blocker = gate.reserve(call(5_000))
    refused = gate.reserve(call(1_000, request_id="r-1"))
    gate.release(blocker, reason="not sent")
    assert gate.reserve(call(1_000, request_id="r-1")) == refused
    assert gate.reserve(call(1_000, request_id="r-2")).allowed


def test_the_instant_is_not_a_fact_of_the_call(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    first = gate.reserve(call(1_000, request_id="r-1", at=T0))
    assert gate.reserve(call(1_000, request_id="r-1", at=after(seconds=30))) == first


FULL: dict[str, Any] = {
    "model": "big",
    "input_tokens": 1_000,
    "max_output_tokens": 0,
    "subject": {"team": "search"},
    "provider": None,
    "operation": "chat",
    "units": {},
    "service_tier": None,
    "providers": None,
    "hold_ttl_s": None,
}


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("model", "small"),
        ("input_tokens", 1_001),
        ("max_output_tokens", 1),
        ("max_output_tokens", None),
        ("subject", {"team": "ads"}),
        ("subject", {}),
        ("provider", "openai"),
        ("operation", "embedding"),
        ("units", {"gpu_hour": Decimal(1)}),
        ("service_tier", "flex"),
        ("providers", ("openai",)),
        ("hold_ttl_s", 60),
    ],
)
def test_other_facts_under_a_used_request_id_are_a_conflict_that_names_the_field(scene: Scene, field: str, other: object) -> None:
    gate = scene.open(policy(RULES))
    gate.reserve(Call(**FULL, request_id="r-1", at=T0))
    before = scene.counters()
    with pytest.raises(RequestConflict) as conflict:
        gate.reserve(Call(**{**FULL, field: other}, request_id="r-1", at=T0))
    assert conflict.value.fields == (field,)
    assert f"`{field}`" in str(conflict.value)
    assert scene.counters() == before


def test_every_field_of_a_call_but_its_instant_is_covered_above() -> None:
    fields = set(Call.__dataclass_fields__) - {"at", "request_id"}
    assert fields == set(FULL)


@pytest.mark.parametrize(
    ("facts", "same"),
    [
        ({"hold_ttl_s": 60}, {"hold_ttl_s": 60.0}),
        ({"units": {"gpu_hour": 2}, "model": "hours"}, {"units": {"gpu_hour": Decimal("2.0")}, "model": "hours"}),
        ({"providers": ("a", "b")}, {"providers": ["b", "a"]}),
        ({"subject": {"team": "x", "app": "y"}}, {"subject": {"app": " y ", "team": "x", "user": ""}}),
    ],
)
def test_the_same_facts_written_otherwise_are_no_conflict(scene: Scene, facts: dict[str, Any], same: dict[str, Any]) -> None:
    gate = scene.open(policy(RULES))
    assert Call(**{**FULL, **facts}) == Call(**{**FULL, **same})
    first = gate.reserve(Call(**{**FULL, **facts}, request_id="r-1", at=T0))
    assert gate.reserve(Call(**{**FULL, **same}, request_id="r-1", at=T0)) == first


def test_a_request_id_whose_hold_ended_cannot_be_reserved_again(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    settled, released = gate.reserve_many([call(100, request_id="settled"), call(100, request_id="released")])
    gate.settle(settled, Usage(input_tokens=100, output_tokens=0))
    gate.release(released, reason="not sent")
    for outcome in ("settled", "released"):
        with pytest.raises(AlreadyResolved, match=outcome):
            gate.reserve(call(100, request_id=outcome))
    with pytest.raises(RequestConflict):
        gate.reserve(call(101, request_id="settled"))


def test_a_request_id_whose_hold_expired_is_not_held_a_second_time(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    first = gate.reserve(call(1_000, request_id="r-1"))
    later = after(minutes=11)
    pass_time(gate, later)
    assert gate.reserve(call(1_000, request_id="r-1", at=later)) == first
    assert amounts(gate, at=later) == (0, USD, 0)


def test_a_change_of_policy_or_prices_is_no_conflict(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    first = gate.reserve(call(1_000, request_id="r-1"))
    other = scene.open(
        scene.folder(policy(limit("1", id="new")), "version: 1\nprices:\n  - {model: big, from: 2020-01-01, input_usd_per_mtok: 9}\n")
    )
    assert other.reserve(call(1_000, request_id="r-1")) == first
    assert gate.reserve(call(1_000, request_id="r-1")) == first


def test_an_instant_more_than_five_minutes_off_the_ledgers_clock_is_refused(scene: Scene) -> None:
    gate = scene.open(policy(RULES), clock="ledger")
    now = clock.now()
    for off in (timedelta(minutes=-6), timedelta(minutes=6), timedelta(days=-40)):
        with pytest.raises(InstantRefused):
            gate.reserve(call(100, at=now + off))
        with pytest.raises(InstantRefused):
            gate.preview(call(100, at=now + off))
    for near in (timedelta(minutes=-4), timedelta(minutes=4)):
        assert gate.reserve(call(100, at=now + near)).allowed
    assert scene.count("record") == 2


def test_the_ledgers_clock_decides_the_window_and_not_a_caller_that_is_a_little_off(scene: Scene) -> None:
    gate = scene.open(policy(RULES), clock="ledger")
    stated = clock.now() - timedelta(minutes=4)
    decision = gate.reserve(call(100, at=stated))
    assert decision.at - stated > timedelta(minutes=3)


def test_a_caller_that_keeps_the_clock_is_shown_in_every_record(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    assert gate.reserve(call(100, at=T0 - timedelta(days=40))).allowed
    assert gate.reserve(call(100, at=T0)).at == T0
    scene.open(clock="ledger").reserve(call(100, at=None))
    clocks = [row["body"].count('"clock":"caller"') for row in scene.rows("SELECT body FROM record ORDER BY recorded_us")]
    assert sorted(clocks) == [0, 1, 1]


def test_a_downgrade_runs_counts_and_holds_the_cheaper_model(scene: Scene) -> None:
    rules = "  - {id: month, kind: spend_limit, limit: 5 USD, window: month, at: {80%: downgrade to low, 100%: deny}}\n"
    gate = scene.open(policy(rules))
    gate.reserve(call(4_000))
    decision = gate.reserve(call(1_000))
    assert (decision.verdict, decision.model, decision.requested_model, decision.rules) == (Verdict.DOWNGRADE, "small", "big", ("month",))
    assert amounts(gate) == (0, 0, 410 * USD // 100)  # 4.00 + 1,000 x 0.0001
    gate.settle(decision, Usage(input_tokens=1_000, output_tokens=0))
    assert scene.entries(decision)[0]["model"] == "small"

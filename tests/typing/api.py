"""Typical uses of the public surface, for the type checker alone: nothing here runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_never, assert_type

import guardrails
from guardrails import Call, Decision, Denied, Gate, GuardrailsError, Usage, Verdict

CALL = Call(model="gpt-5.2", input_tokens=1_200, max_output_tokens=800, subject={"team": "search", "user": "ana"})

FULL_CALL = Call(
    model="h200-hour",
    provider="own",
    operation="training",
    subject={},
    units={"gpu_hour": Decimal("2.5"), "request": 1},
    service_tier="priority",
    providers=("openai", "anthropic"),
    request_id="job-7",
    hold_ttl_s=3600.0,
    at=datetime(2026, 3, 1, tzinfo=UTC),
)

USAGE = Usage(
    input_tokens=1_180,
    cache_read_tokens=20,
    cache_write_short_tokens=1,
    cache_write_long_tokens=2,
    cache_write_unknown_tokens=3,
    output_tokens=412,
    reasoning_tokens=100,
    units={"web_search": 2},
    cost_usd=Decimal("0.0123"),
    parts=(Usage(model="gpt-5-nano", input_tokens=5, output_tokens=1),),
    partial=False,
)


def opens_and_closes(folder: Path) -> None:
    with Gate.open(policies="policies", database="sqlite:///guardrails.db") as gate:
        assert_type(gate, Gate)
    Gate.open(policies=folder, database="postgresql+psycopg://localhost/guardrails", clock="caller").close()
    Gate.open(database="sqlite:///guardrails.db").close()  # decides by the set that the ledger names active


def asks_holds_and_settles(gate: Gate) -> str | None:
    decision = gate.reserve(CALL)
    assert_type(decision, Decision)
    assert_type(decision.id, str)
    if decision.verdict is Verdict.DENY:
        for reason in decision.reasons:
            assert_type(reason.rule, str)
            assert_type(reason.message, str)
        return None
    gate.extend(decision, ttl_s=3600)
    gate.settle(decision, Usage(input_tokens=1_180, output_tokens=412))
    gate.settle(decision, USAGE, attempt=2, model="gpt-5-mini")
    return assert_type(decision.model, str | None)


def gives_back(gate: Gate, decision: Decision) -> None:
    gate.release(decision, reason="not sent")


def asks_without_a_hold(gate: Gate) -> Verdict:
    return gate.preview(FULL_CALL).verdict


def asks_for_many(gate: Gate, calls: Sequence[Call]) -> int:
    decisions = gate.reserve_many(calls)
    return sum(decision.verdict is not Verdict.DENY for decision in decisions)


def answers_every_verdict(decision: Decision) -> str:
    match decision.verdict:
        case Verdict.ALLOW:
            return "as asked"
        case Verdict.DOWNGRADE:
            return f"on {decision.model}"
        case Verdict.DENY:
            return "not at all"
        case _:
            assert_never(decision.verdict)


def wraps_a_call(gate: Gate, provider_usage: object) -> str:
    try:
        with gate.admit(CALL) as admission:
            assert_type(admission.model, str)
            admission.settle(provider_usage)  # a client library's own usage object, as it is
            return admission.model
    except Denied as denied:
        return denied.decision.message


async def wraps_an_async_call(gate: Gate) -> None:
    async with gate.admit(CALL) as admission:
        assert_type(admission.model, str)
        admission.settle(USAGE)


def reads_usage_off_the_wire(body: bytes) -> Usage | None:
    usage = guardrails.read_usage(
        body,
        content_type="text/event-stream",
        host="api.openai.com",
        path="/v1/chat/completions",
        model=None,
        headers=None,
        status=None,
    )
    return assert_type(usage, Usage | None)


def tries_again_where_that_can_help(error: GuardrailsError) -> bool:
    return error.retryable

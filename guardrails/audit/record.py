"""A decision as its record keeps it: written with the hold in one transaction, read back as the same value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pydantic_core import to_json

from guardrails.core.balance import Amounts
from guardrails.core.call import Call
from guardrails.core.frozen import Frozen
from guardrails.core.hashing import hashed
from guardrails.core.instant import from_us, to_us
from guardrails.core.quantity import Measure
from guardrails.core.subject import subject_key
from guardrails.core.window import Period
from guardrails.engine.decision import Decision, Effect, Reason, Verdict
from guardrails.policy.rules import Mode, Source
from guardrails.pricing.price import Quote

_CALL_FIELDS = ("model", "input_tokens", "max_output_tokens", "provider", "operation", "service_tier", "hold_ttl_s")


def call_facts(call: Call) -> dict[str, object]:
    """Every field of a call but `at` and `request_id`, as JSON values; fields that say nothing are left out."""
    facts: dict[str, object] = {name: value for name in _CALL_FIELDS if (value := getattr(call, name)) is not None}
    if isinstance(call.hold_ttl_s, float) and call.hold_ttl_s.is_integer():
        facts["hold_ttl_s"] = int(call.hold_ttl_s)  # 60 and 60.0 are the same fact
    facts["subject"] = dict(call.subject)
    if call.units:
        facts["units"] = {name: f"{Decimal(count).normalize():f}" for name, count in sorted(call.units.items())}
    if call.providers is not None:
        facts["providers"] = list(call.providers)
    return facts


def facts_key(facts: Mapping[str, object]) -> bytes:
    """The hash by which the same request id is known to be the same call."""
    return hashed(json_text(facts))


def json_text(value: object) -> str:
    """Compact JSON; the same values in the same order have the same text."""
    return to_json(value).decode()


def differing_fields(call: Call, body: str) -> tuple[str, ...]:
    """The fields in which a call differs from the one in a record's body."""
    ours, theirs = call_facts(call), json.loads(body)["call"]
    return tuple(sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)))


def record_row(
    decision: Decision,
    facts: Mapping[str, object],
    key: bytes,
    *,
    org: str,
    generation: int,
    recorded_us: int,
    clock: str,
    route: bytes | None,
) -> tuple[object, ...]:
    """The values of table `record`, in its order."""
    call = decision.call
    body: dict[str, object] = {
        "call": facts,
        "policy": decision.policy,
        "clock": clock,
        "quotes": {quote.model: quote.id for quote in decision.quotes},
        "reasons": [_written(reason) for reason in decision.reasons],
    }
    if call.at is not None:
        body["at"] = to_us(call.at)
    if decision.unchecked:
        body["unchecked"] = True
    if decision.shadow:
        body["shadow"] = [_written(reason) for reason in decision.shadow]
    if decision.requested_nano_usd is not None:
        body["requested_nano_usd"] = decision.requested_nano_usd
    if decision.estimate_nano_usd is not None:
        body["estimate_nano_usd"] = decision.estimate_nano_usd
    return (
        org,
        decision.id,
        call.request_id,
        key,
        to_us(decision.at),
        recorded_us,
        generation,
        decision.verdict.value,
        subject_key(call.subject),
        call.model,
        decision.model,
        decision.quote.provider,
        decision.tier,
        call.operation,
        decision.quote.id,
        route,
        decision.holds.nano_usd,
        decision.holds.input_tokens,
        decision.holds.output_tokens,
        None if decision.expires_at is None else to_us(decision.expires_at),
        decision.saved_nano_usd,
        json_text(body),
    )


def restored(row: Mapping[str, Any], quote: Quote) -> Decision:
    """The decision of a record.

    Args:
        row: the columns of table `record` by name.
        quote: the one that the record names.
    """
    body = json.loads(row["body"])
    verdict = Verdict(row["verdict"])
    holds = Amounts(row["held_nano_usd"], row["held_input_tokens"], row["held_output_tokens"], int(verdict is not Verdict.DENY))
    return Decision(
        id=row["id"],
        verdict=verdict,
        call=_call(body, row["request"]),
        model=row["model"],
        reasons=tuple(_read(reason) for reason in body["reasons"]),
        shadow=tuple(_read(reason) for reason in body.get("shadow", ())),
        holds=holds,
        counted=(),
        policy=body["policy"],
        quote=quote,
        tier=row["tier"],
        requested_nano_usd=body.get("requested_nano_usd"),
        estimate_nano_usd=body.get("estimate_nano_usd"),
        at=from_us(row["at_us"]),
        expires_at=None if row["expires_us"] is None else from_us(row["expires_us"]),
        generation=row["generation"],
        unchecked=body.get("unchecked", False),
    )


def _call(body: Mapping[str, Any], request_id: str | None) -> Call:
    facts = body["call"]
    return Call(
        **{name: facts[name] for name in _CALL_FIELDS if name in facts},
        subject=facts["subject"],
        units={name: Decimal(count) for name, count in facts.get("units", {}).items()},
        providers=None if "providers" not in facts else tuple(facts["providers"]),
        request_id=request_id,
        at=from_us(body["at"]) if "at" in body else None,
    )


def _written(reason: Reason) -> dict[str, object]:
    """A reason in short: numbers as they are, defaults left out."""
    source = reason.source
    written: dict[str, object] = {
        "rule": reason.rule,
        "effect": reason.effect.value,
        "model": reason.model,
        "source": [source.path, source.line],
    }
    if reason.mode is not Mode.ENFORCE:
        written["mode"] = reason.mode.value
    if reason.share is not None:
        written["share"] = str(reason.share)
    if reason.measure is not None:
        written["measure"] = reason.measure.value
        written["limit"] = reason.limit_units
        written["spent"] = reason.spent_units
        written["assumed"] = reason.assumed_units
        written["held"] = reason.held_units
        written["requested"] = reason.requested_units
    if reason.scope:
        written["scope"] = dict(reason.scope)
    if reason.window is not None:
        written["window"] = [_us(reason.window.start), _us(reason.window.end)]
    if reason.target is not None:
        written["target"] = reason.target
    if reason.unpriced:
        written["unpriced"] = True
    if reason.detail is not None:
        written["detail"] = reason.detail
    return written


def _read(written: Mapping[str, Any]) -> Reason:
    path, line = written["source"]
    window = written.get("window")
    return Reason(
        rule=written["rule"],
        effect=Effect(written["effect"]),
        mode=Mode(written.get("mode", Mode.ENFORCE)),
        model=written["model"],
        source=Source(path, line),
        share=Fraction(written["share"]) if "share" in written else None,
        measure=Measure(written["measure"]) if "measure" in written else None,
        limit_units=written.get("limit"),
        spent_units=written.get("spent", 0),
        assumed_units=written.get("assumed", 0),
        held_units=written.get("held", 0),
        requested_units=written.get("requested", 0),
        scope=Frozen(written.get("scope", {})),
        window=None if window is None else Period(_instant(window[0]), _instant(window[1])),
        target=written.get("target"),
        unpriced=written.get("unpriced", False),
        detail=written.get("detail"),
    )


def _us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else from_us(at_us)

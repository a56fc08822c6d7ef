"""Records read back: listed newest first, counted by the rule that decided, and one in full with what became of its hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from guardrails.audit.record import restored
from guardrails.core.instant import from_us, rfc3339, to_us
from guardrails.core.money import usd_text
from guardrails.core.subject import label_key
from guardrails.core.window import LIFETIME, Period
from guardrails.db.tables import entry, hold_event, live_hold, quote, record, subject
from guardrails.engine.decision import Decision, Effect, Verdict
from guardrails.pricing.price import Quote, quote_from_text


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records to list.

    Attributes:
        labels: values by label, compared as the policy language compares them.
        rule: one that denied, downgraded or warned, in force or not.
    """

    period: Period = LIFETIME
    verdict: Verdict | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    rule: str | None = None


_DECIDING = frozenset({Effect.DENY.value, Effect.DOWNGRADE.value})


def decisions(connection: Connection, org: str, wanted: Wanted) -> Iterator[Decision]:
    """The decisions that are wanted, newest first; of the same instant, by id."""
    conditions = [record.c.org == org, *_within(wanted.period)]
    if wanted.verdict is not None:
        conditions.append(record.c.verdict == wanted.verdict.value)
    if wanted.rule is not None:
        conditions.append(record.c.body.contains(f'"rule":{json.dumps(wanted.rule)}', autoescape=True))
    query = (
        select(record, subject.c.labels, quote.c.body.label("quote_body"))
        .join(subject, (subject.c.org == record.c.org) & (subject.c.key == record.c.subject))
        .join(quote, (quote.c.org == record.c.org) & (quote.c.id == record.c.quote))
        .where(*conditions)
        .order_by(record.c.at_us.desc(), record.c.id.desc())
    )
    folded = {name: label_key(value) for name, value in wanted.labels.items()}
    quotes: dict[str, Quote] = {}
    for row in connection.execute(query.execution_options(yield_per=200)).mappings():
        if folded:
            labels = json.loads(row["labels"])
            if any(label_key(labels.get(name, "")) != value for name, value in folded.items()):
                continue
        if row["quote"] not in quotes:
            quotes[row["quote"]] = quote_from_text(row["quote_body"])
        decision = restored(dict(row), quotes[row["quote"]])
        if wanted.rule is None or _spoke(decision, wanted.rule):
            yield decision


def _spoke(decision: Decision, rule: str) -> bool:
    return any(reason.rule == rule and reason.effect is not Effect.ALLOW for reason in (*decision.reasons, *decision.shadow))


@dataclass(frozen=True, slots=True)
class Decided:
    """What one rule refused and downgraded. A decision that several rules made counts under the first of them.

    Attributes:
        saved_unknown: decisions of which it is not known what they saved, for want of a price.
    """

    rule: str
    denied: int = 0
    downgraded: int = 0
    saved_nano_usd: int = 0
    saved_unknown: int = 0

    def as_json(self) -> dict[str, object]:
        """Stable keys."""
        return {
            "rule": self.rule,
            "denied": self.denied,
            "downgraded": self.downgraded,
            "saved_usd": usd_text(self.saved_nano_usd),
            "saved_unknown": self.saved_unknown,
        }


def decided_by(connection: Connection, org: str, period: Period) -> tuple[Decided, ...]:
    """Refusals and downgrades of a stretch of time by the rule that decided, those that saved most first."""
    query = select(record.c.verdict, record.c.saved_nano_usd, record.c.body).where(
        record.c.org == org, record.c.verdict != Verdict.ALLOW.value, *_within(period)
    )
    found: dict[str, Decided] = {}
    for verdict, saved, body in connection.execute(query.execution_options(yield_per=1_000)):
        rule = _cause(json.loads(body))
        so_far = found.get(rule, Decided(rule))
        found[rule] = Decided(
            rule,
            so_far.denied + (verdict == Verdict.DENY.value),
            so_far.downgraded + (verdict == Verdict.DOWNGRADE.value),
            so_far.saved_nano_usd + (saved or 0),
            so_far.saved_unknown + (saved is None),
        )
    return tuple(sorted(found.values(), key=lambda each: (-each.saved_nano_usd, -each.denied - each.downgraded, each.rule)))


def _cause(body: Mapping[str, Any]) -> str:
    """`cause` of a stored decision that was refused or downgraded, without restoring it."""
    reasons = [reason for reason in body["reasons"] if reason["effect"] in _DECIDING and reason.get("mode", "enforce") == "enforce"]
    asked = [reason for reason in reasons if reason["model"] == body["call"]["model"]]
    return str((asked or reasons)[0]["rule"])


@dataclass(frozen=True, slots=True)
class Story:
    """A record in full, and what became of its hold.

    Attributes:
        outcome: `denied`, `live`, `settled`, `released`, `expired`, or `overdue`: past its time, and not looked at since.
        expires_at: when the hold ends, as it stands after extensions; None where it does not live.
        entries, events: rows of the ledger as JSON values, oldest first.
        facts: what the record keeps beside the decision.
    """

    decision: Decision
    outcome: str
    expires_at: datetime | None
    entries: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    facts: dict[str, Any]

    def as_json(self) -> dict[str, object]:
        """The decision's stable keys, and the rest of the record."""
        body = self.facts
        return {
            **self.decision.as_json(),
            "shadow": [reason.as_json() for reason in self.decision.shadow],
            "call": body["call"],
            "outcome": self.outcome,
            "expires_at": None if self.expires_at is None else rfc3339(self.expires_at),
            "entries": list(self.entries),
            "events": list(self.events),
            "record": {name: value for name, value in body.items() if name != "call"},
        }


def story(connection: Connection, org: str, name: str, at: datetime) -> Story | None:
    """The record of a decision by its id, or by its caller's request id; None where there is none.

    Args:
        at: now, by which a hold that lives is past its time or not.
    """
    query = select(record, quote.c.body.label("quote_body")).join(quote, (quote.c.org == record.c.org) & (quote.c.id == record.c.quote))
    row = connection.execute(query.where(record.c.org == org, record.c.id == name)).mappings().first()
    if row is None:
        row = connection.execute(query.where(record.c.org == org, record.c.request == name).order_by(record.c.at_us)).mappings().first()
    if row is None:
        return None
    decision = restored(dict(row), quote_from_text(row["quote_body"]))
    expires_us = connection.execute(select(live_hold.c.expires_us).where(live_hold.c.org == org, live_hold.c.id == decision.id)).scalar()
    entries = [
        dict(each)
        for each in connection.execute(
            select(entry).where(entry.c.org == org, entry.c.decision == decision.id).order_by(entry.c.seq)
        ).mappings()
    ]
    events = (
        connection.execute(select(hold_event).where(hold_event.c.org == org, hold_event.c.hold == decision.id).order_by(hold_event.c.n))
        .mappings()
        .all()
    )
    return Story(
        decision,
        _outcome(decision, entries, {event["kind"] for event in events}, expires_us, to_us(at)),
        None if expires_us is None else from_us(expires_us),
        tuple(_entry_json(each) for each in entries),
        tuple(
            {"kind": each["kind"], "at": _instant(each["at_us"]), "expires_at": _instant(each["expires_us"]), "reason": each["reason"]}
            for each in events
        ),
        _facts(dict(row)),
    )


def _outcome(decision: Decision, entries: list[dict[str, Any]], events: set[str], expires_us: int | None, now_us: int) -> str:
    if expires_us is not None:
        return "live" if now_us < expires_us else "overdue"
    if any(each["attempt"] is not None for each in entries):
        return "settled"
    if "released" in events:
        return "released"
    return "expired" if decision.allowed else "denied"


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    body = json.loads(row["body"])
    return {
        "call": body["call"],
        "request_id": row["request"],
        "recorded_at": _instant(row["recorded_us"]),
        "caller_at": _instant(body.get("at")),
        "clock": body["clock"],
        "generation": row["generation"],
        "tier": row["tier"],
        "provider": row["provider"],
        "operation": row["operation"],
        "quotes": body["quotes"],
        "requested_usd": _usd(body.get("requested_nano_usd")),
        "estimate_usd": _usd(body.get("estimate_nano_usd")),
        "saved_usd": _usd(row["saved_nano_usd"]),
    }


_COUNTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_short_tokens",
    "cache_write_long_tokens",
    "cache_write_unknown_tokens",
    "output_tokens",
    "requests",
)


def _entry_json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "seq": row["seq"],
        "source": row["source"],
        "at": _instant(row["at_us"]),
        "recorded_at": _instant(row["recorded_us"]),
        "attempt": row["attempt"],
        "part": row["part"],
        "model": row["model"],
        "provider": row["provider"],
        **{name: row[name] for name in _COUNTS},
        "cost_usd": _usd(row["cost_nano_usd"]),
        "stated_usd": _usd(row["stated_nano_usd"]),
        "priced_usd": _usd(row["priced_nano_usd"]),
        "assumed_usd": _usd(row["assumed_nano_usd"]),
        "response_id": row["response"],
        "marks": row["marks"].split(",") if row["marks"] else [],
        "detail": json.loads(row["detail"]) if row["detail"] else None,
    }


def _within(period: Period) -> list[ColumnElement[bool]]:
    bounds: list[ColumnElement[bool]] = []
    if period.start is not None:
        bounds.append(record.c.at_us >= to_us(period.start))
    if period.end is not None:
        bounds.append(record.c.at_us < to_us(period.end))
    return bounds


def _instant(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(from_us(at_us))


def _usd(amount_nano_usd: int | None) -> str | None:
    return None if amount_nano_usd is None else usd_text(amount_nano_usd)

"""Conservation, proven from the rows: every balance is what its entries and live holds add up to, every hold has one fate.

The database adds up and Python compares row by row, so that memory does not grow with the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Exists, Select, Subquery, Table, and_, func, literal, or_, select, union

from guardrails.core.balance import Amounts
from guardrails.core.instant import from_us, rfc3339
from guardrails.core.quantity import Measure, amount_text
from guardrails.db.tables import balance, entry, hold_event, live_hold, opening, quote, record, route, seeded_hold, subject
from guardrails.ledger.entry import route_key

_BATCH = 2_000
_CHECKED: dict[str, Table] = {"balances": balance, "entries": entry, "records": record, "live_holds": live_hold, "openings": opening}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not add up: what it is about, as people would look for it, and the numbers."""

    code: str
    subject: str
    message: str

    def as_json(self) -> dict[str, object]:
        """Stable keys."""
        return {"code": self.code, "subject": self.subject, "message": self.message}


@dataclass(slots=True)
class Verification:
    """What was checked and what was found."""

    checked: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.findings

    def as_json(self) -> dict[str, object]:
        """Stable keys of product.md §6."""
        return {"ok": self.ok, "checked": self.checked, "findings": [finding.as_json() for finding in self.findings]}


@dataclass(frozen=True, slots=True)
class Truth:
    """A balance beside what its facts add up to.

    Attributes:
        measure: None where the row names none that there is.
        amounts: of `spent`, `assumed` and `held`: what the row says and what is proven.
    """

    key: bytes
    name: str
    measure: Measure | None
    amounts: tuple[tuple[str, int, int], ...]


def verify(connection: Connection, org: str) -> Verification:
    """Check every balance and every hold against the facts, in the connection's one transaction."""
    counted = {
        name: connection.execute(select(func.count()).select_from(table).where(table.c.org == org)).scalar_one()
        for name, table in _CHECKED.items()
    }
    verification = Verification(counted)
    for truth in truths(connection, org):
        if truth.measure is None:
            verification.findings.append(Finding("balance-measure", truth.name, "counts in a measure that there is not"))
            continue
        for name, seen, proven in truth.amounts:
            if seen != proven:
                message = f"{name} is {amount_text(seen, truth.measure)}, its facts add up to {amount_text(proven, truth.measure)}"
                verification.findings.append(Finding(f"balance-{name}", truth.name, message))
    for key in missing_balances(connection, org):
        verification.findings.append(Finding("balance-missing", key.hex(), "facts count under this balance, which is not there"))
    verification.findings += _route_findings(connection, org)
    verification.findings += _hold_findings(connection, org)
    verification.findings += _reference_findings(connection, org)
    return verification


def balance_name(rule: str, scope: Mapping[str, str], start_us: int | None) -> str:
    """A balance as people look for it: rule, scope and start of its window."""
    labels = ", ".join(f"{label}={value}" for label, value in scope.items())
    start = "" if start_us is None else f"from {rfc3339(from_us(start_us))}"
    return " ".join(part for part in (rule, labels, start) if part)


def truths(connection: Connection, org: str) -> Iterator[Truth]:
    """Every balance beside what its facts add up to."""
    spent, held = _spent(org), _held(org)
    query = (
        select(balance, *_columns(spent), *_columns(held))
        .outerjoin(spent, spent.c.key == balance.c.key)
        .outerjoin(held, held.c.key == balance.c.key)
        .where(balance.c.org == org)
        .order_by(balance.c.rule, balance.c.start_us, balance.c.scope, balance.c.key)
    )
    for row in connection.execute(query.execution_options(yield_per=_BATCH)):
        facts = row[len(balance.columns) :]
        nano, input_tokens, output_tokens, requests, assumed_nano, assumed_input, assumed_output = (int(value or 0) for value in facts[:7])
        held_nano, held_input, held_output, holds = (int(value or 0) for value in facts[7:])
        name = balance_name(row.rule, json.loads(row.scope), row.start_us)
        measure = _MEASURES.get(row.measure)
        if measure is None:
            yield Truth(bytes(row.key), name, None, ())
            continue
        amounts = Amounts(nano, input_tokens, output_tokens, requests)
        assumed = Amounts(assumed_nano, assumed_input, assumed_output)
        kept = holds if measure is Measure.CONCURRENT else Amounts(held_nano, held_input, held_output, holds).of(measure)
        yield Truth(
            bytes(row.key),
            name,
            measure,
            (
                ("spent", row.spent, row.seed_spent + amounts.of(measure)),
                ("assumed", row.assumed, row.seed_assumed + assumed.of(measure)),
                ("held", row.held, kept),
            ),
        )


_MEASURES = {measure.value: measure for measure in Measure}


def missing_balances(connection: Connection, org: str) -> list[bytes]:
    """Balances under which facts count, and which are not there."""
    known = select(literal(1)).where(balance.c.org == org)
    found = set()
    for facts in (_spent(org), _held(org)):
        found |= {
            bytes(key)
            for key in connection.execute(select(facts.c.key).where(~known.where(balance.c.key == facts.c.key).exists())).scalars()
        }
    return sorted(found)


def _columns(facts: Subquery) -> list[ColumnElement[Any]]:
    return [column for column in facts.c if column.name != "key"]


def _spent(org: str) -> Subquery:
    """Sums over the entries of each balance: first by route, of which there are few."""
    cached = (
        entry.c.cache_read_tokens + entry.c.cache_write_short_tokens + entry.c.cache_write_long_tokens + entry.c.cache_write_unknown_tokens
    )
    by_route = (
        select(
            entry.c.route,
            func.sum(func.coalesce(entry.c.cost_nano_usd, 0)).label("nano"),
            func.sum(func.coalesce(entry.c.input_tokens, 0) + cached).label("input"),
            func.sum(func.coalesce(entry.c.output_tokens, 0)).label("output"),
            func.sum(entry.c.requests).label("requests"),
            func.sum(entry.c.assumed_nano_usd).label("assumed_nano"),
            func.sum(entry.c.assumed_input_tokens).label("assumed_input"),
            func.sum(entry.c.assumed_output_tokens).label("assumed_output"),
        )
        .where(entry.c.org == org, entry.c.route.is_not(None))
        .group_by(entry.c.route)
        .subquery("by_route")
    )
    sums = [func.sum(column).label(column.name) for column in by_route.c if column.name != "route"]
    return (
        select(route.c.balance.label("key"), *sums)
        .join(by_route, by_route.c.route == route.c.key)
        .where(route.c.org == org)
        .group_by(route.c.balance)
        .subquery("spent_of")
    )


def _held(org: str) -> Subquery:
    """Sums over the live holds of each balance: those of their routes, and those that they were seeded into."""
    with_record = live_hold.join(record, and_(record.c.org == live_hold.c.org, record.c.id == live_hold.c.id))
    routed = (
        select(live_hold.c.id, route.c.balance.label("key"))
        .select_from(with_record.join(route, and_(route.c.org == record.c.org, route.c.key == record.c.route)))
        .where(live_hold.c.org == org)
    )
    seeded = (
        select(live_hold.c.id, seeded_hold.c.balance.label("key"))
        .join(seeded_hold, and_(seeded_hold.c.org == live_hold.c.org, seeded_hold.c.hold == live_hold.c.id))
        .where(live_hold.c.org == org)
    )
    legs = union(routed, seeded).subquery("legs")
    return (
        select(
            legs.c.key,
            func.sum(record.c.held_nano_usd).label("held_nano"),
            func.sum(record.c.held_input_tokens).label("held_input"),
            func.sum(record.c.held_output_tokens).label("held_output"),
            func.count().label("holds"),
        )
        .join(record, record.c.id == legs.c.id)
        .where(record.c.org == org)
        .group_by(legs.c.key)
        .subquery("held_of")
    )


def _route_findings(connection: Connection, org: str) -> list[Finding]:
    """Routes that are not what they are named after, and facts whose route is not there."""
    findings = []
    rows = connection.execute(
        select(route.c.key, route.c.balance)
        .where(route.c.org == org)
        .order_by(route.c.key, route.c.balance)
        .execution_options(yield_per=_BATCH)
    )
    for key, legs in groupby(rows, key=lambda row: bytes(row.key)):
        if route_key(bytes(leg.balance) for leg in legs) != key:
            findings.append(Finding("route-changed", key.hex(), "the balances of this route are not those that it was made of"))
    for table in (entry, record):
        used = select(table.c.route).where(table.c.org == org, table.c.route.is_not(None)).distinct().subquery()
        known = select(literal(1)).where(route.c.org == org, route.c.key == used.c.route).exists()
        findings += [
            Finding("route-missing", bytes(key).hex(), f"a row of table {table.name} counts under this route, which is not there")
            for key in connection.execute(select(used.c.route).where(~known)).scalars()
        ]
    return findings


def lost_holds(org: str) -> Select[tuple[str]]:
    """Admitted decisions without a fate: neither live nor settled, released or expired."""
    lives, settled, ended = _fates()
    return _admitted(org).where(~lives, ~settled, ~ended)


def superfluous_holds(org: str) -> Select[tuple[str]]:
    """Live holds of decisions that were settled, released or have expired."""
    lives, settled, ended = _fates()
    return _admitted(org).where(lives, or_(settled, ended))


def unfounded_holds(org: str) -> Select[tuple[str]]:
    """Live holds without the record of an admission."""
    admission = (
        select(literal(1)).where(record.c.org == live_hold.c.org, record.c.id == live_hold.c.id, record.c.verdict != "deny").exists()
    )
    return select(live_hold.c.id).where(live_hold.c.org == org, ~admission).order_by(live_hold.c.id)


def _admitted(org: str) -> Select[tuple[str]]:
    return select(record.c.id).where(record.c.org == org, record.c.verdict != "deny").order_by(record.c.id)


def _fates() -> tuple[Exists, Exists, Exists]:
    """Whether the hold of a record lives, was settled, has ended otherwise."""
    lives = select(literal(1)).where(live_hold.c.org == record.c.org, live_hold.c.id == record.c.id).exists()
    settled = select(literal(1)).where(entry.c.org == record.c.org, entry.c.decision == record.c.id).exists()
    ended = (
        select(literal(1))
        .where(hold_event.c.org == record.c.org, hold_event.c.hold == record.c.id, hold_event.c.kind != "extended")
        .exists()
    )
    return lives, settled, ended


def _hold_findings(connection: Connection, org: str) -> list[Finding]:
    """Holds with no fate or with two, and holds that nothing admitted."""
    return [
        Finding(code, str(hold_id), message)
        for code, query, message in (
            ("hold-lost", lost_holds(org), "was admitted, and is neither live nor settled, released or expired"),
            ("hold-twice", superfluous_holds(org), "is live although it was settled, released or has expired"),
            ("hold-without-record", unfounded_holds(org), "is live without the record of an admission"),
        )
        for hold_id in connection.execute(query).scalars()
    ]


def _reference_findings(connection: Connection, org: str) -> list[Finding]:
    """Facts that name a subject or a quote that is not there: reports could not tell who paid, or at what price."""
    findings = []
    for table in (entry, record):
        for column, named, what in ((table.c.subject, subject.c.key, subject), (table.c.quote, quote.c.id, quote)):
            used = select(column.label("name")).where(table.c.org == org, column.is_not(None)).distinct().subquery()
            known = select(literal(1)).where(what.c.org == org, named == used.c.name).exists()
            names: list[Any] = list(connection.execute(select(used.c.name).where(~known)).scalars())
            for name in names:
                text = name if isinstance(name, str) else bytes(name).hex()
                findings.append(
                    Finding(f"{what.name}-missing", text, f"a row of table {table.name} names this {what.name}, which is not there")
                )
    return findings

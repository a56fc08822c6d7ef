"""Conservation, proven from the rows: every balance is what its entries and live holds add up to, every hold has one fate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, func, literal, or_, select

from guardrails.core.balance import Amounts, Balance
from guardrails.core.quantity import Measure, amount_text
from guardrails.db.tables import balance, entry, hold_event, live_hold, record, route, seeded_hold



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


def verify(connection: Connection, org: str) -> Verification:
    """Check every balance and every hold against the facts."""
    verification = Verification()
    routes = _routes(connection, org)
    truth = _from_facts(connection, org, routes)
    rows = connection.execute(select(balance).where(balance.c.org == org).order_by(balance.c.rule, balance.c.start_us, balance.c.scope))
    count = 0
    known = set()
    for row in rows:
        count += 1
        known.add(bytes(row.key))
        measure = Measure(row.measure)
        facts = truth.get(bytes(row.key), {}).get(measure, Balance())
        for name, seen, expected in (
            ("spent", row.spent, row.seed_spent + facts.spent),
            ("assumed", row.assumed, row.seed_assumed + facts.assumed),
            ("held", row.held, facts.held),
        ):
            if seen != expected:
                message = f"{name} is {amount_text(seen, measure)}, its facts add up to {amount_text(expected, measure)}"
                verification.findings.append(Finding(f"balance-{name}", f"{row.rule} {row.scope}", message))
    verification.findings += [
        Finding("balance-missing", key.hex(), "facts count under this balance, which is not there") for key in truth.keys() - known
    ]
    verification.checked["balances"] = count
    verification.checked["entries"] = connection.execute(select(func.count()).select_from(entry).where(entry.c.org == org)).scalar_one()
    verification.checked["records"] = connection.execute(select(func.count()).select_from(record).where(record.c.org == org)).scalar_one()
    verification.checked["live_holds"] = connection.execute(
        select(func.count()).select_from(live_hold).where(live_hold.c.org == org)
    ).scalar_one()
    verification.findings += _hold_findings(connection, org)
    return verification


def _routes(connection: Connection, org: str) -> dict[bytes, list[bytes]]:
    routes: dict[bytes, list[bytes]] = {}
    for key, balance_key in connection.execute(select(route.c.key, route.c.balance).where(route.c.org == org)):
        routes.setdefault(bytes(key), []).append(bytes(balance_key))
    return routes


_Truth = dict[bytes, dict[Measure, Balance]]


def _from_facts(connection: Connection, org: str, routes: dict[bytes, list[bytes]]) -> _Truth:
    """What each balance should have, in every measure, from entries and live holds alone."""
    truth: _Truth = {}
    cached = (
        entry.c.cache_read_tokens
        + entry.c.cache_write_short_tokens
        + entry.c.cache_write_long_tokens
        + entry.c.cache_write_unknown_tokens
    )
    entries = connection.execute(
        select(
            entry.c.route,
            func.sum(func.coalesce(entry.c.cost_nano_usd, 0)),
            func.sum(func.coalesce(entry.c.input_tokens, 0) + cached),
            func.sum(func.coalesce(entry.c.output_tokens, 0)),
            func.sum(entry.c.requests),
            func.sum(entry.c.assumed_nano_usd),
            func.sum(entry.c.assumed_input_tokens),
            func.sum(entry.c.assumed_output_tokens),
        )
        .where(entry.c.org == org, entry.c.route.is_not(None))
        .group_by(entry.c.route)
    )
    for key, *sums in entries:
        nano, input_tokens, output_tokens, requests, assumed_nano, assumed_input, assumed_output = map(int, sums)
        spent = Amounts(nano, input_tokens, output_tokens, requests)
        assumed = Amounts(assumed_nano, assumed_input, assumed_output)
        for balance_key in routes.get(bytes(key), ()):
            for measure, amounts in _of(truth, balance_key):
                amounts.spent += spent.of(measure)
                amounts.assumed += assumed.of(measure)
    for balance_key, holds in _live(connection, org, routes):
        for measure, amounts in _of(truth, balance_key):
            amounts.held += holds.held_of(measure)
    return truth


def _of(truth: _Truth, key: bytes) -> Iterator[tuple[Measure, Balance]]:
    return iter(truth.setdefault(key, {measure: Balance() for measure in Measure}).items())


def _live(connection: Connection, org: str, routes: dict[bytes, list[bytes]]) -> Iterator[tuple[bytes, Amounts]]:
    """Each live hold under each of its balances."""
    held = (record.c.held_nano_usd, record.c.held_input_tokens, record.c.held_output_tokens)
    joined = live_hold.join(record, and_(record.c.org == live_hold.c.org, record.c.id == live_hold.c.id))
    for key, *amounts in connection.execute(select(record.c.route, *held).select_from(joined).where(live_hold.c.org == org)):
        for balance_key in routes.get(bytes(key), ()) if key is not None else ():
            yield balance_key, Amounts(*amounts, 1)
    seeded = joined.join(seeded_hold, and_(seeded_hold.c.org == live_hold.c.org, seeded_hold.c.hold == live_hold.c.id))
    for key, *amounts in connection.execute(select(seeded_hold.c.balance, *held).select_from(seeded).where(live_hold.c.org == org)):
        yield bytes(key), Amounts(*amounts, 1)


def _hold_findings(connection: Connection, org: str) -> list[Finding]:
    """Holds with no fate or with two, and facts without the record that they name."""
    findings = []
    settled = select(literal(1)).where(entry.c.org == record.c.org, entry.c.decision == record.c.id).exists()
    ended = (
        select(literal(1))
        .where(hold_event.c.org == record.c.org, hold_event.c.hold == record.c.id, hold_event.c.kind != "extended")
        .exists()
    )
    lives = select(literal(1)).where(live_hold.c.org == record.c.org, live_hold.c.id == record.c.id).exists()
    admitted = select(record.c.id).where(record.c.org == org, record.c.verdict != "deny")
    for hold_id in connection.execute(admitted.where(~lives, ~settled, ~ended)).scalars():
        findings.append(Finding("hold-lost", hold_id, "was admitted, and is neither live nor settled, released or expired"))
    for hold_id in connection.execute(admitted.where(lives, or_(settled, ended))).scalars():
        findings.append(Finding("hold-twice", hold_id, "is live although it was settled, released or has expired"))
    with_record = select(literal(1)).where(record.c.org == live_hold.c.org, record.c.id == live_hold.c.id, record.c.verdict != "deny").exists()
    for hold_id in connection.execute(select(live_hold.c.id).where(live_hold.c.org == org, ~with_record)).scalars():
        findings.append(Finding("hold-without-record", hold_id, "is live without the record of an admission"))
    return findings

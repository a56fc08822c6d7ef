"""Where balances began, proven: what each opened window started from, worked out again from the entries of before.

A rule that is new in mid-window starts from the facts that the ledger has. Which set was in force then, and up to which entry it
looked, is kept with the opening, so that the same facts under the same rule must give the same seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, and_, literal, or_, select

from guardrails.core.balance import Balance, BalanceRef
from guardrails.core.errors import InvalidPolicy, PolicyUnreadable
from guardrails.core.instant import from_us, to_us
from guardrails.core.quantity import amount_text
from guardrails.core.window import Period
from guardrails.db.session import session_within
from guardrails.db.tables import balance, opening
from guardrails.engine.candidate import Ruleset
from guardrails.gate.opening import counted_under, looks_at_tokens
from guardrails.ledger.book import Book
from guardrails.ledger.lookup import Known
from guardrails.ledger.publications import stored_files
from guardrails.ledger.seeding import facts_of
from guardrails.ledger.verify import Finding, balance_name
from guardrails.policy.load import load_files
from guardrails.policy.rules import PolicySet, Rule


@dataclass(frozen=True, slots=True)
class Seed:
    """What a balance should have started from."""

    ref: BalanceRef
    amounts: Balance


def verify_seeds(connection: Connection, org: str) -> list[Finding]:
    """Hold what every balance started from to the entries that were there when its window was opened."""
    findings: list[Finding] = []
    seeded = _seeded(connection, org)
    for seed in proven_seeds(connection, org, findings):
        row = seeded.pop(seed.ref.key, None)
        seen = (0, 0) if row is None else (row.seed_spent, row.seed_assumed)
        measure = seed.ref.measure
        for name, saw, proven in (("spent", seen[0], seed.amounts.spent), ("assumed", seen[1], seed.amounts.assumed)):
            if saw != proven:
                message = f"started from {amount_text(saw, measure)} {name}, the entries of before add up to {amount_text(proven, measure)}"
                findings.append(Finding(f"seed-{name}", balance_name(seed.ref.rule, seed.ref.scope, _us(seed.ref.period)), message))
    findings += [
        Finding(
            "seed-unfounded",
            balance_name(row.rule, json.loads(row.scope), row.start_us),
            "started from amounts that no entry of before gives",
        )
        for row in seeded.values()
    ]
    findings += [
        Finding("opening-missing", balance_name(row.rule, json.loads(row.scope), row.start_us), "its window was never opened")
        for row in connection.execute(_unopened(org))
    ]
    return findings


def proven_seeds(connection: Connection, org: str, findings: list[Finding]) -> Iterator[Seed]:
    """What each balance should have started from; nothing for those that start from nothing.

    Openings that cannot be redone become findings.
    """
    for opened in _opened(connection, org, findings):
        yield from _counted(connection, org, opened, opened.last_seq, findings)


def scopes_counted(connection: Connection, org: str, findings: list[Finding]) -> Iterator[BalanceRef]:
    """Every balance that the entries and live holds of each opened window count under."""
    for opened in _opened(connection, org, findings):
        for seed in _counted(connection, org, opened, None, findings):
            yield seed.ref


@dataclass(frozen=True, slots=True)
class _Opened:
    """An opening whose rule was found again."""

    ref: BalanceRef
    ruleset: Ruleset
    last_seq: int


def _opened(connection: Connection, org: str, findings: list[Finding]) -> Iterator[_Opened]:
    sets: dict[str, PolicySet | None] = {}
    query = select(opening).where(opening.c.org == org).order_by(opening.c.at_us, opening.c.key)
    for row in connection.execute(query).all():
        if row.policy not in sets:
            sets[row.policy] = _stored_set(connection, org, row.policy)
        policies = sets[row.policy]
        rule = None if policies is None else _rule(policies, row.rule, row.fingerprint)
        if policies is None or rule is None or rule.limits is None:
            what = "its policy set is not in the ledger as it was" if policies is None else "its policy set has no such rule"
            findings.append(Finding("opening-unproven", balance_name(row.rule, {}, row.start_us), what))
            continue
        # A set with this rule alone is indexed at once, however many rules there are.
        ruleset = Ruleset(replace(policies, rules=(rule,)), {rule.id: row.era})
        period = Period(None if row.start_us is None else from_us(row.start_us), None if row.end_us is None else from_us(row.end_us))
        yield _Opened(BalanceRef(b"", rule.id, rule.fingerprint, row.era, rule.limits.measure, {}, period), ruleset, row.last_seq)


def _stored_set(connection: Connection, org: str, policy: str) -> PolicySet | None:
    """A policy set by its hash, None where its files do not give it."""
    files = stored_files(connection, org, policy)
    if files is None:
        return None
    try:
        policies = load_files(files)
    except (InvalidPolicy, PolicyUnreadable):
        return None
    return policies if policies.hash == policy else None


def _rule(policies: PolicySet, rule_id: str, fingerprint: str) -> Rule | None:
    return next((rule for rule in policies.rules if rule.id == rule_id and rule.fingerprint == fingerprint), None)


def _counted(connection: Connection, org: str, opened: _Opened, last_seq: int | None, findings: list[Finding]) -> Iterator[Seed]:
    """The balances that facts of an opening's window count under; with `last_seq` as its entries up to that one give them."""
    book = Book(session_within(connection), org, Known())
    by_tokens = looks_at_tokens(opened.ruleset, opened.ref.rule)
    limit = {} if last_seq is None else {"last_seq": last_seq}
    try:
        groups, _ = facts_of(book, opened.ref.period, by_tokens=by_tokens, **limit)
    except KeyError:
        name = balance_name(opened.ref.rule, {}, _us(opened.ref.period))
        findings.append(Finding("opening-unproven", name, "a fact of its window names a subject that is not there"))
        return
    seeds: dict[bytes, Seed] = {}
    for group, ref in counted_under(book, opened.ruleset, opened.ref, groups):
        if group.hold is None or last_seq is None:
            amounts = seeds.setdefault(ref.key, Seed(ref, Balance())).amounts
            amounts.spent += group.spent.of(ref.measure)
            amounts.assumed += group.assumed.of(ref.measure)
    yield from (seeds[key] for key in sorted(seeds))


def _seeded(connection: Connection, org: str) -> dict[bytes, Any]:
    """Balances that started from something."""
    query = select(balance.c.key, balance.c.rule, balance.c.scope, balance.c.start_us, balance.c.seed_spent, balance.c.seed_assumed)
    started = or_(balance.c.seed_spent != 0, balance.c.seed_assumed != 0)
    return {bytes(row.key): row for row in connection.execute(query.where(balance.c.org == org, started))}


def _unopened(org: str) -> Any:  # noqa: ANN401 - a query of three columns
    same_window = or_(opening.c.start_us == balance.c.start_us, and_(opening.c.start_us.is_(None), balance.c.start_us.is_(None)))
    opened = select(literal(1)).where(
        opening.c.org == balance.c.org,
        opening.c.rule == balance.c.rule,
        opening.c.fingerprint == balance.c.fingerprint,
        opening.c.era == balance.c.era,
        same_window,
    )
    return (
        select(balance.c.rule, balance.c.scope, balance.c.start_us)
        .where(balance.c.org == org, ~opened.exists())
        .order_by(balance.c.rule, balance.c.start_us, balance.c.scope)
    )


def _us(period: Period) -> int | None:
    return None if period.start is None else to_us(period.start)

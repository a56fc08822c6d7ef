"""Balances that the ledger does not have yet: opened with what its facts already gave for their window.

The first booking that needs a rule's window opens it for all scopes at once: every entry and live hold that the rule's facts meet is
counted, so that a rule that is new in mid-window starts from the truth. From then on a scope that is not there has nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from guardrails.core.balance import Balance, BalanceRef
from guardrails.core.hashing import hashed
from guardrails.core.instant import EPOCH, to_us
from guardrails.core.model_name import fold
from guardrails.core.window import Period
from guardrails.db import tables
from guardrails.db.session import Statement, insert
from guardrails.engine.candidate import TOKEN_ATTRIBUTES, Ruleset, folded, matches
from guardrails.ledger.book import Book, Restart
from guardrails.ledger.seeding import FactGroup, facts_of
from guardrails.policy.match import Facts
from guardrails.pricing.price import Quote, quote_from_text

_OPEN = Statement(f"{insert(tables.opening, ignore=True).text} RETURNING key")
_OPENED = Statement("SELECT key FROM opening WHERE org = ? AND key IN ?*")


@dataclass(slots=True)
class _Seed:
    ref: BalanceRef
    amounts: Balance = field(default_factory=Balance)


def open_balances(book: Book, ruleset: Ruleset, missing: Iterable[BalanceRef], at: datetime, *, alone: bool) -> None:
    """Add balances that the ledger does not have, each with what its window's facts gave.

    Args:
        alone: no other booking is under way, or nothing will be written. A settlement at the same time of a hold that was
            admitted before the rule was there would otherwise be missed: neither transaction sees what the other does.

    Raises:
        Restart: it must be alone, or another transaction opened one of them in the meantime.
    """
    missing = list({ref.key: ref for ref in missing}.values())
    openings = {_opening_key(ref): ref for ref in missing}
    (rows,) = book.session.read((_OPENED, (book.org, sorted(openings))))
    opened = {bytes(row[0]) for row in rows}
    if not alone and openings.keys() - opened:
        raise Restart(alone=True)
    seeds = {ref.key: _Seed(ref) for ref in missing}
    holds: list[tuple[str, bytes]] = []
    for key in sorted(openings.keys() - opened):
        ref = openings[key]
        groups, last_seq = facts_of(book, ref.period, by_tokens=looks_at_tokens(ruleset, ref.rule))
        row = (
            book.org,
            key,
            ref.rule,
            ref.fingerprint,
            ref.era,
            _us(ref.period.start),
            _us(ref.period.end),
            ruleset.policies.hash,
            last_seq,
            to_us(at),
        )
        (won,) = book.session.read((_OPEN, row))
        if not won:
            raise Restart
        if groups:
            for group, scope in counted_under(book, ruleset, ref, groups):
                seed = seeds.setdefault(scope.key, _Seed(scope))
                if group.hold is not None:
                    seed.amounts.held += group.spent.held_of(scope.measure)
                    holds.append((group.hold, scope.key))
                else:
                    seed.amounts.spent += group.spent.of(scope.measure)
                    seed.amounts.assumed += group.assumed.of(scope.measure)
    for seed in seeds.values():
        book.open_balance(seed.ref, seed.amounts.spent, seed.amounts.assumed, seed.amounts.held)
    book.write_openings()
    for hold_id, balance_key in holds:
        book.seed_hold(hold_id, balance_key)


def counted_under(book: Book, ruleset: Ruleset, opened: BalanceRef, groups: Iterable[FactGroup]) -> Iterable[tuple[FactGroup, BalanceRef]]:
    """Those facts that meet the rule of a balance, each with the balance of its own scope in the same window."""
    groups = list(groups)
    texts = book.quote_texts(group.quote for group in groups if group.quote is not None)
    quotes = {quote_id: quote_from_text(text) for quote_id, text in texts.items()}
    instant = _instant_in(opened.period)
    for group in groups:
        facts = facts_of_usage(ruleset, group.labels, quotes.get(group.quote or ""), group.provider, group.operation, group.bound)
        for rule, ref in matches(ruleset, facts, group.labels, instant):
            if rule.id == opened.rule and ref is not None:
                yield group, ref


def facts_of_usage(
    ruleset: Ruleset, labels: Mapping[str, str], quote: Quote | None, provider: str | None, operation: str, bound: tuple[int, int]
) -> Facts:
    """What rules look at in usage that is in the ledger."""
    forms = () if quote is None else quote.forms
    tier = ruleset.tier_of(forms) if forms else None
    return Facts(folded(labels), forms, provider, tier, fold(operation), *bound)


def looks_at_tokens(ruleset: Ruleset, rule_id: str) -> bool:
    """Whether a rule has conditions on token counts."""
    rule = next(rule for rule in ruleset.policies.rules if rule.id == rule_id)
    conditions = [*rule.match, *(condition for excepted in rule.excepts for condition in excepted)]
    return any(condition.attribute in TOKEN_ATTRIBUTES for condition in conditions)


def _opening_key(ref: BalanceRef) -> bytes:
    return hashed(ref.rule, ref.fingerprint, ref.era, _us(ref.period.start))


def _us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def _instant_in(period: Period) -> datetime:
    return EPOCH if period.start is None else period.start

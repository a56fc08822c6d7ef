"""Every balance of the window that runs now, with its limit: what enforcement reads, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from typing_extensions import override

from guardrails.core.balance import Balance, BalanceRef
from guardrails.core.instant import rfc3339, to_us
from guardrails.core.quantity import Measure, amount_text
from guardrails.core.subject import NONE, label_key
from guardrails.core.window import Period, WindowKind
from guardrails.db.session import Statement
from guardrails.engine.candidate import Ruleset
from guardrails.engine.decision import share_text
from guardrails.gate.operations import Context, Operation
from guardrails.policy.rules import Limits, Rule

_OF_WINDOW = Statement(
    "SELECT key, scope, spent, assumed, held FROM balance WHERE org = ? AND rule = ? AND era = ? AND fingerprint = ? AND start_us = ?"
)
_OF_LIFETIME = Statement(
    "SELECT key, scope, spent, assumed, held FROM balance WHERE org = ? AND rule = ? AND era = ? AND fingerprint = ? AND start_us IS NULL"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """One balance against its limit, in the measure of the rule.

    Attributes:
        window: None for a concurrency cap, which has none.
    """

    rule: Rule
    measure: Measure
    scope: Mapping[str, str]
    window: Period | None
    limit: int
    spent: int
    assumed: int
    held: int

    @property
    def left(self) -> int:
        """The limit less all that counts; below zero where it was passed."""
        return self.limit - self.spent - self.assumed - self.held

    @property
    def share(self) -> Fraction | None:
        """All that counts as a share of the limit; None for a limit of 0."""
        return Fraction(self.limit - self.left, self.limit) if self.limit else None

    def as_json(self) -> dict[str, object]:
        """Stable keys of product.md §6."""
        window = self.window
        return {
            "rule": self.rule.id,
            "kind": self.rule.kind.value,
            "mode": self.rule.mode.value,
            "scope": dict(self.scope),
            "window": None if window is None else {"start": _text(window.start), "end": _text(window.end)},
            "limit": amount_text(self.limit, self.measure),
            "spent": amount_text(self.spent, self.measure),
            "assumed": amount_text(self.assumed, self.measure),
            "held": amount_text(self.held, self.measure),
            "left": amount_text(self.left, self.measure),
            "share": None if self.share is None else share_text(self.share),
            "source": str(self.rule.source),
        }


class Budgets(Operation[list[Budget]]):
    """Read every balance as an admission would see it at this instant, and change nothing."""

    dry = True
    judges = True

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at

    @override
    def plan(self, context: Context) -> Iterable[BalanceRef]:
        """One balance of each window, so that a window that nobody has used yet is opened for the look."""
        ruleset = context.active.ruleset
        return [
            ref for rule in _counting(ruleset, context.now) for ref in (ruleset.balance_ref(rule, {}, {}, context.now),) if ref is not None
        ]

    @override
    def apply(self, context: Context) -> list[Budget]:
        ruleset = context.active.ruleset
        return [budget for rule in _counting(ruleset, context.now) for budget in _of_rule(context, ruleset, rule)]


def _counting(ruleset: Ruleset, at: datetime) -> list[Rule]:
    """The rules in force that keep balances."""
    return [
        rule
        for rule in ruleset.policies.rules
        if rule.limits is not None and rule.in_force(at) and not (rule.window is not None and rule.window.kind is WindowKind.CALL)
    ]


def _of_rule(context: Context, ruleset: Ruleset, rule: Rule) -> list[Budget]:
    limits = rule.limits
    if limits is None:
        return []
    book = context.book
    period = ruleset.period(rule, context.now)
    name = (book.org, rule.id, ruleset.eras.get(rule.id, 0), rule.fingerprint)
    if period.start is None:
        (rows,) = book.session.read((_OF_LIFETIME, name))
    else:
        (rows,) = book.session.read((_OF_WINDOW, (*name, to_us(period.start))))
    found: dict[tuple[str, ...], tuple[Mapping[str, str], Balance]] = {}
    for key, scope_text, spent, assumed, held in rows:
        scope = json.loads(scope_text)
        found[tuple(label_key(scope[label]) for label in rule.per)] = (
            scope,
            book.balances.get(bytes(key)) or Balance(spent, assumed, held),
        )
    for scope in _named_scopes(rule, limits):
        found.setdefault(tuple(label_key(scope[label]) for label in rule.per), (scope, Balance()))
    budgets = []
    for keys, (scope, balance) in sorted(found.items()):
        limit = limits.for_value(keys[0] if limits.by_value else None)
        # A scope that only this look has opened has no facts: nothing to show unless the rule names it.
        unused = not balance.total and rule.per and not (limits.by_value and keys[0] in limits.by_value)
        if limit is not None and not unused:
            window = None if rule.window is None else period
            budgets.append(Budget(rule, limits.measure, scope, window, limit, balance.spent, balance.assumed, balance.held))
    return budgets


def _named_scopes(rule: Rule, limits: Limits) -> list[dict[str, str]]:
    """The scopes that a rule names by itself: the only one, or the values of its limits."""
    if not rule.per:
        return [{}]
    return [{rule.per[0]: value} for value in limits.by_value if value != NONE]


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)

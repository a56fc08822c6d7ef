"""Which balances past usage counts under, worked out once for all usage alike, and found again for the rest of its window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from guardrails.core.balance import BalanceRef
from guardrails.core.instant import to_us
from guardrails.core.subject import subject_key
from guardrails.engine.candidate import Ruleset
from guardrails.engine.decide import label_finding
from guardrails.gate.opening import facts_of_usage
from guardrails.ledger.entry import route_key
from guardrails.policy.rules import Rule
from guardrails.pricing.price import Quote

_REMEMBERED = 100_000
_TOKEN_ATTRIBUTES = frozenset({"input_tokens", "output_tokens"})


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The balances that a fact counts under between two instants: until the first of their windows ends.

    Attributes:
        key: as entries name it; None where they count nowhere.
    """

    start_us: float
    end_us: float
    refs: tuple[BalanceRef, ...]
    legs: tuple[bytes, ...]
    key: bytes | None


NOWHERE = Route(-inf, inf, (), (), None)
"""What is in the ledger for the report alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Payer:
    """A subject as the ledger knows it, and what the policy's label rules find wrong with it."""

    key: bytes
    labels: Mapping[str, str]
    findings: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Kind:
    """Usage of one subject that meets the same rules, and the routes found for it so far, in order of time."""

    folded: Mapping[str, str]
    labels: Mapping[str, str]
    rules: tuple[Rule, ...]
    starts: list[float] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


class Counting:
    """The rules of one policy set as past usage meets them."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._payers: dict[tuple[tuple[str, str], ...], Payer] = {}
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._same: dict[tuple[bytes, tuple[Rule, ...]], _Kind] = {}
        self._size = 0
        self._by_tokens = any(
            condition.attribute in _TOKEN_ATTRIBUTES
            for rule in ruleset.policies.rules
            for conditions in (rule.match, *rule.excepts)
            for condition in conditions
        )

    def payer(self, labels: Mapping[str, str]) -> Payer:
        """The subject with these labels."""
        name = tuple(labels.items())
        payer = self._payers.get(name)
        if payer is None:
            rules = self._ruleset.policies.labels
            findings = tuple(finding for rule in rules if (finding := label_finding(rule, labels.get(rule.name))) is not None)
            if len(self._payers) >= _REMEMBERED:
                self._payers.clear()
            payer = self._payers[name] = Payer(subject_key(labels), labels, findings)
        return payer

    def route(
        self,
        payer: Payer,
        quote: Quote | None,
        provider: str | None,
        operation: str | None,
        bound: tuple[int, int],
        at: datetime,
    ) -> Route:
        """The balances that usage counts under at an instant; rules' dates are not looked at.

        Args:
            bound: its (input, output) tokens.
        """
        at_us = to_us(at)
        if not self._by_tokens:
            bound = (0, 0)
        name = (payer.key, None if quote is None else quote.forms, provider, operation, bound)
        kind = self._kinds.get(name)
        if kind is None:
            facts = facts_of_usage(self._ruleset, payer.labels, quote, provider, operation or "", bound)
            rules = tuple(self._ruleset.index.matching(facts))
            # Of one subject all models that meet the same rules count under the same balances.
            kind = self._kinds[name] = self._same.setdefault((payer.key, rules), _Kind(facts.labels, payer.labels, rules))
            self._size += 1
        place = bisect_right(kind.starts, at_us) - 1
        if place >= 0 and at_us < kind.routes[place].end_us:
            return kind.routes[place]
        route = self._found(kind, at)
        kind.starts.insert(place + 1, route.start_us)
        kind.routes.insert(place + 1, route)
        self._size += 1
        if self._size > _REMEMBERED:
            self._kinds.clear()
            self._same.clear()
            self._size = 0
        return route

    def _found(self, kind: _Kind, at: datetime) -> Route:
        counted = [self._ruleset.balance_ref(rule, kind.folded, kind.labels, at) for rule in kind.rules]
        refs = tuple(ref for ref in counted if ref is not None)
        starts = [to_us(ref.period.start) for ref in refs if ref.period.start is not None]
        ends = [to_us(ref.period.end) for ref in refs if ref.period.end is not None]
        legs = tuple(ref.key for ref in refs)
        return Route(max(starts, default=-inf), min(ends, default=inf), refs, legs, route_key(legs) if legs else None)

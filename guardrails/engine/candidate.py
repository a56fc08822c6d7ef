"""One model that is tried for a call: what it would cost, the rules that it meets, the balances that it would count under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from guardrails.core.balance import Amounts, BalanceRef
from guardrails.core.call import Call
from guardrails.core.frozen import Frozen
from guardrails.core.instant import to_us
from guardrails.core.model_name import fold, forms_as_given, pattern
from guardrails.core.quantity import Measure
from guardrails.core.subject import NONE, label_key
from guardrails.core.window import LIFETIME, Period, WindowKind
from guardrails.policy.match import Facts, RuleIndex
from guardrails.policy.rules import Answer, PolicySet, Rule
from guardrails.pricing.estimate import Estimate, estimate
from guardrails.pricing.price import Quote

Quotes = Callable[[Call, str], Quote]
"""What the price book says of a model for a call; `call.model` itself or the model of a downgrade."""


Met = tuple[Mapping[str, str], tuple[tuple[Rule, BalanceRef | None], ...]]
"""Folded labels, and the rules met, each with the balance that it counts under."""

TOKEN_ATTRIBUTES = frozenset({"input_tokens", "output_tokens"})
"""What conditions can look at that differs from call to call of the same kind."""

_REMEMBERED = 16_384
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Ruleset:
    """A policy set made ready to decide: its rules indexed, its balances named.

    `eras` maps a rule's id to the generation since which it has been active with its fingerprint; a rule that is not in it
    counts from generation 0, as in a preview without a ledger.
    """

    def __init__(self, policies: PolicySet, eras: Mapping[str, int] | None = None) -> None:
        self.policies = policies
        self.index = RuleIndex(policies)
        self.eras = dict(eras or {})
        self.places = {tier.name: place for place, tier in enumerate(policies.tiers)}
        self._periods: dict[tuple[object, ...], Period] = {}
        self._met: dict[tuple[object, ...], tuple[datetime, datetime, Met]] = {}
        self._looks_at_tokens = any(
            condition.attribute in TOKEN_ATTRIBUTES
            for rule in policies.rules
            for match in (rule.match, *rule.excepts)
            for condition in match
        )
        self._tiers: dict[tuple[str, ...], str | None] = {}

    def tier_of(self, forms: tuple[str, ...]) -> str | None:
        """The tier of a model by the forms of its name."""
        try:
            return self._tiers[forms]
        except KeyError:
            if len(self._tiers) > _REMEMBERED:
                self._tiers.clear()
            tier = self._tiers[forms] = self.policies.tier_of(forms)
            return tier

    def forms_of(self, target: str) -> tuple[str, ...]:
        """The forms of a downgrade target's name, as far as the name alone tells them."""
        return forms_as_given(target)

    def models_of(self, target: str) -> tuple[str, ...]:
        """The concrete models that a downgrade target stands for, in order."""
        place = self.places.get(target)
        return (target,) if place is None else self.policies.tiers[place].concrete

    def place_in_tier(self, tier: str, forms: tuple[str, ...]) -> int:
        """Where in a tier's list a model stands, by the forms of its name."""
        models = self.policies.tiers[self.places[tier]].models
        return next((place for place, model in enumerate(models) if any(pattern(model).fullmatch(form) for form in forms)), len(models))

    def period(self, rule: Rule, at: datetime) -> Period:
        """The rule's window at an instant; the last one of each kind and zone is remembered."""
        window = rule.window
        if window is None:
            return LIFETIME
        key = (window.kind, window.timezone, window.week_starts)
        period = self._periods.get(key)
        if period is None or at not in period:
            period = self._periods[key] = window.period(at)
        return period

    def met(self, call: Call, quote: Quote, tier: str | None, bound: Estimate, at: datetime) -> Met:
        """The folded labels of a call, and the rules that it meets with a model; remembered while every window in it lasts.

        Calls of one subject, model and operation meet the same rules unless conditions look at token counts.
        """
        tokens = (bound.input_tokens, bound.output_tokens) if self._looks_at_tokens else None
        name = (tuple(call.subject.items()), quote.forms, quote.provider, call.operation, tokens)
        remembered = self._met.get(name)
        if remembered is not None and remembered[0] <= at < remembered[1]:
            return remembered[2]
        labels = folded(call.subject)
        facts = Facts(labels, quote.forms, quote.provider, tier, fold(call.operation), bound.input_tokens, bound.output_tokens)
        met = labels, matches(self, facts, call.subject, at)
        periods = [ref.period for _, ref in met[1] if ref is not None]
        first = max((period.start for period in periods if period.start is not None), default=_EARLIEST)
        last = min((period.end for period in periods if period.end is not None), default=_LATEST)
        if len(self._met) >= _REMEMBERED:
            self._met.clear()
        self._met[name] = (first, last, met)
        return met

    def balance_ref(self, rule: Rule, labels: Mapping[str, str], shown: Mapping[str, str], at: datetime) -> BalanceRef | None:
        """The balance that a fact with these labels counts under; None where the rule keeps none."""
        if rule.limits is None or (rule.window is not None and rule.window.kind is WindowKind.CALL):
            return None
        keys = tuple([labels.get(label, NONE) for label in rule.per])
        values = tuple([shown.get(label, NONE) for label in rule.per])
        return _ref(
            rule.id, rule.fingerprint, self.eras.get(rule.id, 0), rule.limits.measure, rule.per, keys, values, self.period(rule, at)
        )


@lru_cache(maxsize=_REMEMBERED)
def _ref(
    rule: str,
    fingerprint: str,
    era: int,
    measure: Measure,
    per: tuple[str, ...],
    keys: tuple[str, ...],
    values: tuple[str, ...],
    period: Period,
) -> BalanceRef:
    start = None if period.start is None else to_us(period.start)
    name = json.dumps([rule, fingerprint, era, list(zip(per, keys, strict=True)), start], ensure_ascii=False, separators=(",", ":"))
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return BalanceRef(key, rule, fingerprint, era, measure, Frozen(zip(per, values, strict=True)), period)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that is tried, with everything that follows from it but the balances' amounts.

    Attributes:
        subject, labels: the caller's labels as shown, and folded.
        matched: the rules that meet the call with this model, dates and limits aside, each with the balance it counts
            under (None for those that keep none).
        holds: what an admission would hold.
        unpriced: the estimate has no price; `holds` then follows `defaults.unknown_price`.
    """

    model: str
    subject: Mapping[str, str]
    labels: Mapping[str, str]
    quote: Quote
    tier: str | None
    estimate: Estimate
    holds: Amounts
    unpriced: bool
    matched: tuple[tuple[Rule, BalanceRef | None], ...]

    @property
    def refs(self) -> list[BalanceRef]:
        """The balances that a hold of this candidate counts under."""
        return [ref for _, ref in self.matched if ref is not None]


def candidate(ruleset: Ruleset, call: Call, model: str, quotes: Quotes, at: datetime) -> Candidate:
    """What a call would be with `model`."""
    defaults = ruleset.policies.defaults
    quote = quotes(call, model)
    bound = estimate(call, quote, defaults.assume_output_tokens)
    cost = bound.cost_nano_usd
    held_nano_usd = cost if cost is not None else 0 if isinstance(defaults.unknown_price, Answer) else defaults.unknown_price
    holds = Amounts(held_nano_usd, bound.input_tokens, bound.output_tokens, 1)
    tier = ruleset.tier_of(quote.forms)
    labels, matched = ruleset.met(call, quote, tier, bound, at)
    return Candidate(model, call.subject, labels, quote, tier, bound, holds, cost is None, matched)


def folded(subject: Mapping[str, str]) -> dict[str, str]:
    """A subject's labels in the form in which they are compared."""
    return {name: label_key(value) for name, value in subject.items()}


def matches(ruleset: Ruleset, facts: Facts, subject: Mapping[str, str], at: datetime) -> tuple[tuple[Rule, BalanceRef | None], ...]:
    """The rules that a fact meets, dates and limits aside, each with the balance it counts under at that instant."""
    return tuple([(rule, ruleset.balance_ref(rule, facts.labels, subject, at)) for rule in ruleset.index.matching(facts)])

"""The dated prices and aliases of a policy folder, resolved: which of them a name meets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import groupby
from types import MappingProxyType

from guardrails.core.model_name import is_pattern
from guardrails.core.model_name import pattern as compiled
from guardrails.pricing.price import Price


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """One dated price. It is in force from `starts` until the next one of the same model and provider.

    Attributes:
        model: folded; may have wildcards.
        provider: its id (`provider_id`); None for any.
    """

    model: str
    provider: str | None
    starts: datetime
    price: Price
    context_window: int | None = None
    max_output_tokens: int | None = None


Timeline = tuple[OwnPrice, ...]
"""The prices of one model and provider, by date."""

Rank = tuple[Timeline, ...]
"""Timelines of which none goes before another: of those in force the dearest counts."""


@dataclass(frozen=True)
class OwnPrices:
    """All prices of a prices.yaml. `aliases` are targets as written by folded name."""

    prices: tuple[OwnPrice, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    providers: frozenset[str] = field(init=False, repr=False, compare=False)
    """The ids of the providers that prices are bound to."""
    _exact: Mapping[str, Sequence[Timeline]] = field(init=False, repr=False, compare=False)
    _patterns: Sequence[tuple[re.Pattern[str], Timeline]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_date = sorted(self.prices, key=lambda price: (price.model, price.provider or "", price.starts))
        timelines = [tuple(same) for _, same in groupby(by_date, key=lambda price: (price.model, price.provider))]
        # One that names its provider says more than one that does not, and so does a longer pattern.
        timelines.sort(key=lambda timeline: (timeline[0].provider is None, -len(timeline[0].model.replace("*", "")), timeline[0].model))
        bound = frozenset(price.provider for price in self.prices if price.provider is not None)
        object.__setattr__(self, "providers", bound)
        exact: dict[str, list[Timeline]] = {}
        for timeline in timelines:
            if not is_pattern(timeline[0].model):
                exact.setdefault(timeline[0].model, []).append(timeline)
        object.__setattr__(self, "_exact", exact)
        patterns = [(compiled(timeline[0].model), timeline) for timeline in timelines if is_pattern(timeline[0].model)]
        object.__setattr__(self, "_patterns", patterns)

    def target(self, forms: Sequence[str]) -> str | None:
        """What a name with these forms is an alias of."""
        return next((self.aliases[form] for form in forms if form in self.aliases), None)

    def exact(self, forms: Sequence[str], providers: frozenset[str]) -> list[Rank]:
        """The prices of these very names at a provider of these ids, the one that wins first; an earlier form before a later one."""
        return [(timeline,) for form in forms for timeline in self._exact.get(form, ()) if _is_of(timeline, providers)]

    def by_pattern(self, forms: Sequence[str], providers: frozenset[str]) -> list[Rank]:
        """The prices of wildcards that these forms meet, likewise."""
        met = [timeline for form in forms for pattern, timeline in self._patterns if pattern.fullmatch(form)]
        return [(timeline,) for timeline in met if _is_of(timeline, providers)]

    def bound(self, names: Sequence[str]) -> list[Rank]:
        """The prices of these very names at whatever provider has one: what counts where nobody says which it is.

        Of several providers the dearest counts, so that no limit is passed because a name was left out.
        """
        ranks = [tuple(timeline for timeline in self._exact.get(name, ()) if timeline[0].provider is not None) for name in names]
        return [rank for rank in ranks if rank]


def in_force(ranks: Sequence[Rank], at: datetime) -> OwnPrice | None:
    """The price of the first rank in which one has begun at an instant."""
    for rank in ranks:
        begun = [[price for price in timeline if price.starts <= at] for timeline in rank]
        if any(begun):
            return max((prices[-1] for prices in begun if prices), key=_dearness)
    return None


def _is_of(timeline: Timeline, providers: frozenset[str]) -> bool:
    return timeline[0].provider is None or timeline[0].provider in providers


def _dearness(own: OwnPrice) -> Fraction:
    """What one of everything that has a price costs, in pico-dollars: the same order at every call, whatever it uses."""
    return sum((Fraction(rate.price_pico_usd, rate.per) for rate in own.price.rates.values()), Fraction(0))

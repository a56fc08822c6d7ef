"""The prices that the genai-prices package brings: which model a name means there, and its price at an instant.

Importing this module loads all of its data (a third of a second), so the price book does it at its first quote. The data
is that of the installed package, whatever else the process does with it: nothing is fetched, and what a price is called
stays true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from genai_prices import __version__
from genai_prices.data import providers
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from guardrails.core.frozen import Frozen
from guardrails.core.model_name import forms_as_given
from guardrails.core.money import PICO_PER_USD
from guardrails.core.provider_name import provider_id, split_prefix
from guardrails.pricing.price import Price
from guardrails.pricing.provider_names import is_bedrock, prefix_provider, without_gateways
from guardrails.pricing.tariff import Rate

_BY_ID = {provider.id: provider for provider in providers}
_METERS = {unit["price_key"]: (meter, int(unit["per"])) for meter, unit in unit_data.items()}

_MAKERS = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "perplexity",
    "voyageai",
    "x-ai",
    "deepseek",
    "moonshotai",
    "minimax",
    "zai",
)
"""Who serves its own models under names that say so, asked in this order when a name comes without a provider."""

_GROQ_WHISPER = frozenset({"whisper-large-v3", "whisper-large-v3-turbo"})
_GROQ_MINIMUM_S = 10
"""Groq bills at least ten seconds of audio; genai-prices has this in its code, not in its data."""

ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Listing:
    """A model as a provider lists it. `resold`: the price is that of the model's maker, whom the provider stands in for."""

    provider: str
    model: ModelInfo
    resold: bool


@dataclass(frozen=True, slots=True)
class Dated:
    """A price and the half-open time in which it is the one; `price` is None where the model is listed without any."""

    price: Price | None
    start: datetime
    end: datetime


def named_provider(model: str, provider: str | None) -> str | None:
    """The id of the provider that serves a name: as the caller says, else as the prefix of the name says; None where none is known."""
    if provider is not None:
        found = _provider(provider)
        return None if found is None else found.id
    return next((known.id for known, _ in _prefixed(model)), None)


def listing(model: str, provider: str | None) -> Listing | None:
    """What a name means at a provider (folded; None: not said), or None.

    Tried in order: the provider that the caller names, under each form of the name; each provider that the name's prefixes
    name, from the left, as far as they are known; the name alone, where neither names a provider. A provider that nobody
    lists has no prices: what others ask for the same model says nothing of it.
    """
    asked = None if provider is None else _provider(provider)
    if provider is not None and asked is None:
        return None
    forms = forms_as_given(model)
    attempts = [] if asked is None else [(asked, form) for form in forms]
    attempts += [(known, form) for known, rest in _prefixed(model) for form in forms_as_given(rest)]
    if found := next((found for each, form in attempts if (found := _listed(each, form))), None):
        return found
    return by_name(without_gateways(model)) if not attempts else None


def by_name(form: str) -> Listing | None:
    """What a folded name means that comes without a provider, or None."""
    candidates = [_BY_ID["aws"]] if is_bedrock(form) else []
    candidates += [provider for provider in providers if provider.model_match is not None and provider.model_match.is_match(form)][:1]
    candidates += [_BY_ID[maker] for maker in _MAKERS]
    return next((found for provider in candidates if (found := _listed(provider, form))), None)


def dated_price(found: Listing, at: datetime, context: dict[str, str]) -> Dated:
    """The price of a listed model at an instant, in the context of a request (`{"service_tier": "flex"}`)."""
    model = found.model
    # genai-prices reads a request's context at the model's own provider only, and so do we.
    prices = model.get_prices(at, None if found.resold else context)
    constraints = [each.constraint for each in _conditional(model)]
    instants = [instant for constraint in constraints for instant in _changes(constraint, at)]
    start = max((instant for instant in instants if instant <= at), default=ALWAYS[0])
    end = min((instant for instant in instants if instant > at), default=ALWAYS[1])
    rates = dict(_rates(prices))
    if found.provider == "groq" and model.id in _GROQ_WHISPER:
        rates = {meter: Rate(rate.price_pico_usd, rate.per, rate.tiers, _GROQ_MINIMUM_S) for meter, rate in rates.items()}
    if not rates and model.id.endswith(":free"):
        # What `:free` means where it is part of the name; zeros are left out of the data.
        rates = {meter: Rate(0) for meter in ("input_tokens", "output_tokens")}
    price = Price(_name(found, at, {} if found.resold else context), Frozen(rates)) if rates else None
    return Dated(price, start, end)


def _name(found: Listing, at: datetime, context: dict[str, str]) -> str:
    """Where a price comes from, since when, and for which context it is another one than the standard."""
    met = [each for each in found.model.price_variants or () if each.when.items() <= context.items() and vars(each.prices)]
    in_question = [each for each in _conditional(found.model) if isinstance(each, ConditionalPrice) or each in met]
    constraints = [each.constraint for each in in_question if each.constraint is not None and each.constraint.active(at)]
    since = [str(constraint.start_date) for constraint in constraints if isinstance(constraint, StartDateConstraint)]
    of_context = [value for each in met if each.constraint is None or each.constraint.active(at) for value in each.when.values()]
    return " ".join([f"genai-prices {__version__} {found.provider}/{found.model.id}", *sorted(since)[-1:], *dict.fromkeys(of_context)])


def _provider(name: str) -> Provider | None:
    return find_provider_by_id(providers, provider_id(name))


def _prefixed(model: str) -> Iterator[tuple[Provider, str]]:
    """The providers that the prefixes of a name name, each with the rest of the name; ends at the first prefix that names none."""
    rest = without_gateways(model)
    while rest:
        prefix, rest = split_prefix(rest)
        known = _BY_ID.get(prefix_provider(prefix))
        if known is None:
            return
        yield known, rest


def _listed(provider: Provider, form: str) -> Listing | None:
    model = provider.find_model(form, all_providers=providers)
    return None if model is None else Listing(provider.id, model, resold=not any(model is own for own in provider.models))


def _conditional(model: ModelInfo) -> Sequence[ConditionalPrice | PriceVariant]:
    return [*([] if isinstance(model.prices, ModelPrice) else model.prices), *(model.price_variants or ())]


def _changes(constraint: StartDateConstraint | TimeOfDateConstraint | None, at: datetime) -> Iterator[datetime]:
    """The instants near `at` at which a constraint begins or ceases to hold."""
    if isinstance(constraint, StartDateConstraint):
        yield _midnight(constraint.start_date)
    elif constraint is not None:
        today = at.astimezone(UTC).date()
        for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
            for clock in (constraint.start_time, constraint.end_time):
                yield datetime.combine(day, clock, clock.tzinfo or UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _rates(prices: ModelPrice) -> Iterator[tuple[str, Rate]]:
    stated = {key: price for key, price in vars(prices).items() if price is not None}
    for key, price in stated.items():
        meter, per = _METERS[key]
        if isinstance(price, TieredPrices):
            yield meter, Rate(_pico(price.base), per, tuple((tier.start, _pico(tier.price)) for tier in price.tiers))
        else:
            yield meter, Rate(_pico(price), per)


def _pico(price_usd: Decimal) -> int:
    """Whole pico-dollars; beyond those the data has only the noise of binary numbers (`0.13999999999999999`)."""
    return int((price_usd * PICO_PER_USD).to_integral_value(ROUND_HALF_EVEN))

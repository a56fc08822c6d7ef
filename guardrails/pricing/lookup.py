"""From a name to a quote: which own prices and which listing of genai-prices a name meets, and what they say at an instant.

Loads genai-prices; the price book imports this module at the first quote that it has not answered yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from guardrails.core.model_name import fold, forms_as_given
from guardrails.core.provider_name import BEFORE_COLON, provider_id, split_prefix
from guardrails.pricing.genai import ALWAYS, Listing, by_name, dated_price, listing, named_provider
from guardrails.pricing.own_prices import OwnPrices, Rank, in_force
from guardrails.pricing.price import Price, Quote
from guardrails.pricing.provider_names import GATEWAYS, all_forms, folded_provider, without_gateways


@dataclass(frozen=True, slots=True)
class Found:
    """What a name means, whatever the instant.

    Attributes:
        forms: as in a quote.
        provider: as in a quote; None also where own prices alone know it, at an instant.
        named: the id of the provider that the name's prefix names, or that of what it is an alias of; None where none does.
        runs_there: whether the provider that was asked for takes the model under this name, as the prices have it; None where
            neither they nor the name say it.
        listing: the model in genai-prices; None where it has none.
        ranks: the own prices that the name meets, those that win first.
    """

    model: str
    forms: tuple[str, ...]
    provider: str | None
    named: str | None
    runs_there: bool | None
    listing: Listing | None
    ranks: tuple[Rank, ...]


def found(own: OwnPrices, model: str, provider: str | None) -> Found:
    """What a name at a provider means."""
    prefixes = BEFORE_COLON | own.providers
    target = own.target(forms_as_given(model, prefixes))
    names = (model,) if target is None else (model, target)
    named = next((prefix for name in reversed(names) if (prefix := _named(own, name)) is not None), None)
    asked = folded_provider(provider if provider is not None else named)
    if target is not None:
        listed = _listing_of_target(own, target, asked)
    elif provider is None and named is not None and named_provider(model, None) is not None:
        listed = listing(model, None)
    else:
        listed = listing(model, asked)
    served_by = fold(provider) if provider is not None else named or (None if listed is None else listed.provider)

    given = tuple(dict.fromkeys(form for name in names for form in forms_as_given(name, prefixes)))
    forms = all_forms(*names, providers=prefixes)
    canonical = [known.model.id for form in forms if "/" not in form and (known := by_name(form)) is not None]
    if listed is not None:
        canonical.insert(0, listed.model.id)
    forms = tuple(dict.fromkeys([*forms, *all_forms(*canonical)]))

    ids = frozenset() if served_by is None else frozenset({provider_id(served_by), named_provider(model, served_by) or served_by})
    other = [form for form in forms if form not in given]
    ranks = (
        *own.exact(given, ids),
        *(own.bound([without_gateways(name) for name in names]) if served_by is None else ()),
        *own.by_pattern(given, ids),
        *own.exact(other, ids),
        *own.by_pattern(other, ids),
    )
    runs_there = None if provider is None else _runs_there(fold(provider), ids, named, listed, ranks)
    return Found(model, forms, served_by, named, runs_there, listed, ranks)


def quoted(name: Found, context: dict[str, str], at: datetime) -> tuple[Quote, datetime, datetime]:
    """The quote at an instant, and the half-open time in which it is the same."""
    price: Price | None = None
    start, end = ALWAYS
    context_window = max_output_tokens = None
    if name.listing is not None:
        dated = dated_price(name.listing, at, context)
        price, start, end = dated.price, dated.start, dated.end
        context_window = name.listing.model.context_window
    provider = name.provider
    own = in_force(name.ranks, at)
    if own is not None:
        provider = own.provider if provider is None else provider
        price, max_output_tokens = own.price, own.max_output_tokens
        context_window = own.context_window or context_window
    changes = [each.starts for rank in name.ranks for timeline in rank for each in timeline]
    start = max([start, *(change for change in changes if change <= at)])
    end = min([end, *(change for change in changes if change > at)])
    return Quote(name.model, name.forms, provider, price, context_window, max_output_tokens), start, end


def _named(own: OwnPrices, name: str) -> str | None:
    """The id of the provider that the prefix of a name names: one that own prices are bound to, or one of genai-prices."""
    prefixes = BEFORE_COLON | own.providers
    firsts = [split_prefix(start, prefixes)[0] for start in (fold(name), without_gateways(name))]
    bound = next((provider_id(first) for first in firsts if provider_id(first) in own.providers), None)
    return named_provider(name, None) if bound is None else bound


def _listing_of_target(own: OwnPrices, target: str, asked: str | None) -> Listing | None:
    """What an alias stands for: where its prefix says, else at the provider of the call, else by its name alone."""
    if named_provider(target, None) is None:
        if (at_provider := listing(target, asked)) is not None:
            return at_provider
        if (named := folded_provider(_named(own, target))) is not None:
            return listing(target, named)
    return listing(target, None)


def _runs_there(asked: str, ids: frozenset[str], named: str | None, listed: Listing | None, ranks: tuple[Rank, ...]) -> bool | None:
    """Whether a provider takes a model; a price without a provider does not say so."""
    if asked in GATEWAYS:
        return True
    at_home = named is None or named in ids
    # Who resells the models of others under their names has the prefix in its own: OpenRouter's `openai/gpt-5.2`.
    if listed is not None and listed.provider in ids and (at_home or "/" in listed.model.id):
        return True
    if any(timeline[0].provider is not None and (at_home or "/" in timeline[0].model) for rank in ranks for timeline in rank):
        return True
    return None if at_home else False

"""From a name to a quote: which own prices and which listing of genai-prices a name meets, and what they say at an instant.

Loads genai-prices; the price book imports this module at the first quote that it has not answered yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from guardrails.core.model_name import fold, forms_as_given
from guardrails.pricing.genai import ALWAYS, Listing, by_name, dated_price, listing, named_provider
from guardrails.pricing.own_prices import OwnPrices, Timeline, in_force
from guardrails.pricing.price import Price, Quote
from guardrails.pricing.provider_names import all_forms, folded_provider, provider_id


@dataclass(frozen=True, slots=True)
class Found:
    """What a name means, whatever the instant.

    Attributes:
        forms: as in a quote.
        provider: as in a quote.
        listing: the model in genai-prices; None where it has none.
        timelines: the own prices that the name meets, the one that wins first.
    """

    model: str
    forms: tuple[str, ...]
    provider: str | None
    listing: Listing | None
    timelines: tuple[Timeline, ...]


def found(own: OwnPrices, model: str, provider: str | None) -> Found:
    """What a name at a provider means."""
    target = own.target(forms_as_given(model))
    names = (model,) if target is None else (model, target)
    asked = folded_provider(provider)
    listed = listing(model, asked) if target is None else _listing_of_target(target, asked)
    prefixed = named_provider(names[-1], None)
    served_by = fold(provider) if provider is not None else prefixed or (None if listed is None else listed.provider)

    given = tuple(dict.fromkeys(form for name in names for form in forms_as_given(name)))
    forms = all_forms(*names)
    canonical = [known.model.id for form in forms if "/" not in form and (known := by_name(form)) is not None]
    if listed is not None:
        canonical.insert(0, listed.model.id)
    forms = tuple(dict.fromkeys([*forms, *all_forms(*canonical)]))

    ids = frozenset() if served_by is None else frozenset({provider_id(served_by), named_provider(model, served_by) or served_by})
    timelines = own.timelines(given, ids) + own.timelines([form for form in forms if form not in given], ids)
    return Found(model, forms, served_by, listed, tuple(timelines))


def quoted(name: Found, context: dict[str, str], at: datetime) -> tuple[Quote, datetime, datetime]:
    """The quote at an instant, and the half-open time in which it is the same."""
    price: Price | None = None
    start, end = ALWAYS
    context_window = max_output_tokens = None
    if name.listing is not None:
        dated = dated_price(name.listing, at, context)
        price, start, end = dated.price, dated.start, dated.end
        context_window = name.listing.model.context_window
    own = in_force(name.timelines, at)
    if own is not None:
        price, max_output_tokens = own.price, own.max_output_tokens
        context_window = own.context_window or context_window
    changes = [each.starts for timeline in name.timelines for each in timeline]
    start = max([start, *(change for change in changes if change <= at)])
    end = min([end, *(change for change in changes if change > at)])
    return Quote(name.model, name.forms, name.provider, price, context_window, max_output_tokens), start, end


def _listing_of_target(target: str, asked: str | None) -> Listing | None:
    """What an alias stands for: where its prefix says, else at the provider of the call, else by its name alone."""
    if named_provider(target, None) is None and (at_provider := listing(target, asked)) is not None:
        return at_provider
    return listing(target, None)

"""A price, and what the price book says of a model: plain values that a decision can pin and a record can keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from guardrails.core.frozen import Frozen
from guardrails.pricing.tariff import Rate, Tariff, tariff_of

__all__ = ["Price", "Quote", "Rate", "quote_from_text", "quote_id", "quote_to_text"]


@dataclass(frozen=True)
class Price:
    """The rates of one model at one instant.

    `rates` are keyed by meter: the names of genai-prices' usage units (`input_tokens`, `output_tokens`, `cache_read_tokens`,
    `cache_write_tokens`, `input_audio_tokens`, `audio_seconds`, `web_searches`, `requests`, …) and the units of prices.yaml (`gpu_hour`).
    `name` says where the price comes from and since when: `genai-prices 0.2.3 openai/gpt-5.2`, `prices.yaml h200-hour 2026-01-01`.
    """

    name: str
    rates: Mapping[str, Rate] = field(default_factory=Frozen)

    @cached_property
    def is_free(self) -> bool:
        """Whether nothing under this price costs anything."""
        return all(rate.is_free for rate in self.rates.values())

    @cached_property
    def tariff(self) -> Tariff:
        """The rates as cost and estimate multiply them."""
        return tariff_of(self.rates)


@dataclass(frozen=True)
class Quote:
    """What the price book says of one model, for one service tier, at one instant.

    Attributes:
        model: the name asked for, as given.
        forms: every folded form of the name under which patterns are tested: as given, without provider prefixes, canonical.
        provider: the folded id of the provider, as given or as the price book knows it; None where neither does.
        price: None where the book has no price of the model.
        context_window: the most input and output tokens together, where known.
        max_output_tokens: the most that the model writes, where known.
    """

    model: str
    forms: tuple[str, ...]
    provider: str | None = None
    price: Price | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None

    @cached_property
    def id(self) -> str:
        """The hash of everything in the quote, 16 bytes in hex; the same content has the same id everywhere."""
        return quote_id(quote_to_text(self))


def quote_id(text: str) -> str:
    """The id of a quote by its canonical text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def quote_to_text(quote: Quote) -> str:
    """Canonical JSON text of a quote, from which `quote_from_text` makes the same quote again."""
    content = {
        "model": quote.model,
        "forms": quote.forms,
        "provider": quote.provider,
        "price": None if quote.price is None else {"name": quote.price.name, "rates": _rates_to_json(quote.price.rates)},
        "context_window": quote.context_window,
        "max_output_tokens": quote.max_output_tokens,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def quote_from_text(text: str) -> Quote:
    """The quote of a canonical text.

    Raises:
        ValueError: the text is not that of a quote.
    """
    try:
        content = json.loads(text)
        price = content["price"]
        return Quote(
            model=content["model"],
            forms=tuple(content["forms"]),
            provider=content["provider"],
            price=None if price is None else Price(price["name"], _rates_from_json(price["rates"])),
            context_window=content["context_window"],
            max_output_tokens=content["max_output_tokens"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"not the text of a quote: {text[:80]!r}"
        raise ValueError(msg) from error


def _rates_to_json(rates: Mapping[str, Rate]) -> dict[str, object]:
    return {
        meter: {"price_pico_usd": rate.price_pico_usd, "per": rate.per, "tiers": rate.tiers, "minimum": rate.minimum}
        for meter, rate in rates.items()
    }


def _rates_from_json(rates: Mapping[str, Mapping[str, object]]) -> Mapping[str, Rate]:
    return Frozen(
        {
            meter: Rate(
                price_pico_usd=_whole(rate["price_pico_usd"]),
                per=_whole(rate["per"]),
                tiers=tuple((_whole(start), _whole(price)) for start, price in _pairs(rate["tiers"])),
                minimum=_whole(rate["minimum"]),
            )
            for meter, rate in rates.items()
        }
    )


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _pairs(value: object) -> list[list[object]]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value

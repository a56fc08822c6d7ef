"""The price book: what a model is called, who serves it, and its price at an instant, from the folder's own prices and genai-prices."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from guardrails.core.errors import InvalidPolicy
from guardrails.core.model_name import fold
from guardrails.pricing.own_prices import OwnPrices
from guardrails.pricing.price import Quote
from guardrails.pricing.prices_file import read_prices

if TYPE_CHECKING:
    from guardrails.pricing.lookup import Found

_REMEMBERED = 4_096
"""Names and quotes remembered at most; names come from callers, who may send new ones for ever."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A quote and the half-open time in which it is the one."""

    quote: Quote
    start: datetime
    end: datetime


class PriceBook:
    """Prices by model and date: those of a policy folder's prices.yaml, which win, and those of genai-prices.

    It may be shared between threads: what it remembers are values, and a race computes one of them twice.

    Attributes:
        version: names the prices: the release of genai-prices and the hash of prices.yaml.
    """

    def __init__(self, own: OwnPrices, version: str) -> None:
        self.version = version
        self._own = own
        self._found: dict[tuple[str, str | None], Found] = {}
        self._quotes: dict[tuple[str, str | None, str | None, str], _Remembered] = {}

    @classmethod
    def open(cls, prices_yaml: str | None = None, path: str = "prices.yaml") -> PriceBook:
        """A book with the prices of a text, shown as `path` in problems.

        Raises:
            InvalidPolicy: the text has mistakes; carries all of them.
        """
        release = f"genai-prices {version('genai-prices')}"
        if prices_yaml is None:
            return cls(OwnPrices(), release)
        own, problems = read_prices(prices_yaml, path)
        if problems:
            raise InvalidPolicy(problems)
        return cls(own, f"{release} + prices.yaml sha256:{hashlib.sha256(prices_yaml.encode()).hexdigest()}")

    def quote(
        self, model: str, *, provider: str | None = None, service_tier: str | None = None, operation: str = "chat", at: datetime
    ) -> Quote:
        """What the book says of a model at an instant; a model that it does not know has a quote without a price.

        A service tier that the book does not know has the standard price; `batch` is a tier and an operation.
        """
        key = (model, provider, service_tier, operation)
        remembered = self._quotes.get(key)
        if remembered is None or not remembered.start <= at < remembered.end:
            remembered = self._looked_up(model, provider, _context(service_tier, operation), at)
            if len(self._quotes) >= _REMEMBERED:
                self._quotes.clear()
            self._quotes[key] = remembered
        return remembered.quote

    def provider_named(self, model: str) -> str | None:
        """The id of the provider that a name's prefix names (`azure/gpt-5.2`), or that of what it is an alias of; None where none does."""
        return self._meaning(model, None).named

    def runs_at(self, model: str, provider: str) -> bool | None:
        """Whether a provider takes a model under this name, as the prices have it.

        None where neither they nor the name say it: a price that is bound to no provider is for all that have the model.
        """
        return self._meaning(model, provider).runs_there

    def _looked_up(self, model: str, provider: str | None, context: dict[str, str], at: datetime) -> _Remembered:
        from guardrails.pricing.lookup import quoted  # noqa: PLC0415 - loads all of genai-prices, a third of a second

        return _Remembered(*quoted(self._meaning(model, provider), context, at))

    def _meaning(self, model: str, provider: str | None) -> Found:
        name = self._found.get((model, provider))
        if name is None:
            from guardrails.pricing.lookup import found  # noqa: PLC0415 - as above

            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            name = self._found[model, provider] = found(self._own, model, provider)
        return name


def _context(service_tier: str | None, operation: str) -> dict[str, str]:
    """A request's context in the words of genai-prices, where Anthropic's fast mode is a speed and batch a way of processing."""
    tier = None if service_tier is None else fold(service_tier)
    context = {} if tier is None else {"service_tier": tier}
    if tier == "fast":
        context["speed"] = tier
    if tier == "batch" or fold(operation) == "batch":
        context["processing"] = "batch"
    return context

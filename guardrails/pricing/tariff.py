"""Rates, and the rates of one price made ready to multiply: every kind of token with the rate that it falls back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm

TOOL_UNITS = frozenset({"web_searches", "social_searches", "storage_searches", "code_executions", "requests"})
"""Units that come on top of a call: a usage that does not name them used none."""

_PARTS = {
    "input_audio_tokens": ("input_audio_tokens",),
    "input_image_tokens": ("input_image_tokens",),
    "input_video_tokens": ("input_video_tokens",),
    "cache_read_audio_tokens": ("cache_audio_read_tokens", "cache_read_tokens", "input_audio_tokens"),
    "cache_read_image_tokens": ("cache_image_read_tokens", "cache_read_tokens", "input_image_tokens"),
    "output_audio_tokens": ("output_audio_tokens",),
    "output_image_tokens": ("output_image_tokens",),
    "output_video_tokens": ("output_video_tokens",),
    "reasoning_tokens": ("output_reasoning_tokens",),
}
"""The meters of a part of the tokens, the first that the price has; the rate of the whole where it has none of them."""

_WHOLES = {
    "input": ("input_tokens",),
    "cache_read": ("cache_read_tokens", "input_tokens"),
    "write_short": ("cache_write_5m_tokens", "cache_write_tokens", "input_tokens"),
    "write_long": ("cache_write_1h_tokens", "cache_write_tokens", "input_tokens"),
    # Retention not reported: the provider's default, which is the short one wherever there is a choice.
    "write_unknown": ("cache_write_tokens", "cache_write_5m_tokens", "input_tokens"),
    "output": ("output_tokens",),
}
"""The meters of each counter, the first that the price has: a cached token is an input token where nothing else is said."""

TOKEN_METERS = frozenset(meter for meters in (*_PARTS.values(), *_WHOLES.values()) for meter in meters)


@dataclass(frozen=True, slots=True)
class Rate:
    """What `per` units of one meter cost, in pico-dollars, by the size of the request.

    `tiers` are (input tokens, price) pairs, ascending: a request with more input than that pays this price for all of
    its units of the meter. `minimum` is the count billed at least where there is any (Groq bills ten seconds of audio).
    """

    price_pico_usd: int
    per: int = 1_000_000
    tiers: tuple[tuple[int, int], ...] = ()
    minimum: int = 0

    def at(self, request_input_tokens: int) -> int:
        """The price in pico-dollars of `per` units in a request with that much input, cached input included."""
        price = self.price_pico_usd
        for start, tier_price in self.tiers:
            if request_input_tokens > start:
                price = tier_price
        return price

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing at any size."""
        return self.price_pico_usd == 0 and not any(price for _, price in self.tiers)


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Pico-dollars of `Tariff.divisor` tokens of each counter in a request of one size; None where the price says nothing.

    The `…_parts` are (field of Usage, what such a token costs above the whole that contains it), only where that is not 0.
    """

    input: int | None
    cache_read: int | None
    write_short: int | None
    write_long: int | None
    write_unknown: int | None
    output: int | None
    input_parts: tuple[tuple[str, int], ...]
    cache_read_parts: tuple[tuple[str, int], ...]
    output_parts: tuple[tuple[str, int], ...]
    has_parts: bool
    hold_input: int | None
    hold_output: int | None


@dataclass(frozen=True, slots=True)
class Tariff:
    """The rates of one price as cost and estimate multiply them.

    Attributes:
        divisor: how many tokens the token rates are for.
        base: the token rates of a small request; `steps` are those of requests with more input than so many tokens, ascending.
        sells_tokens: tokens are charged. A model that is paid by other units alone charges none, and one whose tokens are
            all at 0 beside a paid unit (seconds, GPU hours) counts as such, so that a zero in one field masks no other.
        needs: units of which a usage must state one where no tokens are charged; empty where tokens are.
        units: the rates of all other meters.
    """

    divisor: int
    base: TokenRates
    steps: tuple[tuple[int, TokenRates], ...]
    sells_tokens: bool
    needs: frozenset[str]
    units: Mapping[str, Rate]

    def at(self, request_input_tokens: int) -> TokenRates:
        """The token rates of a request with that much input, cached input included."""
        rates = self.base
        for start, step in self.steps:
            if request_input_tokens > start:
                rates = step
        return rates


def tariff_of(rates: Mapping[str, Rate]) -> Tariff:
    """The rates of a price, made ready to multiply."""
    tokens = {meter: rate for meter, rate in rates.items() if meter in TOKEN_METERS}
    units = {meter: rate for meter, rate in rates.items() if meter not in TOKEN_METERS}
    divisor = lcm(*(rate.per for rate in tokens.values()))
    starts = sorted({start for rate in tokens.values() for start, _ in rate.tiers})
    by_itself = frozenset(units) - TOOL_UNITS or frozenset(units)
    sells_tokens = any(not rate.is_free for rate in tokens.values()) or (bool(tokens) and not frozenset(units) - TOOL_UNITS)
    return Tariff(
        divisor=divisor,
        base=_token_rates(tokens, divisor, 0),
        steps=tuple((start, _token_rates(tokens, divisor, start + 1)) for start in starts),
        sells_tokens=sells_tokens,
        needs=frozenset() if sells_tokens else by_itself,
        units=units,
    )


def _token_rates(rates: Mapping[str, Rate], divisor: int, request_input_tokens: int) -> TokenRates:
    prices = {meter: rate.at(request_input_tokens) * (divisor // rate.per) for meter, rate in rates.items()}
    wholes = {counter: _first(prices, meters) for counter, meters in _WHOLES.items()}
    parts = {whole: _surcharges(prices, whole, wholes[whole]) for whole in ("input", "cache_read", "output")}
    return TokenRates(
        **wholes,
        input_parts=parts["input"],
        cache_read_parts=parts["cache_read"],
        output_parts=parts["output"],
        has_parts=any(parts.values()),
        # Any call may be served from the cache, and may reason, so a hold counts the dearer of both.
        hold_input=_dearer(wholes["input"], wholes["cache_read"]),
        hold_output=_dearer(wholes["output"], prices.get("output_reasoning_tokens")),
    )


def _first(prices: Mapping[str, int], meters: tuple[str, ...]) -> int | None:
    return next((prices[meter] for meter in meters if meter in prices), None)


def _dearer(whole: int | None, other: int | None) -> int | None:
    return whole if whole is None or other is None else max(whole, other)


def _surcharges(prices: Mapping[str, int], whole: str, whole_price: int | None) -> tuple[tuple[str, int], ...]:
    if whole_price is None:
        return ()
    surcharges = []
    for counter, meters in _PARTS.items():
        if counter.startswith(whole) or (whole == "output" and counter == "reasoning_tokens"):
            price = _first(prices, meters)
            if price is not None and price != whole_price:
                surcharges.append((counter, price - whole_price))
    return tuple(surcharges)

"""Our costs are those of genai-prices, for every model that it has a token price of.

The one difference by intent: output of a model that sells none is unknown here and nothing there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import genai_prices
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.core.usage import Usage
from guardrails.pricing.cost import cost
from guardrails.pricing.genai import Listing, dated_price
from guardrails.pricing.price import Price

AT = (datetime(2025, 6, 1, 2, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC), datetime(2026, 11, 1, 7, tzinfo=UTC))
CONTEXTS: tuple[dict[str, str], ...] = ({}, {"processing": "batch"}, {"service_tier": "priority"}, {"service_tier": "flex"})
MODELS = [(provider, model) for provider in providers for model in provider.models]
PARTED = [
    (provider, model)
    for provider, model in MODELS
    if any(word in key for word in ("audio", "image", "video", "reasoning", "1h") for key in vars(model.get_prices(AT[-1])))
]
"""Models with a price of their own for a part of the tokens: few, and so drawn more often."""


def priced(provider: Provider, model: ModelInfo, at: datetime, context: dict[str, str]) -> Price | None:
    price = dated_price(Listing(provider.id, model, resold=False), at, context).price
    return price if price is not None and price.tariff.sells_tokens else None


def genai_usage(usage: Usage) -> genai_prices.Usage:
    """The sums of our disjoint counters, as genai-prices counts."""
    assert usage.all_input_tokens is not None
    assert usage.output_tokens is not None
    return genai_prices.Usage(
        input_tokens=usage.all_input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_5m_tokens=usage.cache_write_short_tokens,
        cache_write_1h_tokens=usage.cache_write_long_tokens,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.input_audio_tokens + usage.cache_read_audio_tokens,
        cache_audio_read_tokens=usage.cache_read_audio_tokens,
        input_image_tokens=usage.input_image_tokens + usage.cache_read_image_tokens,
        cache_image_read_tokens=usage.cache_read_image_tokens,
        input_video_tokens=usage.input_video_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        output_image_tokens=usage.output_image_tokens,
        output_video_tokens=usage.output_video_tokens,
    )


def noise_nano_usd(model: ModelInfo, at: datetime, context: dict[str, str]) -> int:
    """1 where a price is finer than a pico-dollar, as the noise of a binary number is: then both sides differ below that."""
    values = [value for value in vars(model.get_prices(at, context)).values() if value is not None]
    prices = [
        price
        for value in values
        for price in ([value.base, *(tier.price for tier in value.tiers)] if isinstance(value, TieredPrices) else [value])
    ]
    return int(any(price != price.quantize(Decimal("1e-12")) for price in prices))


def agrees(provider: Provider, model: ModelInfo, usage: Usage, at: datetime, context: dict[str, str]) -> bool:
    price = priced(provider, model, at, context)
    if price is None:
        return True
    ours = cost(usage, price)
    if usage.output_tokens and "output_tokens" not in price.rates:
        return ours is None
    total = model.calc_price(genai_usage(usage), provider, genai_request_timestamp=at, price_context=context).total_price
    theirs = int((total * 10**9).to_integral_value(ROUND_HALF_EVEN))
    return ours is not None and abs(ours - theirs) <= noise_nano_usd(model, at, context)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usage whose parts are within their wholes, in sizes on both sides of every long-context tier."""

    def within(whole: int, *names: str) -> dict[str, int]:
        parts = {}
        for name in names:
            parts[name] = draw(st.integers(0, whole))
            whole -= parts[name]
        return parts

    counts = st.integers(0, 300_000)
    input_tokens, cached, output = draw(counts), draw(counts), draw(st.integers(0, 50_000))
    writes = {f"cache_write_{retention}_tokens": draw(st.integers(0, 10_000)) for retention in ("short", "long", "unknown")}
    parts: dict[str, Any] = {
        **writes,
        **within(input_tokens, "input_audio_tokens", "input_image_tokens", "input_video_tokens"),
        **within(cached, "cache_read_audio_tokens", "cache_read_image_tokens"),
        **within(output, "output_audio_tokens", "output_image_tokens", "output_video_tokens", "reasoning_tokens"),
    }
    return replace(Usage(input_tokens=input_tokens, cache_read_tokens=cached, output_tokens=output), **parts)


def test_every_model_costs_what_genai_prices_says() -> None:
    small = Usage(input_tokens=1_237, cache_read_tokens=411, cache_write_short_tokens=97, cache_write_long_tokens=53, output_tokens=389)
    large = Usage(input_tokens=1_000_003, cache_read_tokens=7, cache_write_unknown_tokens=11, output_tokens=0)
    differing = [
        (provider.id, model.id) for provider, model in MODELS for usage in (small, large) if not agrees(provider, model, usage, AT[-1], {})
    ]
    assert differing == []


@settings(max_examples=300)
@given(st.sampled_from(MODELS) | st.sampled_from(PARTED), usages(), st.sampled_from(AT), st.sampled_from(CONTEXTS))
def test_any_usage_costs_what_genai_prices_says(
    listed: tuple[Provider, ModelInfo], usage: Usage, at: datetime, context: dict[str, str]
) -> None:
    assert agrees(*listed, usage, at, context)


def test_every_price_key_of_the_data_is_a_meter_of_ours() -> None:
    for provider, model in MODELS:
        for context in CONTEXTS:
            dated = dated_price(Listing(provider.id, model, resold=False), AT[-1], context)
            assert dated.start <= AT[-1] < dated.end
            assert dated.price is None or dated.price.rates

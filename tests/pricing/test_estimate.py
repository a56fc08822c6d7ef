"""What a hold keeps back, by hand; one USD per million tokens is 1,000 nano-dollars per token."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.core.call import Call
from guardrails.core.usage import Usage
from guardrails.pricing.book import PriceBook
from guardrails.pricing.cost import cost
from guardrails.pricing.estimate import Estimate, estimate
from guardrails.pricing.price import Price, Quote, Rate

AT = datetime(2026, 11, 1, tzinfo=UTC)
JANUARY = datetime(2026, 1, 15, tzinfo=UTC)
MODELS = (
    "gpt-5.2",
    "claude-sonnet-4-6",
    "gemini-2.5-pro",
    "gpt-realtime",
    "gpt-image-1.5",
    "sonar-deep-research",
    "openrouter/~deepseek/deepseek-pro-latest",
)


def quoted(**rates: Rate) -> Quote:
    return Quote("m", ("m",), price=Price("by hand", rates))


USD = 10**12
BOOK = PriceBook.open()


def test_the_hold_is_input_and_output_bound_at_their_rates(book: PriceBook) -> None:
    # 1,200 x 1,750 + 800 x 14,000
    call = Call(model="gpt-5.2", input_tokens=1_200, max_output_tokens=800)
    assert estimate(call, book.quote("gpt-5.2", at=AT), 1_024) == Estimate(1_200, 800, 13_300_000)


def test_the_hold_has_the_long_context_tier(book: PriceBook) -> None:
    """Acceptance 7."""
    january = book.quote("claude-sonnet-4-6", at=JANUARY)
    # 300,000 x 6,000 + 1,000 x 22,500, not 300,000 x 3,000 + 1,000 x 15,000; at 200,000 still the latter's rates
    assert estimate(Call(model="m", input_tokens=300_000, max_output_tokens=1_000), january, 0).cost_nano_usd == 1_822_500_000
    assert estimate(Call(model="m", input_tokens=200_000, max_output_tokens=1_000), january, 0).cost_nano_usd == 615_000_000
    november = book.quote("claude-sonnet-4-6", at=AT)
    assert estimate(Call(model="m", input_tokens=300_000, max_output_tokens=1_000), november, 0).cost_nano_usd == 915_000_000


def test_a_call_that_does_not_say_how_much_it_writes_is_assumed_to_write_so_much(book: PriceBook) -> None:
    """Acceptance 23."""
    # 10 x 1,750 + 1,024 x 14,000
    assert estimate(Call(model="m", input_tokens=10), book.quote("gpt-5.2", at=AT), 1_024) == Estimate(10, 1_024, 14_353_500)


@pytest.mark.parametrize(("stated", "bound"), [(None, 500), (100, 100), (500, 500), (128_000, 500), (0, 0)])
def test_the_bound_is_never_more_than_the_model_can_write(stated: int | None, bound: int) -> None:
    quote = Quote("m", ("m",), price=Price("p", {"output_tokens": Rate(USD), "input_tokens": Rate(0)}), max_output_tokens=500)
    assert estimate(Call(model="m", max_output_tokens=stated), quote, 1_024) == Estimate(0, bound, bound * 1_000)


def test_the_bound_counts_for_token_caps_where_there_is_no_price() -> None:
    """Acceptance 5, 66."""
    assert estimate(Call(model="m", input_tokens=7), Quote("m", ("m",)), 1_024) == Estimate(7, 1_024, None)


def test_embeddings_write_nothing(book: PriceBook) -> None:
    quote = book.quote("text-embedding-3-small", at=AT)
    # 1,000 x 20
    assert estimate(Call(model="m", input_tokens=1_000, operation="embedding"), quote, 1_024) == Estimate(1_000, 0, 20_000)
    assert estimate(Call(model="m", input_tokens=1_000, operation="Embedding"), Quote("m", ("m",)), 1_024) == Estimate(1_000, 0, None)
    # Nobody sells its output, so none is assumed; one that is asked for has no price, unless the operation writes none.
    assert estimate(Call(model="m", input_tokens=1_000), quote, 1_024) == Estimate(1_000, 0, 20_000)
    assert estimate(Call(model="m", input_tokens=1_000, max_output_tokens=5), quote, 1_024) == Estimate(1_000, 5, None)
    embedding = Call(model="m", input_tokens=1_000, max_output_tokens=5, operation="embedding")
    assert estimate(embedding, quote, 1_024) == Estimate(1_000, 5, 20_000)


def test_calls_paid_by_the_second_reserve(book: PriceBook) -> None:
    """Acceptance 6."""
    quote = book.quote("whisper-1", at=AT)
    # 90 x 100,000
    assert estimate(Call(model="whisper-1", units={"audio_seconds": 90}, operation="audio"), quote, 1_024) == Estimate(0, 0, 9_000_000)
    assert estimate(Call(model="whisper-1", operation="audio"), quote, 1_024).cost_nano_usd is None


def test_units_of_our_own_reserve_and_unknown_ones_are_unknown() -> None:
    """Acceptance 18."""
    quote = quoted(gpu_hour=Rate(32 * USD // 10, 1))
    # 2.5 x 3.20 USD
    assert estimate(Call(model="m", units={"gpu_hour": Decimal("2.5")}), quote, 1_024).cost_nano_usd == 8_000_000_000
    assert estimate(Call(model="m", input_tokens=5), quote, 1_024).cost_nano_usd is None
    assert estimate(Call(model="m", units={"gpu_hours": 1}), quote, 1_024).cost_nano_usd is None
    assert estimate(Call(model="m", units={"gpu_hour": 1, "gpu_hours": 1}), quote, 1_024).cost_nano_usd is None


def test_a_fee_per_request_is_held_once(book: PriceBook) -> None:
    # 100 x 3,000 + 10 x 15,000 + 14,000,000
    call = Call(model="sonar-pro", input_tokens=100, max_output_tokens=10)
    assert estimate(call, book.quote("sonar-pro", provider="perplexity", at=AT), 0).cost_nano_usd == 14_450_000


def test_a_price_by_request_alone_needs_no_units() -> None:
    by_request = quoted(requests=Rate(5 * USD, 1_000))
    assert estimate(Call(model="m", input_tokens=100), by_request, 1_024).cost_nano_usd == 5_000_000
    assert by_request.price is not None
    assert cost(Usage(), by_request.price) == 5_000_000


def test_input_without_a_rate_is_unknown() -> None:
    assert estimate(Call(model="m", input_tokens=1, max_output_tokens=1), quoted(output_tokens=Rate(USD)), 0).cost_nano_usd is None


def test_a_hold_is_rounded_upwards() -> None:
    # 1 x 0.1 nano-dollars
    quote = quoted(input_tokens=Rate(USD // 10_000), output_tokens=Rate(0))
    assert estimate(Call(model="m", input_tokens=1), quote, 0).cost_nano_usd == 1
    with_unit = quoted(input_tokens=Rate(USD // 10_000), output_tokens=Rate(0), web_searches=Rate(USD, 1_000))
    assert estimate(Call(model="m", input_tokens=1, units={"web_searches": 1}), with_unit, 0).cost_nano_usd == 1_000_001


def test_free_models_hold_nothing() -> None:
    """Acceptance 51."""
    assert estimate(Call(model="m", input_tokens=100), quoted(input_tokens=Rate(0), output_tokens=Rate(0)), 1_024).cost_nano_usd == 0


def test_an_audio_call_is_held_at_audio_rates(book: PriceBook) -> None:
    quote = book.quote("gpt-realtime", at=AT)
    call = Call(model="gpt-realtime", input_tokens=100, max_output_tokens=10, operation="audio")
    # 100 x 32,000 + 10 x 64,000, where a chat is held at 100 x 4,000 + 10 x 16,000
    assert estimate(call, quote, 0).cost_nano_usd == 3_840_000
    assert estimate(Call(model="gpt-realtime", input_tokens=100, max_output_tokens=10), quote, 0).cost_nano_usd == 560_000


def test_a_hold_is_at_the_dearer_of_input_and_cached_input_and_of_output_and_reasoning() -> None:
    quote = quoted(
        input_tokens=Rate(USD), cache_read_tokens=Rate(2 * USD), output_tokens=Rate(3 * USD), output_reasoning_tokens=Rate(4 * USD)
    )
    # 10 x 2,000 + 5 x 4,000
    assert estimate(Call(model="m", input_tokens=10, max_output_tokens=5), quote, 0).cost_nano_usd == 40_000


def test_an_image_call_for_output_alone_has_no_input_rate() -> None:
    quote = quoted(output_tokens=Rate(USD), output_image_tokens=Rate(30 * USD))
    # 10 x 30,000
    assert estimate(Call(model="m", max_output_tokens=10, operation="image"), quote, 0).cost_nano_usd == 300_000
    assert estimate(Call(model="m", input_tokens=1, max_output_tokens=10, operation="image"), quote, 0).cost_nano_usd is None


def test_an_amount_beyond_the_ledger_is_unknown() -> None:
    assert estimate(Call(model="m", units={"gpu_hour": 10**12}), quoted(gpu_hour=Rate(10**21, 1)), 0).cost_nano_usd is None


@given(st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_hold(data: st.DataObject) -> None:
    """The law of holds: without cache writes and without parts of another modality than the operation's."""
    model = data.draw(st.sampled_from(MODELS))
    at = data.draw(st.sampled_from((JANUARY, AT)))
    operation = data.draw(st.sampled_from(("chat", "audio", "image", "video", "batch")))
    quote = BOOK.quote(model, operation=operation, service_tier=data.draw(st.sampled_from((None, "priority", "flex"))), at=at)
    bound = data.draw(st.integers(0, 500_000))
    writes = data.draw(st.integers(0, 100_000))
    input_tokens = data.draw(st.integers(0, bound))
    cached = data.draw(st.integers(0, bound - input_tokens))
    output = data.draw(st.integers(0, writes))
    parts = {
        "audio": {"input_audio_tokens": input_tokens, "cache_read_audio_tokens": cached, "output_audio_tokens": output},
        "image": {"input_image_tokens": input_tokens, "cache_read_image_tokens": cached, "output_image_tokens": output},
        "video": {"input_video_tokens": input_tokens, "output_video_tokens": output},
    }.get(operation, {"reasoning_tokens": output})
    drawn: dict[str, Any] = {part: data.draw(st.integers(0, most)) for part, most in parts.items()}
    usage = replace(Usage(input_tokens=input_tokens, cache_read_tokens=cached, output_tokens=output), **drawn)
    held = estimate(Call(model=model, input_tokens=bound, max_output_tokens=writes, operation=operation), quote, 0).cost_nano_usd
    spent = cost(usage, quote.price)
    assert held is not None
    assert spent is not None
    assert spent <= held

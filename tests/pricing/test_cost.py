"""Golden invoices: amounts by hand from the providers' price lists, in nano-dollars.

One USD per million tokens is 1,000 nano-dollars per token.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import pytest

from guardrails.core.usage import Usage
from guardrails.pricing.book import PriceBook
from guardrails.pricing.cost import clamped_parts, cost
from guardrails.pricing.price import Price, Rate

AT = datetime(2026, 11, 1, tzinfo=UTC)
JANUARY = datetime(2026, 1, 15, tzinfo=UTC)


def price(**usd_per_mtok: str) -> Price:
    return Price("by hand", MappingProxyType({meter: Rate(int(Decimal(usd) * 10**12)) for meter, usd in usd_per_mtok.items()}))


def test_openai_cached_input_is_charged_at_the_cached_rate_alone(book: PriceBook) -> None:
    """Acceptance 64."""
    # 10,000 prompt tokens, 8,000 of them cached; 1.75 / 0.175 / 14 USD per million:
    # 2,000 x 1,750 + 8,000 x 175 + 500 x 14,000 = 3,500,000 + 1,400,000 + 7,000,000
    usage = Usage(input_tokens=2_000, cache_read_tokens=8_000, output_tokens=500, reasoning_tokens=320)
    assert cost(usage, book.quote("gpt-5.2", at=AT).price) == 11_900_000


def test_gemini_cache_hits_are_counted_once(book: PriceBook) -> None:
    """Acceptance 62."""
    # 150,000 prompt tokens, 140,000 of them cached; 1.25 / 0.125 / 10 USD per million up to 200,000:
    # 10,000 x 1,250 + 140,000 x 125 + 2,000 x 10,000 = 12,500,000 + 17,500,000 + 20,000,000
    usage = Usage(input_tokens=10_000, cache_read_tokens=140_000, output_tokens=2_000)
    assert cost(usage, book.quote("gemini-2.5-pro", at=AT).price) == 50_000_000


def test_anthropic_cache_writes_are_charged_once_and_by_retention(book: PriceBook) -> None:
    """Acceptance 63."""
    # 3 in, 3.75 written for 5 minutes, 6 for an hour, 0.30 read, 15 out, USD per million:
    # 100 x 3,000 + 10,000 x 3,750 + 2,000 x 6,000 + 50,000 x 300 + 400 x 15,000
    # = 300,000 + 37,500,000 + 12,000,000 + 15,000,000 + 6,000,000
    usage = Usage(
        input_tokens=100, cache_write_short_tokens=10_000, cache_write_long_tokens=2_000, cache_read_tokens=50_000, output_tokens=400
    )
    assert cost(usage, book.quote("claude-sonnet-4-6", at=AT).price) == 70_800_000


def test_a_write_of_unreported_retention_is_charged_as_the_providers_default(book: PriceBook) -> None:
    # 1,000 x 3,750
    usage = Usage(input_tokens=0, cache_write_unknown_tokens=1_000, output_tokens=0)
    assert cost(usage, book.quote("claude-sonnet-4-6", at=AT).price) == 3_750_000


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # 6.00 USD per million above 200,000 tokens until 2026-03-13, 3.00 from then on.
        (datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC), 6_000_000_000),
        (datetime(2026, 3, 13, tzinfo=UTC), 3_000_000_000),
    ],
)
def test_the_price_of_a_million_tokens_is_that_of_its_day(book: PriceBook, at: datetime, expected: int) -> None:
    assert cost(Usage(input_tokens=1_000_000, output_tokens=0), book.quote("claude-sonnet-4-6", at=at).price) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # 200,000 of all input is not above 200,000: 100,000 x 3,000 + 100,000 x 300 + 10 x 15,000
        (Usage(input_tokens=100_000, cache_read_tokens=100_000, output_tokens=10), 330_150_000),
        # One more, and all of it is at the long-context rates: 100,001 x 6,000 + 100,000 x 600 + 10 x 22,500
        (Usage(input_tokens=100_001, cache_read_tokens=100_000, output_tokens=10), 660_231_000),
        # Written tokens count for the tier as well: 1 x 6,000 + 200,000 x 7,500
        (Usage(input_tokens=1, cache_write_short_tokens=200_000, output_tokens=0), 1_500_006_000),
    ],
)
def test_the_long_context_tier_is_chosen_by_all_input(book: PriceBook, usage: Usage, expected: int) -> None:
    """Acceptance 7."""
    assert cost(usage, book.quote("claude-sonnet-4-6", at=JANUARY).price) == expected


@pytest.mark.parametrize(
    ("service_tier", "operation", "expected"),
    [
        # 1,000 in and 100 out: 1.75 / 14, priority 3.50 / 28, flex and batch half, USD per million
        (None, "chat", 3_150_000),
        ("default", "chat", 3_150_000),
        ("scale", "chat", 3_150_000),
        ("priority", "chat", 6_300_000),
        ("Priority", "chat", 6_300_000),
        ("flex", "chat", 1_575_000),
        ("batch", "chat", 1_575_000),
        (None, "batch", 1_575_000),
    ],
)
def test_the_service_tier_is_a_part_of_the_price(book: PriceBook, service_tier: str | None, operation: str, expected: int) -> None:
    """Acceptance 72."""
    quote = book.quote("gpt-5.2", service_tier=service_tier, operation=operation, at=AT)
    assert cost(Usage(input_tokens=1_000, output_tokens=100), quote.price) == expected


def test_batch_usage_keeps_its_cached_rate(book: PriceBook) -> None:
    """Acceptance 69."""
    # gpt-4o in a batch: 1.25 in, 5 out, and 1.25 cached, which has no batch price: 1,000 x 1,250 + 1,000 x 1,250 + 100 x 5,000
    quote = book.quote("gpt-4o", operation="batch", at=AT)
    assert cost(Usage(input_tokens=1_000, cache_read_tokens=1_000, output_tokens=100), quote.price) == 3_000_000


def test_anthropics_fast_speed_has_its_own_price(book: PriceBook) -> None:
    fast = book.quote("claude-opus-5", service_tier="fast", at=AT).price
    standard = book.quote("claude-opus-5", at=AT).price
    assert fast is not None
    assert standard is not None
    assert fast.name == f"{standard.name} fast"
    assert fast.rates["output_tokens"].price_pico_usd > standard.rates["output_tokens"].price_pico_usd


def test_audio_by_the_second_is_charged(book: PriceBook) -> None:
    """Acceptance 67."""
    # 0.36 USD an hour is 100,000 nano-dollars a second
    assert cost(Usage(units={"audio_seconds": Decimal("12.5")}), book.quote("whisper-1", at=AT).price) == 1_250_000
    assert cost(Usage(units={"input_audio_seconds": 60}), book.quote("whisper-1", at=AT).price) == 6_000_000


def test_a_part_of_a_unit_is_not_charged_with_its_whole_again(book: PriceBook) -> None:
    # 10 pages, 3 of them annotated, 2 and 3 USD per thousand: 7 x 2,000,000 + 3 x 3,000,000
    usage = Usage(units={"input_document_pages": 10, "input_annotated_document_pages": 3})
    assert cost(usage, book.quote("mistral-ocr-2512", provider="mistral", at=AT).price) == 23_000_000
    assert cost(Usage(units={"audio_seconds": 10, "input_audio_seconds": 10}), book.quote("whisper-1", at=AT).price) == 1_000_000


def test_groq_bills_ten_seconds_of_audio_at_least(book: PriceBook) -> None:
    # 0.111 USD an hour: 10 s are 111,000,000 / 360 = 308,333.3; 36 s are 1,110,000; nothing is nothing
    price = book.quote("whisper-large-v3", provider="groq", at=AT).price
    assert [cost(Usage(units={"audio_seconds": seconds}), price) for seconds in (0, 1, 10, 36)] == [0, 308_333, 308_333, 1_110_000]


def test_a_zero_for_tokens_does_not_mask_what_is_paid_by_the_second() -> None:
    """Acceptance 67."""
    by_second = Price("by hand", {"input_tokens": Rate(0), "output_tokens": Rate(0), "audio_seconds": Rate(36 * 10**10, 3_600)})
    assert cost(Usage(input_tokens=10, output_tokens=10, units={"audio_seconds": 10}), by_second) == 1_000_000
    assert cost(Usage(input_tokens=10, output_tokens=10), by_second) is None


def test_tokens_of_a_model_paid_otherwise_are_not_charged_and_not_enough(book: PriceBook) -> None:
    price = book.quote("whisper-1", at=AT).price
    assert cost(Usage(input_tokens=10, output_tokens=10, units={"audio_seconds": 10}), price) == 1_000_000
    assert cost(Usage(input_tokens=10, output_tokens=10), price) is None


def test_requests_and_searches_come_on_top(book: PriceBook) -> None:
    # sonar-pro: 3 / 15 USD per million and 14 USD per thousand requests: 100 x 3,000 + 10 x 15,000 + 14,000,000
    sonar = book.quote("sonar-pro", provider="perplexity", at=AT).price
    assert cost(Usage(input_tokens=100, output_tokens=10), sonar) == 14_450_000
    # An aggregate that states 5 requests: 300,000 + 150,000 + 70,000,000
    assert cost(Usage(input_tokens=100, output_tokens=10, units={"requests": 5}), sonar) == 70_450_000
    # 10 USD per thousand searches: 100 x 3,000 + 10 x 15,000 + 2 x 10,000,000; a fetch costs its tokens only
    usage = Usage(input_tokens=100, output_tokens=10, units={"web_searches": 2, "web_fetches": 1, "requests": 1})
    assert cost(usage, book.quote("claude-sonnet-4-6", at=AT).price) == 20_450_000


def test_reasoning_is_charged_once_at_its_own_rate_where_it_has_one(book: PriceBook) -> None:
    # sonar-deep-research: 2 in, 8 out, 3 for reasoning: 100 x 2,000 + 40 x 8,000 + 60 x 3,000
    usage = Usage(input_tokens=100, output_tokens=100, reasoning_tokens=60)
    assert cost(usage, book.quote("sonar-deep-research", provider="perplexity", at=AT).price) == 700_000


def test_audio_parts_are_charged_at_their_rate_within_their_whole(book: PriceBook) -> None:
    # gpt-realtime: text 4 / 0.4 / 16, audio 32 in, 0.4 cached, 64 out:
    # 300 x 4,000 + 700 x 32,000 + 200 x 400 + 50 x 16,000 + 150 x 64,000
    # = 1,200,000 + 22,400,000 + 80,000 + 800,000 + 9,600,000
    usage = Usage(
        input_tokens=1_000,
        input_audio_tokens=700,
        cache_read_tokens=200,
        cache_read_audio_tokens=150,
        output_tokens=200,
        output_audio_tokens=150,
    )
    assert cost(usage, book.quote("gpt-realtime", at=AT).price) == 34_080_000


def test_cached_images_are_charged_at_the_rate_of_cached_images(book: PriceBook) -> None:
    """Acceptance 65."""
    # gpt-image-1: text 5, cached 1.25, images 10, cached images 2.50: 100 x 5,000 + 300 x 10,000 + 50 x 1,250 + 150 x 2,500
    usage = Usage(input_tokens=400, input_image_tokens=300, cache_read_tokens=200, cache_read_image_tokens=150, output_tokens=0)
    assert cost(usage, book.quote("gpt-image-1", at=AT).price) == 3_937_500


def test_parts_larger_than_their_whole_are_charged_up_to_it_and_named(book: PriceBook) -> None:
    """Acceptance 65."""
    # 1,000 prompt tokens, 800 of them cached, 900 of them images, of which the provider does not say how many were cached.
    # gpt-image-1: 200 images at 10 and 800 cached at 1.25: 200 x 10,000 + 800 x 1,250, never 900 images and 800 cached
    usage = Usage(input_tokens=200, input_image_tokens=900, cache_read_tokens=800, output_tokens=0)
    assert cost(usage, book.quote("gpt-image-1", at=AT).price) == 3_000_000
    assert clamped_parts(usage) == ("input_image_tokens",)


def test_reasoning_above_the_output_is_clamped_to_it(book: PriceBook) -> None:
    """Acceptance 65."""
    usage = Usage(input_tokens=0, output_tokens=10, reasoning_tokens=11)
    # 10 x 3,000
    assert cost(usage, book.quote("sonar-deep-research", provider="perplexity", at=AT).price) == 30_000
    assert clamped_parts(usage) == ("reasoning_tokens",)
    assert clamped_parts(Usage(input_tokens=None, input_audio_tokens=5, output_tokens=10, reasoning_tokens=10)) == ()


def test_cached_audio_without_a_cached_rate_is_audio() -> None:
    # 10 x 1,000 + 5 x 1,000 + 5 x 40,000: nothing says that caching makes it cheaper
    usage = Usage(input_tokens=10, cache_read_tokens=10, cache_read_audio_tokens=5, output_tokens=0)
    assert cost(usage, price(input_tokens="1", input_audio_tokens="40", output_tokens="2")) == 215_000


def test_cached_tokens_without_a_rate_are_input_tokens() -> None:
    # 60 x 1,000
    usage = Usage(
        input_tokens=10,
        cache_read_tokens=20,
        cache_write_short_tokens=5,
        cache_write_long_tokens=10,
        cache_write_unknown_tokens=15,
        output_tokens=0,
    )
    assert cost(usage, price(input_tokens="1", output_tokens="2")) == 60_000


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=None, output_tokens=10),
        Usage(input_tokens=10, output_tokens=None),
        Usage(input_tokens=10, output_tokens=10, units={"moon_landings": 1}),
        Usage(input_tokens=10, output_tokens=10, units={"web_searches": Decimal("0.5")}),
        Usage(input_tokens=10, output_tokens=10, units={"input_audio_seconds": 1}),
    ],
)
def test_what_was_not_reported_or_has_no_rate_costs_unknown_not_nothing(usage: Usage) -> None:
    """Acceptance 66."""
    assert cost(usage, price(input_tokens="1", output_tokens="2")) is None


def test_no_price_costs_unknown() -> None:
    """Acceptance 66, 70."""
    assert cost(Usage(input_tokens=0, output_tokens=0), None) is None


def test_output_of_a_model_that_sells_none_costs_unknown(book: PriceBook) -> None:
    price = book.quote("text-embedding-3-small", at=AT).price
    # 0.02 USD per million: 1,000 x 20
    assert cost(Usage(input_tokens=1_000), price) == 20_000
    assert cost(Usage(input_tokens=1_000, output_tokens=0), price) == 20_000
    assert cost(Usage(input_tokens=1_000, output_tokens=1), price) is None


def test_input_of_a_price_for_output_alone_costs_unknown() -> None:
    assert cost(Usage(input_tokens=1, output_tokens=1), price(output_tokens="2")) is None
    assert cost(Usage(input_tokens=0, cache_read_tokens=1, output_tokens=1), price(output_tokens="2")) is None
    assert cost(Usage(input_tokens=0, cache_write_short_tokens=1, output_tokens=1), price(output_tokens="2")) is None
    assert cost(Usage(output_tokens=1), price(output_tokens="2")) == 2_000


def test_a_tier_that_cannot_be_told_costs_unknown() -> None:
    tiered = Price("by hand", {"input_tokens": Rate(0), "output_tokens": Rate(10**12, tiers=((100, 2 * 10**12),))})
    assert cost(Usage(input_tokens=None, output_tokens=1), tiered) is None
    assert cost(Usage(input_tokens=100, output_tokens=1), tiered) == 1_000
    searches = Price("by hand", {"web_searches": Rate(10**12, 1_000, ((100, 2 * 10**12),))})
    assert cost(Usage(input_tokens=None, units={"web_searches": 1}), searches) is None
    assert cost(Usage(input_tokens=101, units={"web_searches": 1}), searches) == 2_000_000


def test_free_models_cost_nothing_and_need_no_counts(book: PriceBook) -> None:
    """Acceptance 51."""
    free = book.quote("openrouter/meta-llama/llama-3.3-70b-instruct:free", at=AT).price
    assert free is not None
    assert free.is_free
    assert cost(Usage(input_tokens=5, output_tokens=None), free) == 0


def test_an_explicit_zero_is_zero(book: PriceBook) -> None:
    """Acceptance 58."""
    assert cost(Usage(input_tokens=0, output_tokens=0), book.quote("gpt-5.2", at=AT).price) == 0


def test_a_fraction_of_a_nano_dollar_is_rounded_once_half_to_even() -> None:
    # 0.5 nano-dollars a token: 1 -> 0.5 -> 0, 3 -> 1.5 -> 2, and 1 + 2 -> 1.5 -> 2, not 0 + 1
    half = price(input_tokens="0.0005", output_tokens="0.0005")
    assert cost(Usage(input_tokens=1, output_tokens=0), half) == 0
    assert cost(Usage(input_tokens=3, output_tokens=0), half) == 2
    assert cost(Usage(input_tokens=1, output_tokens=2), half) == 2


def test_an_amount_beyond_the_ledger_is_unknown_not_another_amount() -> None:
    # 10^12 x 10^9 USD
    assert cost(Usage(units={"gpu_hour": 10**12}), Price("by hand", {"gpu_hour": Rate(10**21, 1)})) is None

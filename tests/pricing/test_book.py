from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from guardrails.core.call import Call
from guardrails.core.usage import Usage
from guardrails.pricing.book import PriceBook
from guardrails.pricing.cost import cost
from guardrails.pricing.estimate import estimate
from guardrails.pricing.price import Quote

AT = datetime(2026, 11, 1, tzinfo=UTC)


def named(quote: Quote) -> str | None:
    return None if quote.price is None else quote.price.name


@pytest.mark.parametrize(
    ("model", "provider", "listed", "shown"),
    [
        ("gpt-5.2", None, "openai/gpt-5.2", "openai"),
        ("GPT-5.2", None, "openai/gpt-5.2", "openai"),
        ("openai/gpt-5.2", None, "openai/gpt-5.2", "openai"),
        ("gpt-5.2-20251211", None, "openai/gpt-5.2", "openai"),
        ("azure/gpt-5.2", None, "azure/gpt-5.2", "azure"),
        ("azure/eu/gpt-5.2", None, "azure/gpt-5.2", "azure"),
        ("gpt-5.2", "Azure_OpenAI", "azure/gpt-5.2", "azure_openai"),
        ("openrouter/openai/gpt-5.2", None, "openrouter/openai/gpt-5.2", "openrouter"),
        ("openai/gpt-5.2", "openrouter", "openrouter/openai/gpt-5.2", "openrouter"),
        ("openrouter/openai/tts-1", None, "openai/tts-1", "openrouter"),
        ("gemini/gemini-2.5-pro", None, "google/gemini-2.5-pro", "google"),
        ("models/gemini-2.5-pro", None, "google/gemini-2.5-pro", "google"),
        ("vertex_ai/claude-sonnet-4-6@20260101", None, "google/claude-sonnet-4-6", "google"),
        ("xai/grok-4", None, "x-ai/grok-4-0709", "x-ai"),
        ("text-embedding-3-small", None, "openai/text-embedding-3-small", "openai"),
        ("litellm_proxy/openai/gpt-5.2", None, "openai/gpt-5.2", "openai"),
        ("gpt-5.2", "litellm", "openai/gpt-5.2", "litellm"),
        ("ft:gpt-4o-mini-2024-07-18:org::abc", None, "openai/ft:gpt-4o-mini", "openai"),
        ("groq/whisper-large-v3", None, "groq/whisper-large-v3", "groq"),
    ],
)
def test_a_name_is_found_at_the_provider_that_it_or_the_caller_names(
    book: PriceBook, model: str, provider: str | None, listed: str, shown: str
) -> None:
    quote = book.quote(model, provider=provider, at=AT)
    assert named(quote) == f"genai-prices 0.2.3 {listed}"
    assert quote.provider == shown
    assert quote.model == model


BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        (BEDROCK, None),
        (BEDROCK, "bedrock"),
        (f"bedrock/converse/{BEDROCK}", None),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{BEDROCK}", None),
    ],
)
def test_bedrock_names_have_bedrocks_price_and_the_forms_of_the_model(book: PriceBook, model: str, provider: str | None) -> None:
    quote = book.quote(model, provider=provider, at=AT)
    assert named(quote) == "genai-prices 0.2.3 aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert quote.forms[0] == model
    assert {BEDROCK, "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"} <= set(quote.forms)
    # 3.30 USD per million in a region, 3.00 through the global profile
    assert cost(Usage(input_tokens=1_000_000, output_tokens=0), quote.price) == 3_300_000_000
    everywhere = book.quote("global.anthropic.claude-sonnet-4-5-20250929-v1:0", at=AT)
    assert cost(Usage(input_tokens=1_000_000, output_tokens=0), everywhere.price) == 3_000_000_000


@pytest.mark.parametrize(
    ("model", "forms"),
    [
        ("GPT-4o-2024-08-06", ("gpt-4o-2024-08-06", "gpt-4o")),
        ("openrouter/openai/gpt-5.2", ("openrouter/openai/gpt-5.2", "openai/gpt-5.2", "gpt-5.2")),
        (
            "vertex_ai/claude-sonnet-4-6@20260101",
            ("vertex_ai/claude-sonnet-4-6@20260101", "claude-sonnet-4-6@20260101", "claude-sonnet-4-6"),
        ),
        ("grok-4", ("grok-4", "grok-4-0709")),
        ("in-house", ("in-house",)),
    ],
)
def test_forms_are_the_name_as_given_then_without_prefixes_then_canonical(book: PriceBook, model: str, forms: tuple[str, ...]) -> None:
    assert book.quote(model, at=AT).forms == forms


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("in-house", None),
        ("gpt-5.2", "vllm"),
        ("hosted_vllm/openai/gpt-oss-120b", None),
        ("meta-llama/Llama-3.3-70B-Instruct", None),
        ("ft:in-house:org::abc", None),
        ("azure/in-house", None),
        ("", None),
        ("/", None),
        ("@", None),
        ("\ud800", None),
    ],
)
def test_a_model_that_nobody_lists_there_has_no_price_and_raises_nothing(book: PriceBook, model: str, provider: str | None) -> None:
    """Acceptance 66."""
    assert book.quote(model, provider=provider, at=AT).price is None


def test_a_listed_model_without_any_price_has_none(book: PriceBook) -> None:
    """Acceptance 66."""
    quote = book.quote("github-copilot/gpt-4o-mini", at=AT)
    assert quote.price is None
    assert quote.forms == ("github-copilot/gpt-4o-mini", "gpt-4o-mini")


def test_a_resold_model_has_its_makers_standard_price(book: PriceBook) -> None:
    assert cost(Usage(input_tokens=1_000, output_tokens=0), book.quote("azure/gpt-5.2", service_tier="priority", at=AT).price) == 1_750_000


def test_the_context_window_is_that_of_the_list_and_the_most_output_is_not_listed(book: PriceBook) -> None:
    quote = book.quote("gpt-5.2", at=AT)
    assert (quote.context_window, quote.max_output_tokens) == (400_000, None)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # deepseek-v4-flash, USD per million: 0.15 since 2026-09-10 and 0.30 from 01:00 to 04:00 and from 06:00 to 10:00 UTC
        (datetime(2026, 11, 1, 0, 59, 59, tzinfo=UTC), 150),
        (datetime(2026, 11, 1, 1, 0, tzinfo=UTC), 300),
        (datetime(2026, 11, 1, 4, 0, tzinfo=UTC), 150),
        (datetime(2026, 11, 1, 9, 59, tzinfo=UTC), 300),
        (datetime(2026, 11, 1, 10, 0, tzinfo=UTC), 150),
        (datetime(2026, 11, 1, 23, 0, tzinfo=UTC), 150),
    ],
)
def test_prices_by_the_hour_are_those_of_the_instant_whatever_was_asked_before(book: PriceBook, at: datetime, expected: int) -> None:
    for other in (at - timedelta(hours=3), at + timedelta(hours=3)):
        book.quote("deepseek-v4-flash", at=other)
    assert cost(Usage(input_tokens=1, output_tokens=0), book.quote("deepseek-v4-flash", at=at).price) == expected


def test_a_quote_is_the_same_until_a_price_changes(book: PriceBook) -> None:
    before = book.quote("claude-opus-4-6", at=datetime(2026, 3, 12, tzinfo=UTC))
    assert book.quote("claude-opus-4-6", at=datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC)) is before
    assert book.quote("claude-opus-4-6", at=datetime(2026, 3, 13, tzinfo=UTC)).id != before.id


def test_a_pinned_quote_keeps_its_price() -> None:
    """Acceptance 68."""
    old = "version: 1\nprices: [{model: m, from: 2026-01-01, input_usd_per_mtok: 1, output_usd_per_mtok: 1}]\n"
    pinned = PriceBook.open(old).quote("m", at=AT)
    reloaded = PriceBook.open(old.replace("input_usd_per_mtok: 1", "input_usd_per_mtok: 9")).quote("m", at=AT)
    # 1,000 x 1,000 and 1,000 x 9,000
    assert cost(Usage(input_tokens=1_000, output_tokens=0), pinned.price) == 1_000_000
    assert cost(Usage(input_tokens=1_000, output_tokens=0), reloaded.price) == 9_000_000
    assert pinned.id != reloaded.id


def test_the_version_names_the_release_and_the_file() -> None:
    text = "version: 1\nprices: []\n"
    assert PriceBook.open().version == "genai-prices 0.2.3"
    assert PriceBook.open(text).version.startswith("genai-prices 0.2.3 + prices.yaml sha256:")
    assert PriceBook.open(text).version != PriceBook.open(text + "\n").version


def test_what_is_remembered_of_hostile_names_is_bounded() -> None:
    book = PriceBook.open()
    first = book.quote("gpt-5.2", at=AT)
    for number in range(4_200):
        book.quote("/", provider=f"provider-{number}", at=AT)
    assert len(book._quotes) <= 4_096
    assert len(book._found) <= 4_096
    assert book.quote("gpt-5.2", at=AT) == first


def test_threads_get_the_same_quotes() -> None:
    book = PriceBook.open()
    seen: set[str] = set()

    def ask() -> None:
        for model in ("gpt-5.2", "claude-opus-4-6", "nobody", "gemini-2.5-pro") * 20:
            for month in (1, 6, 11):
                seen.add(f"{model} {month} {book.quote(model, at=datetime(2026, month, 1, tzinfo=UTC)).id}")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4 * 3


def test_opening_a_book_does_not_load_the_prices() -> None:
    code = "import sys, guardrails.pricing.book as b; b.PriceBook.open(); sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_estimate_of_an_alias_and_of_its_target_are_the_same() -> None:
    """Acceptance 18."""
    book = PriceBook.open("version: 1\naliases: {our-gpt: azure/gpt-5.2}\n")
    call = Call(model="our-gpt", input_tokens=1_000, max_output_tokens=100)
    # 1,000 x 1,750 + 100 x 14,000
    assert estimate(call, book.quote("our-gpt", at=AT), 0).cost_nano_usd == 3_150_000

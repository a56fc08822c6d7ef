from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.core.errors import InvalidPolicy
from guardrails.core.usage import Usage
from guardrails.pricing.book import PriceBook
from guardrails.pricing.cost import cost
from guardrails.pricing.price import Quote
from guardrails.source.problem import Problem

AT = datetime(2026, 11, 1, tzinfo=UTC)
TEXT = """\
version: 1
prices:
  - model: llama-4-70b
    from: 2026-01-01
    input_usd_per_mtok: 0.10
    output_usd_per_mtok: 0.40
  - model: llama-4-70b
    from: 2026-06-01T12:00:00+02:00
    input_usd_per_mtok: 0.20
    output_usd_per_mtok: 0.80
    cache_read_usd_per_mtok: 0.05
    cache_write_usd_per_mtok: 0.25
    context_window: 128_000
    max_output_tokens: 8k
  - model: llama-4-70b
    provider: bedrock
    from: 2026-01-01
    input_usd_per_mtok: 5
  - model: "llama-4-*"
    from: 2025-01-01
    input_usd_per_mtok: 7
  - model: h200-hour
    from: 2026-01-01
    usd_per_unit: {gpu_hour: 3.20}
  - model: gpt-5.2
    from: 2026-07-01
    input_usd_per_mtok: 1
    output_usd_per_mtok: 10
aliases:
  Our-GPT-deployment: azure/gpt-5.2
  our-llama: llama-4-70b
"""


def nano_of_a_million(quote: Quote) -> int | None:
    return cost(Usage(input_tokens=1_000_000, output_tokens=0), quote.price)


@pytest.fixture(scope="module")
def own() -> PriceBook:
    return PriceBook.open(TEXT)


def test_an_own_price_is_charged_exactly_as_written(own: PriceBook) -> None:
    """Acceptance 18, 70."""
    # 1,000,000 x 0.10 / 10^6 + 500,000 x 0.40 / 10^6 = 0.10 + 0.20 USD
    quote = own.quote("llama-4-70b", at=datetime(2026, 2, 1, tzinfo=UTC))
    assert cost(Usage(input_tokens=1_000_000, output_tokens=500_000), quote.price) == 300_000_000
    assert quote.price is not None
    assert quote.price.name == "prices.yaml llama-4-70b 2026-01-01"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), None),
        (datetime(2025, 1, 1, tzinfo=UTC), 7_000_000_000),
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), 7_000_000_000),
        (datetime(2026, 1, 1, tzinfo=UTC), 100_000_000),
        (datetime(2026, 6, 1, 9, 59, 59, tzinfo=UTC), 100_000_000),
        (datetime(2026, 6, 1, 10, tzinfo=UTC), 200_000_000),
    ],
)
def test_a_price_is_in_force_from_its_instant_until_the_next_and_beats_a_wildcard(
    own: PriceBook, at: datetime, expected: int | None
) -> None:
    assert nano_of_a_million(own.quote("llama-4-70b", at=at)) == expected


def test_a_wildcard_prices_what_no_exact_name_does(own: PriceBook) -> None:
    assert nano_of_a_million(own.quote("Llama-4-8B", at=AT)) == 7_000_000_000
    assert nano_of_a_million(own.quote("vllm/llama-4-8b", at=AT)) == 7_000_000_000
    assert own.quote("llama-3-8b", at=AT).price is None


def test_a_price_with_a_provider_is_for_that_provider_and_wins_there(own: PriceBook) -> None:
    for provider in ("aws", "bedrock", "Bedrock"):
        assert nano_of_a_million(own.quote("llama-4-70b", provider=provider, at=AT)) == 5_000_000_000
    assert nano_of_a_million(own.quote("bedrock/llama-4-70b", at=AT)) == 5_000_000_000
    assert nano_of_a_million(own.quote("llama-4-70b", provider="vllm", at=AT)) == 200_000_000


def test_own_prices_win_over_listed_ones_from_their_day_on(own: PriceBook) -> None:
    """Acceptance 18."""
    # 1.75 USD listed, 1 USD negotiated from July on, for every name of the model
    assert nano_of_a_million(own.quote("gpt-5.2", at=datetime(2026, 6, 30, tzinfo=UTC))) == 1_750_000_000
    for name in ("gpt-5.2", "openai/gpt-5.2", "gpt-5.2-2025-12-11", "our-gpt-deployment"):
        assert nano_of_a_million(own.quote(name, at=AT)) == 1_000_000_000


def test_own_limits_of_the_model_are_quoted(own: PriceBook) -> None:
    quote = own.quote("llama-4-70b", at=AT)
    assert (quote.context_window, quote.max_output_tokens) == (128_000, 8_000)
    assert own.quote("gpt-5.2", at=AT).context_window == 400_000


def test_cached_tokens_have_their_own_rate_or_that_of_input(own: PriceBook) -> None:
    usage = Usage(input_tokens=0, cache_read_tokens=1_000, cache_write_short_tokens=100, cache_write_long_tokens=10, output_tokens=0)
    # 1,000 x 50 + 110 x 250, and before June all at 100
    assert cost(usage, own.quote("llama-4-70b", at=AT).price) == 77_500
    assert cost(usage, own.quote("llama-4-70b", at=datetime(2026, 2, 1, tzinfo=UTC)).price) == 111_000


def test_other_units_are_charged(own: PriceBook) -> None:
    # 2 x 3.20 USD
    assert cost(Usage(units={"gpu_hour": 2}), own.quote("h200-hour", at=AT).price) == 6_400_000_000


def test_an_alias_has_the_forms_the_provider_and_the_price_of_its_target(own: PriceBook) -> None:
    quote = own.quote("OUR-gpt-deployment", at=datetime(2026, 6, 30, tzinfo=UTC))
    assert quote.forms == ("our-gpt-deployment", "azure/gpt-5.2", "gpt-5.2")
    assert quote.provider == "azure"
    assert quote.price is not None
    assert quote.price.name == "genai-prices 0.2.3 azure/gpt-5.2"
    assert own.quote("azure/our-gpt-deployment", at=AT).forms == (
        "azure/our-gpt-deployment",
        "our-gpt-deployment",
        "azure/gpt-5.2",
        "gpt-5.2",
    )
    assert nano_of_a_million(own.quote("our-llama", at=AT)) == 200_000_000


def test_an_alias_says_what_a_deployment_is_at_a_provider_that_nobody_lists() -> None:
    book = PriceBook.open("version: 1\naliases: {dep: gpt-5.2}\n")
    assert nano_of_a_million(book.quote("dep", provider="our-gateway", at=AT)) == 1_750_000_000
    azure = book.quote("dep", provider="azure", at=AT)
    assert azure.price is not None
    assert azure.price.name == "genai-prices 0.2.3 azure/gpt-5.2"


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(InvalidPolicy) as raised:
        PriceBook.open(text, "policies/prices.yaml")
    problems = [problem for problem in raised.value.problems if isinstance(problem, Problem)]
    assert {problem.path for problem in problems} == {"policies/prices.yaml"}
    return problems


def test_all_problems_are_told_at_once() -> None:
    """Acceptance 31."""
    text = """\
version: 1
prices:
  - {model: a, from: 2026-01-01, input_usd_per_mtok: -1}
  - {model: b, output_usd_per_mtok: 1}
  - {model: c, from: 2026-01-01}
  - {model: d, from: 2026-01-01, inptu_usd_per_mtok: 1}
  - {model: e, from: 2026-01-01, usd_per_unit: {gpu_hour: [1]}}
  - {model: f, from: 2026-01-01, input_usd_per_mtok: 0.0000000000001}
  - {model: g, from: 2026-01-01, provider: , input_usd_per_mtok: 1}
  - {model: h, from: yesterday, context_window: 0, output_usd_per_mtok: 1.75e7}
  - {model: i, from: 2026-01-01, input_usd_per_mtok: 1, usd_per_unit: {input_tokens: 1}}
  - {model: I, from: 2026-01-01T00:00:00Z, input_usd_per_mtok: 1}
  - {model: " ", from: 2026-01-01, input_usd_per_mtok: 1}
aliases:
  "a*": b
  c: d
  C: e
  e: c
  z: Z
  y: [x]
"""
    assert [(problem.line, problem.column, problem.code) for problem in problems_of(text)] == [
        (3, 54, "negative"),
        (4, 5, "missing-key"),
        (5, 5, "no-price"),
        (6, 34, "unknown-key"),
        (7, 59, "wrong-shape"),
        (8, 54, "too-fine"),
        (9, 34, "empty-value"),
        (10, 22, "bad-time"),
        (10, 49, "too-small"),
        (10, 73, "too-large"),
        (11, 72, "duplicate-price"),
        (12, 22, "duplicate-price"),
        (13, 13, "bad-name"),
        (15, 3, "bad-name"),
        (17, 3, "duplicate-alias"),
        (17, 6, "alias-chain"),
        (18, 6, "alias-chain"),
        (19, 6, "alias-loop"),
        (20, 6, "wrong-shape"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "{model: c, from: 2026-01-01}",
            "`c` has no price; write `input_usd_per_mtok`, `output_usd_per_mtok` or `usd_per_unit`, 0 for free",
        ),
        (
            "{model: c, from: 2026-01-01, input_usd_per_mtok: 0.0000000000001}",
            "`0.0000000000001` is finer than a millionth of a millionth of a USD (12 decimals)",
        ),
        (
            "{model: c, from: 2026-01-01, usd_per_unit: {gpu_hour: 1e10}}",
            "`1e10` is more than 1,000,000,000 USD per unit",
        ),
        (
            "{model: a, from: 2026-01-01T00:00:00Z, output_usd_per_mtok: 1}",
            "`a` has a price from 2026-01-01T00:00:00Z already, on line 3",
        ),
    ],
)
def test_a_problem_says_what_would_be_right(entry: str, message: str) -> None:
    text = f"version: 1\nprices:\n  - {{model: a, from: 2026-01-01, input_usd_per_mtok: 1}}\n  - {entry}\n"
    assert [(problem.line, problem.message) for problem in problems_of(text)] == [(4, message)]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("version: 2\n", 1, "bad-value"),
        ("prices: []\n", 1, "missing-key"),
        ("version: 1\nprices:\n", 2, "empty-value"),
        ("version: 1\nrules: []\n", 2, "unknown-key"),
        ("- version: 1\n", 1, "wrong-shape"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, line: int, code: str) -> None:
    assert [(problem.line, problem.code) for problem in problems_of(text)] == [(line, code)]


@given(st.integers(0, 10**6 - 1), st.integers(0, 10**12 - 1), st.integers(0, 10**6))
def test_no_digit_of_a_price_is_lost(whole: int, decimals: int, tokens: int) -> None:
    """A million tokens cost the price as written, to the pico-dollar; half of a nano-dollar is rounded to even."""
    book = PriceBook.open(f"version: 1\nprices: [{{model: m, from: 2026-01-01, output_usd_per_mtok: {whole}.{decimals:012d}}}]\n")
    pico_usd_times_million = (whole * 10**12 + decimals) * tokens
    nano_usd, rest = divmod(pico_usd_times_million, 10**9)
    nano_usd += 2 * rest > 10**9 or (2 * rest == 10**9 and nano_usd % 2)
    assert cost(Usage(input_tokens=0, output_tokens=tokens), book.quote("m", at=AT).price) == nano_usd

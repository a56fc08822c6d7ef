from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.pricing.book import PriceBook
from guardrails.pricing.price import Price, Quote, Rate, quote_from_text, quote_id, quote_to_text

AT = datetime(2026, 1, 15, tzinfo=UTC)

whole = st.integers(0, 10**18)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
rates = st.builds(
    Rate, price_pico_usd=whole, per=st.integers(1, 10**9), tiers=st.lists(st.tuples(whole, whole), max_size=3).map(tuple), minimum=whole
)
prices = st.builds(Price, name=names, rates=st.dictionaries(names, rates, max_size=4).map(MappingProxyType))
quotes = st.builds(
    Quote,
    model=names,
    forms=st.lists(names, max_size=3).map(tuple),
    provider=st.none() | names,
    price=st.none() | prices,
    context_window=st.none() | whole,
    max_output_tokens=st.none() | whole,
)


@given(quotes)
def test_a_quote_is_kept_exactly_by_its_text(quote: Quote) -> None:
    again = quote_from_text(quote_to_text(quote))
    assert again == quote
    assert quote_to_text(again) == quote_to_text(quote)
    assert again.id == quote.id == quote_id(quote_to_text(quote))


@given(quotes, quotes)
def test_two_quotes_have_one_id_only_if_they_are_equal(one: Quote, other: Quote) -> None:
    assert (one.id == other.id) == (one == other)


def test_an_id_is_sixteen_bytes_in_hex(book: PriceBook) -> None:
    assert len(bytes.fromhex(book.quote("gpt-5.2", at=AT).id)) == 16


def test_the_text_is_canonical() -> None:
    quote = Quote("M", ("m",), "openai", Price("p", {"b": Rate(2), "a": Rate(1, 2, ((3, 4),), 5)}), 6)
    assert quote_to_text(quote) == (
        '{"context_window":6,"forms":["m"],"max_output_tokens":null,"model":"M","price":{"name":"p","rates":{'
        '"a":{"minimum":5,"per":2,"price_pico_usd":1,"tiers":[[3,4]]},'
        '"b":{"minimum":0,"per":1000000,"price_pico_usd":2,"tiers":[]}}},"provider":"openai"}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        quote_to_text(Quote("m", (), price=Price("p", {"a": Rate(1)}))).replace(":1,", ":1.5,"),
        quote_to_text(Quote("m", (), price=Price("p", {"a": Rate(1)}))).replace("[]}", "{}}"),
    ],
)
def test_the_text_of_no_quote_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the text of a quote"):
        quote_from_text(text)


def test_a_rate_is_that_of_the_size_of_the_request() -> None:
    rate = Rate(1, tiers=((100, 2), (200, 3)))
    assert [rate.at(tokens) for tokens in (0, 100, 101, 200, 201)] == [1, 1, 2, 2, 3]


def test_a_price_is_free_only_if_everything_is() -> None:
    """Acceptance 51, 67."""
    assert Price("p", {"input_tokens": Rate(0), "output_tokens": Rate(0)}).is_free
    assert not Price("p", {"input_tokens": Rate(0), "audio_seconds": Rate(1)}).is_free
    assert not Price("p", {"input_tokens": Rate(0, tiers=((10, 1),))}).is_free

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.source.written import (
    Mistake,
    count_of,
    date_of,
    date_or_instant_of,
    decimal_of,
    duration_s_of,
    flag_of,
    instant_of,
    start_of,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("007", 7),
        ("32_000", 32_000),
        ("8k", 8_000),
        ("8K", 8_000),
        ("2.5M", 2_500_000),
        ("1.5k", 1_500),
        ("3G", 3_000_000_000),
        ("3B", 3_000_000_000),
        ("5.0", 5),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_reads_counts_exactly(text: str, count: int) -> None:
    assert count_of(text) == count


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad-number"),
        ("-1", "negative"),
        ("1.5", "not-whole"),
        ("0.0005k", "not-whole"),
        ("1,000", "bad-number"),
        ("1__0", "bad-number"),
        ("1_", "bad-number"),
        ("1e3", "bad-number"),
        ("٣", "bad-number"),
        ("9223372036854775808", "too-large"),
        ("9" * 5_000, "bad-number"),
    ],
)
def test_refuses_what_is_no_count(text: str, code: str) -> None:
    assert mistake(count_of, text).code == code


def test_offers_underscores_for_commas() -> None:
    assert mistake(count_of, "1,000,000").hint == "1_000_000"


def test_reads_decimals_exactly() -> None:
    assert decimal_of("0.10") == Decimal("0.10")
    assert decimal_of("5_000.000_1") == Decimal("5000.0001")
    assert decimal_of("1.5e-7") == Decimal("0.00000015")
    assert decimal_of("0.1") + decimal_of("0.2") == Decimal("0.3")


@pytest.mark.parametrize("text", ["", ".5", "NaN", "inf", "-1", "+1", "1e9999", "1 ", "0x10", "9" * 70])
def test_refuses_what_is_no_decimal(text: str) -> None:
    assert mistake(decimal_of, text).code in {"bad-number", "negative"}


def test_reads_flags_and_offers_them_for_other_words() -> None:
    assert flag_of("true") is True
    assert flag_of("False") is False
    assert mistake(flag_of, "on").hint == "true"
    assert mistake(flag_of, "1").hint is None


def test_reads_days_and_instants() -> None:
    assert date_of("2024-02-29") == date(2024, 2, 29)
    assert instant_of("2026-09-01T10:00:00+02:00") == datetime(2026, 9, 1, 8, tzinfo=UTC)
    assert instant_of("2026-09-01 10:00Z") == datetime(2026, 9, 1, 10, tzinfo=UTC)
    assert date_or_instant_of("2026-09-01") == date(2026, 9, 1)
    assert date_or_instant_of("2026-09-01T00:00:00Z") == datetime(2026, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-02-29", "2026-13-01", "1969-12-31", "9000-01-01", "2026-1-1", "2026-W01-1", "20260101", "2026-01-01T25:00:00Z", "tomorrow"],
)
def test_refuses_what_is_no_time(text: str) -> None:
    assert mistake(date_or_instant_of, text).code == "bad-time"


def test_offers_a_zone_to_an_instant_without_one() -> None:
    assert mistake(instant_of, "2026-09-01T10:00:00").hint == "2026-09-01T10:00:00Z"


def test_a_day_starts_where_its_zone_says() -> None:
    # Berlin is two hours ahead of UTC in September.
    assert start_of(date(2026, 9, 1), "Europe/Berlin") == datetime(2026, 8, 31, 22, tzinfo=UTC)
    assert start_of(datetime(2026, 9, 1, tzinfo=UTC), "Europe/Berlin") == datetime(2026, 9, 1, tzinfo=UTC)


def test_reads_durations_in_whole_seconds() -> None:
    assert [duration_s_of(each) for each in ("1 second", "90 seconds", "10 minutes", "2 hours", "366 hours")] == [
        1,
        90,
        600,
        7_200,
        1_317_600,
    ]
    # 366 days are 8,784 hours.
    assert duration_s_of("8_784 hours") == 31_622_400
    assert mistake(duration_s_of, "8_785 hours").code == "bad-duration"


def test_offers_minutes_to_a_bare_number() -> None:
    assert mistake(duration_s_of, "10").hint == "10 minutes"


@given(st.text(max_size=30))
def test_readers_raise_nothing_but_mistakes(text: str) -> None:
    for read in (count_of, decimal_of, flag_of, date_or_instant_of, instant_of, date_of, duration_s_of):
        with suppress(Mistake):
            read(text)


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_reads_back_every_count_with_and_without_underscores(count: int) -> None:
    assert count_of(f"{count}") == count == count_of(f"{count:_}")


def mistake(read: Callable[[str], object], text: str) -> Mistake:
    with pytest.raises(Mistake) as refused:
        read(text)
    return refused.value

"""The report: worked out by hand, in every breakdown the same total, by local calendars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine

from guardrails.core.window import LIFETIME, Period
from guardrails.db.tables import metadata
from guardrails.gate.view import open_view
from guardrails.ledger.report import Report, Sums, report
from tests.ledger.hand import NOON, ORG, USD, Hand, writing

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


def read(database: str, by: Sequence[str] = (), period: Period = LIFETIME, timezone: str = "UTC") -> Report:
    with open_view(database, at=NOON + timedelta(days=365)) as view:
        return view.report(period, by, timezone)


def values(told: Report) -> list[tuple[str | None, ...]]:
    return [row.values for row in told.rows]


def costs(told: Report) -> dict[tuple[str | None, ...], int]:
    return {row.values: row.sums.cost_nano_usd for row in told.rows}


def test_says_what_was_spent_and_decided_as_worked_out_by_hand(database_url: str) -> None:
    search, ads = {"team": "search"}, {"team": "ads", "user": "ana"}
    with writing(database_url) as hand:
        hand.entry(NOON, 1_500_000_001, search, model="big", input_tokens=100, cache_read_tokens=20, output_tokens=7)
        hand.entry(
            NOON,
            250_000_000,
            search,
            model="big",
            input_tokens=10,
            cache_write_short_tokens=1,
            cache_write_long_tokens=2,
            cache_write_unknown_tokens=4,
        )
        hand.entry(NOON, 40, ads, model="small", output_tokens=3)
        hand.entry(NOON, None, ads, model="big", assumed_nano_usd=2 * USD)
        hand.decision(NOON, "allow", search, asked="big", ran="big")
        hand.decision(NOON, "downgrade", ads, asked="big", ran="small", saved_nano_usd=3 * USD)
        hand.decision(NOON, "deny", ads, asked="big", saved_nano_usd=5 * USD)
        hand.decision(NOON, "deny", ads, asked="big", saved_nano_usd=None)

    told = read(database_url, ("team", "model"), MARCH).as_json()

    nothing = Sums().as_json()
    assert told["since"] == "2026-03-01T00:00:00Z"
    assert told["until"] == "2026-04-01T00:00:00Z"
    assert told["by"] == ["team", "model"]
    assert told["rows"] == [
        # 1.500000001 + 0.25 USD; 100 + 10 uncached; 1 + 2 + 4 written to caches.
        {
            **nothing,
            "team": "search",
            "model": "big",
            "cost_usd": "1.750000001",
            "entries": 2,
            "input_tokens": 110,
            "cache_read_tokens": 20,
            "cache_write_tokens": 7,
            "output_tokens": 7,
            "allowed": 1,
        },
        # The downgrade counts under the model that it decided on.
        {
            **nothing,
            "team": "ads",
            "model": "small",
            "cost_usd": "0.00000004",
            "entries": 1,
            "output_tokens": 3,
            "downgraded": 1,
            "saved_usd": "3",
        },
        # The refusals count under the model that was asked for; one of them has no price, so that what it saved is not known.
        {
            **nothing,
            "team": "ads",
            "model": "big",
            "entries": 1,
            "assumed_usd": "2",
            "unpriced": 1,
            "denied": 2,
            "saved_usd": "5",
            "saved_unknown": 1,
        },
    ]
    assert told["total"] == {
        "cost_usd": "1.750000041",
        "entries": 4,
        "input_tokens": 110,
        "cache_read_tokens": 20,
        "cache_write_tokens": 7,
        "output_tokens": 10,
        "assumed_usd": "2",
        "unpriced": 1,
        "allowed": 1,
        "denied": 2,
        "downgraded": 1,
        "saved_usd": "8",
        "saved_unknown": 1,
    }


def test_an_empty_ledger_has_no_rows_and_a_total_of_nothing(database_url: str) -> None:
    told = read(database_url, ("team",))
    assert (told.rows, told.total, told.first, told.last) == ((), Sums(), None, None)


def test_since_is_included_and_until_is_not(database_url: str) -> None:
    step = timedelta(microseconds=1)
    with writing(database_url) as hand:
        assert MARCH.start is not None
        assert MARCH.end is not None
        for at, cost in ((MARCH.start - step, 1), (MARCH.start, 10), (MARCH.end - step, 100), (MARCH.end, 1_000)):
            hand.entry(at, cost)
            hand.decision(at, "deny", saved_nano_usd=cost)
    told = read(database_url, (), MARCH)
    assert (told.total.cost_nano_usd, told.total.saved_nano_usd, told.total.denied) == (110, 110, 2)
    assert (told.first, told.last) == (MARCH.start, MARCH.end - step)


def test_values_that_differ_in_case_and_spaces_are_one_row_shown_as_first_written(database_url: str) -> None:
    with writing(database_url) as hand:
        hand.entry(NOON + timedelta(hours=1), 1, {"team": "Search", "user": "ana"}, model="GPT-5.2")
        hand.entry(NOON, 2, {"team": "search", "user": "ben"}, model="gpt-5.2")
        hand.entry(NOON, 4, {"team": "SEARCH"}, model="other")
    told = read(database_url, ("team", "model"))
    assert costs(told) == {("Search", "other"): 4, ("Search", "GPT-5.2"): 3}


def test_a_missing_label_is_null_and_told_as_unlabelled(database_url: str) -> None:
    with writing(database_url) as hand:
        hand.entry(NOON, 5, {"team": "ads"})
        hand.entry(NOON, 3, {"user": "ana"})
        hand.entry(NOON, 2, {"team": "ads"}, model=None)
    told = read(database_url, ("team", "model"))
    assert costs(told) == {("ads", "m"): 5, (None, "m"): 3, ("ads", None): 2}
    assert (told.unlabelled.cost_nano_usd, told.unlabelled.entries) == (3, 1)


def test_rows_are_dearest_first_then_by_label_and_by_time_where_there_is_one(database_url: str) -> None:
    with writing(database_url) as hand:
        for at, cost, team in ((NOON, 1, "b"), (NOON, 1, "a"), (NOON, 9, "c"), (NOON - timedelta(days=1), 1, "b")):
            hand.entry(at, cost, {"team": team})
        hand.entry(NOON, 1)
    assert values(read(database_url, ("team",))) == [("c",), ("b",), ("a",), (None,)]  # 9, 2, 1, 1 nano-dollars
    assert values(read(database_url, ("team", "day"))) == [
        ("b", "2026-03-09"),
        ("c", "2026-03-10"),
        ("a", "2026-03-10"),
        ("b", "2026-03-10"),
        (None, "2026-03-10"),
    ]


@pytest.mark.parametrize(
    ("timezone", "unit", "expected"),
    [
        # 00:00 UTC is 05:45 in Kathmandu, where the day has begun at 18:15 UTC of the day before.
        ("Asia/Kathmandu", "day", {"2026-03-28": 1, "2026-03-29": 2 + 4 + 8 + 16}),
        (
            "Asia/Kathmandu",
            "hour",
            {
                "2026-03-28T23:00:00+05:45": 1,
                "2026-03-29T00:00:00+05:45": 2,
                "2026-03-29T05:00:00+05:45": 4,
                "2026-03-29T06:00:00+05:45": 8 + 16,
            },
        ),
        # Berlin leaves out 02:00 to 03:00 on 29 March: 00:59 UTC is 01:59, 01:00 UTC is 03:00.
        (
            "Europe/Berlin",
            "hour",
            {"2026-03-28T19:00:00+01:00": 1 + 2, "2026-03-29T01:00:00+01:00": 4 + 8, "2026-03-29T03:00:00+02:00": 16},
        ),
        ("Europe/Berlin", "week", {"2026-03-23": 31}),
        ("America/New_York", "month", {"2026-03-01": 31}),
        ("Pacific/Kiritimati", "day", {"2026-03-29": 31}),
    ],
)  # fmt: skip
def test_local_days_and_hours_are_those_of_the_zone(database_url: str, timezone: str, unit: str, expected: dict[str, int]) -> None:
    """Acceptance 41. Half-hour zones and the days of a change of the clock are as they are lived."""
    with writing(database_url) as hand:
        for at, cost in (
            (datetime(2026, 3, 28, 18, 14, 59, 999_999, tzinfo=UTC), 1),
            (datetime(2026, 3, 28, 18, 15, tzinfo=UTC), 2),
            (datetime(2026, 3, 29, 0, 0, tzinfo=UTC), 4),
            (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), 8),
            (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), 16),
        ):
            hand.entry(at, cost)
    assert {value[0]: cost for value, cost in costs(read(database_url, (unit,), timezone=timezone)).items()} == expected


def test_the_repeated_hour_of_autumn_is_two_rows(database_url: str) -> None:
    with writing(database_url) as hand:
        hand.entry(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 1)
        hand.entry(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 2)
    told = read(database_url, ("hour",), timezone="Europe/Berlin")
    assert costs(told) == {("2026-10-25T02:00:00+02:00",): 1, ("2026-10-25T02:00:00+01:00",): 2}
    assert values(told)[0] == ("2026-10-25T02:00:00+02:00",)


def test_an_entry_that_replaces_one_of_unknown_cost_takes_its_place_among_the_unpriced(database_url: str) -> None:
    with writing(database_url) as hand:
        hand.entry(NOON, None, assumed_nano_usd=7, marks="assumed,expired")
        hand.entry(NOON, 5, assumed_nano_usd=-7, marks="late,difference,replaces")
        hand.entry(NOON, None)
    total = read(database_url).total
    assert (total.cost_nano_usd, total.assumed_nano_usd, total.unpriced, total.entries) == (5, 0, 1, 3)


def test_marks_are_counted_each(database_url: str) -> None:
    with writing(database_url) as hand:
        hand.entry(NOON, 5, marks="late,overrun")
        hand.entry(NOON, 2, marks="overrun")
        hand.entry(NOON + timedelta(days=60), 1, marks="overrun")
    told = read(database_url, (), MARCH)
    assert [(each.mark, each.entries, each.cost_nano_usd) for each in told.marks] == [("late", 1, 5), ("overrun", 2, 7)]


def test_a_hold_past_its_time_is_assumed_at_that_instant(database_url: str) -> None:
    expires_at = NOON + timedelta(minutes=10)
    with writing(database_url) as hand:
        hand.live(hand.decision(NOON, "allow", {"team": "ads"}), expires_at, held_nano_usd=9)
    for at, assumed in ((expires_at - timedelta(microseconds=1), 0), (expires_at, 9)):
        with open_view(database_url, at=at) as view:
            told = view.report(LIFETIME, ("team",))
        assert (told.total.assumed_nano_usd, told.total.unpriced, told.total.entries) == (assumed, int(bool(assumed)), int(bool(assumed)))
        assert values(told) == [("ads",)]


_TEAMS = st.sampled_from(["ads", "Ads", "search", "straße", "STRASSE"])
Fact = tuple[datetime, int | None, dict[str, str], str | None, str]
_FACTS = st.lists(
    st.tuples(
        st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds the zone
        st.one_of(st.none(), st.integers(-(10**12), 10**15)),
        st.dictionaries(st.sampled_from(["team", "user"]), _TEAMS, max_size=2),
        st.sampled_from(["m", "M", "n", None]),
        st.sampled_from(["allow", "deny", "downgrade"]),
    ),
    max_size=12,
)
_BREAKDOWNS = st.lists(
    st.sampled_from(["team", "user", "model", "provider", "tier", "operation", "hour", "day", "week", "month"]), unique=True, max_size=4
)


@pytest.fixture(scope="module")
def memory() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@settings(max_examples=40)
@given(_FACTS, _BREAKDOWNS, st.sampled_from(["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"]), st.randoms())
def test_every_breakdown_adds_up_to_the_same_total_in_any_order_of_booking(
    memory: Engine, facts: list[Fact], by: list[str], timezone: str, random: Random
) -> None:
    """Acceptance 79, 80, 81. To the nano-dollar, and twice the same."""
    told, shuffled = _both(memory, facts, random, by, timezone)
    expected = sum(cost or 0 for _, cost, *_ in facts)
    assert told.total.cost_nano_usd == expected
    assert told.total.entries == len(facts)
    assert told.total.allowed + told.total.denied + told.total.downgraded == len(facts)
    assert sum((row.sums for row in told.rows), Sums()) == told.total
    assert [row.sums for row in told.rows if not by] == ([told.total] if facts and not by else [])
    assert shuffled.total == told.total
    assert sorted(row.sums.cost_nano_usd for row in shuffled.rows) == sorted(row.sums.cost_nano_usd for row in told.rows)


def _both(memory: Engine, facts: list[Fact], random: Random, by: list[str], timezone: str) -> tuple[Report, Report]:
    """The report of a ledger, and of one with the same facts in another order."""
    told = []
    for order in (facts, random.sample(facts, len(facts))):
        with memory.connect() as connection, connection.begin() as transaction:
            hand = Hand(connection)
            for at, cost, labels, model, verdict in order:
                hand.entry(at, cost, labels, model=model)
                hand.decision(at, verdict, labels, saved_nano_usd=cost)
            told.append(report(connection, ORG, LIFETIME, by, timezone=timezone, at=NOON, charges_unseen=False))
            transaction.rollback()
    return told[0], told[1]

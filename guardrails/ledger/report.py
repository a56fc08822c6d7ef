"""What was spent and decided, added up. Every breakdown reads the same rows through one function, so that all add up to the same.

SQL groups by what was asked for, and by quarters of an hour where the time was: every local day and hour begins on one. The groups
are then folded into rows by `breakdown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, and_, case, func, literal, select

from guardrails.core.instant import from_us, rfc3339, to_us
from guardrails.core.money import usd_text
from guardrails.core.window import Period
from guardrails.db.tables import entry, live_hold, record
from guardrails.ledger.breakdown import COLUMNS, TIMES, Breakdown

_QUARTER_US = 15 * 60 * 1_000_000
_QUARTERS_SINCE_US = 94_694_400_000_000
"""1973: before, some zones were off by other than quarters of an hour, and instants are grouped as they are."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the entries and decisions of one row add up to.

    Attributes:
        assumed_nano_usd: stands in for costs that are not known; not in `cost_nano_usd`.
        unpriced: entries whose cost is not known to this day.
        allowed, denied, downgraded: decisions, each counted once.
        saved_nano_usd: estimates of what was asked for less those of what ran, over refusals and downgrades.
        saved_unknown: refusals and downgrades of which that is not known, for want of a price.
    """

    cost_nano_usd: int = 0
    entries: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    assumed_nano_usd: int = 0
    unpriced: int = 0
    allowed: int = 0
    denied: int = 0
    downgraded: int = 0
    saved_nano_usd: int = 0
    saved_unknown: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*[getattr(self, name) + getattr(other, name) for name in _NAMES])

    def as_json(self) -> dict[str, object]:
        """Stable keys of product.md §6; money as decimal text in USD."""
        return {
            name.replace("_nano_usd", "_usd"): usd_text(value) if name.endswith("_nano_usd") else value
            for name in _NAMES
            for value in (getattr(self, name),)
        }


_NAMES = tuple(field.name for field in fields(Sums))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a value for each name of the breakdown, None where it is missing."""

    values: tuple[str | None, ...]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Marked:
    """Entries that were out of the ordinary."""

    mark: str
    entries: int
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class Report:
    """Spend and decisions over a half-open stretch of time.

    Attributes:
        first, last: instants of the first and the last entry or decision in it; None where there is none.
        rows: by time where the breakdown has one, then dearest first, then by label.
    """

    period: Period
    timezone: str
    by: tuple[str, ...]
    total: Sums
    rows: tuple[Row, ...]
    marks: tuple[Marked, ...]
    first: datetime | None
    last: datetime | None

    @property
    def unlabelled(self) -> Sums:
        """What the rows add up to that lack a label of the breakdown."""
        places = [place for place, name in enumerate(self.by) if name not in TIMES and name not in COLUMNS]
        return sum((row.sums for row in self.rows if any(row.values[place] is None for place in places)), Sums())

    def as_json(self) -> dict[str, object]:
        """Stable keys of product.md §6."""
        return {
            "since": _text(self.period.start),
            "until": _text(self.period.end),
            "timezone": self.timezone,
            "first": _text(self.first),
            "last": _text(self.last),
            "by": list(self.by),
            "total": self.total.as_json(),
            "rows": [{**dict(zip(self.by, row.values, strict=True)), **row.sums.as_json()} for row in self.rows],
            "marks": [{"mark": each.mark, "entries": each.entries, "cost_usd": usd_text(each.cost_nano_usd)} for each in self.marks],
        }


def report(
    connection: Connection, org: str, period: Period, by: Sequence[str], *, timezone: str, at: datetime, charges_unseen: bool
) -> Report:
    """Add up entries by their own instant, and decisions by theirs under the labels of their subject.

    Args:
        by: names of `TIMES`, of `COLUMNS`, else of labels; empty for the total alone.
        timezone: the zone of the calendar.
        at: now: a hold that is past its time counts as assumed from that instant on, whether or not anyone has looked.
        charges_unseen: whether the policy charges such holds.
    """
    breakdown = Breakdown(connection, org, by, timezone, len(_NAMES))
    ends: list[int] = []
    for facts in _facts(org, to_us(at), charges_unseen=charges_unseen):
        ends += _add(connection, facts, period, breakdown)
    rows = tuple(Row(values, Sums(*amounts)) for values, amounts in breakdown.rows())
    return Report(
        period,
        timezone,
        tuple(by),
        sum((row.sums for row in rows), Sums()),
        rows,
        _marks(connection, org, period),
        from_us(min(ends)) if ends else None,
        from_us(max(ends)) if ends else None,
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """Rows of one kind that a report adds up, and what of them goes into which sum."""

    table: Table
    source: FromClause
    where: ColumnElement[bool]
    sums: dict[str, ColumnElement[Any]]


def _facts(org: str, at_us: int, *, charges_unseen: bool) -> Iterator[_Facts]:
    of_entry = entry.c
    writes = of_entry.cache_write_short_tokens + of_entry.cache_write_long_tokens + of_entry.cache_write_unknown_tokens
    # What is booked in the place of an entry of unknown cost says so: of the two, one is unpriced, or none once the cost is known.
    replaces = ("," + func.coalesce(of_entry.marks, "") + ",").like("%,replaces,%")
    yield _Facts(
        entry,
        entry,
        of_entry.org == org,
        {
            "cost_nano_usd": func.coalesce(of_entry.cost_nano_usd, 0),
            "entries": literal(1),
            "input_tokens": func.coalesce(of_entry.input_tokens, 0),
            "cache_read_tokens": of_entry.cache_read_tokens,
            "cache_write_tokens": writes,
            "output_tokens": func.coalesce(of_entry.output_tokens, 0),
            "assumed_nano_usd": of_entry.assumed_nano_usd,
            "unpriced": _count(of_entry.cost_nano_usd.is_(None)) - _count(replaces),
        },
    )
    if charges_unseen:
        yield _Facts(
            record,
            record.join(live_hold, and_(live_hold.c.org == record.c.org, live_hold.c.id == record.c.id)),
            and_(record.c.org == org, live_hold.c.expires_us <= at_us),
            {"entries": literal(1), "assumed_nano_usd": record.c.held_nano_usd, "unpriced": literal(1)},
        )
    verdict, saved = record.c.verdict, record.c.saved_nano_usd
    yield _Facts(
        record,
        record,
        record.c.org == org,
        {
            "allowed": _count(verdict == "allow"),
            "denied": _count(verdict == "deny"),
            "downgraded": _count(verdict == "downgrade"),
            "saved_nano_usd": case((verdict == "allow", 0), else_=func.coalesce(saved, 0)),
            "saved_unknown": _count(and_(verdict != "allow", saved.is_(None))),
        },
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _add(connection: Connection, facts: _Facts, period: Period, breakdown: Breakdown) -> list[int]:
    """Add facts to a breakdown; the instants of the first and the last of them."""
    keys = [_column(facts.table, name).label(f"key_{name}") for name in breakdown.columns]
    at_us, recorded_us = facts.table.c.at_us, facts.table.c.recorded_us
    query: Select[Any] = (
        select(*keys, func.min(at_us), func.max(at_us), func.min(recorded_us), *[func.sum(column) for column in facts.sums.values()])
        .select_from(facts.source)
        .where(facts.where, *within(at_us, period))
        .group_by(*keys)
    )
    places = [_NAMES.index(name) for name in facts.sums]
    start = len(keys)
    first_us = last_us = None
    for row in connection.execute(query.execution_options(yield_per=10_000)):
        if row[start] is not None:
            breakdown.add(row[:start], row[start + 2], places, row[start + 3 :])
            first_us = row[start] if first_us is None else min(first_us, row[start])
            last_us = row[start + 1] if last_us is None else max(last_us, row[start + 1])
    return [end_us for end_us in (first_us, last_us) if end_us is not None]


def _column(table: Table, name: str) -> ColumnElement[Any]:
    if name == "time":
        at_us = table.c.at_us
        return case((at_us < _QUARTERS_SINCE_US, at_us), else_=at_us - at_us % _QUARTER_US)
    if name == "model" and table is record:
        return func.coalesce(record.c.model, record.c.requested_model)
    column: ColumnElement[Any] = table.c[name]
    return column


def within(at_us: ColumnElement[int], period: Period) -> list[ColumnElement[bool]]:
    """Conditions on a column of instants: not before the start, before the end."""
    bounds = []
    if period.start is not None:
        bounds.append(at_us >= to_us(period.start))
    if period.end is not None:
        bounds.append(at_us < to_us(period.end))
    return bounds


def _marks(connection: Connection, org: str, period: Period) -> tuple[Marked, ...]:
    """What was out of the ordinary, by mark; an entry with several counts under each."""
    query = (
        select(entry.c.marks, func.count(), func.sum(func.coalesce(entry.c.cost_nano_usd, 0)))
        .where(entry.c.org == org, entry.c.marks.is_not(None), *within(entry.c.at_us, period))
        .group_by(entry.c.marks)
    )
    found: dict[str, tuple[int, int]] = {}
    for marks, count, cost in connection.execute(query):
        for mark in marks.split(","):
            before = found.get(mark, (0, 0))
            found[mark] = (before[0] + int(count), before[1] + int(cost))
    return tuple(Marked(mark, *found[mark]) for mark in sorted(found))


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)

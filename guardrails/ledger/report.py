"""What was spent and decided, added up. Every breakdown reads the same rows through one function, so that all add up to the same.

SQL groups by what was asked for, and by quarters of an hour where the time was: every local day and hour begins on one. Python
then folds the groups: labels by the form in which they are compared, quarters into the local calendar.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, and_, case, func, literal, select

from guardrails.core.instant import from_us, rfc3339, to_us
from guardrails.core.model_name import fold
from guardrails.core.money import usd_text
from guardrails.core.subject import label_key
from guardrails.core.window import Period, Window, WindowKind, zone_of
from guardrails.db.tables import entry, live_hold, record, subject

TIMES = {kind.value: kind for kind in (WindowKind.HOUR, WindowKind.DAY, WindowKind.WEEK, WindowKind.MONTH)}
"""The breakdowns by time."""
COLUMNS = ("model", "provider", "tier", "operation")
"""The breakdowns by what the call itself says; every other name is a label's."""

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
    folding = _Folding(connection, org, by, timezone)
    first, last = None, None
    for facts in _facts(org, to_us(at), charges_unseen=charges_unseen):
        for key, first_us, last_us, recorded_us, sums in _groups(connection, facts, period, folding.columns):
            folding.add(key, recorded_us, sums)
            first = first_us if first is None else min(first, first_us)
            last = last_us if last is None else max(last, last_us)
    rows = folding.rows()
    return Report(
        period,
        timezone,
        tuple(by),
        sum((row.sums for row in rows), Sums()),
        rows,
        _marks(connection, org, period),
        None if first is None else from_us(first),
        None if last is None else from_us(last),
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


def _groups(
    connection: Connection, facts: _Facts, period: Period, columns: Sequence[str]
) -> Iterator[tuple[dict[str, Any], int, int, int, Sums]]:
    """Sums of each group of facts, with its first and last instant and the first at which one was written."""
    keys = [_column(facts.table, name).label(f"key_{name}") for name in columns]
    at_us = facts.table.c.at_us
    query: Select[Any] = (
        select(
            *keys,
            func.min(at_us),
            func.max(at_us),
            func.min(facts.table.c.recorded_us),
            *[func.sum(column) for column in facts.sums.values()],
        )
        .select_from(facts.source)
        .where(facts.where, *within(at_us, period))
        .group_by(*keys)
    )
    for row in connection.execute(query.execution_options(yield_per=10_000)):
        key = dict(zip(columns, row, strict=False))
        first_us, last_us, recorded_us, *sums = row[len(columns) :]
        if first_us is not None:
            yield key, first_us, last_us, recorded_us, Sums(**{name: int(value) for name, value in zip(facts.sums, sums, strict=True)})


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


class _Folding:
    """Groups of the database on their way to rows."""

    def __init__(self, connection: Connection, org: str, by: Sequence[str], timezone: str) -> None:
        self._by = by
        self._readers = [self._reader(name, timezone) for name in by]
        labelled = any(name not in TIMES and name not in COLUMNS for name in by)
        self.columns = [
            *(["subject"] if labelled else []),
            *dict.fromkeys("time" if name in TIMES else name for name in by if name in {*TIMES, *COLUMNS}),
        ]
        self._labels = _labels(connection, org) if labelled else {}
        self._sums: dict[tuple[Hashable, ...], Sums] = {}
        self._shown: dict[tuple[int, Hashable], tuple[int, str]] = {}

    def add(self, key: dict[str, Any], recorded_us: int, sums: Sums) -> None:
        """Take in a group."""
        values = tuple(reader(key) for reader in self._readers)
        folded = tuple(None if value is None else value[0] for value in values)
        self._sums[folded] = self._sums.get(folded, Sums()) + sums
        for place, value in enumerate(values):
            if value is not None:
                written = (recorded_us, value[1])
                self._shown[place, value[0]] = min(written, self._shown.get((place, value[0]), written))

    def rows(self) -> tuple[Row, ...]:
        """Rows in order. A value is shown as it was first written."""

        def order(folded: tuple[Any, ...]) -> tuple[object, ...]:
            times = [value for value, name in zip(folded, self._by, strict=True) if name in TIMES]
            others = [(value is None, value or "") for value, name in zip(folded, self._by, strict=True) if name not in TIMES]
            return (*times, -self._sums[folded].cost_nano_usd, *others)

        return tuple(
            Row(tuple(None if value is None else self._shown[place, value][1] for place, value in enumerate(folded)), self._sums[folded])
            for folded in sorted(self._sums, key=order)
        )

    def _reader(self, name: str, timezone: str) -> Callable[[dict[str, Any]], tuple[Hashable, str] | None]:
        """What tells values apart and what is shown of them, from the key of a group; None where it has no value."""
        if name in TIMES:
            window = Window(TIMES[name], timezone)
            starts: dict[int, tuple[Hashable, str]] = {}

            def start(key: dict[str, Any]) -> tuple[Hashable, str]:
                at_us = key["time"]
                if at_us not in starts:
                    starts[at_us] = _start(window, from_us(at_us))
                return starts[at_us]

            return start
        if name in COLUMNS:
            return lambda key: None if key[name] is None else (fold(key[name]), key[name])

        def label(key: dict[str, Any]) -> tuple[Hashable, str] | None:
            value = self._labels.get(bytes(key["subject"]), {}).get(name)
            return None if value is None else (label_key(value), value)

        return label


def _labels(connection: Connection, org: str) -> dict[bytes, dict[str, str]]:
    rows = connection.execute(select(subject.c.key, subject.c.labels).where(subject.c.org == org))
    return {bytes(row.key): json.loads(row.labels) for row in rows}


def _start(window: Window, at: datetime) -> tuple[int, str]:
    """The start of the local window of an instant: in microseconds, and as text."""
    begin = window.period(at).start
    assert begin is not None  # noqa: S101 - only a lifetime has no start
    local = begin.astimezone(zone_of(window.timezone))
    return to_us(begin), local.isoformat() if window.kind is WindowKind.HOUR else local.date().isoformat()


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

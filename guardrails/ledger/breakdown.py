"""Groups of facts on their way to the rows of a report: labels by the form in which they are compared, time by the local calendar."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from guardrails.core.instant import from_us, to_us
from guardrails.core.model_name import fold
from guardrails.core.subject import label_key
from guardrails.core.window import Window, WindowKind, zone_of
from guardrails.db.tables import subject

TIMES = {kind.value: kind for kind in (WindowKind.HOUR, WindowKind.DAY, WindowKind.WEEK, WindowKind.MONTH)}
"""The breakdowns by time."""
COLUMNS = ("model", "provider", "tier", "operation")
"""The breakdowns by what the call itself says; every other name is a label's."""

Value = tuple[Hashable, str]
"""What tells a value from others, and how it was written."""


@dataclass(slots=True)
class _Name:
    """One name of a breakdown: where in a group's key its value is found, how it is read, and how each was first written."""

    column: int
    read: Callable[[Any], Value | None]
    known: dict[Hashable, Value | None] = field(default_factory=dict)
    written: dict[Hashable, tuple[int, str]] = field(default_factory=dict)

    def identity(self, key: Sequence[Any], recorded_us: int) -> Hashable:
        """What tells the value of a group from others; None where it has none."""
        raw = key[self.column]
        if raw in self.known:
            value = self.known[raw]
        else:
            value = self.known[raw] = self.read(raw)
        if value is None:
            return None
        identity, text = value
        first = self.written.get(identity)
        if first is None or (recorded_us, text) < first:
            self.written[identity] = (recorded_us, text)
        return identity


class Breakdown:
    """Adds up amounts of groups by the names asked for.

    Attributes:
        columns: what groups must be told apart by: `subject`, `time`, or names of `COLUMNS`.
    """

    def __init__(self, connection: Connection, org: str, by: Sequence[str], timezone: str, amounts: int) -> None:
        self._by = tuple(by)
        self._amounts = amounts
        self.columns = tuple(dict.fromkeys(_column_of(name) for name in by))
        labels = _labels(connection, org) if "subject" in self.columns else {}
        self._names = [_Name(self.columns.index(_column_of(name)), _reader(name, timezone, labels)) for name in by]
        self._sums: dict[tuple[Hashable, ...], list[int]] = {}

    def add(self, key: Sequence[Any], recorded_us: int, places: Sequence[int], amounts: Sequence[Any]) -> None:
        """Take in a group.

        Args:
            key: its values of `columns`.
            recorded_us: when the first of it was written.
            places: of which amounts these are.
        """
        identity = tuple([name.identity(key, recorded_us) for name in self._names])
        sums = self._sums.get(identity)
        if sums is None:
            sums = self._sums[identity] = [0] * self._amounts
        for place, amount in zip(places, amounts, strict=True):
            sums[place] += int(amount)

    def rows(self) -> list[tuple[tuple[str | None, ...], list[int]]]:
        """Values and amounts: by time where the breakdown has one, then those with most of the first amount, then by value.

        A value is shown as it was first written.
        """
        timed = [name in TIMES for name in self._by]

        def order(identity: tuple[Any, ...]) -> tuple[object, ...]:
            times = [value for value, is_time in zip(identity, timed, strict=True) if is_time]
            others = [(value is None, value or "") for value, is_time in zip(identity, timed, strict=True) if not is_time]
            return (*times, -self._sums[identity][0], *others)

        return [
            (
                tuple(None if value is None else name.written[value][1] for name, value in zip(self._names, identity, strict=True)),
                self._sums[identity],
            )
            for identity in sorted(self._sums, key=order)
        ]


def _column_of(name: str) -> str:
    return "time" if name in TIMES else name if name in COLUMNS else "subject"


def _reader(name: str, timezone: str, labels: Mapping[bytes, Mapping[str, str]]) -> Callable[[Any], Value | None]:
    if name in TIMES:
        window = Window(TIMES[name], timezone)
        return lambda at_us: _start(window, from_us(at_us))
    if name in COLUMNS:
        return lambda text: None if text is None else (fold(text), text)

    def label(key: Any) -> Value | None:  # noqa: ANN401 - bytes as the driver gives them
        value = labels.get(bytes(key), {}).get(name)
        return None if value is None else (label_key(value), value)

    return label


def _labels(connection: Connection, org: str) -> dict[bytes, dict[str, str]]:
    rows = connection.execute(select(subject.c.key, subject.c.labels).where(subject.c.org == org))
    return {bytes(row.key): json.loads(row.labels) for row in rows}


def _start(window: Window, at: datetime) -> Value:
    """The start of the local window of an instant: in microseconds, and as text."""
    begin = window.period(at).start
    assert begin is not None  # noqa: S101 - only a lifetime has no start
    local = begin.astimezone(zone_of(window.timezone))
    return to_us(begin), local.isoformat() if window.kind is WindowKind.HOUR else local.date().isoformat()

"""Calendar windows: half-open, in a time zone, derived from an instant. There is no reset job.

A day starts at the first instant whose local date is that day: on days without a midnight that is later than 00:00. Hours
and minutes are cut at a change of the zone's offset, so that the repeated hour of autumn is a window of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


class WindowKind(StrEnum):
    """The windows of the policy language."""

    CALL = "call"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    LIFETIME = "lifetime"


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open stretch of time in UTC; both ends are None for a lifetime."""

    start: datetime | None
    end: datetime | None

    def __contains__(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


LIFETIME = Period(None, None)


@dataclass(frozen=True, slots=True)
class Window:
    """A kind of window in a zone. `week_starts` is 0 for Monday to 6 for Sunday."""

    kind: WindowKind
    timezone: str = "UTC"
    week_starts: int = 0

    def period(self, at: datetime) -> Period:
        """The period that holds an instant.

        Raises:
            ValueError: the window is `call`, which has no period, or the period leaves the years 1 to 9999.
        """
        if self.kind is WindowKind.CALL:
            msg = "a window of one call has no period"
            raise ValueError(msg)
        if self.kind is WindowKind.LIFETIME:
            return LIFETIME
        zone = zone_of(self.timezone)
        if self.kind is WindowKind.MINUTE:
            return _clock_period(at, zone, timedelta(minutes=1))
        if self.kind is WindowKind.HOUR:
            return _clock_period(at, zone, timedelta(hours=1))
        return self._calendar_period(at.astimezone(zone).date())

    def _calendar_period(self, day: date) -> Period:
        first, following = self._days(day)
        return Period(start_of_day(first, self.timezone), start_of_day(following, self.timezone))

    def _days(self, day: date) -> tuple[date, date]:
        match self.kind:
            case WindowKind.DAY:
                return day, day + timedelta(days=1)
            case WindowKind.WEEK:
                first = day - timedelta(days=(day.weekday() - self.week_starts) % 7)
                return first, first + timedelta(days=7)
            case WindowKind.MONTH:
                return day.replace(day=1), _month_after(day, 1)
            case WindowKind.QUARTER:
                first = day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
                return first, _month_after(first, 3)
            case WindowKind.YEAR:
                return date(day.year, 1, 1), date(day.year + 1, 1, 1)
            case _:
                msg = f"{self.kind} is not counted in days"
                raise ValueError(msg)


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        ValueError: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        msg = f"`{name}` is not an IANA time zone such as Europe/Berlin"
        raise ValueError(msg) from None


@lru_cache(maxsize=4_096)
def start_of_day(day: date, timezone: str) -> datetime:
    """The first instant, in UTC, whose local date is `day` or later."""
    zone = zone_of(timezone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    start = midnight.astimezone(UTC)
    if start.astimezone(zone).date() == day and (start - _SECOND).astimezone(zone).date() < day:
        return start
    # No midnight on that day: the first instant after the gap, found between two noons.
    before, after = start - timedelta(hours=26), start + timedelta(hours=26)
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (before, middle) if middle.astimezone(zone).date() >= day else (middle, after)
    return after


def _month_after(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def _clock_period(at: datetime, zone: ZoneInfo, length: timedelta) -> Period:
    local = at.astimezone(zone)
    past = timedelta(minutes=local.minute % (length // timedelta(minutes=1)), seconds=local.second, microseconds=local.microsecond)
    start = at.astimezone(UTC) - past
    end = start + length
    if start.astimezone(zone).utcoffset() != local.utcoffset():
        start = _offset_change(start, at, zone)
    last = end - timedelta(microseconds=1)
    if last.astimezone(zone).utcoffset() != local.utcoffset():
        end = _offset_change(at, last, zone)
    return Period(start, end)


def _offset_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second after `before` at which the zone has the offset that it has at `after`."""
    before = before.astimezone(UTC).replace(microsecond=0)
    after = after.astimezone(UTC)
    wanted = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        before, after = (before, middle) if middle.astimezone(zone).utcoffset() == wanted else (middle, after)
    return after.replace(microsecond=0)

"""How single values are written: numbers, counts, instants, dates, durations. Each reader takes text and raises `Mistake`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from guardrails.core.instant import parse_instant
from guardrails.core.window import start_of_day
from guardrails.source.problem import quoted

_Day = TypeVar("_Day", date, datetime)

MAX_COUNT = 2**63 - 1
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_MAX_CHARACTERS = 64
_COUNT = re.compile(r"([0-9]+(?:_[0-9]+)*)(\.[0-9]+)?([kKMGB])?")
_DECIMAL = re.compile(r"[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]{1,3})?")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?")
_DURATION = re.compile(r"([0-9]{1,9}(?:_[0-9]+)*) (second|minute|hour)s?")
_SCALES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600}
_MAX_DURATION_S = 366 * 86_400


class Mistake(ValueError):
    """A written value that cannot be read: `code`, `message` and `hint` become those of a `Problem`."""

    def __init__(self, *, code: str, message: str, hint: str | None = None) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(message)


def decimal_of(text: str) -> Decimal:
    """An exact number of zero or more: `0.10`, `5_000`, `1.5e-7`."""
    if len(text) <= _MAX_CHARACTERS and _DECIMAL.fullmatch(text):
        return Decimal(text)
    raise _not_a_number(text)


def count_of(text: str) -> int:
    """A whole number of zero or more: `1024`, `32_000`, `8k`, `2.5M`; k is a thousand, M a million, G (or B) a thousand million."""
    written = _COUNT.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if written is None:
        raise _not_a_number(text)
    whole, fraction, suffix = written.groups()
    return scaled_count(text, whole, fraction, suffix)


def scaled_count(text: str, whole: str, fraction: str | None, suffix: str | None) -> int:
    """The count that digits, `.digits` and a suffix say together."""
    scale = _SCALES[suffix or ""]
    count = int(whole) * scale
    if fraction is not None:
        part, rest = divmod(int(fraction[1:]) * scale, 10 ** (len(fraction) - 1))
        if rest:
            raise Mistake(code="not-whole", message=f"{quoted(text)} is not a whole number")
        count += part
    if count > MAX_COUNT:
        raise Mistake(code="too-large", message=f"{quoted(text)} is more than {MAX_COUNT:,}")
    return count


def _not_a_number(text: str) -> Mistake:
    if text[:1] in {"-", "\u2212"} and _DECIMAL.match(text[1:].lstrip()):
        return Mistake(code="negative", message=f"{quoted(text)} is negative")
    if _THOUSANDS.fullmatch(text):
        return Mistake(code="bad-number", message=f"{quoted(text)} has commas", hint=text.replace(",", "_"))
    return Mistake(code="bad-number", message=f"{quoted(text)} is not a number")


def flag_of(text: str) -> bool:
    """`true` or `false`."""
    if text in {"true", "True", "TRUE"}:
        return True
    if text in {"false", "False", "FALSE"}:
        return False
    hint = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.casefold())
    raise Mistake(code="bad-value", message=f"{quoted(text)} is neither `true` nor `false`", hint=hint)


def date_of(text: str) -> date:
    """A day: `2026-09-01`."""
    if not _DATE.fullmatch(text):
        raise Mistake(code="bad-time", message=f"{quoted(text)} is not a date such as `2026-09-01`")
    return _checked(text, date.fromisoformat)


def instant_of(text: str) -> datetime:
    """An aware instant in UTC: `2026-09-01T08:00:00Z`, `2026-09-01T10:00:00+02:00`."""
    written = _INSTANT.fullmatch(text)
    if written is None:
        raise Mistake(code="bad-time", message=f"{quoted(text)} is not an instant such as `2026-09-01T08:00:00Z`")
    if written["zone"] is None:
        raise Mistake(code="bad-time", message=f"{quoted(text)} has no time zone", hint=f"{text}Z")
    return _checked(text, parse_instant)


def date_or_instant_of(text: str) -> date | datetime:
    """A day, or an aware instant; `start_of` makes an instant of either."""
    if _DATE.fullmatch(text):
        return date_of(text)
    if _INSTANT.fullmatch(text):
        return instant_of(text)
    raise Mistake(
        code="bad-time", message=f"{quoted(text)} is neither a date such as `2026-09-01` nor an instant such as `2026-09-01T08:00:00Z`"
    )


def start_of(when: date | datetime, timezone: str) -> datetime:
    """The instant itself, or the first one of the day in a zone."""
    return when.astimezone(UTC) if isinstance(when, datetime) else start_of_day(when, timezone)


def _checked(text: str, read: Callable[[str], _Day]) -> _Day:
    if not _FIRST_YEAR <= int(text[:4]) < _LAST_YEAR:
        raise Mistake(code="bad-time", message=f"{quoted(text)} is outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    try:
        return read(text)
    except ValueError:
        raise Mistake(code="bad-time", message=f"{quoted(text)} is no day or time of the calendar") from None


def duration_s_of(text: str) -> int:
    """Whole seconds of `90 seconds`, `10 minutes` or `2 hours`."""
    written = _DURATION.fullmatch(text)
    if written is None:
        hint = f"{text} minutes" if text.isascii() and text.isdigit() and len(text) < 6 else None  # noqa: PLR2004 - a likely number
        raise Mistake(
            code="bad-duration", message=f"{quoted(text)} is not a duration such as `90 seconds`, `10 minutes` or `2 hours`", hint=hint
        )
    seconds = int(written[1]) * _SECONDS[written[2]]
    if not 0 < seconds <= _MAX_DURATION_S:
        raise Mistake(code="bad-duration", message=f"{quoted(text)} must be more than nothing and at most a year")
    return seconds

"""Instants: aware datetimes in Python, microseconds since 1970 in tables, RFC 3339 text at the edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_us(at_us: int) -> datetime:
    """The UTC instant of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=at_us)


def rfc3339(at: datetime) -> str:
    """Text of an instant in UTC as it stands in stable JSON: `2026-03-10T12:00:00Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """An aware instant from RFC 3339 text.

    Raises:
        ValueError: not an instant, or one without a zone.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        msg = f"`{text}` is not an instant, write it as 2026-03-10T12:00:00Z"
        raise ValueError(msg) from None
    if at.tzinfo is None:
        msg = f"`{text}` has no time zone, write it as 2026-03-10T12:00:00Z"
        raise ValueError(msg)
    return at.astimezone(UTC)

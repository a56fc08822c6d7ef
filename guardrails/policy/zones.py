"""The nearest IANA name to a time zone that there is not."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import available_timezones

from guardrails.source.problem import nearest

_ABBREVIATIONS = {
    "cet": "Europe/Berlin",
    "cest": "Europe/Berlin",
    "pst": "America/Los_Angeles",
    "pdt": "America/Los_Angeles",
    "est": "America/New_York",
    "edt": "America/New_York",
    "bst": "Europe/London",
    "ist": "Asia/Kolkata",
    "jst": "Asia/Tokyo",
}


@lru_cache(maxsize=256)
def zone_hint(text: str) -> str | None:
    """A zone's name close to the text, by its whole name or by its city; None where there is none."""
    names = sorted(available_timezones())
    folded = text.strip().casefold()
    if folded in _ABBREVIATIONS:
        return _ABBREVIATIONS[folded]
    cities = {name.rpartition("/")[2]: name for name in reversed(names)}
    close = nearest(text, names)
    if close is None and (city := nearest(text.replace(" ", "_").rpartition("/")[2], cities)) is not None:
        return cities[city]
    return close

"""Figures as people read them: money with one number of decimals, short counts, bars, local instants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from guardrails.core.money import NANO_PER_USD
from guardrails.core.quantity import Measure
from guardrails.core.window import zone_of

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_THOUSANDS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
_COUNTED_OUT = 10_000
"""Counts below are written in full."""


def money_column(amounts_nano_usd: Iterable[int]) -> Callable[[int], str]:
    """How to write the amounts of one column, so that they line up: cents for hundreds, more decimals for small change."""
    largest = max((abs(amount) for amount in amounts_nano_usd), default=0)
    places = 2 if largest >= 100 * NANO_PER_USD else 4 if largest >= NANO_PER_USD else 6

    def write(amount_nano_usd: int) -> str:
        if not amount_nano_usd:
            return "0"
        step = Decimal(1).scaleb(-places)
        rounded = (Decimal(amount_nano_usd) / NANO_PER_USD).quantize(step, ROUND_HALF_EVEN)
        # What is there must not look like nothing.
        return f"{rounded:,}" if rounded else f"<{step}" if amount_nano_usd > 0 else f">-{step}"

    return write


def amount_column(amounts: Iterable[int], measure: Measure) -> Callable[[int], str]:
    """How to write the amounts of one column in a measure; the unit stands elsewhere."""
    return money_column(amounts) if measure is Measure.USD else short_count


def short_count(count: int) -> str:
    """Three digits of a large count: `2.05M`; small ones as they are."""
    if abs(count) < _COUNTED_OUT:
        return f"{count:,}"
    size, letter = next(step for step in _THOUSANDS if abs(count) >= step[0])
    decimals = 3 - len(str(abs(count) // size))
    return f"{count / size:.{max(decimals, 0)}f}{letter}"


def percent(share: Fraction) -> str:
    """A share in whole per cent; what is more than nothing and less than one per cent says so."""
    whole = round(share * 100)
    return "<1 %" if share > 0 and not whole else f"{whole:,} %"


def bar(share: Fraction, width: int, *, blocks: bool = True) -> str:
    """A bar of at most `width` characters; without block characters of `#`. Anything above nothing shows."""
    filled = min(max(share, Fraction(0)), Fraction(1)) * width
    if not blocks:
        return "#" * max(round(filled), int(share > 0))
    eighths = max(round(filled * 8), int(share > 0))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def local_text(at: datetime, timezone: str) -> str:
    """An instant on the clock of a zone, without what is zero."""
    local = at.astimezone(zone_of(timezone))
    if local.microsecond or local.second:
        return local.strftime("%Y-%m-%d %H:%M:%S")
    return local.strftime("%Y-%m-%d %H:%M")


def one_line(text: str) -> str:
    """Text of a label for a cell: a line feed in it must not break the table."""
    return " ".join(text.split())


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 entry`, `2 entries`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"

"""What a settlement books: the usage of an attempt less what was booked for it before, as entries of its own.

Nothing is edited: usage that arrives again, in full after it was partial, or after the hold was charged as assumed, books the
difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from guardrails.core.hashing import hashed
from guardrails.core.money import usd_to_nano_rounded
from guardrails.core.usage import PART_COUNTERS, Usage
from guardrails.ledger.entry import GATE, Entry, Hold
from guardrails.pricing.cost import cost
from guardrails.pricing.price import Quote

_COUNTS = (
    "cache_read_tokens",
    "cache_write_short_tokens",
    "cache_write_long_tokens",
    "cache_write_unknown_tokens",
)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a settlement did.

    Attributes:
        decision: id of the decision that was settled.
        cost_nano_usd: the cost of the attempt; None where it is not known.
        assumed_nano_usd: what is counted in its place.
        marks: what was out of the ordinary: `overrun`, `late`, `partial`, `assumed`, `difference`, `lower` (less than was booked
            for a complete attempt, and so left as it was).
        booked: False where the same usage had been booked before.
    """

    decision: str
    attempt: int
    cost_nano_usd: int | None
    assumed_nano_usd: int
    marks: tuple[str, ...]
    booked: bool


@dataclass(frozen=True, slots=True)
class Booked:
    """What was booked before for an attempt, or in its place."""

    cost_nano_usd: int = 0
    stated_nano_usd: int = 0
    priced_nano_usd: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_short_tokens: int = 0
    cache_write_long_tokens: int = 0
    cache_write_unknown_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    assumed_nano_usd: int = 0
    assumed_input_tokens: int = 0
    assumed_output_tokens: int = 0
    entries: int = 0
    unpriced: int = 0
    partial: bool = False

    @property
    def may_sink(self) -> bool:
        """Whether the total may become less: it was not complete."""
        return self.partial or bool(self.unpriced or self.assumed_nano_usd or self.assumed_input_tokens or self.assumed_output_tokens)


NOTHING_BOOKED = Booked()
BOOKED_COLUMNS = tuple(name for name in Booked.__dataclass_fields__ if name not in ("entries", "unpriced", "partial"))
"""The columns of table `entry` that `booked` adds up; it looks at `marks` too."""


def booked(rows: Sequence[Mapping[str, object]]) -> Booked:
    """The sum of entries, as rows of table `entry` by column, oldest first; what is unknown adds only its assumed part."""
    if not rows:
        return NOTHING_BOOKED
    total = {name: sum(int(str(row[name] or 0)) for row in rows) for name in BOOKED_COLUMNS}
    marks = [str(row["marks"] or "").split(",") for row in rows]
    # An entry that stands in the place of one of unknown cost is marked so: reports count the two as one, or none, without a price.
    unpriced = sum((row["cost_nano_usd"] is None) - ("replaces" in its) for row, its in zip(rows, marks, strict=True))
    return Booked(**total, entries=len(rows), unpriced=unpriced, partial=bool(marks) and "partial" in marks[-1])


def usage_entry(  # noqa: PLR0913 - an entry is these facts
    hold: Hold,
    usage: Usage,
    quote: Quote,
    tier: str | None,
    before: Booked,
    *,
    attempt: int,
    part: int,
    late: bool,
    first: bool,
    recorded_us: int,
    route: bytes | None,
) -> tuple[Entry | None, Settlement]:
    """The entry that brings what is booked for an attempt to what it used; None where it is booked already.

    Args:
        before: what was booked for this attempt, an assumed hold in its place included.
        part: 0 for the attempt itself, 1… for parts that ran on other models.
        late: the hold had ended before.
        first: no usage of this hold was booked before: the request is counted with it.
    """
    priced = cost(usage, quote.price)
    stated = None if usage.cost_usd is None else usd_to_nano_rounded(usage.cost_usd)
    total = stated if stated is not None else priced
    if total is None and before.entries and not before.unpriced:
        total = before.cost_nano_usd  # that a later message lacks the cost does not make it unknown
    charged = hold.holds if part == 0 else None
    assumed_nano = 0 if total is not None or charged is None else charged.nano_usd
    has_input = usage.input_tokens is not None or (before.entries and not before.assumed_input_tokens)
    has_output = usage.output_tokens is not None or (before.entries and not before.assumed_output_tokens)
    assumed_input = 0 if has_input or charged is None else charged.input_tokens
    assumed_output = 0 if has_output or charged is None else charged.output_tokens
    marks: list[str] = []
    sinks = before.may_sink
    lower = False

    def rest(now: int, then: int) -> int:
        nonlocal lower
        if now < then and not sinks:
            lower = True
            return 0
        return now - then

    cost_rest = None if total is None else rest(total, before.cost_nano_usd)
    counts = {name: rest(getattr(usage, name), getattr(before, name)) for name in _COUNTS}
    input_rest = None if usage.input_tokens is None else rest(usage.input_tokens, before.input_tokens)
    output_rest = None if usage.output_tokens is None else rest(usage.output_tokens, before.output_tokens)
    assumed = (
        assumed_nano - before.assumed_nano_usd,
        assumed_input - before.assumed_input_tokens,
        assumed_output - before.assumed_output_tokens,
    )
    requests = 1 if first and before.requests == 0 else 0
    if usage.partial:
        marks.append("partial")
    if total is None or usage.input_tokens is None or usage.output_tokens is None:
        marks.append("assumed")
    if late:
        marks.append("late")
    if (
        (total or 0) > hold.holds.nano_usd
        or (usage.all_input_tokens or 0) > hold.holds.input_tokens
        or (usage.output_tokens or 0) > hold.holds.output_tokens
    ):
        marks.append("overrun")
    if before.entries:
        marks.append("difference")
        if before.unpriced:
            marks.append("replaces")
    if lower:
        marks.append("lower")
    settlement = Settlement(hold.id, attempt, total, assumed_nano, tuple(marks), booked=True)
    moved = any((cost_rest, input_rest, output_rest, requests, *counts.values(), *assumed))
    completes = (before.partial and not usage.partial) or (before.unpriced and total is not None)
    if before.entries and not moved and not completes:
        return None, replace(settlement, booked=False)
    key = hashed(GATE, hold.id, attempt, part, before.entries)
    entry = Entry(
        key=key,
        content=key,
        source=GATE,
        at_us=hold.at_us,
        recorded_us=recorded_us,
        subject=hold.subject,
        decision=hold.id,
        attempt=attempt,
        part=part,
        model=quote.model,
        provider=quote.provider,
        tier=tier,
        operation=hold.operation,
        input_tokens=input_rest,
        output_tokens=output_rest,
        requests=requests,
        cost_nano_usd=cost_rest,
        stated_nano_usd=None if stated is None else rest(stated, before.stated_nano_usd),
        priced_nano_usd=None if priced is None else rest(priced, before.priced_nano_usd),
        assumed_nano_usd=assumed[0],
        assumed_input_tokens=assumed[1],
        assumed_output_tokens=assumed[2],
        quote=quote.id,
        route=route,
        response=usage.response_id,
        marks=tuple(marks),
        detail=usage_detail(usage),
        **counts,
    )
    return entry, settlement


def assumed_entry(hold: Hold, mark: str, *, recorded_us: int) -> Entry:
    """The entry that charges a hold whose end nobody saw, in full, as assumed."""
    return Entry(
        key=hashed(GATE, hold.id, "assumed"),
        content=hashed(GATE, hold.id, "assumed"),
        source=GATE,
        at_us=hold.at_us,
        recorded_us=recorded_us,
        subject=hold.subject,
        decision=hold.id,
        model=hold.model,
        provider=hold.provider,
        tier=hold.tier,
        operation=hold.operation,
        requests=1,
        assumed_nano_usd=hold.holds.nano_usd,
        assumed_input_tokens=hold.holds.input_tokens,
        assumed_output_tokens=hold.holds.output_tokens,
        quote=hold.quote,
        marks=("assumed", mark),
    )


def reversal(hold: Hold, before: Booked, *, recorded_us: int) -> Entry:
    """The entry that takes back what was assumed for a call that turned out to have cost nothing."""
    return Entry(
        key=hashed(GATE, hold.id, "released", before.entries),
        content=hashed(GATE, hold.id, "released", before.entries),
        source=GATE,
        at_us=hold.at_us,
        recorded_us=recorded_us,
        subject=hold.subject,
        decision=hold.id,
        model=hold.model,
        provider=hold.provider,
        tier=hold.tier,
        operation=hold.operation,
        input_tokens=0,
        output_tokens=0,
        requests=-before.requests,
        cost_nano_usd=0,
        assumed_nano_usd=-before.assumed_nano_usd,
        assumed_input_tokens=-before.assumed_input_tokens,
        assumed_output_tokens=-before.assumed_output_tokens,
        quote=hold.quote,
        marks=("released", "late", "replaces"),
    )


def usage_detail(usage: Usage) -> str | None:
    """JSON text of the counters that have no column; None where there are none."""
    detail: dict[str, object] = {name: value for name in ("reasoning_tokens", *PART_COUNTERS) if (value := getattr(usage, name))}
    if usage.units:
        detail["units"] = {name: str(count) for name, count in sorted(usage.units.items())}
    return json.dumps(detail, separators=(",", ":"), ensure_ascii=False) if detail else None

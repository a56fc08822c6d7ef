"""What a settlement books: the usage of an attempt less what was booked for it before, as entries of its own.

Nothing is edited: usage that arrives again, in full after it was partial, or after the hold was charged as assumed, books the
difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from guardrails.core.balance import NOTHING, Amounts
from guardrails.core.hashing import hashed
from guardrails.core.money import nano_to_usd, usd_to_nano_rounded
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

UNCHECKED = "unchecked"
"""The mark of usage that no limit was asked for: the call ran while the ledger could not be reached."""


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

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost of the attempt in USD, exact; None where it is not known."""
        return None if self.cost_nano_usd is None else nano_to_usd(self.cost_nano_usd)

    @property
    def assumed_usd(self) -> Decimal:
        """What is counted in place of a cost that is not known."""
        return nano_to_usd(self.assumed_nano_usd)

    def with_part(self, part: Settlement) -> Settlement:
        """The settlement of an attempt and of a part of it that ran on another model."""
        known = self.cost_nano_usd is not None and part.cost_nano_usd is not None
        return Settlement(
            self.decision,
            self.attempt,
            (self.cost_nano_usd or 0) + (part.cost_nano_usd or 0) if known else None,
            self.assumed_nano_usd + part.assumed_nano_usd,
            tuple(dict.fromkeys((*self.marks, *part.marks))),
            self.booked or part.booked,
        )


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
    own: bool = False
    """Some of it was booked for the decision itself, not imported: its hold has its end in the ledger."""
    charged: bool = False
    """Nothing but a charge for the whole hold, which one attempt or release takes the place of."""

    @property
    def may_sink(self) -> bool:
        """Whether the total may become less: it was not complete."""
        return self.partial or bool(self.unpriced or self.assumed_nano_usd or self.assumed_input_tokens or self.assumed_output_tokens)


NOTHING_BOOKED = Booked()
BOOKED_COLUMNS = tuple(name for name in Booked.__dataclass_fields__ if name not in ("entries", "unpriced", "partial", "own", "charged"))
"""The columns of table `entry` that `booked` adds up; it looks at `marks` too."""


def booked(rows: Sequence[Mapping[str, object]]) -> Booked:
    """The sum of entries, as rows of table `entry` by column, oldest first; what is unknown adds only its assumed part."""
    if not rows:
        return NOTHING_BOOKED
    total = {name: sum(int(str(row[name] or 0)) for row in rows) for name in BOOKED_COLUMNS}
    marks = [str(row["marks"] or "").split(",") for row in rows]
    # An entry that stands in the place of one of unknown cost is marked so: reports count the two as one, or none, without a price.
    unpriced = sum((row["cost_nano_usd"] is None) - ("replaces" in its) for row, its in zip(rows, marks, strict=True))
    own = any(row["decision"] is not None for row in rows)
    charged = all(row["attempt"] is None for row in rows) and any(row["source"] == GATE for row in rows)
    return Booked(**total, entries=len(rows), unpriced=unpriced, partial=bool(marks) and "partial" in marks[-1], own=own, charged=charged)


@dataclass(slots=True)
class _Rest:
    """What is left to book of a total, of which some may be booked already."""

    before: Booked
    lower: bool = False

    def of(self, now: int, then: int) -> int:
        """The difference; nothing where a complete attempt would become less."""
        if now < then and not self.before.may_sink:
            self.lower = True
            return 0
        return now - then

    def counts(self, usage: Usage) -> dict[str, int]:
        """The cached counters, by their names."""
        if self.before is NOTHING_BOOKED:
            return {name: getattr(usage, name) for name in _COUNTS}
        return {name: self.of(getattr(usage, name), getattr(self.before, name)) for name in _COUNTS}


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
    left: Amounts,
) -> tuple[Entry | None, Settlement]:
    """The entry that brings what is booked for an attempt to what it used; None where it is booked already.

    Args:
        before: what was booked for this attempt, an assumed hold in its place included.
        part: 0 for the attempt itself, 1… for parts that ran on other models.
        late: the hold had ended before.
        first: no usage of this hold was booked before: the request is counted with it.
        left: what stands in for what the usage does not say: the hold, or what other parts of the answer left of it.
    """
    priced = cost(usage, quote.price)
    stated = None if usage.cost_usd is None else usd_to_nano_rounded(usage.cost_usd)
    total = stated if stated is not None else priced
    if total is None and before.entries and not before.unpriced:
        total = before.cost_nano_usd  # that a later message lacks the cost does not make it unknown
    assumed = _assumed(left, usage, total, before)
    rest = _Rest(before)
    cost_rest = None if total is None else rest.of(total, before.cost_nano_usd)
    input_rest = None if usage.input_tokens is None else rest.of(usage.input_tokens, before.input_tokens)
    output_rest = None if usage.output_tokens is None else rest.of(usage.output_tokens, before.output_tokens)
    counts = rest.counts(usage)
    requests = 1 if first and before.requests == 0 else 0
    assumed_rest = Amounts(
        assumed.nano_usd - before.assumed_nano_usd,
        assumed.input_tokens - before.assumed_input_tokens,
        assumed.output_tokens - before.assumed_output_tokens,
    )
    marks = _marks(hold, usage, before, total, assumed, late=late, lower=rest.lower)
    booked_total = before.cost_nano_usd if rest.lower and total is not None else total
    settlement = Settlement(hold.id, attempt, booked_total, assumed.nano_usd, marks, booked=True)
    if before.own:
        moved = any((cost_rest, input_rest, output_rest, requests, *counts.values())) or assumed_rest != NOTHING
        completes = (before.partial and not usage.partial) or (before.unpriced and total is not None)
        if not moved and not completes:
            return None, replace(settlement, booked=False)
    # One key for all that can take the place of a charged hold: of two that try at once the second finds the first.
    key = hashed(GATE, hold.id, "resolved") if before.charged else hashed(GATE, hold.id, attempt, part, before.entries)
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
        cache_read_tokens=counts["cache_read_tokens"],
        cache_write_short_tokens=counts["cache_write_short_tokens"],
        cache_write_long_tokens=counts["cache_write_long_tokens"],
        cache_write_unknown_tokens=counts["cache_write_unknown_tokens"],
        output_tokens=output_rest,
        requests=requests,
        cost_nano_usd=cost_rest,
        stated_nano_usd=None if stated is None else rest.of(stated, before.stated_nano_usd),
        priced_nano_usd=None if priced is None else rest.of(priced, before.priced_nano_usd),
        assumed_nano_usd=assumed_rest.nano_usd,
        assumed_input_tokens=assumed_rest.input_tokens,
        assumed_output_tokens=assumed_rest.output_tokens,
        quote=quote.id,
        route=route,
        response=usage.response_id,
        marks=marks,
        detail=usage_detail(usage),
    )
    return entry, settlement


def _assumed(left: Amounts, usage: Usage, total_nano_usd: int | None, before: Booked) -> Amounts:
    """What is left of the hold, for what neither this usage nor usage booked before says."""
    if total_nano_usd is not None and usage.input_tokens is not None and usage.output_tokens is not None:
        return NOTHING
    has_input = usage.input_tokens is not None or (before.entries and not before.assumed_input_tokens)
    has_output = usage.output_tokens is not None or (before.entries and not before.assumed_output_tokens)
    return Amounts(
        0 if total_nano_usd is not None else left.nano_usd,
        0 if has_input else left.input_tokens,
        0 if has_output else left.output_tokens,
    )


def _marks(
    hold: Hold, usage: Usage, before: Booked, total_nano_usd: int | None, assumed: Amounts, *, late: bool, lower: bool
) -> tuple[str, ...]:
    """What is out of the ordinary; mostly nothing."""
    holds = hold.holds
    over = (
        (total_nano_usd or 0) > holds.nano_usd
        or (usage.all_input_tokens or 0) > holds.input_tokens
        or (usage.output_tokens or 0) > holds.output_tokens
    )
    unknown = total_nano_usd is None or assumed != NOTHING
    named = (
        ("partial", usage.partial),
        ("assumed", unknown),
        ("late", late),
        ("overrun", over),
        ("difference", before.entries),
        ("replaces", before.entries and before.unpriced),
        ("lower", lower),
        ("clamped", usage.clamped),
    )
    return tuple([mark for mark, holds_true in named if holds_true])


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
        key=hashed(GATE, hold.id, "resolved"),
        content=hashed(GATE, hold.id, "resolved"),
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

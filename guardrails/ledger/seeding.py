"""The facts of a window, grouped by what rules look at: what a balance that opens late starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guardrails.core.balance import Amounts
from guardrails.core.instant import to_us
from guardrails.core.window import Period
from guardrails.db.session import Statement
from guardrails.ledger.book import Book

_FIRST_US, _LAST_US = -(2**62), 2**62
_LAST_SEQ = 2**62


@dataclass(frozen=True, slots=True)
class FactGroup:
    """Entries or a hold alike in everything that rules look at.

    Attributes:
        hold: the live hold that this is; None for entries.
        bound: estimated (input, output) tokens, where conditions look at them.
    """

    labels: Mapping[str, str]
    quote: str | None
    provider: str | None
    operation: str
    bound: tuple[int, int]
    spent: Amounts
    assumed: Amounts
    hold: str | None = None


def facts_of(book: Book, period: Period, *, by_tokens: bool, last_seq: int = _LAST_SEQ) -> tuple[list[FactGroup], int]:
    """Everything booked in a period: entries in groups, live holds one by one.

    Args:
        by_tokens: keep apart what has different token counts, for conditions on them.
        last_seq: leave out entries after this one; those of before are what they were.

    Returns:
        The groups, and the number of the last entry that they include.
    """
    start = _FIRST_US if period.start is None else to_us(period.start)
    end = _LAST_US if period.end is None else to_us(period.end)
    org = book.org
    entries, holds, last = book.session.read(
        (_ENTRIES_BY_TOKENS if by_tokens else _ENTRIES, (org, start, end, last_seq)), (_LIVE, (org, start, end)), (_LAST, (org,))
    )
    subjects = {bytes(row[0]) for row in entries} | {bytes(row[0]) for row in holds}
    labels = book.labels(subjects)
    groups = []
    for subject, quote, provider, operation, bound_input, bound_output, *sums in entries:
        nano, input_tokens, output_tokens, requests, assumed_nano, assumed_input, assumed_output = (int(value or 0) for value in sums)
        spent = Amounts(nano, input_tokens, output_tokens, requests)
        assumed = Amounts(assumed_nano, assumed_input, assumed_output)
        groups.append(FactGroup(labels[bytes(subject)], quote, provider, operation or "", (bound_input, bound_output), spent, assumed))
    for subject, quote, provider, operation, bound_input, bound_output, nano, hold in holds:
        spent = Amounts(nano, bound_input, bound_output, 1)
        groups.append(FactGroup(labels[bytes(subject)], quote, provider, operation, (bound_input, bound_output), spent, Amounts(), hold))
    return groups, int(last[0][0] or 0)


_ALL_INPUT = (
    "coalesce(e.input_tokens, 0) + e.cache_read_tokens "
    "+ e.cache_write_short_tokens + e.cache_write_long_tokens + e.cache_write_unknown_tokens"
)
_SUMS = f"""CAST(sum(coalesce(e.cost_nano_usd, 0)) AS BIGINT), CAST(sum({_ALL_INPUT}) AS BIGINT),
 CAST(sum(coalesce(e.output_tokens, 0)) AS BIGINT), CAST(sum(e.requests) AS BIGINT),
 CAST(sum(e.assumed_nano_usd) AS BIGINT), CAST(sum(e.assumed_input_tokens) AS BIGINT),
 CAST(sum(e.assumed_output_tokens) AS BIGINT)"""
_COUNTED = (
    "e.org = ? AND e.at_us >= ? AND e.at_us < ? AND e.seq <= ? "
    "AND (e.cost_nano_usd >= 0 OR e.cost_nano_usd IS NULL OR e.corrects IS NOT NULL OR e.source = 'gate')"
)
_ENTRIES = Statement(
    f"SELECT e.subject, e.quote, e.provider, e.operation, 0, 0, {_SUMS} FROM entry e WHERE {_COUNTED} GROUP BY 1, 2, 3, 4"  # noqa: S608
)
_ENTRIES_BY_TOKENS = Statement(
    f"""SELECT e.subject, e.quote, e.provider, e.operation,
 coalesce(r.held_input_tokens, {_ALL_INPUT}), coalesce(r.held_output_tokens, e.output_tokens, 0), {_SUMS}
 FROM entry e LEFT JOIN record r ON r.org = e.org AND r.id = e.decision WHERE {_COUNTED} GROUP BY 1, 2, 3, 4, 5, 6"""  # noqa: S608
)
_LIVE = Statement(
    """SELECT r.subject, r.quote, r.provider, r.operation, r.held_input_tokens, r.held_output_tokens, r.held_nano_usd, r.id
 FROM live_hold h JOIN record r ON r.org = h.org AND r.id = h.id WHERE h.org = ? AND r.at_us >= ? AND r.at_us < ?"""
)
_LAST = Statement("SELECT max(seq) FROM entry WHERE org = ?")

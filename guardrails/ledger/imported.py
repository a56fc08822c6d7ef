"""A row of an export on its way into the ledger: what it says, what tells it apart, and how far its file has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from guardrails.core.hashing import hashed
from guardrails.core.instant import to_us
from guardrails.core.usage import COUNTERS, Usage

MAX_SHOWN_CHARACTERS = 10_000
"""What is kept at most of a row that was not booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """One row as its source states it, read and checked, not yet priced.

    Attributes:
        line: where it stands in its file, from 1.
        raw: the row as it may be shown when it cannot be booked.
        id: the source's own id of the row: one id is one row, for ever.
        model: None for what is paid otherwise.
        subject: labels as `checked_subject` gives them.
        usage: counters as `formats.md` normalises them; its `response_id` is the provider's id of the answer.
        stated_nano_usd: the cost that the source states; None where it states none, which is not zero.
        requests: how many requests the row stands for.
        corrects: id of the entry that this one corrects.
        marks: what was out of the ordinary in reading it.
    """

    line: int
    raw: str
    id: str
    at: datetime
    subject: Mapping[str, str]
    usage: Usage
    model: str | None = None
    provider: str | None = None
    operation: str | None = None
    stated_nano_usd: int | None = None
    requests: int = 1
    corrects: str | None = None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be booked, and why."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportState:
    """One file of one format with one set of options: how far it has come, and with what result.

    Attributes:
        id: hash of format, options and bytes; the same file is the same import.
        position: rows that are booked or quarantined, in the order in which they are taken.
        cost_nano_usd: the known cost of the rows that were new.
    """

    id: str
    path: str
    format: str
    started_us: int
    position: int = 0
    done: bool = False
    read: int = 0
    new: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0
    skipped: int = 0
    cost_nano_usd: int = 0

    def row(self, org: str) -> tuple[object, ...]:
        """The values of table `import_file`, in its order."""
        return (
            org,
            self.id,
            self.path,
            self.format,
            self.started_us,
            self.position,
            int(self.done),
            self.read,
            self.new,
            self.duplicate,
            self.conflict,
            self.quarantined,
            self.skipped,
            self.cost_nano_usd,
        )


def row_key(source: str, row_id: str) -> bytes:
    """The key of an entry by its source's own identity; neither time nor file are in it."""
    return hashed(source, row_id)


def row_content(row: ImportedRow, subject: bytes) -> bytes:
    """The hash of what a row says, labels set by the import included: the same id with another one is a conflict."""
    usage = row.usage
    content = (
        to_us(row.at),
        row.model,
        row.provider,
        row.operation,
        subject,
        [getattr(usage, name) for name in _COUNTERS],
        usage.response_id,
        sorted((name, str(Decimal(count).normalize())) for name, count in usage.units.items()) if usage.units else [],
        row.stated_nano_usd,
        row.requests,
        row.corrects,
    )
    # `ascii` of nested tuples and lists of text, bytes and whole numbers is one to one and the same on every version of Python.
    return hashed(ascii(content))


_COUNTERS = ("input_tokens", "output_tokens", *COUNTERS)

"""The one path by which rows become entries: read, checked against the clock, cut into chunks, booked, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from guardrails.core.hashing import hashed
from guardrails.core.instant import rfc3339, to_us
from guardrails.gate.import_chunk import Chunk
from guardrails.gate.import_row import Outcome
from guardrails.gate.importing import Importer
from guardrails.importers.formats import Format
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportedRow, ImportState, Rejected

CHUNK_ROWS = 4_000
SHOWN = 10
"""Refused rows, and rows of a dry run, that a result keeps to be shown."""

_SKEW = timedelta(minutes=5)
Item = ImportedRow | Rejected


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not booked: where, whether `quarantined` or in `conflict`, and why."""

    line: int
    kind: str
    reason: str


@dataclass(slots=True)
class FileResult:
    """What the import of one file did.

    Attributes:
        state: counts and known cost, those of an earlier run that was interrupted included.
        findings: what the policy's label rules find in rows that were booked all the same, with their number.
        unpriced: rows booked without a known cost.
        refused: the first of the rows that were not booked.
        shown: of a dry run the first rows, with what would become of them.
    """

    state: ImportState
    findings: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0
    refused: list[Refused] = field(default_factory=list)
    shown: list[Outcome] = field(default_factory=list)

    def add(self, outcomes: Sequence[Outcome], *, dry: bool) -> None:
        """Take in what became of rows."""
        for outcome in outcomes:
            if outcome.reason and len(self.refused) < SHOWN:
                self.refused.append(Refused(outcome.row.line, outcome.kind, outcome.reason))
            if outcome.entry is not None:
                self.unpriced += outcome.entry.cost_nano_usd is None
                if outcome.prepared is not None:
                    self.findings.update(outcome.prepared.payer.findings)
        if dry:
            self.shown += outcomes[: SHOWN - len(self.shown)]


def import_id(format_name: str, labels: Mapping[str, str], digest: str) -> str:
    """The name of an import: the same bytes as the same format with the same options are the same import."""
    return hashed(format_name, sorted(labels.items()), digest).hex()


def import_file(
    importer: Importer,
    source: SourceFile,
    format_: Format,
    subjects: Subjects,
    at: datetime,
    progress: Callable[[int], None] = lambda _: None,
    chunk_rows: int = CHUNK_ROWS,
) -> FileResult:
    """Import one file; one that was interrupted goes on where it was, one that was finished adds nothing.

    Rows of a finished file that were refused are tried again.

    Args:
        at: now; rows of later instants are refused.
        progress: told how many bytes of the file are done.

    Raises:
        FileUnreadable: the file breaks off; what was read before is booked.
        LedgerError: the ledger did not take a chunk; what came before is booked.
    """
    start = ImportState(
        id=import_id(format_.name, subjects.added, source.digest), path=source.path, format=format_.name, started_us=to_us(at)
    )
    stored = importer.state(start.id)
    again = stored is not None and stored.done
    if stored is not None and again and not stored.quarantined and not stored.conflict and not importer.dry:
        return FileResult(replace(stored, new=0, duplicate=stored.read - stored.skipped, cost_nano_usd=0))
    resumed = stored if stored is not None and not again and not importer.dry else start
    result = FileResult(resumed)
    items = islice(_corrections_last(_in_time(format_.read(source, subjects), at)), resumed.position, None)
    for chunk, last in _chunks(items, chunk_rows):
        booked = importer.book(Chunk(result.state, chunk, last=last, again=again))
        result.state = booked.state
        result.add(booked.outcomes, dry=importer.dry)
        progress(source.position)
    return result


def _in_time(items: Iterable[Item], at: datetime) -> Iterator[Item]:
    latest = at + _SKEW
    for item in items:
        if isinstance(item, ImportedRow) and item.at > latest:
            yield Rejected(item.line, f"at: {rfc3339(item.at)} is in the future", item.raw)
        else:
            yield item


def _corrections_last(items: Iterable[Item]) -> Iterator[Item]:
    """Corrections after everything else, so that they find what they correct wherever in the file it stands."""
    corrections = []
    for item in items:
        if isinstance(item, ImportedRow) and item.corrects is not None:
            corrections.append(item)
        else:
            yield item
    yield from corrections


def _chunks(items: Iterator[Item], size: int) -> Iterator[tuple[list[Item], bool]]:
    """Lists of at most so many items, corrections apart from other rows, each with whether it is the last; at least one."""
    chunk: list[Item] = []
    for item in items:
        if chunk and (len(chunk) == size or _corrects(item) != _corrects(chunk[-1])):
            yield chunk, False
            chunk = []
        chunk.append(item)
    yield chunk, True


def _corrects(item: Item) -> bool:
    return isinstance(item, ImportedRow) and item.corrects is not None

"""Imports into a ledger, and what is in it afterwards, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from guardrails.db import tables
from guardrails.db.connect import connect, reading
from guardrails.gate.importing import Importer
from guardrails.importers.formats import FORMATS
from guardrails.importers.rows import FileResult, import_file
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportState
from guardrails.ledger.verify import verify

AT = datetime(2026, 11, 24, tzinfo=UTC)
_OF_THE_RUN = {"seq", "recorded_us", "import_id"}


def run(
    url: str,
    path: Path,
    *,
    policies: Path | None = None,
    format_name: str = "jsonl",
    labels: Mapping[str, str] | None = None,
    chunk_rows: int = 4_000,
    dry: bool = False,
) -> FileResult:
    """Import one file."""
    with Importer.open(policies, url, dry=dry) as importer, SourceFile(str(path)) as source:
        return import_file(importer, source, FORMATS[format_name], Subjects(labels), AT, chunk_rows=chunk_rows)


def counts(state: ImportState) -> dict[str, int]:
    """The numbers of a summary that are not zero, without `read`."""
    names = ("new", "duplicate", "conflict", "quarantined", "skipped")
    return {name: count for name in names if (count := getattr(state, name))}


def rows_of(url: str, table: str) -> list[dict[str, Any]]:
    """The rows of a table."""
    engine = connect(url)
    try:
        with reading(engine) as connection:
            return [dict(row._mapping) for row in connection.execute(select(tables.metadata.tables[table]))]
    finally:
        engine.dispose()


def entries(url: str) -> dict[bytes, dict[str, Any]]:
    """Entries by key, without what belongs to the run that booked them."""
    return {bytes(row["key"]): {name: value for name, value in row.items() if name not in _OF_THE_RUN} for row in rows_of(url, "entry")}


def balances(url: str) -> dict[tuple[str, str, int | None], tuple[int, int, int]]:
    """Spent, assumed and held by rule, scope and start of the window; those with nothing left out."""
    return {
        (row["rule"], row["scope"], row["start_us"]): amounts
        for row in rows_of(url, "balance")
        if any(amounts := (row["spent"], row["assumed"], row["held"]))
    }


def spent_of(url: str, rule: str, at: datetime | None = None) -> dict[str, int]:
    """What is spent under a rule by the value of its label, in the window that starts at an instant, or in the only one."""
    found = {}
    for (name, scope, start_us), (spent, _, _) in balances(url).items():
        if name == rule and (at is None or start_us == at.timestamp() * 1_000_000):
            found[" ".join(json.loads(scope).values()) or "all"] = spent
    return found


def assert_adds_up(url: str) -> None:
    """Every balance is the sum of its facts."""
    engine = connect(url)
    try:
        with reading(engine) as connection:
            verification = verify(connection, "default")
    finally:
        engine.dispose()
    assert verification.ok, verification.findings


def write(path: Path, rows: Iterable[Mapping[str, object] | str]) -> Path:
    """A JSONL file of rows; text stands as it is."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path

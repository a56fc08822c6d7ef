"""An import in a process of its own, which tells of every chunk, so that a test can kill it there."""

from __future__ import annotations

import sys
from pathlib import Path

from guardrails.gate.importing import Importer
from guardrails.importers.formats import FORMATS
from guardrails.importers.rows import import_file
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from tests.importers.ledgers import AT


def main(url: str, path: str, policies: str, chunk_rows: str) -> None:
    with Importer.open(Path(policies), url) as importer, SourceFile(path) as source:
        import_file(importer, source, FORMATS["jsonl"], Subjects(), AT, tell, int(chunk_rows))


def tell(done: int) -> None:
    """One line for each chunk that is booked."""
    print(done, flush=True)  # noqa: T201 - its report


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The formats by name. A new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from guardrails.importers import jsonl, litellm
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportedRow, Rejected


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of export is read. `name` is also the source of its entries: one id of one source is one row, for ever."""

    name: str
    description: str
    read: Callable[[SourceFile, Subjects], Iterator[ImportedRow | Rejected]]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        each.name: each
        for each in (
            Format("jsonl", "one entry per line, in our own fields", jsonl.read),
            Format("litellm", "rows of LiteLLM_SpendLogs, one JSON object per line", litellm.read),
        )
    }
)

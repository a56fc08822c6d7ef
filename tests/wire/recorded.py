"""The recorded answers, and how a test reads one."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from guardrails.core.usage import Usage
from guardrails.wire import StreamReader, read_usage

_FILE = Path(__file__).parents[1] / "data" / "wire" / "provider_responses.jsonl.gz"


@cache
def rows() -> tuple[dict[str, Any], ...]:
    with gzip.open(_FILE, "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


def row_name(number: int) -> str:
    row = rows()[number]
    return f"{number}-{row['provider']}-{row['path'].rpartition('/')[2]}{'-stream' if row['streamed'] else ''}"


def body_of(row: dict[str, Any]) -> bytes:
    body: str = row["response_body"]
    return base64.b64decode(body) if row["body_encoding"] == "base64" else body.encode()


def read(number: int) -> Usage | None:
    row = rows()[number]
    return read_usage(body_of(row), content_type=row["content_type"], host=row["host"], path=row["path"], status=row["status"])


def reader_for(row: dict[str, Any]) -> StreamReader:
    return StreamReader(content_type=row["content_type"], host=row["host"], path=row["path"], status=row["status"])

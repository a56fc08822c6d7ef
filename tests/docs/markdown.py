"""Code blocks of a Markdown file, with where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```([a-z]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language and its text."""

    file: str
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        """As a person would look for it."""
        return f"{self.file}:{self.line}"


def blocks(path: Path, *languages: str) -> Iterator[Block]:
    """The blocks of these languages, in order."""
    text = path.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        if found[1] in languages:
            yield Block(path.name, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])

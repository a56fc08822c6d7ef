"""A mistake in a text that a person wrote, as data: where it stands, what it is, and the nearest legal spelling."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from typing_extensions import override

_SHOWN_CHARACTERS = 80
_SNIPPET_CHARACTERS = 110


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. Sorts by where it stands.

    Attributes:
        path: the file as a person would name it.
        line: 1-based.
        column: 1-based, in characters.
        code: stable name of the kind of mistake, such as `unknown-key`.
        message: one sentence without a full stop, user input in backticks.
        hint: the nearest legal spelling, where there is one.
        snippet: the line of the file.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    hint: str | None = field(default=None, compare=False)
    snippet: str = field(default="", compare=False)

    @property
    def sentence(self) -> str:
        """The message with its hint."""
        return self.message if self.hint is None else f"{self.message}, did you mean `{self.hint}`?"

    @override
    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.sentence}"


def rendered(problem: Problem) -> str:
    """The problem with its line of the file and a caret under the place."""
    number = str(problem.line)
    margin = " " * len(number)
    start = 0 if problem.column <= _SNIPPET_CHARACTERS - 20 else problem.column - 1 - _SNIPPET_CHARACTERS // 2
    before = _printable(problem.snippet[start : problem.column - 1])
    after = _printable(problem.snippet[problem.column - 1 : start + _SNIPPET_CHARACTERS])
    caret = " " * sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in before)
    return f"{problem}\n {number} | {before}{after}\n {margin} | {caret}^"


def quoted(text: str) -> str:
    """User input in backticks, on one line and not longer than a message bears."""
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}…"
    return f"`{_printable(text)}`"


def nearest(written: str, legal: Iterable[str]) -> str | None:
    """The legal spelling that is close to what was written, or None."""
    spellings = {spelling.casefold().replace("-", "_"): spelling for spelling in legal}
    folded = written[:_SHOWN_CHARACTERS].strip().casefold().replace("-", "_").replace(" ", "_")
    close = difflib.get_close_matches(folded, spellings, n=1, cutoff=0.7)
    # Letters in another order are the commonest slip in a short word, where they count for most: `pre`, `ta`.
    same_letters = [spelling for spelling in spellings if sorted(spelling) == sorted(folded)]
    found = (same_letters or close)[:1]
    return spellings[found[0]] if found else None


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " if character in "\t\r\n" else "\ufffd" for character in text)

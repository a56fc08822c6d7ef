"""Answers as they are printed: tables for people, JSON and CSV for programs, and nothing from outside that a terminal would obey."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Literal, TypeVar, cast

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

from guardrails.cli.settings import Settings

Format = Literal["table", "json", "csv"]
F = TypeVar("F", bound=Callable[..., Any])

_JOINERS = "\u200c\u200d"
"""Invisible, but letters of some scripts, and emoji, are written with them."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_FORMULA = frozenset("=+-@\t\r")
_TRAILING = re.compile(r" +$", re.MULTILINE)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def format_option(command: F) -> F:
    """`--format table|json|csv`, given to the command as `format_`: a table on a terminal, JSON in a pipe where it is not said."""
    return format_option_with("json")(command)


def format_option_with(piped: Format) -> Callable[[F], F]:
    """`format_option` for answers that are read as text in a pipe, too."""

    def chosen(ctx: click.Context, _: click.Parameter, value: Format | None) -> Format:
        if value is not None:
            return value
        settings = ctx.find_object(Settings)
        return "table" if settings is not None and settings.terminal else piped

    default = "table" if piped == "table" else f"table on a terminal, {piped} in a pipe"
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["table", "json", "csv"]),
        callback=chosen,
        help=f"How to print it.  [default: {default}]",
    )


def emit(
    format_: Format,
    data: object,
    *,
    table: Callable[[Console], None],
    rows: Sequence[Mapping[str, object]] | None = None,
    columns: Sequence[str] = (),
) -> None:
    """Print an answer in the format that was asked for.

    Args:
        data: the stable document, of plain values.
        table: prints it for people.
        rows: of CSV; `data` itself where it is a list of objects, else its one object.
        columns: of CSV, those that are there even where no row is; further keys of rows come after them.
    """
    match format_:
        case "table":
            table(console())
        case "json":
            click.echo(json_text(data))
        case "csv":
            click.echo(csv_text(_rows_of(data) if rows is None else rows, columns), nl=False)


def shown(text: str, *, keep: str = "") -> str:
    r"""Text with every control, bidi and otherwise invisible character written out: `\x1b`, `\u202e`.

    Args:
        keep: characters that may stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) if character not in keep and _is_hidden(character) else character for character in text)


def json_text(data: object) -> str:
    """One JSON document, readable and stable; characters that a terminal would obey are escaped."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    text = json.dumps(data, indent=2, ensure_ascii=not encoding.startswith("utf"))
    # In JSON text such characters can only stand inside strings, where an escape means the same.
    return "".join(_json_escaped(character) if character != "\n" and _is_hidden(character) else character for character in text)


def csv_text(rows: Iterable[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """Rows under a header of all their keys; what a spreadsheet would run as a formula is kept text by an apostrophe."""
    rows = list(rows)
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if names:
        writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return stream.getvalue()


def console(*, stderr: bool = False) -> Console:
    """Where tables and sentences for people are printed; without colour where nobody looks."""
    stream = sys.stderr if stderr else sys.stdout
    return SafeConsole(file=stream if stream.isatty() else cast("IO[str]", _Trimmed(stream)), highlight=False, markup=False, emoji=False)


class _Trimmed:
    """A stream that drops the spaces with which tables fill their lines; whole lines are written to it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        return self._stream.write(_TRAILING.sub("", text))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return False


class SafeConsole(Console):
    """A console that writes out control characters of the texts that it is given, whoever forgot to."""

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(shown(segment.text, keep="\n"), segment.style)


def _rows_of(data: object) -> Sequence[Mapping[str, object]]:
    if isinstance(data, list):
        return data
    return [data] if isinstance(data, dict) else []


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            text = shown(value)
        case dict() | list() | tuple():
            text = shown(json.dumps(value, ensure_ascii=False))
        case _:
            text = str(value)
    return f"'{text}" if text[:1] in _FORMULA and not _NUMBER.fullmatch(text) else text


def _is_hidden(character: str) -> bool:
    return not character.isprintable() and character not in _JOINERS and unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    return json.dumps(character)[1:-1]

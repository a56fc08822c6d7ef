"""`guardrails import`: past usage from exports and logs into the ledger, each row once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from guardrails.cli.failure import NO
from guardrails.cli.import_page import files_as_rows, print_summary, summary
from guardrails.cli.output import Format, console, emit, format_option
from guardrails.cli.settings import Settings
from guardrails.core import clock
from guardrails.core.errors import FileUnreadable, InvalidCall
from guardrails.gate.importing import Importer
from guardrails.importers.formats import FORMATS
from guardrails.importers.rows import FileResult, import_file
from guardrails.importers.source import SourceFile, check_readable
from guardrails.importers.subjects import Subjects

_HELP = (
    "Book past usage from files: each row once, in the window of its own instant, under the rules that meet it.\n\n"
    "\b\nFORMAT is one of\n"
    + "\n".join(f"  {each.name:{max(map(len, FORMATS))}}  {each.description}" for each in FORMATS.values())
    + "\n\nFiles may be packed with gzip; `-` is standard input. The same file again, or the same rows in another one, adds nothing, and "
    "an import that was interrupted goes on where it was. Rows that cannot be booked are kept with line and reason, and tried again "
    "when the file is imported again; the exit code is then 1."
)


def _labels(_: click.Context, option: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            message = f"`{value}` is not LABEL=VALUE, write it as team=search"
            raise click.BadParameter(message, param=option)
        if name.strip() in labels:
            message = f"the label `{name.strip()}` is set twice"
            raise click.BadParameter(message, param=option)
        labels[name.strip()] = text
    try:
        return Subjects(labels).added
    except InvalidCall as error:
        raise click.BadParameter(str(error), param=option) from None


@click.command("import", help=_HELP)
@click.argument("name", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--set", "labels", metavar="LABEL=VALUE", multiple=True, callback=_labels, help="A label for every row that lacks it; may be repeated."
)
@click.option("--dry-run", "dry", is_flag=True, help="Show the first rows as they would be booked, and the totals; book nothing.")
@format_option
@click.pass_obj
def import_(settings: Settings, name: str, files: tuple[str, ...], labels: Mapping[str, str], dry: bool, format_: Format) -> int:  # noqa: FBT001 - a flag
    """Import files."""
    for path in files:
        check_readable(path)
    subjects = Subjects(labels)
    results: list[FileResult] = []
    broken: FileUnreadable | None = None
    with Importer.open(settings.folder, settings.database, dry=dry) as importer:
        for path in files:
            try:
                with SourceFile(path) as source, _progress(source) as progress:
                    results.append(import_file(importer, source, FORMATS[name], subjects, clock.now(), progress))
            except FileUnreadable as error:
                broken = error
                break
    emit(
        format_,
        summary(results, dry=dry),
        rows=files_as_rows(results),
        table=lambda console: print_summary(console, results, dry=dry),
    )
    if broken is not None:
        raise broken
    refused = any(result.state.quarantined or result.state.conflict for result in results)
    return NO if refused else 0


@contextmanager
def _progress(source: SourceFile) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(source.path, total=source.size)
        yield lambda done: bar.update(task, completed=done)

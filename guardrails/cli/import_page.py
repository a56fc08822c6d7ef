"""What an import did: the stable summary, and the page for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from guardrails.core.instant import rfc3339
from guardrails.core.money import usd_for_people, usd_text
from guardrails.gate.import_row import Outcome
from guardrails.importers.rows import FileResult
from guardrails.ledger.imported import ImportedRow

_COUNTS = ("read", "new", "duplicate", "conflict", "quarantined", "skipped")


def summary(results: Sequence[FileResult], *, dry: bool) -> dict[str, object]:
    """Stable keys: the sums over all files, each file's own, and what a person should look at."""
    data: dict[str, object] = {
        **{name: sum(getattr(result.state, name) for result in results) for name in _COUNTS},
        "cost_usd": usd_text(_cost(results)),
        "files": len(results),
        "unpriced": sum(result.unpriced for result in results),
        "by_file": files_as_rows(results),
        "labels": [{"finding": finding, "rows": rows} for finding, rows in _findings(results).most_common()],
        "refused": [
            {"path": result.state.path, "line": refused.line, "kind": refused.kind, "reason": refused.reason}
            for result in results
            for refused in result.refused
        ],
        "dry_run": dry,
    }
    if dry:
        data["rows"] = [_shown(outcome) for result in results for outcome in result.shown]
    return data


def files_as_rows(results: Sequence[FileResult]) -> list[dict[str, object]]:
    """One row for each file."""
    return [
        {
            "path": result.state.path,
            **{name: getattr(result.state, name) for name in _COUNTS},
            "cost_usd": usd_text(result.state.cost_nano_usd),
        }
        for result in results
    ]


def print_summary(console: Console, results: Sequence[FileResult], *, dry: bool) -> None:
    """The page for people."""
    if dry:
        _print_rows(console, [outcome for result in results for outcome in result.shown])
    _print_files(console, results)
    for result in results:
        _print_refused(console, result)
    for finding, rows in _findings(results).most_common():
        console.print(f"{finding}: {_rows(rows)}, booked all the same", style="yellow", soft_wrap=True)
    if unpriced := sum(result.unpriced for result in results):
        console.print(f"no price and no stated cost: {_rows(unpriced)}, booked with unknown cost", style="yellow", soft_wrap=True)
    if dry:
        console.print("dry run: nothing is booked")


def _print_files(console: Console, results: Sequence[FileResult]) -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("file", overflow="fold")
    for name in (*_COUNTS, "USD"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        counts = [f"{getattr(result.state, name):,}" for name in _COUNTS]
        table.add_row(result.state.path, *counts, usd_for_people(result.state.cost_nano_usd))
    if len(results) > 1:
        sums = [f"{sum(getattr(result.state, name) for result in results):,}" for name in _COUNTS]
        table.add_row("all", *sums, usd_for_people(_cost(results)), style="bold")
    console.print(table)


def _print_refused(console: Console, result: FileResult) -> None:
    for refused in result.refused:
        console.print(f"{result.state.path}:{refused.line}: {refused.reason}", style="red", soft_wrap=True)
    more = result.state.quarantined + result.state.conflict - len(result.refused)
    if more > 0:
        console.print(f"{result.state.path}: {_rows(more)} more like these", style="red", soft_wrap=True)


def _print_rows(console: Console, outcomes: Sequence[Outcome]) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("line", "becomes", "at", "model", "subject", "input", "output", "USD"):
        wide = name in ("model", "subject")
        left = wide or name in ("becomes", "at")
        table.add_column(name, justify="left" if left else "right", no_wrap=not wide, overflow="fold", min_width=8 if wide else None)
    for outcome in outcomes:
        shown = _shown(outcome)
        at = str(shown.get("at", ""))[:16].replace("T", " ")
        rest = [shown.get(name) for name in ("model", "subject", "all_input_tokens", "output_tokens", "cost_usd")]
        table.add_row(str(outcome.row.line), outcome.kind, at, *("" if value is None else str(value) for value in rest))
    console.print(table)


def _shown(outcome: Outcome) -> dict[str, object]:
    """A row as it would be booked."""
    row, entry = outcome.row, outcome.entry
    shown: dict[str, object] = {"line": row.line, "outcome": outcome.kind}
    if isinstance(row, ImportedRow):
        shown["at"] = rfc3339(row.at)
        shown["subject"] = " ".join(f"{name}={value}" for name, value in row.subject.items())
    if entry is not None:
        shown.update(
            model=entry.model,
            provider=entry.provider,
            input_tokens=entry.input_tokens,
            all_input_tokens=entry.spent.input_tokens,
            output_tokens=entry.output_tokens,
            cost_usd=None if entry.cost_nano_usd is None else usd_text(entry.cost_nano_usd),
        )
    elif outcome.reason:
        shown["reason"] = outcome.reason
    return shown


def _findings(results: Sequence[FileResult]) -> Counter[str]:
    return sum((result.findings for result in results), Counter())


def _cost(results: Sequence[FileResult]) -> int:
    return sum(result.state.cost_nano_usd for result in results)


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"

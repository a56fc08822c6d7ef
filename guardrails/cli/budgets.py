"""`guardrails budgets`: every balance of the windows that run now, and where it is heading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrails.cli.figures import amount_column, bar, local_text, one_line, percent
from guardrails.cli.output import Format, emit, format_option
from guardrails.cli.settings import Settings
from guardrails.core.errors import PolicyUnreadable
from guardrails.core.instant import rfc3339
from guardrails.core.quantity import amount_text
from guardrails.core.window import WindowKind, zone_of
from guardrails.engine.decision import share_text
from guardrails.gate.budgets import Budget
from guardrails.gate.gate import Gate
from guardrails.gate.view import open_view

_TOO_EARLY = Fraction(1, 20)
"""Of a window: before, a rate says nothing of its end."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Where a balance ends if its window goes on as it went until now.

    Attributes:
        total: spent and assumed at the end of the window.
        passes_at: when the limit is passed; None where it is not, or was already.
    """

    total: int
    passes_at: datetime | None


@click.command()
@format_option
@click.pass_obj
def budgets(settings: Settings, format_: Format) -> None:
    """Every balance: limit, spent, assumed, held, left, end of its window, and where it is heading.

    By the set that the ledger has; what calls see in the same instant.
    """
    with open_view(settings.database) as view:
        at, governed = view.at, view.has_policy()
    if not governed:
        there = (
            ""
            if settings.folder is None
            else f"; `guardrails policy publish {settings.folder} --by WHO --reason WHY` makes {settings.folder} the active set"
        )
        msg = f"the ledger {settings.database} has no policy set yet{there}"
        raise PolicyUnreadable(msg)
    with Gate.open(None, settings.database) as gate:
        found = gate.budgets()
    emit(
        format_,
        [{**budget.as_json(), "heading": _heading_json(budget, at)} for budget in found],
        rows=[_row(budget, at) for budget in found],
        table=lambda console: print_budgets(console, found, at),
    )


def heading(budget: Budget, at: datetime) -> Heading | None:
    """Where a balance is heading; None where its window has no end, has hardly begun, or nothing was used."""
    window, used = budget.window, budget.spent + budget.assumed
    if window is None or window.start is None or window.end is None or not used:
        return None
    gone = Fraction((at - window.start) // timedelta(microseconds=1), (window.end - window.start) // timedelta(microseconds=1))
    if not _TOO_EARLY <= gone <= 1:
        return None
    passes_at = None
    if used <= budget.limit < used / gone:
        elapsed_us = Fraction((at - window.start) // timedelta(microseconds=1)) * budget.limit / used
        passes_at = window.start + timedelta(microseconds=int(elapsed_us))
    return Heading(round(used / gone), passes_at)


def print_budgets(console: Console, found: Sequence[Budget], at: datetime) -> None:
    """Print each rule with its balances."""
    if not found:
        console.print("The policy set has no limits that keep balances.")
        return
    blocks = not console.encoding.lower().startswith("ascii")
    width = max(len(_scope(budget)) for budget in found)
    for _, group in groupby(found, key=lambda budget: budget.rule.id):
        _print_rule(console, list(group), at, min(width, 24), blocks=blocks)


def _print_rule(console: Console, group: Sequence[Budget], at: datetime, width: int, *, blocks: bool) -> None:
    rule = group[0].rule
    mode = "" if rule.mode.value == "enforce" else f"  [{rule.mode.value} only]"
    title = Text.assemble((rule.id, "bold"), (mode, "yellow"), (f"  {rule.source}", "dim"))
    window = Text(f"  {_window(group[0])}", style="dim")
    fits = title.cell_len + window.cell_len <= console.width
    for line in (Text.assemble(title, window),) if fits else (title, window):
        console.print(line, soft_wrap=True)
    write = amount_column([amount for each in group for amount in (each.limit, each.spent)], group[0].measure)
    held, assumed = any(each.held for each in group), any(each.assumed for each in group)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=True, header_style="dim")
    table.add_column("  per " + ", ".join(rule.per) if rule.per else "", min_width=width + 2, overflow="fold")
    table.add_column("used", min_width=8, no_wrap=True)
    table.add_column("", justify="right", min_width=5, no_wrap=True)
    for name in ("spent", *(["assumed"] if assumed else []), *(["held"] if held else []), "limit", "left"):
        table.add_column(name, justify="right", min_width=6, no_wrap=True)
    rates = [_rate(budget, at) for budget in group]
    if any(rates):
        table.add_column("at this rate", overflow="fold")
    for budget, rate in zip(group, rates, strict=True):
        share = budget.share
        style = "dim" if share is None else "red" if share >= 1 else "yellow" if share > Fraction(8, 10) else "green"
        cells = [budget.spent, *([budget.assumed] if assumed else []), *([budget.held] if held else []), budget.limit, budget.left]
        table.add_row(
            Text(f"  {_scope(budget)}"),
            Text("" if share is None else bar(share, 8, blocks=blocks), style=style),
            Text("" if share is None else percent(share), style=style),
            *[Text(write(amount), style="red" if amount < 0 else "") for amount in cells],
            *([Text(rate)] if any(rates) else []),
        )
    console.print(table)
    console.print()


def _scope(budget: Budget) -> str:
    return " / ".join(one_line(value) for value in budget.scope.values()) or "all calls"


def _window(budget: Budget) -> str:
    """What is counted, over which real boundaries, in the rule's own zone."""
    unit = budget.measure.value
    window, kind = budget.window, budget.rule.window
    if window is None or kind is None:
        return "calls at once" if kind is None else unit
    if window.start is None or window.end is None:
        return f"{unit}, {kind.kind.value}"
    zone = kind.timezone
    return f"{unit}, {kind.kind.value} {local_text(window.start, zone)} to {local_text(window.end, zone)} {zone}"


def _rate(budget: Budget, at: datetime) -> str:
    if budget.share is not None and budget.share >= 1:
        return "nothing left"
    found = heading(budget, at)
    if found is None or not budget.limit or budget.rule.window is None:
        return ""
    ends = percent(Fraction(found.total, budget.limit))
    if found.passes_at is None:
        return ends
    passes_at = found.passes_at.astimezone(zone_of(budget.rule.window.timezone))
    within_a_day = budget.rule.window.kind in (WindowKind.DAY, WindowKind.HOUR, WindowKind.MINUTE)
    return f"{ends}, over {passes_at.strftime('%H:%M' if within_a_day else '%Y-%m-%d')}"


def _heading_json(budget: Budget, at: datetime) -> dict[str, object] | None:
    found = heading(budget, at)
    if found is None:
        return None
    return {
        "total": amount_text(found.total, budget.measure),
        "share": share_text(Fraction(found.total, budget.limit)) if budget.limit else None,
        "passes_at": None if found.passes_at is None else rfc3339(found.passes_at),
    }


def _row(budget: Budget, at: datetime) -> dict[str, object]:
    row = budget.as_json()
    window = budget.window
    found = heading(budget, at)
    row.pop("window")
    return {
        **row,
        "window_start": None if window is None or window.start is None else rfc3339(window.start),
        "window_end": None if window is None or window.end is None else rfc3339(window.end),
        "heading_total": None if found is None else amount_text(found.total, budget.measure),
    }

"""The report as one page for people: what was spent, what the policy did and saved, what to mind, who is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardrails.audit.log import Decided
from guardrails.cli.figures import amount_column, bar, counted, local_text, money_column, one_line, percent, short_count
from guardrails.core.subject import NONE
from guardrails.gate.budgets import Budget
from guardrails.ledger.breakdown import COLUMNS, TIMES
from guardrails.ledger.report import Report, Row, Sums

_NEAR = Fraction(8, 10)
_UNUSUAL = {
    "overrun": "used more than was held",
    "late": "settled after the hold had ended",
    "partial": "from streams that were cut",
    "lower": "stated less than was booked before, and were left as they were",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What one page shows.

    Attributes:
        budgets: as they stand now; None where the ledger has no policy set.
        whole: the report of the whole ledger, where the page's own has nothing in it.
    """

    report: Report
    decided: Sequence[Decided]
    budgets: Sequence[Budget] | None
    whole: Report | None = None


def print_page(console: Console, page: Page, *, top: int) -> None:
    """Print the report; of more than `top` rows (0: all) the others in one."""
    if page.report.first is None:
        console.print(_nothing(page), soft_wrap=True)
        return
    blocks = not console.encoding.lower().startswith("ascii")
    console.print(Text(_title(page.report), style="bold"))
    console.print(Text(_range(page.report), style="dim"))
    console.print()
    console.print(_spend(page.report, top, console.width, blocks=blocks))
    for heading, body in (
        ("What the policy did", _policy(page)),
        ("To mind", _minded(page)),
        ("Budgets over 80 % now", _over(page.budgets, page.report.timezone, blocks=blocks)),
    ):
        if body is not None:
            console.print()
            console.print(Text(heading, style="bold"))
            console.print(Padding(body, (0, 0, 0, 2), expand=False))


def _title(report: Report) -> str:
    return f"Spend by {', '.join(report.by)}" if report.by else "Spend"


def _range(report: Report) -> str:
    """The real boundaries, with the zone they are shown in."""
    zone = report.timezone
    start, end = report.period.start, report.period.end
    if start is None and end is None:
        if report.first is None or report.last is None:
            return "all that the ledger has"
        return f"all that the ledger has: {local_text(report.first, zone)} to {local_text(report.last, zone)} {zone}"
    if start is None:
        return f"everything before {local_text(end, zone)} {zone}" if end is not None else ""
    if end is None:
        return f"from {local_text(start, zone)} {zone} on"
    return f"from {local_text(start, zone)} up to, not including, {local_text(end, zone)} {zone}"


def _nothing(page: Page) -> str:
    whole = page.whole
    if whole is None or whole.first is None or whole.last is None:
        return (
            "The ledger is empty: nothing was booked and nothing was decided yet.\n"
            "Past usage comes in with `guardrails import FORMAT FILE`, calls are decided by a Gate or with `guardrails decide`."
        )
    zone = page.report.timezone
    return (
        f"Nothing was booked or decided: {_range(page.report)}.\n"
        f"The ledger has facts from {local_text(whole.first, zone)} to {local_text(whole.last, zone)} {zone}."
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: its cells, what stands below them, and how soon it gives way where the page is narrow (0: never)."""

    name: str
    cells: Sequence[Text]
    total: str
    gives_way: int = 0
    left: bool = False

    @property
    def width(self) -> int:
        return max(cell_len(self.name), cell_len(self.total), *[cell.cell_len for cell in self.cells])


def _spend(report: Report, top: int, width: int, *, blocks: bool) -> Table:
    """The rows, with as many columns as fit side by side."""
    columns = _columns(report, top, blocks=blocks)
    while sum(column.width + 2 for column in columns) - 2 > width and (droppable := [column for column in columns if column.gives_way]):
        columns.remove(max(droppable, key=lambda column: column.gives_way))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True, header_style="bold", footer_style="bold")
    for column in columns:
        table.add_column(
            Text(column.name), column.total, justify="left" if column.left else "right", no_wrap=bool(column.gives_way), overflow="fold"
        )
    for cells in zip(*[column.cells for column in columns], strict=True):
        table.add_row(*cells)
    return table


def _columns(report: Report, top: int, *, blocks: bool) -> list[_Column]:
    kept, rest = _cut(report.rows, top)
    rows = [*kept, *([] if rest is None else [rest])]
    total = report.total
    whole, costliest = total.cost_nano_usd, max((row.sums.cost_nano_usd for row in kept), default=0)
    shares = [percent(Fraction(row.sums.cost_nano_usd, whole)) if whole > 0 else "" for row in rows]
    lengths = [Fraction(row.sums.cost_nano_usd, costliest) if costliest > 0 and row is not rest else Fraction(0) for row in rows]

    def figures(name: str, of: Callable[[Sums], int], gives_way: int, style: str = "", *, money: bool = False) -> _Column:
        write = money_column([of(total)]) if money else short_count
        cells = [Text(write(amount), style=style if amount else "dim") for amount in (of(row.sums) for row in rows)]
        return _Column(name, cells, write(of(total)), gives_way)

    columns = [
        _Column(name, [_label(row.values[place]) for row in rows], "" if place else "total", left=True)
        for place, name in enumerate(report.by)
    ] or [_Column("", [Text("")] * len(rows), "total", left=True)]
    columns.append(figures("cost USD", lambda sums: sums.cost_nano_usd, 0, money=True))
    columns.append(_Column("share", [Text(share) for share in shares], "", 1))
    columns.append(_Column("", [Text(bar(length, 8, blocks=blocks), style="cyan") for length in lengths], "", 6, left=True))
    if total.assumed_nano_usd:
        columns.append(figures("assumed", lambda sums: sums.assumed_nano_usd, 4, "yellow", money=True))
    columns.append(figures("entries", lambda sums: sums.entries, 8))
    columns.append(figures("tokens", _tokens, 5))
    if total.allowed + total.denied + total.downgraded:
        columns.append(figures("allowed", lambda sums: sums.allowed, 7))
        columns.append(figures("denied", lambda sums: sums.denied, 3, "red"))
        columns.append(figures("downgr.", lambda sums: sums.downgraded, 3, "yellow"))
        columns.append(figures("saved", lambda sums: sums.saved_nano_usd, 2, money=True))
    return columns


def _label(value: str | None) -> Text:
    return Text(NONE, style="dim") if value is None else Text(one_line(value))


def _cut(rows: Sequence[Row], top: int) -> tuple[Sequence[Row], Row | None]:
    """The first rows, and the others added up in one that says how many they are."""
    if not top or len(rows) <= top:
        return rows, None
    others = rows[top:]
    said: list[str | None] = [f"… {len(others)} more", *[""] * (len(rows[0].values) - 1)]
    return rows[:top], Row(tuple(said), sum((row.sums for row in others), Sums()))


def _tokens(sums: Sums) -> int:
    return sums.input_tokens + sums.cache_read_tokens + sums.cache_write_tokens + sums.output_tokens


def _policy(page: Page) -> Table | Text | None:
    total = page.report.total
    if not total.allowed + total.denied + total.downgraded:
        return None
    if not page.decided:
        return Text(f"{counted(total.allowed, 'call')} allowed, none refused or downgraded")
    saved = money_column([total.saved_nano_usd])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True, header_style="dim")
    table.add_column("rule that decided", f"of {counted(total.allowed + total.denied + total.downgraded, 'decision')}", overflow="fold")
    table.add_column("denied", f"{total.denied:,}", justify="right")
    table.add_column("downgraded", f"{total.downgraded:,}", justify="right")
    table.add_column("saved USD", saved(total.saved_nano_usd), justify="right")
    note = f"without {total.saved_unknown:,} of unknown price" if total.saved_unknown else "estimates: asked for less what ran"
    table.add_column("", Text(note, style="dim"))
    for each in page.decided:
        unknown = f"{each.saved_unknown:,} of unknown price" if each.saved_unknown else ""
        table.add_row(Text(each.rule), f"{each.denied:,}", f"{each.downgraded:,}", saved(each.saved_nano_usd), Text(unknown, style="dim"))
    return table


def _minded(page: Page) -> Text | None:
    report = page.report
    total = report.total
    usd = money_column([total.assumed_nano_usd, total.cost_nano_usd])
    lines = []
    if total.unpriced:
        lines.append(f"{counted(total.unpriced, 'entry', 'entries')} without a known cost, which the costs leave out")
    if total.assumed_nano_usd:
        lines.append(f"{usd(total.assumed_nano_usd)} USD assumed in their place: counted against budgets until the cost is known")
    lines += [
        f"{counted(each.entries, 'entry', 'entries')} {_UNUSUAL[each.mark]} ({each.mark})" for each in report.marks if each.mark in _UNUSUAL
    ]
    for place, name in enumerate(report.by):
        if name not in TIMES and name not in COLUMNS and all(row.values[place] is None for row in report.rows):
            lines.append(f"nothing here has a label `{name}`")
    unlabelled = report.unlabelled
    if unlabelled.cost_nano_usd or unlabelled.entries:
        lines.append(
            f"{usd(unlabelled.cost_nano_usd)} USD in {counted(unlabelled.entries, 'entry', 'entries')} without a label of this breakdown"
        )
    return Text("\n".join(lines)) if lines else None


def _over(budgets: Sequence[Budget] | None, timezone: str, *, blocks: bool) -> Table | Text | None:
    if budgets is None:
        return Text("the ledger has no policy set yet, so there are no budgets; see `guardrails policy publish`")
    near = [budget for budget in budgets if budget.share is not None and budget.share > _NEAR]
    if not near:
        return Text(f"none of {counted(len(budgets), 'balance')}", style="green") if budgets else None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for budget in sorted(near, key=lambda each: -(each.share or 0)):
        share = budget.share or Fraction(0)
        style = "red" if share >= 1 else "yellow"
        amount = amount_column([budget.limit], budget.measure)
        scope = ", ".join(f"{label}={one_line(value)}" for label, value in budget.scope.items())
        mode = "" if budget.rule.mode.value == "enforce" else f" ({budget.rule.mode.value})"
        end = budget.window.end if budget.window is not None else None
        table.add_row(
            Text(f"{budget.rule.id}{mode}"),
            Text(scope),
            Text(bar(share, 8, blocks=blocks), style=style),
            Text(percent(share), style=style, justify="right"),
            Text(f"of {amount(budget.limit)} {budget.measure.value}"),
            Text("" if end is None else f"until {local_text(end, timezone)} {timezone}"),
        )
    return table

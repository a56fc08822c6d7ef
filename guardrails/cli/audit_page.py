"""The report as one page for people: what was spent, what the policy did and saved, what to mind, who is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardrails.audit.log import Decided
from guardrails.cli.figures import amount_column, bar, counted, local_text, money_column, one_line, percent, short_count
from guardrails.core.subject import NONE
from guardrails.gate.budgets import Budget
from guardrails.ledger.report import Report, Row, Sums

_WIDE = 100
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
    console.print(_spend(page.report, top, wide=console.width >= _WIDE, blocks=blocks))
    for heading, body in (
        ("What the policy did", _policy(page)),
        ("To mind", _minded(page)),
        ("Budgets over 80 % now", _over(page.budgets, page.report.timezone, blocks=blocks)),
    ):
        if body is not None:
            console.print()
            console.print(Text(heading, style="bold"))
            console.print(Padding(body, (0, 0, 0, 2)))


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
        f"The ledger has facts from {local_text(whole.first, zone)} to {local_text(whole.last, zone)} {zone}; `--since` and `--until` choose among them."
    )


def _spend(report: Report, top: int, *, wide: bool, blocks: bool) -> Table:
    shown, rest = _cut(report.rows, top)
    total = report.total
    decisions = total.allowed + total.denied + total.downgraded
    usd = money_column([total.cost_nano_usd])
    saved = money_column([total.saved_nano_usd])
    assumed = money_column([total.assumed_nano_usd])
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_footer=True, header_style="bold", footer_style="bold")
    for place, name in enumerate(report.by):
        table.add_column(Text(name), "total" if not place else "", overflow="fold")
    if not report.by:
        table.add_column("", "total")
    table.add_column("cost USD", usd(total.cost_nano_usd), justify="right", no_wrap=True)
    table.add_column("share", "", no_wrap=True)
    table.add_column("", "", justify="right", no_wrap=True)
    if total.assumed_nano_usd:
        table.add_column("assumed", assumed(total.assumed_nano_usd), justify="right", no_wrap=True)
    if wide:
        table.add_column("entries", short_count(total.entries), justify="right", no_wrap=True)
    table.add_column("tokens", short_count(_tokens(total)), justify="right", no_wrap=True)
    if decisions:
        if wide:
            table.add_column("allowed", short_count(total.allowed), justify="right", no_wrap=True)
        table.add_column("denied", short_count(total.denied), justify="right", no_wrap=True)
        table.add_column("downgr.", short_count(total.downgraded), justify="right", no_wrap=True)
        table.add_column("saved", saved(total.saved_nano_usd), justify="right", no_wrap=True)
    costliest = max((row.sums.cost_nano_usd for row in shown), default=0)
    for row in [*shown, *([] if rest is None else [rest])]:
        sums = row.sums
        labels = [Text(NONE, style="dim") if value is None else Text(one_line(value)) for value in row.values] or [Text("")]
        share = Fraction(sums.cost_nano_usd, total.cost_nano_usd) if total.cost_nano_usd > 0 else None
        length = Fraction(sums.cost_nano_usd, costliest) if costliest > 0 and row is not rest else Fraction(0)
        cells: list[str | Text] = [*labels, usd(sums.cost_nano_usd), Text(bar(length, 8, blocks=blocks), style="cyan")]
        cells.append("" if share is None else percent(share))
        if total.assumed_nano_usd:
            cells.append(Text(assumed(sums.assumed_nano_usd), style="yellow" if sums.assumed_nano_usd else "dim"))
        if wide:
            cells.append(short_count(sums.entries))
        cells.append(short_count(_tokens(sums)))
        if decisions:
            if wide:
                cells.append(short_count(sums.allowed))
            cells.append(Text(short_count(sums.denied), style="red" if sums.denied else "dim"))
            cells.append(Text(short_count(sums.downgraded), style="yellow" if sums.downgraded else "dim"))
            cells.append(saved(sums.saved_nano_usd))
        table.add_row(*cells)
    return table


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
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_footer=True, header_style="dim")
    table.add_column("rule that decided", f"of {counted(total.allowed + total.denied + total.downgraded, 'decision')}", overflow="fold")
    table.add_column("denied", f"{total.denied:,}", justify="right")
    table.add_column("downgraded", f"{total.downgraded:,}", justify="right")
    table.add_column("saved USD", saved(total.saved_nano_usd), justify="right")
    note = (
        f"{counted(total.saved_unknown, 'decision')} of unknown price not in it"
        if total.saved_unknown
        else "estimates: asked for less what ran"
    )
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
    unlabelled = report.unlabelled
    if unlabelled.cost_nano_usd or unlabelled.entries:
        lines.append(
            f"{usd(unlabelled.cost_nano_usd)} USD in {counted(unlabelled.entries, 'entry', 'entries')} that lack a label of this breakdown"
        )
    return Text("\n".join(lines)) if lines else None


def _over(budgets: Sequence[Budget] | None, timezone: str, *, blocks: bool) -> Table | Text | None:
    if budgets is None:
        return Text("the ledger has no policy set yet, so there are no budgets; see `guardrails policy publish`")
    near = [budget for budget in budgets if budget.share is not None and budget.share > _NEAR]
    if not near:
        return Text(f"none of {counted(len(budgets), 'balance')}", style="green") if budgets else None
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
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

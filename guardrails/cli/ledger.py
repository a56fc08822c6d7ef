"""`guardrails ledger`: whether balances are what their facts add up to, and making them so."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.text import Text

from guardrails.cli.failure import NO
from guardrails.cli.figures import counted
from guardrails.cli.output import Format, emit, format_option
from guardrails.cli.settings import Settings
from guardrails.gate import view
from guardrails.ledger.rebuild import Rebuilt
from guardrails.ledger.verify import Verification

_SHOWN = 100


@click.group()
def ledger() -> None:
    """Prove and rebuild the ledger."""


@ledger.command()
@format_option
@click.pass_context
def verify(ctx: click.Context, format_: Format) -> None:
    """Recompute every balance from entries and live holds, and every hold's fate. Exit 1 where something does not add up."""
    settings = ctx.ensure_object(Settings)
    with view.open_view(settings.database) as opened:
        _say_when_long(settings, "adding up")
        verification = opened.verify()
    emit(format_, verification.as_json(), rows=_rows(verification), table=lambda console: _print(console, verification))
    if not verification.ok:
        ctx.exit(NO)


@ledger.command()
@format_option
@click.pass_obj
def rebuild(settings: Settings, format_: Format) -> None:
    """Set balances and live holds to what the facts say, in one transaction, while no call is booked."""
    rebuilt = view.rebuild(settings.database)
    emit(format_, rebuilt.as_json(), table=lambda console: _print_rebuilt(console, rebuilt))


def _say_when_long(settings: Settings, what: str) -> None:
    """On a terminal, say what takes a while."""
    if settings.terminal:
        click.echo(f"{what} …", err=True)


def _rows(verification: Verification) -> list[dict[str, object]]:
    return [finding.as_json() for finding in verification.findings]


def _print(console: Console, verification: Verification) -> None:
    checked = ", ".join(counted(number, *_NOUNS[name]) for name, number in verification.checked.items())
    if verification.ok:
        console.print(Text.assemble(("The ledger adds up", "green"), f": {checked}."), soft_wrap=True)
        return
    findings = verification.findings
    console.print(
        Text.assemble(("The ledger does not add up", "red"), f": {counted(len(findings), 'finding')} in {checked}."), soft_wrap=True
    )
    for finding in findings[:_SHOWN]:
        console.print(Text(f"  {finding.subject}: {finding.message} ({finding.code})"), soft_wrap=True)
    if len(findings) > _SHOWN:
        console.print(f"  … {len(findings) - _SHOWN:,} more; `--format json` has all")
    console.print("`guardrails ledger rebuild` sets balances and live holds to what the facts say; it changes no fact.", soft_wrap=True)


def _print_rebuilt(console: Console, rebuilt: Rebuilt) -> None:
    numbers: dict[str, Any] = rebuilt.as_json()
    if not any(numbers.values()):
        console.print("Nothing to rebuild: balances and live holds are what the facts say.")
        return
    console.print(
        f"Set {counted(rebuilt.balances, 'balance')}, opened {counted(rebuilt.opened, 'balance')} again, "
        f"corrected {counted(rebuilt.seeds, 'start')} and {counted(rebuilt.holds, 'live hold')}.",
        soft_wrap=True,
    )


_NOUNS = {
    "balances": ("balance",),
    "entries": ("entry", "entries"),
    "records": ("record",),
    "live_holds": ("live hold",),
    "openings": ("opened window",),
}

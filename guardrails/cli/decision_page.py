"""A decision for people: the verdict first, then every reason with its numbers and the line of the policy that it stands on."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardrails.cli.output import shown
from guardrails.core.instant import rfc3339
from guardrails.core.money import usd_for_people
from guardrails.core.quantity import amount_for_people
from guardrails.engine.decision import Decision, Effect, Reason, Verdict
from guardrails.policy.rules import Mode

_STYLES = {"allow": "green", "warn": "yellow", "downgrade": "yellow", "deny": "red"}
_BAR_WIDTH = 12


def print_decision(console: Console, decision: Decision, *, reserved: bool) -> None:
    """Print a decision with all that made it."""
    console.print(verdict_line(decision))
    console.print()
    console.print(_facts(decision, reserved=reserved))
    console.print()
    console.print(Text("Why", style="bold"))
    console.print(Padding(reasons_of(decision, unicode=not console.encoding.lower().startswith("ascii")), (0, 0, 0, 2)))


def print_short(console: Console, decision: Decision) -> None:
    """Print a decision in a few lines: who asked for what, what became of it, and the reasons that made it so."""
    subject = ", ".join(f"{name}={value}" for name, value in decision.call.subject.items())
    console.print(verdict_line(decision))
    asked = f"{decision.call.input_tokens:,} input tokens for {shown(subject)}"
    held = f"; {usd_for_people(decision.holds.nano_usd)} USD held until it was settled" if decision.allowed else ""
    console.print(Padding(Text(f"{asked}{held}", style="dim"), (0, 0, 0, 2)))
    if any(reason.effect is not Effect.ALLOW for reason in decision.reasons):
        console.print(Padding(reasons_of(decision, unicode=not console.encoding.lower().startswith("ascii"), quiet=True), (0, 0, 0, 2)))


def verdict_line(decision: Decision) -> Text:
    """The verdict and the model, in one line."""
    models = decision.requested_model if decision.verdict is not Verdict.DOWNGRADE else f"{decision.requested_model} → {decision.model}"
    return Text.assemble((decision.verdict.value.upper(), f"bold {_STYLES[decision.verdict.value]}"), f"  {shown(models)}")


def reasons_of(decision: Decision, *, unicode: bool = True, quiet: bool = False) -> RenderableType:
    """Every reason, grouped by the model that it was said of.

    Args:
        quiet: only those that decided, warned or would have.
    """
    parts: list[RenderableType] = []
    for model in dict.fromkeys([decision.requested_model, *(reason.model for reason in decision.reasons)]):
        reasons = [reason for reason in decision.reasons if reason.model == model and not (quiet and reason.effect is Effect.ALLOW)]
        if reasons and model != decision.requested_model:
            parts.append(Text(f"and of {shown(model)} instead:", style="italic"))
        parts += [_reason(reason, unicode=unicode) for reason in reasons]
    return Group(*parts) if parts else Text("no rule had anything to say", style="dim")


def _facts(decision: Decision, *, reserved: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    subject = ", ".join(f"{name}={value}" for name, value in decision.call.subject.items())
    table.add_row("who", shown(subject) if subject else "nobody named")
    held = decision.holds
    if decision.allowed:
        amount = f"{usd_for_people(held.nano_usd)} USD, {held.input_tokens + held.output_tokens:,} tokens"
        until = f" until {rfc3339(decision.expires_at)}" if reserved and decision.expires_at is not None else ""
        table.add_row("holds" if reserved else "would hold", f"{amount}{until}")
    elif decision.requested_nano_usd is not None:
        table.add_row("would cost", f"up to {usd_for_people(decision.requested_nano_usd)} USD")
    table.add_row("price", shown(decision.price) if decision.price is not None else "not known")
    table.add_row("at", rfc3339(decision.at))
    table.add_row("policy", decision.policy[:19])
    table.add_row("decision", decision.id if reserved else "a preview: nothing is held or recorded")
    return table


def _reason(reason: Reason, *, unicode: bool) -> RenderableType:
    mode = "" if reason.mode is Mode.ENFORCE else f" ({reason.mode.value} only)"
    head = Text.assemble(
        (f"{reason.effect.value:<9}", _STYLES[reason.effect.value]),
        (f"  {shown(reason.rule)}{mode}", "bold"),
        (f"  {shown(str(reason.source))}", "dim"),
    )
    if reason.measure is not None and reason.left_units is not None and reason.window is not None:
        head.append(f"  {amount_for_people(reason.left_units, reason.measure)} left")
    body: list[RenderableType] = [Text(shown(reason.message))]
    if reason.effect is not Effect.ALLOW:
        body += _fullness(reason, unicode=unicode)
    return Group(head, Padding(Group(*body), (0, 0, 0, 11)))


def _fullness(reason: Reason, *, unicode: bool) -> list[Text]:
    """How full the balance was, and the part that this call would take of what was left."""
    limit, left = reason.limit_units, reason.left_units
    if limit is None or left is None or reason.window is None:
        return []
    before = Fraction(limit - left, limit) if limit else Fraction(1)
    after = before + Fraction(reason.requested_units, limit) if limit else Fraction(1)
    full, taken, free = ("█", "▒", "·") if unicode else ("#", "+", ".")
    cells = min(_BAR_WIDTH, ceil(max(before, Fraction(0)) * _BAR_WIDTH))
    new_cells = max(min(_BAR_WIDTH, ceil(after * _BAR_WIDTH)) - cells, 0)
    bar = Text.assemble((full * cells, _STYLES[reason.effect.value]), taken * new_cells, (free * (_BAR_WIDTH - cells - new_cells), "dim"))
    return [bar.append(f" {_percent(before)} used, {_percent(after)} with this call")]


def _percent(share: Fraction) -> str:
    """A share with a decimal where whole per cent would say too little."""
    if 0 < share < Fraction(1, 1_000):
        return "<0.1 %"
    percent = share * 100
    return f"{round(percent):,} %" if share >= Fraction(1, 10) or not share else f"{float(percent):.1f} %"

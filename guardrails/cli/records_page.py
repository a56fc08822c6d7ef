"""Decisions for people: a line each, or one in full with every rule's numbers and what became of its hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardrails.audit.log import Story
from guardrails.cli.figures import counted, local_text, one_line, short_count
from guardrails.core.instant import parse_instant
from guardrails.core.money import usd_for_people
from guardrails.core.window import Period, zone_of
from guardrails.engine.decision import Decision, Reason

_STYLES = {"allow": "green", "downgrade": "yellow", "deny": "red", "warn": "yellow"}
_OUTCOMES = {
    "denied": "nothing was held",
    "live": "held until it is settled or its time ends",
    "settled": "settled",
    "released": "released: it cost nothing",
    "expired": "ended by its time or unseen, as the policy's `unknown_outcome` says",
    "overdue": "past its time; the next booking ends it as the policy's `unknown_outcome` says",
}


def print_log(console: Console, decisions: Sequence[Decision], timezone: str) -> None:
    """Print a line for each decision."""
    if not decisions:
        console.print("No such decisions.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in (f"at ({timezone})", "verdict", "asked → runs", "subject"):
        table.add_column(name, no_wrap=name.startswith("at"), overflow="fold")
    table.add_column("held USD", justify="right", no_wrap=True)
    table.add_column("rule", overflow="fold")
    for decision in decisions:
        table.add_row(
            decision.at.astimezone(zone_of(timezone)).strftime("%Y-%m-%d %H:%M:%S"),
            Text(decision.verdict.value, style=_STYLES[decision.verdict.value]),
            Text(_models(decision)),
            Text(_subject(decision)),
            usd_for_people(decision.holds.nano_usd) if decision.allowed else "",
            Text(decision.rule or ""),
        )
    console.print(table)


def print_story(console: Console, story: Story, timezone: str) -> None:
    """Print a record in full."""
    decision = story.decision
    facts = story.facts
    style = _STYLES[decision.verdict.value]
    console.print(
        Text.assemble((decision.verdict.value, f"bold {style}"), "  ", (_models(decision), "bold"), "  ", (_subject(decision), ""))
    )
    console.print(Text(f"{decision.message}"), soft_wrap=True)
    console.print()
    told = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    told.add_column(style="dim", no_wrap=True)
    told.add_column(overflow="fold")
    clock = {"caller": ", by the caller's clock", "host": ", by the clock of its host"}.get(facts["clock"], "")
    for name, text in (
        ("decision", decision.id),
        ("request", facts["request_id"]),
        ("at", f"{local_text(decision.at, timezone)} {timezone}{clock}"),
        ("call", _call(decision)),
        ("price", decision.price or "not known"),
        ("estimate", _estimate(facts)),
        ("policy", f"{decision.policy}, generation {facts['generation']}"),
        (
            "hold",
            f"{usd_for_people(decision.holds.nano_usd)} USD, {decision.holds.input_tokens + decision.holds.output_tokens:,} tokens"
            if decision.allowed
            else None,
        ),
        ("outcome", _outcome(story, timezone)),
    ):
        if text:
            told.add_row(name, Text(text))
    console.print(told)
    _print_reasons(console, "Rules", decision.reasons, timezone)
    _print_reasons(console, "Rules in shadow", decision.shadow, timezone)
    if story.entries:
        _heading(console, "Booked")
        console.print(Padding(_entries(story.entries), (0, 0, 0, 2), expand=False))
    if story.events:
        _heading(console, "Events")
        for event in story.events:
            at = local_text(parse_instant(event["at"]), timezone)
            until = "" if event["expires_at"] is None else f" until {local_text(parse_instant(event['expires_at']), timezone)}"
            reason = "" if event["reason"] is None else f": {event['reason']}"
            console.print(Text(f"  {at}  {event['kind']}{until}{reason}"), soft_wrap=True)


def _print_reasons(console: Console, heading: str, reasons: Sequence[Reason], timezone: str) -> None:
    if not reasons:
        return
    _heading(console, heading)
    for reason in reasons:
        scope = ", ".join(f"{label}={one_line(value)}" for label, value in reason.scope.items())
        parts = [reason.rule, scope, "" if reason.window is None else _window(reason.window, timezone), str(reason.source)]
        style = _STYLES[reason.effect.value]
        console.print(
            Text.assemble("  ", (f"{reason.effect.value:<10}", style), " · ".join(part for part in parts if part)), soft_wrap=True
        )
        console.print(Padding(Text(f"{reason.model}: {reason.message}"), (0, 0, 0, 12), expand=False))


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _window(window: Period, timezone: str) -> str:
    if window.start is None or window.end is None:
        return "lifetime"
    return f"{local_text(window.start, timezone)} to {local_text(window.end, timezone)} {timezone}"


def _models(decision: Decision) -> str:
    ran = decision.model
    return decision.requested_model if ran is None or ran == decision.requested_model else f"{decision.requested_model} → {ran}"


def _subject(decision: Decision) -> str:
    return ", ".join(f"{label}={one_line(value)}" for label, value in decision.call.subject.items()) or "(no labels)"


def _call(decision: Decision) -> str:
    call = decision.call
    bound = "as much as the policy assumes" if call.max_output_tokens is None else f"{call.max_output_tokens:,}"
    units = "".join(f", {count} {name}" for name, count in call.units.items())
    where = "" if call.provider is None else f" at {call.provider}"
    tier = "" if call.service_tier is None else f", {call.service_tier}"
    return f"{call.operation} on {call.model}{where}: {call.input_tokens:,} input tokens, up to {bound} output tokens{units}{tier}"


def _estimate(facts: dict[str, Any]) -> str | None:
    asked, runs, saved = facts["requested_usd"], facts["estimate_usd"], facts["saved_usd"]
    if asked is None:
        return "no price is known of what was asked for"
    if runs is None or runs == asked:
        return f"{asked} USD" + (" saved" if runs is None else "")
    return f"{asked} USD asked for, {runs} USD runs" + ("" if saved is None else f", {saved} USD saved")


def _outcome(story: Story, timezone: str) -> str:
    until = "" if story.expires_at is None else f", until {local_text(story.expires_at, timezone)} {timezone}"
    booked = f" in {counted(len(story.entries), 'entry', 'entries')}" if story.outcome == "settled" else ""
    return f"{_OUTCOMES[story.outcome]}{booked}{until}"


def _entries(entries: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", overflow="fold")
    for name in ("attempt", "input", "cached", "output", "cost USD", "assumed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("marks", overflow="fold")
    for entry in entries:
        cached = sum(entry[name] for name in entry if name.startswith("cache_"))
        table.add_row(
            Text(entry["model"] or ""),
            "" if entry["attempt"] is None else str(entry["attempt"]),
            "?" if entry["input_tokens"] is None else short_count(entry["input_tokens"]),
            short_count(cached),
            "?" if entry["output_tokens"] is None else short_count(entry["output_tokens"]),
            entry["cost_usd"] or "?",
            entry["assumed_usd"],
            ", ".join(entry["marks"]),
        )
    return table

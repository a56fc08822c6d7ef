"""Sentences: what a reason and a decision say to people who have only this line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.core.instant import rfc3339
from guardrails.core.quantity import Measure, amount_for_people
from guardrails.core.subject import NONE

if TYPE_CHECKING:
    from guardrails.engine.decision import Decision, Reason


def reason_message(reason: Reason) -> str:
    """One sentence with the numbers that made the reason."""
    text = _what(reason) if reason.detail is None else reason.detail
    if reason.mode.value != "enforce" and reason.effect.value != "allow":
        text = f"{text} ({reason.mode.value} only)"
    return text


def decision_message(decision: Decision) -> str:
    """One sentence: the verdict and the rule that made it."""
    first = decision.cause
    cause = "" if first is None else f" by {first.rule}: {reason_message(first)}"
    match decision.verdict.value:
        case "deny":
            return f"{decision.requested_model} denied{cause}"
        case "downgrade":
            return f"{decision.requested_model} downgraded to {decision.model}{cause}"
        case _:
            return f"{decision.requested_model} allowed{' unchecked: the ledger cannot be reached' if decision.unchecked else ''}"


def _what(reason: Reason) -> str:
    measure = reason.measure
    if measure is None or reason.limit_units is None:
        return reason.effect.value
    limit = amount_for_people(reason.limit_units, measure)
    if measure is Measure.CONCURRENT:
        return f"{reason.held_units} of {limit} calls run now{_scope(reason)}{_consequence(reason)}"
    requested = amount_for_people(reason.requested_units, measure)
    if reason.window is None:
        return f"this call needs {requested}, the limit for one call is {limit}{_consequence(reason)}"
    used = [f"{amount_for_people(reason.spent_units, measure)} spent"]
    if reason.assumed_units:
        used.append(f"{amount_for_people(reason.assumed_units, measure)} assumed")
    if reason.held_units:
        used.append(f"{amount_for_people(reason.held_units, measure)} held")
    until = "" if reason.window.end is None else f" until {rfc3339(reason.window.end)}"
    if measure is Measure.REQUESTS:
        return f"{' and '.join(used)} of {limit}{_scope(reason)}{until}, this call is one more{_consequence(reason)}"
    needs = f"this call has no known price and holds {requested}" if reason.unpriced else f"this call needs up to {requested}"
    return f"{' and '.join(used)} of {limit}{_scope(reason)}{until}, {needs}{_consequence(reason)}"


def _scope(reason: Reason) -> str:
    if not reason.scope:
        return ""
    return " by " + ", ".join(f"{label}={value}" if value != NONE else f"calls without {label}" for label, value in reason.scope.items())


def _consequence(reason: Reason) -> str:
    if reason.share is None:
        return ""
    percent = f"{float(reason.share * 100):g} %"
    match reason.effect.value:
        case "deny":
            return "" if reason.share == 1 else f", refused above {percent}"
        case "downgrade":
            return f", above {percent} {reason.target} is used"
        case "warn":
            return f", which is above {percent}"
        case _:
            return ""

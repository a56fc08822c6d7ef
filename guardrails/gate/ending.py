"""How a hold ends other than by its settlement: released, seen to expire, or left without an outcome; and how it is kept alive."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from typing_extensions import override

from guardrails.core.balance import BalanceRef
from guardrails.core.errors import AlreadyResolved, UnknownDecision
from guardrails.core.instant import from_us, to_us
from guardrails.engine.decision import Decision
from guardrails.gate.operations import Context, Operation, counted_now, legs_of
from guardrails.gate.settlement import assumed_entry, booked, reversal
from guardrails.ledger.entry import Hold
from guardrails.policy.rules import UnknownOutcome


class Release(Operation[None]):
    """End a hold that surely cost nothing."""

    def __init__(self, decision: Decision | str, reason: str) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.at = None if isinstance(decision, str) else decision.at
        self.reason = reason
        self.hold_ids = (self.decision_id,)

    @override
    def apply(self, context: Context) -> None:
        book = context.book
        live = book.holds.get(self.decision_id)
        if live is not None:
            book.end_hold(live, legs_of(context, live))
            book.event(live.id, "released", context.now_us, None, self.reason)
            return
        history = context.histories.get(self.decision_id)
        if history is None:
            raise UnknownDecision(self.decision_id)
        if history.outcome == "settled":
            raise AlreadyResolved(self.decision_id, "settled")
        if history.outcome == "expired":
            # It was charged as assumed, or not: either way nothing is left of it.
            hold, legs = history.hold, legs_of(context, history.hold)
            if history.entries:
                book.enter(reversal(hold, booked(history.entries), recorded_us=context.now_us).under(book.route_of(legs)), legs)
            book.event(hold.id, "released", context.now_us, None, self.reason)

    @override
    def looks_at(self, context: Context) -> Iterable[BalanceRef]:
        history = context.histories.get(self.decision_id)
        return () if history is None else counted_now(context, history.hold)


class Extend(Operation[datetime]):
    """Move the end of a live hold to `ttl_s` from now, never nearer."""

    def __init__(self, decision: Decision | str, ttl_s: float) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.at = None if isinstance(decision, str) else decision.at
        self.ttl_s = ttl_s
        self.hold_ids = (self.decision_id,)

    @override
    def apply(self, context: Context) -> datetime:
        book = context.book
        live = book.holds.get(self.decision_id)
        if live is None or live.expires_us is None or live.expires_us <= context.now_us:
            if live is not None:
                raise AlreadyResolved(self.decision_id, "expired")
            history = context.histories.get(self.decision_id)
            if history is None:
                raise UnknownDecision(self.decision_id)
            raise AlreadyResolved(self.decision_id, history.outcome or "refused")
        expires_us = max(live.expires_us, to_us(context.now + timedelta(seconds=self.ttl_s)))
        book.extend_hold(live.id, expires_us)
        book.event(live.id, "extended", context.now_us, expires_us, None)
        return from_us(expires_us)


class Abandon(Operation[None]):
    """End a hold whose outcome nobody saw, as `unknown_outcome` says."""

    def __init__(self, decision: Decision | str) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.at = None if isinstance(decision, str) else decision.at
        self.hold_ids = (self.decision_id,)

    @override
    def apply(self, context: Context) -> None:
        live = context.book.holds.get(self.decision_id)
        if live is not None:
            end_unseen(context, live, "unseen", context.now_us)


def end_unseen(context: Context, hold: Hold, mark: str, at_us: int) -> None:
    """Charge a hold whose end nobody saw, or let it go, as the policy says."""
    book = context.book
    legs = legs_of(context, hold)
    book.end_hold(hold, legs)
    charged = context.active.policies.defaults.unknown_outcome is UnknownOutcome.CHARGE
    if not charged:
        context.let_go.add(hold.id)
    else:
        book.enter(assumed_entry(hold, mark, recorded_us=context.now_us).under(book.route_of(legs)), legs)
    book.event(hold.id, "expired" if mark == "expired" else "unseen", at_us, None, "charged" if charged else "not charged")

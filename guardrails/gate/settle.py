"""Settle: what an attempt of a call really used, booked under the balances that its hold counted under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from typing_extensions import override

from guardrails.core.balance import Amounts, BalanceRef
from guardrails.core.errors import UnknownDecision
from guardrails.core.instant import from_us, to_us
from guardrails.core.model_name import fold
from guardrails.core.subject import subject_key
from guardrails.core.usage import Usage
from guardrails.engine.decision import Decision, Verdict
from guardrails.gate.active import Quotes
from guardrails.gate.operations import Context, Operation, counted_now, keep_quote, legs_of
from guardrails.gate.settlement import UNCHECKED, Settlement, booked, usage_entry
from guardrails.ledger.entry import Entry, Hold
from guardrails.ledger.lookup import History
from guardrails.pricing.price import Quote

_STANDARD_TIERS = frozenset({None, "default", "auto", "standard"})
"""What providers call the tier whose price was pinned; any other one is priced as what ran."""


class Settle(Operation[Settlement]):
    """Book what an attempt of a call used."""

    def __init__(self, decision: Decision | str, usage: Usage, attempt: int, model: str | None) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.decision = None if isinstance(decision, str) else decision
        self.usage = usage
        self.attempt = attempt
        self.model = model
        self.unchecked = self.decision is not None and self.decision.unchecked
        self.hold_ids = (self.decision_id,)
        self.response = usage.response_id
        self.quotes_at_hand = () if self.decision is None else (self.decision.quote,)
        self.at = None if self.decision is None else self.decision.at

    @override
    def plan(self, context: Context) -> Iterable[BalanceRef]:
        history = _history(context, self.decision_id, self.decision)
        # Refused or only previewed, and run all the same: it counts as any usage does.
        return () if history is None or history.hold.route is not None else counted_now(context, history.hold)

    @override
    def looks_at(self, context: Context) -> Iterable[BalanceRef]:
        history = context.histories.get(self.decision_id)
        return () if history is None else counted_now(context, history.hold)

    @override
    def apply(self, context: Context) -> Settlement:
        book = context.book
        history = context.histories.get(self.decision_id)
        hold = book.holds.get(self.decision_id) or (None if history is None else history.hold)
        if hold is None:
            raise UnknownDecision(self.decision_id)
        legs = legs_of(context, hold)
        entries, settlement = self._entries(context, hold, [] if history is None else history.entries, book.route_of(legs))
        if hold.live:
            book.end_hold(hold, legs)
        if hold.subject in context.labels:
            book.subject(hold.subject, context.labels[hold.subject])
        for entry in entries:
            book.enter(entry, legs)
        return settlement

    def _entries(
        self, context: Context, hold: Hold, booked_before: list[dict[str, Any]], route: bytes | None
    ) -> tuple[list[Entry], Settlement]:
        """An entry for the attempt, and one for each part of it that ran on another model; none for what is booked already."""
        settled_before = any(row["attempt"] is not None for row in booked_before)
        first = sum(row["requests"] for row in booked_before) == 0
        held = hold.verdict != Verdict.DENY
        late = held and not settled_before and (hold.expires_us is None or hold.expires_us <= context.now_us)
        entries: list[Entry] = []
        settled: Settlement | None = None
        left = hold.holds
        for part, usage in enumerate((self.usage, *self.usage.parts)):
            quote = self._quote(context, hold, usage, part)
            entry, settlement = usage_entry(
                hold,
                usage,
                quote,
                context.active.ruleset.tier_of(quote.forms),
                booked(self._before(context, hold, booked_before, part)),
                attempt=self.attempt,
                part=part,
                late=late,
                first=first and part == 0,
                recorded_us=context.now_us,
                route=route,
                left=left,
            )
            # A part without a price is charged what the others left of the hold, tokens with the attempt itself.
            left = Amounts(max(left.nano_usd - (settlement.cost_nano_usd or 0) - settlement.assumed_nano_usd, 0))
            settled = settlement if settled is None else settled.with_part(settlement)
            if entry is not None:
                keep_quote(context.book, quote)
                entries.append(replace(entry, marks=(*entry.marks, UNCHECKED)) if self.unchecked else entry)
        assert settled is not None  # noqa: S101 - the loop runs for the attempt itself
        return entries, settled

    def _before(self, context: Context, hold: Hold, booked_before: list[dict[str, Any]], part: int) -> list[dict[str, Any]]:
        """What stands in the ledger for this: its own entries, a hold charged in its place, an imported row of the same answer."""
        rows = [row for row in booked_before if row["attempt"] == self.attempt and row["part"] == part]
        if part:
            return rows
        charged = [row for row in booked_before if row["attempt"] is None]
        # What was charged for the whole hold is replaced once: by the attempt that settled first.
        settled = [row["attempt"] for row in booked_before if row["attempt"] is not None]
        if (settled and settled[0] != self.attempt) or any("released" in (row["marks"] or "").split(",") for row in charged):
            charged = []
        imported = [
            row for row in context.answered.get(self.response or "", ()) if row["provider"] is None or row["provider"] == hold.provider
        ]
        return imported + charged + rows

    def _quote(self, context: Context, hold: Hold, usage: Usage, part: int) -> Quote:
        return self.quote_of_run(context.quote(hold.quote), context.active.quotes_at(from_us(hold.at_us)), hold, usage, part)

    def quote_of_run(self, pinned: Quote, prices: Quotes, hold: Hold, usage: Usage, part: int = 0) -> Quote:
        """The pinned quote, or one for the model or the service tier that really ran."""
        ran = (self.model if part == 0 else None) or usage.model
        same_model = ran is None or fold(ran) in pinned.forms
        if same_model and usage.service_tier in _STANDARD_TIERS:
            return pinned
        other = prices.of(pinned.model if ran is None else ran, hold.provider if part == 0 else None, hold.operation, usage.service_tier)
        if part == 0 and self.model is None and other.price is None:
            return pinned  # a name that only the provider uses, and no price knows
        same_model = same_model or not set(other.forms).isdisjoint(pinned.forms)
        return pinned if same_model and usage.service_tier in _STANDARD_TIERS else other


def _history(context: Context, decision_id: str, decision: Decision | None) -> History | None:
    """What the ledger has of a decision that holds nothing; of one that it never saw, what the decision says itself."""
    history = context.histories.get(decision_id)
    if history is None and decision is not None and decision_id not in context.book.holds:
        hold = ended_hold(decision, context.book.generation)
        context.labels[hold.subject] = decision.call.subject
        context.quotes[decision.quote.id] = decision.quote
        history = context.histories[decision_id] = History(hold, list(context.book.unrecorded.get(decision_id, ())))
    return history


def ended_hold(decision: Decision, generation: int) -> Hold:
    """A decision that holds nothing, as the ledger would have it."""
    call = decision.call
    return Hold(
        decision.id,
        to_us(decision.at),
        generation,
        decision.verdict.value,
        subject_key(call.subject),
        decision.model or call.model,
        decision.quote.provider,
        decision.tier,
        call.operation,
        decision.quote.id,
        None,
        decision.holds,
        None,
    )

"""What callers ask of the ledger, each as one value that a shared transaction can carry out among others.

An operation says which rows it needs before anything is locked, and then changes amounts in memory; an error of one leaves the others
alone. `Context` is the transaction as they see it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from guardrails.audit.record import call_facts, differing_fields, facts_key, record_row, restored
from guardrails.core.balance import BalanceRef
from guardrails.core.call import Call
from guardrails.core.errors import AlreadyResolved, InstantRefused, RequestConflict, UnknownDecision
from guardrails.core.instant import from_us, to_us
from guardrails.core.model_name import fold
from guardrails.core.subject import subject_key
from guardrails.core.usage import Usage
from guardrails.engine.candidate import Candidate, candidate, folded, matches
from guardrails.engine.decide import Missing, decide
from guardrails.engine.decision import Decision
from guardrails.gate.active import ActiveSet
from guardrails.gate.settling import Settlement, assumed_entry, booked, reversal, usage_entry
from guardrails.ledger.book import Book, History, Restart
from guardrails.ledger.entry import Entry, Hold
from guardrails.policy.match import Facts
from guardrails.policy.rules import UnknownOutcome
from guardrails.pricing.price import Quote, quote_to_text

T = TypeVar("T")
_FAR_OFF = timedelta(minutes=5)


@dataclass(slots=True)
class Context:
    """One transaction: the locked rows, the set in force, and the ledger's instant."""

    book: Book
    active: ActiveSet
    now: datetime
    caller_clock: bool
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    answered: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    labels: dict[bytes, Mapping[str, str]] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    decided: dict[str, Decision] = field(default_factory=dict)
    legs: dict[str, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def now_us(self) -> int:
        """The ledger's instant in microseconds."""
        return to_us(self.now)

    def quote(self, quote_id: str) -> Quote:
        """A quote that a record names."""
        return self.quotes[quote_id]


class Operation(ABC, Generic[T]):
    """One request of one caller. When it is done, `error` is set or else `result`."""

    result: T
    error: BaseException | None = None

    hold_ids: tuple[str, ...] = ()
    """Holds that it ends or extends: locked before anything else."""
    record_ids: tuple[str, ...] = ()
    """Decisions of callers' own request ids: the ledger may have them."""
    ids: tuple[str, ...] = ()
    """All decisions that it makes: a transaction that is tried again may find that it was committed."""
    quotes_at_hand: tuple[Quote, ...] = ()
    """Quotes that the caller's decision carries, so that they need not be read."""
    response: str | None = None
    """The provider's id of an answer that may have been imported before."""
    at: datetime | None = None
    """The caller's clock, where the Gate goes by it."""
    dry: bool = False
    """Decide, then forget everything: it shares no transaction."""

    @property
    def touches(self) -> frozenset[str]:
        """Names of which no two operations of one transaction may share one."""
        return frozenset((*self.hold_ids, *self.record_ids))

    def plan(self, context: Context) -> Iterable[BalanceRef]:  # noqa: ARG002 - some need none
        """The balances that it needs, by what they are named after; those of its holds are locked anyway."""
        return ()

    def looks_at(self, context: Context) -> Iterable[BalanceRef]:  # noqa: ARG002 - most look at none
        """The balances that it changes if the ledger has them, and leaves alone otherwise."""
        return ()

    @abstractmethod
    def apply(self, context: Context) -> T:
        """Change the book; raises before it changes anything, or not at all."""


class Reserve(Operation[list[Decision]]):
    """Decide calls, in order, each seeing the ones before it."""

    def __init__(self, calls: Iterable[Call], ids: Iterable[str], *, dry: bool = False) -> None:
        self.calls = tuple(calls)
        self.dry = dry
        self.ids = tuple(ids)
        self.record_ids = tuple(id_ for call, id_ in zip(self.calls, self.ids, strict=True) if call.request_id is not None)
        instants = [call.at for call in self.calls if call.at is not None]
        self.at = max(instants) if instants else None
        self._candidates: dict[int, Candidate] = {}

    def plan(self, context: Context) -> Iterable[BalanceRef]:
        self._candidates = {}
        refs: list[BalanceRef] = []
        for index, (call, id_) in enumerate(zip(self.calls, self.ids, strict=True)):
            if id_ not in context.records:
                at = _instant(context, call)
                asked = candidate(context.active.ruleset, call, call.model, context.active.quotes_at(at), at)
                self._candidates[index] = asked
                refs += asked.refs
        return refs

    def apply(self, context: Context) -> list[Decision]:
        for call in self.calls:
            if call.at is not None and not context.caller_clock and abs(call.at - context.now) > _FAR_OFF:
                raise InstantRefused(call.at, context.now)
        decided: list[tuple[Call, Decision, bool]] = []
        for index, (call, id_) in enumerate(zip(self.calls, self.ids, strict=True)):
            before = self._before(context, call, id_)
            if before is not None:
                decided.append((call, before, False))
                continue
            decision = self._decide(context, call, id_, index)
            self._hold(context, decision)
            decided.append((call, decision, True))
        return [decision for _, decision, _ in decided]

    def _before(self, context: Context, call: Call, id_: str) -> Decision | None:
        """The decision that the ledger, or this transaction, has under the id."""
        request_id = call.request_id or id_
        if id_ in context.decided:
            decision = context.decided[id_]
            theirs, ours = call_facts(decision.call), call_facts(call)
            if theirs != ours:
                raise RequestConflict(request_id, sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)))
            return decision
        row = context.records.get(id_)
        if row is None:
            return None
        if bytes(row["facts"]) != facts_key(call_facts(call)):
            raise RequestConflict(request_id, differing_fields(call, row["body"]))
        history = context.histories.get(id_)
        outcome = None if history is None else history.outcome
        if outcome in ("settled", "released"):
            raise AlreadyResolved(request_id, outcome)
        return restored(row, context.quote(row["quote"]))

    def _decide(self, context: Context, call: Call, id_: str, index: int) -> Decision:
        at = _instant(context, call)
        answer = decide(
            context.active.ruleset,
            call,
            self._candidates[index],
            context.active.quotes_at(at),
            context.book.balances,
            decision_id=id_,
            at=at,
            generation=context.book.generation,
        )
        if isinstance(answer, Missing):
            raise Restart(answer.refs)
        return answer

    def _hold(self, context: Context, decision: Decision) -> None:
        """Book what a decision holds, and its record."""
        book, call = context.book, decision.call
        if call.request_id is not None:
            context.decided[decision.id] = decision
        if decision.expires_at is not None:
            book.hold(decision.id, decision.counted, decision.holds, to_us(decision.expires_at))
        book.subject(subject_key(call.subject), call.subject)
        for quote in decision.quotes:
            keep_quote(book, quote)
        facts = call_facts(call)
        book.record(
            record_row(
                decision,
                facts,
                facts_key(facts),
                org=book.org,
                generation=book.generation,
                recorded_us=context.now_us,
                clock="caller" if context.caller_clock else "ledger",
                route=book.route_of(ref.key for ref in decision.counted),
            )
        )


class Settle(Operation[Settlement]):
    """Book what an attempt of a call used."""

    def __init__(self, decision: Decision | str, usage: Usage, attempt: int, model: str | None) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.decision = None if isinstance(decision, str) else decision
        self.usage = usage
        self.attempt = attempt
        self.model = model
        self.hold_ids = (self.decision_id,)
        self.response = usage.response_id
        self.quotes_at_hand = () if self.decision is None else (self.decision.quote,)
        self.at = None if self.decision is None else self.decision.at

    def plan(self, context: Context) -> Iterable[BalanceRef]:
        history = _history(context, self.decision_id, self.decision)
        # Refused or only previewed, and run all the same: it counts as any usage does.
        return () if history is None or history.hold.route is not None else _counted(context, history.hold)

    def looks_at(self, context: Context) -> Iterable[BalanceRef]:
        history = context.histories.get(self.decision_id)
        return () if history is None else _counted(context, history.hold)

    def apply(self, context: Context) -> Settlement:
        book = context.book
        history = context.histories.get(self.decision_id)
        hold = book.holds.get(self.decision_id) or (None if history is None else history.hold)
        if hold is None:
            raise UnknownDecision(self.decision_id)
        legs = _legs(context, hold)
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
        entries: list[Entry] = []
        settlements: list[Settlement] = []
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
                late=not settled_before and (hold.expires_us is None or hold.expires_us <= context.now_us),
                first=first and part == 0,
                recorded_us=context.now_us,
                route=route,
            )
            settlements.append(settlement)
            if entry is not None:
                keep_quote(context.book, quote)
                entries.append(entry)
        return entries, settlements[0]

    def _before(self, context: Context, hold: Hold, booked_before: list[dict[str, Any]], part: int) -> list[dict[str, Any]]:
        """What stands in the ledger for this: its own entries, a hold charged in its place, an imported row of the same answer."""
        rows = [row for row in booked_before if row["attempt"] == self.attempt and row["part"] == part]
        if part:
            return rows
        charged = [row for row in booked_before if row["attempt"] is None]
        # What was charged for the whole hold is replaced once: by the attempt that settled first.
        settled = [row["attempt"] for row in booked_before if row["attempt"] is not None]
        if settled and settled[0] != self.attempt:
            charged = []
        imported = [
            row for row in context.answered.get(self.response or "", ()) if row["provider"] is None or row["provider"] == hold.provider
        ]
        return imported + charged + rows

    def _quote(self, context: Context, hold: Hold, usage: Usage, part: int) -> Quote:
        """The pinned quote, or one for the model that really ran."""
        pinned = context.quote(hold.quote)
        ran = (self.model if part == 0 else None) or usage.model
        if ran is None or fold(ran) in pinned.forms:
            return pinned
        other = context.active.quotes_at(from_us(hold.at_us)).of(ran, hold.provider if part == 0 else None, hold.operation)
        return pinned if other.price is None and part == 0 and self.model is None else pinned if set(other.forms) & set(pinned.forms) else other


class Release(Operation[None]):
    """End a hold that surely cost nothing."""

    def __init__(self, decision: Decision | str, reason: str) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.at = None if isinstance(decision, str) else decision.at
        self.reason = reason
        self.hold_ids = (self.decision_id,)

    def apply(self, context: Context) -> None:
        book = context.book
        live = book.holds.get(self.decision_id)
        if live is not None:
            book.end_hold(live, _legs(context, live))
            book.event(live.id, context.now_us, "released", context.now_us, None, self.reason)
            return
        history = context.histories.get(self.decision_id)
        if history is None:
            raise UnknownDecision(self.decision_id)
        if history.outcome == "settled":
            raise AlreadyResolved(self.decision_id, "settled")
        if history.outcome == "expired":
            # It was charged as assumed, or not: either way nothing is left of it.
            hold, legs = history.hold, _legs(context, history.hold)
            if history.entries:
                book.enter(reversal(hold, booked(history.entries), recorded_us=context.now_us).under(book.route_of(legs)), legs)
            book.event(hold.id, context.now_us, "released", context.now_us, None, self.reason)

    def looks_at(self, context: Context) -> Iterable[BalanceRef]:
        history = context.histories.get(self.decision_id)
        return () if history is None else _counted(context, history.hold)


class Extend(Operation[datetime]):
    """Move the end of a live hold to `ttl_s` from now, never nearer."""

    def __init__(self, decision: Decision | str, ttl_s: float) -> None:
        self.decision_id = decision if isinstance(decision, str) else decision.id
        self.at = None if isinstance(decision, str) else decision.at
        self.ttl_s = ttl_s
        self.hold_ids = (self.decision_id,)

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
        book.event(live.id, context.now_us, "extended", context.now_us, expires_us, None)
        return from_us(expires_us)


class Abandon(Operation[None]):
    """End a hold whose outcome nobody saw, as `unknown_outcome` says."""

    def __init__(self, decision: Decision) -> None:
        self.decision_id = decision.id
        self.at = decision.at
        self.hold_ids = (decision.id,)

    def apply(self, context: Context) -> None:
        live = context.book.holds.get(self.decision_id)
        if live is not None:
            end_unseen(context, live, "unseen", context.now_us)


def end_unseen(context: Context, hold: Hold, mark: str, at_us: int) -> None:
    """Charge a hold whose end nobody saw, or let it go, as the policy says."""
    book = context.book
    legs = _legs(context, hold)
    book.end_hold(hold, legs)
    charged = context.active.policies.defaults.unknown_outcome is UnknownOutcome.CHARGE
    if charged:
        book.enter(assumed_entry(hold, mark, recorded_us=context.now_us).under(book.route_of(legs)), legs)
    book.event(hold.id, context.now_us, "expired" if mark == "expired" else "unseen", at_us, None, "charged" if charged else "not charged")


def keep_quote(book: Book, quote: Quote) -> None:
    """Have a quote in the ledger by its content."""
    if book.needs_quote(quote.id):
        book.quote(quote.id, quote_to_text(quote))


def _instant(context: Context, call: Call) -> datetime:
    """The one instant of a decision: the caller's where the Gate goes by it, else the ledger's."""
    return call.at if context.caller_clock and call.at is not None else context.now


def _legs(context: Context, hold: Hold) -> tuple[bytes, ...]:
    """The balances that a hold's fate changes: those it counts under; once it has ended, also those opened since that hold its entries."""
    legs = context.legs.get(hold.id, ())
    if hold.live:
        return legs
    opened = {ref.key for ref in _counted(context, hold) if ref.key in context.book.balances}
    return tuple({*legs, *opened})


def _history(context: Context, decision_id: str, decision: Decision | None) -> History | None:
    """What the ledger has of a decision that holds nothing; of one that it never saw, what the decision says itself."""
    history = context.histories.get(decision_id)
    if history is None and decision is not None and decision_id not in context.book.holds:
        call = decision.call
        key = subject_key(call.subject)
        context.labels[key] = call.subject
        context.quotes[decision.quote.id] = decision.quote
        hold = Hold(
            decision.id,
            to_us(decision.at),
            context.book.generation,
            decision.verdict.value,
            key,
            decision.model or call.model,
            decision.quote.provider,
            decision.tier,
            call.operation,
            decision.quote.id,
            None,
            decision.holds,
            None,
        )
        history = context.histories[decision_id] = History(hold)
    return history


def _counted(context: Context, hold: Hold) -> list[BalanceRef]:
    """The balances of the active set that a hold's facts count under."""
    quote = context.quote(hold.quote)
    labels = context.labels[hold.subject]
    ruleset = context.active.ruleset
    facts = Facts(
        folded(labels),
        quote.forms,
        quote.provider,
        ruleset.tier_of(quote.forms),
        fold(hold.operation),
        hold.holds.input_tokens,
        hold.holds.output_tokens,
    )
    return [ref for _, ref in matches(ruleset, facts, labels, from_us(hold.at_us)) if ref is not None]


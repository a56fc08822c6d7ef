"""Reserve: calls decided in order, each seeing the ones before it, held and recorded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from typing_extensions import override

from guardrails.audit.record import call_facts, differing_fields, facts_key, record_row, restored
from guardrails.core.balance import BalanceRef
from guardrails.core.call import Call
from guardrails.core.errors import AlreadyResolved, InstantRefused, RequestConflict
from guardrails.core.instant import to_us
from guardrails.core.subject import subject_key
from guardrails.engine.candidate import Candidate, candidate
from guardrails.engine.decide import Missing, decide
from guardrails.engine.decision import Decision
from guardrails.gate.operations import Context, Operation, keep_quote
from guardrails.ledger.book import Restart

FAR_OFF = timedelta(minutes=5)
"""How far a caller's clock may be off the ledger's."""


class Reserve(Operation[list[Decision]]):
    """Decide calls, in order, each seeing the ones before it."""

    judges = True

    def __init__(self, calls: Iterable[Call], ids: Iterable[str], *, dry: bool = False) -> None:
        self.calls = tuple(calls)
        self.dry = dry
        self.ids = tuple(ids)
        self.record_ids = () if dry else tuple(id_ for call, id_ in zip(self.calls, self.ids, strict=True) if call.request_id is not None)
        instants = [call.at for call in self.calls if call.at is not None]
        self.at = max(instants) if instants else None
        self.made: set[str] = set()
        """Ids of the decisions that were made by this operation, and not found under a request id."""
        self._candidates: dict[int, Candidate] = {}

    @override
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

    @override
    def apply(self, context: Context) -> list[Decision]:
        for call in self.calls:
            if call.at is not None and not context.caller_clock and abs(call.at - context.now) > FAR_OFF:
                raise InstantRefused(call.at, context.now)
        if self.record_ids and len(self.calls) > 1:
            self._check(context)
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

    def _check(self, context: Context) -> None:
        """Find every conflict before the first call is held: all are booked, or none."""
        first: dict[str, Call] = {}
        for call, id_ in zip(self.calls, self.ids, strict=True):
            if call.request_id is not None:
                self._before(context, call, id_)
                same_facts(call.request_id, first.setdefault(id_, call), call)

    def _before(self, context: Context, call: Call, id_: str) -> Decision | None:
        """The decision that the ledger, or this transaction, has under the id."""
        request_id = call.request_id or id_
        if id_ in context.decided:
            decision = context.decided[id_]
            same_facts(request_id, decision.call, call)
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
        charged = history is not None and bool(history.entries)
        if id_ in context.let_go or (outcome == "expired" and not charged):
            # Nothing counts for it any more: the old answer would let a call run that nothing holds for.
            raise AlreadyResolved(request_id, "expired")
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
        self.made.add(decision.id)
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


def same_facts(request_id: str, one: Call, other: Call) -> None:
    """Hold two calls under one request id to be the same call.

    Raises:
        RequestConflict: they differ.
    """
    theirs, ours = call_facts(one), call_facts(other)
    if theirs != ours:
        raise RequestConflict(request_id, sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)))


def _instant(context: Context, call: Call) -> datetime:
    """The one instant of a decision: the caller's where the Gate goes by it, else the ledger's."""
    return call.at if context.caller_clock and call.at is not None else context.now

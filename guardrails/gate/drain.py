"""The spool's events booked when the ledger is back: each once, those of one decision in order, many in one transaction.

Everything was decided when it happened; nothing is decided again. The ids were made then, so that an event that was booked before,
and whose note was lost with its process, books nothing a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import override

from guardrails.audit.record import call_facts, facts_key, record_row
from guardrails.core.balance import BalanceRef
from guardrails.core.errors import LedgerError
from guardrails.core.hashing import hashed
from guardrails.core.instant import from_us, to_us
from guardrails.core.subject import subject_key
from guardrails.engine.candidate import candidate
from guardrails.engine.decision import Decision
from guardrails.gate.booking import Ledger, carry_out
from guardrails.gate.combine import MAX_BATCH
from guardrails.gate.ending import Abandon, Extend, Release
from guardrails.gate.operations import Context, Operation, keep_quote
from guardrails.gate.settle import Settle
from guardrails.gate.spool import Event, Spool
from guardrails.gate.spool_event import UNREADABLE, decision_of, usage_of_values

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of the spool's events.

    Attributes:
        booked: how many the ledger has taken over.
        refused: why others cannot be booked; they are kept beside the spool, in the file whose name ends in `.refused`.
    """

    booked: int
    refused: tuple[str, ...]


def drain(ledger: Ledger, spool: Spool) -> Drained:
    """Book everything in the spool.

    Raises:
        LedgerError: the ledger is not back, or refuses as a whole; what is not booked stays in the spool.
    """
    booked, reasons = 0, []
    with spool.draining() as alone:
        while alone:
            with spool.opened() as opened:
                pending = list(opened.contents.pending.values())
                renamed = dict(opened.contents.renamed)
                unchecked = {id_ for id_, event in opened.contents.reserved.items()}
                if not pending:
                    unreadable = [(line, "not a whole line of a spool") for line in opened.contents.unreadable]
                    opened.put_aside(unreadable)
                    reasons += [reason for _, reason in unreadable]
                    opened.cut()
                    break
            for wave in _waves(pending):
                refused = _book(ledger, wave, renamed, unchecked)
                with spool.opened() as opened:
                    opened.put_aside(refused)
                    opened.note_booked([event["n"] for event in wave], renamed)
                booked += len(wave) - len(refused)
                reasons += [reason for _, reason in refused]
    for reason in reasons:
        _log.error("spooled, and cannot be booked: %s; kept in %s.refused", reason, spool.path)
    return Drained(booked, tuple(reasons))


def _waves(pending: Iterable[Event]) -> Iterator[list[Event]]:
    """Events that can share a transaction: of each decision the first, then of each the second, and so on."""
    waves: list[list[Event]] = []
    seen: dict[str, int] = {}
    for event in pending:
        place = seen[event["decision"]] = seen.get(event["decision"], -1) + 1
        if place == len(waves):
            waves.append([])
        waves[place].append(event)
    for wave in waves:
        for start in range(0, len(wave), MAX_BATCH):
            yield wave[start : start + MAX_BATCH]


def _book(ledger: Ledger, events: Sequence[Event], renamed: dict[str, str], unchecked: set[str]) -> list[tuple[Event, str]]:
    """Book events in one transaction; those that cannot be, with the reason."""
    refused: list[tuple[Event, str]] = []
    operations: list[tuple[Event, Operation[Any]]] = []
    for event in events:
        try:
            operations.append((event, _operation(event, ledger, renamed, unchecked)))
        except UNREADABLE as error:
            refused.append((event, f"not an event of a spool: {error!r}"))
    if not operations:
        return refused
    try:
        carry_out(ledger, [operation for _, operation in operations])
    except LedgerError as error:
        if error.retryable:
            raise
        if len(operations) == 1:
            return [*refused, (operations[0][0], str(error))]
        # One that the database does not take must not keep the others out.
        return [*refused, *(each for event, _ in operations for each in _book(ledger, [event], renamed, unchecked))]
    for event, operation in operations:
        if operation.error is not None:
            refused.append((event, str(operation.error)))
        elif isinstance(operation, BookUnchecked) and operation.id != operation.decision.id:
            renamed[operation.decision.id] = operation.id
    return refused


def _operation(event: Event, ledger: Ledger, renamed: Mapping[str, str], unchecked: set[str]) -> Operation[Any]:
    decision_id = renamed.get(event["decision"], event["decision"])
    decision = replace(decision_of(event), id=decision_id) if "record" in event else None
    match event["kind"]:
        case "reserved" if decision is not None:
            return BookUnchecked(replace(decision, id=event["decision"]), str(event["clock"]), ledger.org)
        case "settled":
            # Under a request id the ledger may hold another model than the one that was answered here.
            model = event["model"] or (decision.model if decision is not None and decision.unchecked else None)
            settle = Settle(decision or decision_id, usage_of_values(event["usage"]), int(event["attempt"]), model)
            settle.unchecked = settle.unchecked or event["decision"] in unchecked
            return settle
        case "released":
            return Release(decision_id, str(event["reason"]))
        case "extended":
            return ExtendTo(decision_id, int(event["expires_us"]))
        case "unseen":
            return Abandon(decision_id)
        case kind:
            msg = f"kind {kind!r}"
            raise ValueError(msg)


class BookUnchecked(Operation[None]):
    """Book a decision that was made without the ledger: its record and its hold, whatever the limits say by now.

    Where the ledger has another decision under the same id (of a request id that was used for another call, or whose refusal
    never reached its caller), it gets an id of its own.
    """

    def __init__(self, decision: Decision, clock: str, org: str) -> None:
        self.decision = decision
        self.clock = clock
        self.id = decision.id
        self._other_id = f"u-{hashed(org, decision.id, facts_key(call_facts(decision.call)).hex()).hex()}"
        self.hold_ids = self.record_ids = self.ids = (decision.id, self._other_id)
        self.quotes_at_hand = decision.quotes
        self.at = decision.at
        quotes = {quote.model: quote for quote in decision.quotes}
        self._quote = quotes[decision.model or decision.call.model]
        self._booked = False
        self._refs: tuple[BalanceRef, ...] = ()

    @override
    def plan(self, context: Context) -> Iterable[BalanceRef]:
        row = context.records.get(self.decision.id)
        self.id = self.decision.id if row is None or self._is_same(row) else self._other_id
        self._booked = self.id in context.records
        self._refs = () if self._booked or not self.decision.allowed else self._counted(context)
        return self._refs

    @override
    def apply(self, context: Context) -> None:
        if self._booked:
            return
        book, decision = context.book, replace(self.decision, id=self.id)
        settled = bool(book.unrecorded.get(self.id))
        if decision.expires_at is not None and not settled:
            book.hold(decision.id, self._refs, decision.holds, to_us(decision.expires_at))
        book.subject(subject_key(decision.call.subject), decision.call.subject)
        for quote in decision.quotes:
            keep_quote(book, quote)
        facts = call_facts(decision.call)
        book.record(
            record_row(
                decision,
                facts,
                facts_key(facts),
                org=book.org,
                generation=decision.generation or book.generation,
                recorded_us=context.now_us,
                clock=self.clock,
                route=book.route_of(ref.key for ref in self._refs),
            )
        )

    def _is_same(self, row: Mapping[str, Any]) -> bool:
        facts = facts_key(call_facts(self.decision.call))
        return bytes(row["facts"]) == facts and (row["verdict"] != "deny" or not self.decision.allowed)

    def _counted(self, context: Context) -> tuple[BalanceRef, ...]:
        """The balances of the set in force that it counts under, in the windows of its own instant."""
        decision = self.decision
        quote = self._quote
        return tuple(candidate(context.active.ruleset, decision.call, quote.model, lambda _call, _model: quote, decision.at).refs)


class ExtendTo(Extend):
    """Move the end of a hold to an instant; a hold that has ended, or lives longer, is left as it is."""

    def __init__(self, decision_id: str, expires_us: int) -> None:
        super().__init__(decision_id, 0)
        self._expires_us = expires_us

    @override
    def apply(self, context: Context) -> Any:
        live = context.book.holds.get(self.decision_id)
        if live is not None and live.expires_us is not None and live.expires_us < self._expires_us:
            context.book.extend_hold(live.id, self._expires_us)
            context.book.event(live.id, "extended", context.now_us, self._expires_us, None)
        return from_us(self._expires_us)

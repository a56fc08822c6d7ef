"""What is answered while the ledger cannot be reached and the policy allows calls all the same: decided without balances, spooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from guardrails.core import clock
from guardrails.core.call import Call
from guardrails.core.errors import AlreadyResolved, GuardrailsError, InstantRefused
from guardrails.core.instant import to_us
from guardrails.engine.candidate import candidate
from guardrails.engine.decide import Missing, decide
from guardrails.engine.decision import Decision
from guardrails.gate.booking import Ledger
from guardrails.gate.ending import Abandon, Extend, Release
from guardrails.gate.operations import Operation
from guardrails.gate.reserve import FAR_OFF, Reserve, same_facts
from guardrails.gate.settle import Settle, ended_hold
from guardrails.gate.settlement import NOTHING_BOOKED, Settlement, usage_entry
from guardrails.gate.spool import OpenSpool
from guardrails.gate.spool_event import UNREADABLE, decision_event, decision_of, usage_values

SPOOLED = "spooled"
"""The mark of a settlement that the ledger does not have yet."""


class Unchecked:
    """Answers operations in the ledger's place, and notes what must be booked when it is back."""

    def __init__(self, ledger: Ledger, spool: OpenSpool) -> None:
        self._ledger = ledger
        self._contents = spool.contents
        self._now = clock.now()
        self._made: dict[str, Decision] = {}
        self._ended: dict[str, str] = dict(self._contents.ended)
        self.events: list[dict[str, object]] = []

    def answer(self, operations: Sequence[Operation[Any]], error: GuardrailsError) -> None:
        """Give each operation its result or its error; those that only the ledger can answer get `error`."""
        for operation in operations:
            operation.error = None
            try:
                operation.result = self._answered(operation, error)
            except GuardrailsError as own:
                operation.error = own

    def _answered(self, operation: Operation[Any], error: GuardrailsError) -> object:
        match operation:
            case Reserve():
                return self._reserve(operation)
            case Settle():
                return self._settle(operation)
            case Extend():
                return self._extend(operation)
            case Release():
                self._release(operation)
            case Abandon():
                self._note("unseen", operation.decision_id)
            case _:
                raise error
        return None

    def _reserve(self, operation: Reserve) -> list[Decision]:
        ledger = self._ledger
        for call in operation.calls:
            if call.at is not None and not ledger.caller_clock and abs(call.at - self._now) > FAR_OFF:
                raise InstantRefused(call.at, self._now)
        calls = list(zip(operation.calls, operation.ids, strict=True))
        for call, id_ in calls:
            self._before(call, id_)
        decided: list[Decision] = []
        made: dict[str, Decision] = {}
        for call, id_ in calls:
            decision = self._before(call, id_) or made.get(id_)
            if decision is None:
                decision = made[id_] = self._decide(call, id_)
            else:
                same_facts(call.request_id or id_, decision.call, call)
            decided.append(decision)
        if not operation.dry:
            self._made.update(made)
            operation.made.update(made)
            of = "caller" if ledger.caller_clock else "host"
            for id_, decision in made.items():
                self.events.append({"kind": "reserved", "decision": id_, **decision_event(decision, ledger.org, of)})
        return decided

    def _before(self, call: Call, id_: str) -> Decision | None:
        """The decision of the same request id, where it was made since the ledger was lost."""
        decision = self._decision(id_)
        if decision is not None:
            same_facts(call.request_id or id_, decision.call, call)
            if id_ in self._ended:
                raise AlreadyResolved(call.request_id or id_, self._ended[id_])
        return decision

    def _decision(self, id_: str) -> Decision | None:
        if id_ in self._made:
            return self._made[id_]
        event = self._contents.reserved.get(id_)
        if event is None:
            return None
        try:
            decision = self._made[id_] = decision_of(event)
        except UNREADABLE:
            return None  # put aside when the spool is emptied
        return decision

    def _decide(self, call: Call, id_: str) -> Decision:
        ledger = self._ledger
        ruleset = ledger.active.ruleset
        at = call.at if ledger.caller_clock and call.at is not None else self._now
        quotes = ledger.active.quotes_at(at)
        asked = candidate(ruleset, call, call.model, quotes, at)
        answer = decide(ruleset, call, asked, quotes, None, decision_id=id_, at=at, generation=ledger.active.generation)
        assert not isinstance(answer, Missing)  # noqa: S101 - without balances none is asked for
        return answer

    def _settle(self, operation: Settle) -> Settlement:
        decision = operation.decision or self._decision(operation.decision_id)
        event = {"usage": usage_values(operation.usage), "attempt": operation.attempt, "model": operation.model}
        carried = {} if decision is None else decision_event(decision, self._ledger.org, "host")
        self._note("settled", operation.decision_id, **event, **carried)
        self._ended[operation.decision_id] = "settled"
        if decision is None:
            return Settlement(operation.decision_id, operation.attempt, None, 0, (SPOOLED,), booked=True)
        return self._foreseen(operation, decision)

    def _foreseen(self, operation: Settle, decision: Decision) -> Settlement:
        """What the settlement will book, where nothing else was booked for it."""
        active = self._ledger.active
        hold = ended_hold(decision, active.generation)
        quote = operation.quote_of_run(decision.quote, active.quotes_at(decision.at), hold, operation.usage)
        _, settlement = usage_entry(
            hold,
            operation.usage,
            quote,
            decision.tier,
            NOTHING_BOOKED,
            attempt=operation.attempt,
            part=0,
            late=False,
            first=True,
            recorded_us=to_us(self._now),
            route=None,
            left=hold.holds,
        )
        return replace(settlement, marks=(*settlement.marks, SPOOLED))

    def _release(self, operation: Release) -> None:
        if self._ended.get(operation.decision_id) == "settled":
            raise AlreadyResolved(operation.decision_id, "settled")
        self._note("released", operation.decision_id, reason=operation.reason)
        self._ended[operation.decision_id] = "released"

    def _extend(self, operation: Extend) -> datetime:
        if operation.decision_id in self._ended:
            raise AlreadyResolved(operation.decision_id, self._ended[operation.decision_id])
        end = (operation.at if self._ledger.caller_clock and operation.at is not None else self._now) + timedelta(seconds=operation.ttl_s)
        decision = self._decision(operation.decision_id)
        if decision is not None and decision.expires_at is not None:
            end = max(end, decision.expires_at)
        self._note("extended", operation.decision_id, expires_us=to_us(end))
        return end

    def _note(self, kind: str, decision_id: str, **values: object) -> None:
        self.events.append({"kind": kind, "decision": decision_id, **values})

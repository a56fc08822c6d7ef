"""The Gate: every call passes here, is decided, held, and settled with what it really used."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from sqlalchemy import Engine

from guardrails.core import clock
from guardrails.core.call import Call
from guardrails.core.errors import GateClosed, GuardrailsError, LedgerBusy, LedgerError, LedgerUnavailable
from guardrails.core.hashing import hashed
from guardrails.core.instant import to_us
from guardrails.core.usage import Usage
from guardrails.db.connect import DEFAULT_URL, connect, hurry
from guardrails.engine.decision import Decision
from guardrails.gate.active import ActiveSet, active_set, open_prices
from guardrails.gate.admission import Admission
from guardrails.gate.asked import check_calls, checked_ttl, settling
from guardrails.gate.booking import Ledger
from guardrails.gate.budgets import Budget, Budgets
from guardrails.gate.combine import Combiner
from guardrails.gate.drain import Drained
from guardrails.gate.ending import Abandon, Extend, Release
from guardrails.gate.fallback import Drain, Fallback
from guardrails.gate.in_force import from_ledger, opened
from guardrails.gate.operations import Operation
from guardrails.gate.reserve import Reserve
from guardrails.gate.settlement import Settlement
from guardrails.gate.spool import Spool, spool_path
from guardrails.policy.load import load_policies
from guardrails.policy.rules import Answer, PolicySet

T = TypeVar("T")
Clock = Literal["ledger", "caller"]
ORG = "default"


class Gate:
    """Decides calls by the active policy set of one ledger.

    Safe to share between threads and tasks; many processes may open one database. Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        engine: Engine,
        database: str,
        active: ActiveSet,
        *,
        clock_of: Clock = "ledger",
        org: str = ORG,
        spool: Path | None = None,
        unpublished: PolicySet | None = None,
    ) -> None:
        """Use `Gate.open`."""
        self._engine = engine
        self._database = database
        self._ledger = Ledger(engine, database, org, active, self._reload, caller_clock=clock_of == "caller")
        self._fallback = Fallback(None if spool is None else Spool(spool))
        self._unpublished = unpublished
        hurry(engine, lambda: self._ledger.spools)
        self._combiner = Combiner(self._carry_out)
        self._process = os.getpid()
        self._forking = threading.Lock()
        self._inherited: Ledger | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        policies: str | Path | None = None,
        database: str = DEFAULT_URL,
        *,
        clock: Clock = "ledger",
        org: str = ORG,
        spool: str | Path | None = None,
    ) -> Gate:
        """Open a ledger, and publish a policy folder as its active set where it differs from the one in force.

        Args:
            policies: a folder or file; None goes by what the ledger has.
            database: `sqlite:///file.db` is created and upgraded; a server must be at head.
            clock: `caller` goes by each call's own `at`, for replays, tests and simulations; records show it.
            org: keeps ledgers apart that share a database.
            spool: the folder for what happens while the ledger cannot be reached, where the policy says `unavailable: allow`;
                beside a SQLite ledger, else in the user's state folder, where None. GUARDRAILS_SPOOL goes before it.

        A set given here that says `unavailable: allow` decides, unchecked, even while the ledger cannot be reached; it is
        published when the ledger is back.

        Raises:
            InvalidPolicy: the set has mistakes; all of them are listed.
            PolicyUnreadable: no policy there, or none given and none in the ledger.
            LedgerError: the database cannot be used, or is not at head.
        """
        loaded = None if policies is None else load_policies(policies)
        path = spool_path(database, org, ORG, spool)
        unpublished = None
        engine = connect(database)
        allowed = path is not None and loaded is not None and loaded.defaults.unavailable is Answer.ALLOW
        hurry(engine, lambda: allowed)
        try:
            try:
                active = opened(engine, database, org, loaded)
            except LedgerError as error:
                if loaded is None or not allowed or not error.retryable:
                    raise
                active, unpublished = active_set(loaded, open_prices(loaded), 0, {}), loaded
        except BaseException:
            engine.dispose()
            raise
        gate = cls(engine, database, active, clock_of=clock, org=org, spool=path, unpublished=unpublished)
        try:
            gate._drain_at_open()
        except BaseException:
            gate.close()
            raise
        return gate

    def reserve(self, call: Call) -> Decision:
        """Decide a call and hold its estimate; a refusal is a decision too.

        Raises:
            RequestConflict, AlreadyResolved: the call's request id was used before.
            InstantRefused: the call's `at` is more than five minutes off the ledger's clock.
            LedgerError: nothing was decided and nothing is held.
        """
        return self.reserve_many([call])[0]

    def reserve_many(self, calls: Iterable[Call]) -> list[Decision]:
        """Decide calls in one transaction, in order, each seeing the ones before it."""
        return self._submit(self._reserving(calls))

    def preview(self, call: Call) -> Decision:
        """The decision as it would be now, without a hold and without a record."""
        return self._submit(self._reserving([call], dry=True))[0]

    def settle(self, decision: Decision | str, usage: Usage | object, *, attempt: int = 1, model: str | None = None) -> Settlement:
        """Book what an attempt used. It is never refused, and the same usage again changes nothing.

        Args:
            decision: as `reserve` gave it, or its id.
            usage: a `Usage`, or a provider's usage object as it is.
            attempt: the billed attempt, from 1: each settles as an entry of its own under the one hold.
            model: the model that really ran, where it is not the decision's.

        Raises:
            UnknownDecision: the ledger has no decision of that id.
        """
        return self._submit(settling(decision, usage, attempt, model))

    def release(self, decision: Decision | str, reason: str) -> None:
        """End a hold that surely cost nothing.

        Raises:
            AlreadyResolved: usage was settled for it.
            UnknownDecision: the ledger has no decision of that id.
        """
        self._submit(Release(decision, reason))

    def extend(self, decision: Decision | str, ttl_s: float) -> datetime:
        """Let a hold live until `ttl_s` seconds from now, never shorter than before; returns its end.

        Raises:
            AlreadyResolved: it has ended.
            UnknownDecision: the ledger has no decision of that id.
        """
        return self._submit(Extend(decision, checked_ttl(ttl_s)))

    def admit(self, call: Call) -> Admission:
        """A context in which the call may run: `with` or `async with`.

        Entering raises `Denied` where the policy refuses. Leaving without a settlement does what the policy's `unknown_outcome` says.
        """
        return Admission(self, call)

    async def areserve(self, call: Call) -> Decision:
        """`reserve` for asynchronous code. Cancelled while it waits, it gives back what it held."""
        return (await self.areserve_many([call]))[0]

    async def areserve_many(self, calls: Iterable[Call]) -> list[Decision]:
        """`reserve_many` for asynchronous code."""
        operation = self._reserving(calls)
        reserving = self._submit_task(operation)
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            # Its loop may end right after: a cancelled task goes on only when nothing is held for it any more.
            await asyncio.shield(self._give_back(operation, reserving))
            raise

    async def asettle(self, decision: Decision | str, usage: Usage | object, *, attempt: int = 1, model: str | None = None) -> Settlement:
        """`settle` for asynchronous code."""
        return await self._asubmit(settling(decision, usage, attempt, model))

    async def arelease(self, decision: Decision | str, reason: str) -> None:
        """`release` for asynchronous code."""
        await self._asubmit(Release(decision, reason))

    async def aextend(self, decision: Decision | str, ttl_s: float) -> datetime:
        """`extend` for asynchronous code."""
        return await self._asubmit(Extend(decision, checked_ttl(ttl_s)))

    def budgets(self, at: datetime | None = None) -> list[Budget]:
        """Every balance of the windows that run now, as an admission would see it.

        Args:
            at: another instant, where the Gate goes by its callers' clock.
        """
        return self._submit(Budgets(at))

    def abandon(self, decision: Decision) -> None:
        """End a hold whose outcome nobody saw, as the policy's `unknown_outcome` says."""
        self._submit(Abandon(decision))

    async def aabandon(self, decision: Decision) -> None:
        """`abandon` for asynchronous code."""
        await self._asubmit(Abandon(decision))

    def drain_spool(self) -> Drained:
        """Book now what was spooled while the ledger could not be reached; the next operation would do it, too.

        Raises:
            LedgerError: the ledger is not back; everything stays in the spool.
        """
        return self._submit(Drain())

    def close(self) -> None:
        """Wait for what is under way and release every connection. The Gate takes no more calls."""
        if not self._closed:
            self._closed = True
            if self._process != os.getpid():
                # A forked worker that never used it: everything is the parent's, and is left alone.
                self._inherited = self._ledger
                self._engine.dispose(close=False)
                return
            self._combiner.close()
            self._ledger.close()
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _submit(self, operation: Operation[T]) -> T:
        if self._process != os.getpid():
            self._after_fork()
        return self._combiner.submit(operation)

    async def _asubmit(self, operation: Operation[T]) -> T:
        # Shielded: what is under way ends the same, whether its task is cancelled or not.
        return await asyncio.shield(self._submit_task(operation))

    def _submit_task(self, operation: Operation[T]) -> asyncio.Future[T]:
        if self._process != os.getpid():
            self._after_fork()
        return self._combiner.submit_task(operation)

    def _carry_out(self, operations: Sequence[Operation[Any]]) -> None:
        self._fallback.carry_out(self._ledger, operations)

    def _drain_at_open(self) -> None:
        if self._fallback.has_spooled:
            with suppress(LedgerUnavailable, LedgerBusy):  # then it stays where it is, for the next operation
                self.drain_spool()

    async def _give_back(self, operation: Reserve, reserving: asyncio.Future[list[Decision]]) -> None:
        """Release what was held for a caller that was cancelled before it had an answer: it has sent nothing."""
        with suppress(GuardrailsError):
            for decision in await reserving:
                # What a request id had found belongs to the one who reserved it first.
                if decision.allowed and (decision.call.request_id is None or decision.id in operation.made):
                    await self._submit_task(Release(decision, "cancelled before the call was sent"))

    def _after_fork(self) -> None:
        """In a forked worker: connections belong to the parent and are left alone, locks start anew."""
        with self._forking:
            if self._closed:
                raise GateClosed
            if self._process == os.getpid():
                return
            self._engine.dispose(close=False)
            ledger = self._ledger
            self._inherited = ledger  # never collected: the end of its connection would be said on the parent's line
            self._ledger = Ledger(self._engine, self._database, ledger.org, ledger.active, self._reload, caller_clock=ledger.caller_clock)
            self._combiner = Combiner(self._carry_out)
            self._process = os.getpid()

    def _reserving(self, calls: Iterable[Call], *, dry: bool = False) -> Reserve:
        calls = tuple(calls)
        check_calls(calls)
        # A preview asks what would be decided now, whatever its request id was decided before.
        ids = [f"preview-{secrets.token_hex(8)}" for _ in calls] if dry else [self._decision_id(call) for call in calls]
        return Reserve(calls, ids, dry=dry)

    def _decision_id(self, call: Call) -> str:
        """Of a request id always the same, else a new one that sorts by time."""
        if call.request_id is not None:
            return f"r-{hashed(self._ledger.org, call.request_id).hex()}"
        return f"d-{to_us(clock.now()):014x}-{secrets.token_hex(8)}"

    def _reload(self) -> ActiveSet:
        if self._unpublished is not None:
            active: ActiveSet | None = opened(self._engine, self._database, self._ledger.org, self._unpublished)
            self._unpublished = None
        else:
            active = from_ledger(self._engine, self._ledger.org)
        if active is None:
            msg = "the ledger has no active policy set any more"
            raise LedgerError(msg)
        return active

"""One transaction for many callers' operations: locked in one order, decided in memory, written at once, tried again where that helps."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

from sqlalchemy import Engine

from guardrails.core import clock
from guardrails.core.balance import BalanceRef
from guardrails.core.errors import GuardrailsError, LedgerBusy
from guardrails.core.instant import from_us, to_us
from guardrails.db.connect import HURRIED_WAIT_S, STATEMENT_TIMEOUT_S, is_busy, is_disconnect, is_duplicate, shown_url, translation
from guardrails.db.session import Session, open_session
from guardrails.gate.active import ActiveSet
from guardrails.gate.ending import end_unseen
from guardrails.gate.opening import open_balances
from guardrails.gate.operations import Context, Operation
from guardrails.ledger.book import Book, Restart
from guardrails.ledger.lookup import Known, decided_us
from guardrails.policy.rules import Answer
from guardrails.pricing.price import quote_from_text

MAX_TRIES = 12
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.25
_RECONNECTS = 2


@dataclass(slots=True)
class Ledger:
    """The database of one Gate, as bookings use it: one session, kept open, and what is known to be there.

    Attributes:
        reload: loads the active set from the ledger when its generation is not the one at hand.
        patience_s: how long a server may take for one transaction where calls may run without it: longer than its own limit.
    """

    engine: Engine
    url: str
    org: str
    active: ActiveSet
    reload: Callable[[], ActiveSet]
    caller_clock: bool = False
    known: Known = field(default_factory=Known)
    session: Session | None = None
    patience_s: float = STATEMENT_TIMEOUT_S + 5

    @property
    def spools(self) -> bool:
        """Whether calls may run without it, so that nobody should wait long for it."""
        return self.active.policies.defaults.unavailable is Answer.ALLOW

    def open(self) -> Session:
        """The session, opened where there is none."""
        if self.session is None:
            self.session = open_session(self.engine)
            if self.spools:
                self.session.wait_at_most(HURRIED_WAIT_S)
        return self.session

    @contextmanager
    def watched(self, session: Session) -> Iterator[Session]:
        """Cut the line to a server that has fallen silent, where calls may run without it; its own time limit cannot tell us."""
        if session.dialect == "sqlite" or not self.spools:  # a file does not fall silent
            yield session
            return
        watchdog = threading.Timer(self.patience_s, session.cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield session
        finally:
            watchdog.cancel()

    def drop(self) -> None:
        """Forget a session whose connection is gone."""
        if self.session is not None:
            session, self.session = self.session, None
            session.abandon()

    def close(self) -> None:
        """Close the session."""
        if self.session is not None:
            session, self.session = self.session, None
            session.close()


def carry_out(ledger: Ledger, operations: Sequence[Operation[Any]]) -> None:
    """Carry out operations in one durable transaction, in order; each gets its own result or error.

    Raises:
        LedgerError: the transaction failed as a whole; nothing was booked.
    """
    tries = _Tries(clock.monotonic_s() + HURRIED_WAIT_S if ledger.spools else inf)
    while True:
        try:
            with ledger.watched(ledger.open()) as session:
                _attempt(ledger, session, operations, tries)
        except Restart as restart:
            _roll_back(ledger)
            tries.restarted(restart, ledger.url)
        except GuardrailsError:
            _roll_back(ledger)
            raise
        except Exception as error:
            _roll_back(ledger)
            if is_disconnect(error):
                # A commit whose answer was lost may have happened: the ids were made before, so the next try finds it.
                ledger.drop()
            if not tries.may_go_on(error):
                raise (translation(error, ledger.url) if _is_foreign(error) else error) from error
            tries.pause()
        except BaseException:
            _roll_back(ledger)
            raise
        else:
            return


@dataclass(slots=True)
class _Tries:
    """How often a transaction was tried, and what the next try must know.

    Attributes:
        until_s: when to give up, on the clock that never steps.
        needed: balances to lock from the start.
        sweep: lock the holds that are past their time, too.
        alone: have no other booking under way.
    """

    until_s: float
    count: int = 1
    reconnects: int = 0
    pause_s: float = _FIRST_PAUSE_S
    needed: dict[bytes, BalanceRef] = field(default_factory=dict)
    sweep: bool = False
    alone: bool = False

    def restarted(self, restart: Restart, url: str) -> None:
        """Take in why a try was given up; pause where another transaction was in the way."""
        if self.count >= MAX_TRIES or clock.monotonic_s() > self.until_s:
            message = f"the ledger {shown_url(url)} did not come to rest in {self.count} tries"
            raise LedgerBusy(message)
        self.needed.update({ref.key: ref for ref in restart.needed})
        news = restart.needed or (restart.sweep and not self.sweep) or (restart.alone and not self.alone)
        in_the_way = not news and self.count > 1
        self.sweep = self.sweep or restart.sweep
        self.alone = self.alone or restart.alone
        if in_the_way:
            self.pause()
        else:
            self.count += 1

    def may_go_on(self, error: Exception) -> bool:
        """Whether another try can succeed after an error of the database."""
        lost = is_disconnect(error)
        self.reconnects += lost
        if self.count >= MAX_TRIES or self.reconnects > _RECONNECTS or clock.monotonic_s() > self.until_s:
            return False
        return lost or is_busy(error) or is_duplicate(error)

    def pause(self) -> None:
        """Wait a little, longer each time, so that two that collided do not collide again."""
        time.sleep(random.uniform(self.pause_s / 2, self.pause_s))  # noqa: S311 - jitter, not a secret
        self.pause_s = min(self.pause_s * 2, _LONGEST_PAUSE_S)
        self.count += 1


def _attempt(ledger: Ledger, session: Session, operations: Sequence[Operation[Any]], tries: _Tries) -> None:
    book = Book(session, ledger.org, ledger.known)
    hold_ids = [hold_id for operation in operations for hold_id in operation.hold_ids]
    record_ids = [record_id for operation in operations for record_id in (operation.ids if tries.count > 1 else operation.record_ids)]
    judges = any(operation.judges for operation in operations)
    now_us, records = book.begin(
        _caller_us(ledger, session, operations), hold_ids, record_ids, sweep=tries.sweep, alone=tries.alone, judges=judges
    )
    if book.generation != ledger.active.generation:
        session.rollback()
        ledger.active = ledger.reload()
        raise Restart
    context = Context(book, ledger.active, from_us(now_us), ledger.caller_clock, records)
    _read_more(context, operations, hold_ids)
    refs = {ref.key: ref for operation in operations for ref in operation.plan(context)}
    refs.update(tries.needed)
    looked_at = {ref.key for operation in operations for ref in operation.looks_at(context)}
    holds = [*book.holds.values(), *(history.hold for history in context.histories.values())]
    context.legs = book.legs(holds)
    missing = book.lock({*refs, *looked_at, *(key for legs in context.legs.values() for key in legs)})
    to_open = [refs[key] for key in missing if key in refs]
    if to_open:
        alone = tries.alone or session.dialect == "sqlite" or operations[0].dry
        open_balances(book, ledger.active.ruleset, to_open, context.now, alone=alone)
        context.legs = book.legs(holds)
        if book.lock(key for legs in context.legs.values() for key in legs):
            raise Restart
    # Read under the balances' locks: an import of the same answer that was under way is seen, or waits.
    context.answered = book.answered([operation.response for operation in operations if operation.response is not None])
    named = set(hold_ids)
    expired = [hold for hold in book.holds.values() if hold.expires_us is not None and hold.expires_us <= now_us]
    for hold in expired:
        if hold.id not in named:
            end_unseen(context, hold, "expired", hold.expires_us or now_us)
    # What ends a hold that is past its time goes first, so that no admission of this transaction counts it.
    past = {hold.id for hold in expired}
    for operation in sorted(operations, key=lambda operation: past.isdisjoint(operation.hold_ids)) if past & named else operations:
        operation.error = None
        try:
            operation.result = operation.apply(context)
        except GuardrailsError as error:
            operation.error = error
    if operations[0].dry:
        session.rollback()
    else:
        book.commit()


def _read_more(context: Context, operations: Sequence[Operation[Any]], hold_ids: Sequence[str]) -> None:
    """Read what only some operations need: histories of holds that ended, pinned quotes, labels."""
    book = context.book
    again = [record_id for record_id in context.records if record_id not in book.holds]
    context.histories = book.histories([*(hold_id for hold_id in hold_ids if hold_id not in book.holds), *again])
    quote_ids = {book.holds[hold_id].quote for hold_id in hold_ids if hold_id in book.holds}
    quote_ids |= {history.hold.quote for history in context.histories.values()} | {row["quote"] for row in context.records.values()}
    for operation in operations:
        context.quotes.update({quote.id: quote for quote in operation.quotes_at_hand})
    wanted = quote_ids - context.quotes.keys()
    context.quotes.update({quote_id: quote_from_text(text) for quote_id, text in book.quote_texts(wanted).items()})
    context.labels.update(book.labels(history.hold.subject for history in context.histories.values()))


def _caller_us(ledger: Ledger, session: Session, operations: Sequence[Operation[Any]]) -> int | None:
    """The caller's clock where the Gate goes by it, the host's on SQLite; None asks the server."""
    if ledger.caller_clock:
        instants = [operation.at for operation in operations if operation.at is not None]
        if instants:
            return to_us(max(instants))
        # Named by its id alone, a hold brings its own instant: the host's clock would end all holds of a replay of the past.
        decided = decided_us(session, ledger.org, [hold_id for operation in operations for hold_id in operation.hold_ids])
        return to_us(clock.now()) if decided is None else decided
    return to_us(clock.now()) if session.dialect == "sqlite" else None


def _roll_back(ledger: Ledger) -> None:
    if ledger.session is not None:
        try:
            ledger.session.rollback()
        except Exception:  # noqa: BLE001 - the connection is gone, and the transaction with it
            ledger.drop()


def _is_foreign(error: Exception) -> bool:
    # An amount beyond 64 bits is an OverflowError of the driver of SQLite.
    return type(error).__module__.split(".")[0] in ("sqlite3", "sqlalchemy", "psycopg") or isinstance(error, OverflowError)

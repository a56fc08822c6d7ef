"""One booking transaction: rows locked in one order, amounts changed in memory, everything written at once.

The order of locks is the same everywhere: the active generation (shared), live holds by id, balances by key. A booking that finds
it needs more balances starts again with all of them instead of locking out of order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from guardrails.core.balance import NOTHING, Amounts, Balance, BalanceRef
from guardrails.core.instant import to_us
from guardrails.core.quantity import Measure
from guardrails.db import tables
from guardrails.db.session import Row, Session, Statement, insert
from guardrails.ledger.entry import Entry, Hold, route_key
from guardrails.ledger.lookup import DECIDED, Known, Lookup, hold_of

# statement_timestamp() is stable within a statement, so that the index on expires_us serves; clock_timestamp() is not.
_SERVER_US = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
_ACTIVE_AT = Statement(
    "SELECT a.generation, 0, EXISTS (SELECT 1 FROM live_hold h WHERE h.org = a.org AND h.expires_us <= ?) "
    "FROM active a WHERE a.org = ? FOR SHARE OF a"
)
_ACTIVE_NOW = Statement(_ACTIVE_AT.text.replace("a.generation, 0", f"a.generation, {_SERVER_US}").replace("<= ?", f"<= {_SERVER_US}"))
_ALONE_AT = Statement(_ACTIVE_AT.text.replace("FOR SHARE", "FOR UPDATE"))
_ALONE_NOW = Statement(_ACTIVE_NOW.text.replace("FOR SHARE", "FOR UPDATE"))
_HOLDS = Statement("SELECT id, expires_us FROM live_hold WHERE org = ? AND id IN ?* ORDER BY id FOR UPDATE")
_HOLDS_AT = Statement(
    # `org` stands on both sides, so that each side of the OR has an index of its own.
    "SELECT id, expires_us FROM live_hold WHERE (org = ? AND id IN ?*) OR (org = ? AND expires_us <= ?) ORDER BY id FOR UPDATE"
)
_HOLDS_NOW = Statement(_HOLDS_AT.text.replace("<= ?", f"<= {_SERVER_US}"))
_SEEDED = Statement("SELECT hold, balance FROM seeded_hold WHERE org = ? AND hold IN ?*")
_BALANCES = Statement("SELECT key, measure, spent, assumed, held FROM balance WHERE org = ? AND key IN ?* ORDER BY key FOR UPDATE")
_SET_BALANCE = Statement("UPDATE balance SET spent = ?, assumed = ?, held = ? WHERE org = ? AND key = ?")
_ADD_EVENT = Statement(
    "INSERT INTO hold_event (org, hold, n, kind, at_us, expires_us, reason) "
    "VALUES (?, ?, (SELECT coalesce(max(n), 0) + 1 FROM hold_event WHERE org = ? AND hold = ?), ?, ?, ?, ?)"
)
_END_HOLD = Statement("DELETE FROM live_hold WHERE org = ? AND id = ?")
_EXTEND_HOLD = Statement("UPDATE live_hold SET expires_us = ? WHERE org = ? AND id = ?")


class Restart(Exception):
    """The transaction must start again: the set changed, or rows turned out to be needed that are not locked.

    Attributes:
        needed: balances to lock from the start.
        sweep: lock the holds that are past their time, too.
        alone: a window is opened, whose facts must not change meanwhile.
    """

    def __init__(self, needed: Iterable[BalanceRef] = (), *, sweep: bool = False, alone: bool = False) -> None:
        self.needed = tuple(needed)
        self.sweep = sweep
        self.alone = alone
        super().__init__()


class Book(Lookup):
    """The rows of one transaction: what was read and locked, and what will be written.

    Attributes:
        generation: of the active policy set, locked against a publication.
        balances: locked amounts by key; changed in place.
        holds: the live holds that were asked for or have expired, locked, by id.
        ended: decisions that were asked for and hold nothing, by id.
    """

    def __init__(self, session: Session, org: str, known: Known) -> None:
        super().__init__(session, org, known)
        self.generation = 0
        self.balances: dict[bytes, Balance] = {}
        self.holds: dict[str, Hold] = {}
        self._measures: dict[bytes, Measure] = {}
        self._changed: set[bytes] = set()
        self._seeded: dict[str, set[bytes]] = {}
        self._subjects: dict[bytes, str] = {}
        self._quotes: dict[str, str] = {}
        self._new_holds: list[Row] = []
        self._ended: dict[str, None] = {}
        self._extended: list[Row] = []
        self._events: list[Row] = []
        self._entries: list[Entry] = []
        self._new_balances: list[Row] = []
        self._new_seeded: list[Row] = []
        self._records: list[Row] = []
        self._entry_rows: list[Row] = []
        self._further: list[tuple[Statement, Sequence[Row]]] = []

    # -- reading ------------------------------------------------------------------------------------------------------

    def begin(
        self,
        at_us: int | None,
        hold_ids: Sequence[str],
        record_ids: Sequence[str],
        *,
        sweep: bool,
        alone: bool = False,
        judges: bool = True,
    ) -> tuple[int, dict[str, dict[str, Any]]]:
        """Start the transaction and lock holds: those asked for and those past their time.

        Args:
            at_us: the caller's or the host's clock; None asks the server for its own.
            record_ids: decisions that may be there already, by id.
            judges: the transaction decides by the balances, so that holds past their time must end first.
            sweep: lock the holds past their time too; without it, meeting one starts the transaction again, since
                all holds must be locked in one order.
            alone: wait until no other booking is under way, and keep others waiting: for reading all facts of a window.

        Returns:
            The ledger's instant in microseconds, and the records that are there, by id.

        Raises:
            Restart: a hold is past its time.
        """
        org, session, named = self.org, self.session, list(hold_ids)
        session.begin()
        queries: list[tuple[Statement, Sequence[object]]] = [
            (_ALONE_NOW if alone else _ACTIVE_NOW, (org,)) if at_us is None else (_ALONE_AT if alone else _ACTIVE_AT, (at_us, org))
        ]
        if sweep:
            some = named or [""]
            queries.append((_HOLDS_NOW, (org, some, org)) if at_us is None else (_HOLDS_AT, (org, some, org, at_us)))
        elif named:
            queries.append((_HOLDS, (org, named)))
        if named:
            queries.append((DECIDED, (org, named)))
        if record_ids:
            queries.append((_RECORDS, (org, list(record_ids))))
        results = session.read(*queries)
        self.generation, server_us, some_expired = results.pop(0)[0]
        if some_expired and judges and not sweep:
            raise Restart(sweep=True)
        expires: dict[str, int] = dict(results.pop(0)) if sweep or named else {}
        rows = results.pop(0) if named else []
        unnamed = sorted(expires.keys() - {row[0] for row in rows})
        if unnamed:
            rows += session.read((DECIDED, (org, unnamed)))[0]
        self.holds = {row[0]: hold_of(row, expires[row[0]]) for row in rows if row[0] in expires}
        self.ended = {row[0]: hold_of(row, None) for row in rows if row[0] not in expires}
        records = [dict(zip(_RECORD_COLUMNS, row, strict=True)) for row in results[0]] if record_ids else []
        return int(server_us) if at_us is None else at_us, {record["id"]: record for record in records}

    def legs(self, holds: Iterable[Hold]) -> dict[str, tuple[bytes, ...]]:
        """The balances that each hold counts under: its route, and those that were opened while it lived."""
        holds = list(holds)
        older = [hold.id for hold in holds if hold.generation != self.generation and hold.id not in self._seeded]
        if older:
            (rows,) = self.session.read((_SEEDED, (self.org, older)))
            for hold_id in older:
                self._seeded.setdefault(hold_id, set())
            for hold_id, key in rows:
                self._seeded[hold_id].add(bytes(key))
        self.read_routes(hold.route for hold in holds)
        return {hold.id: tuple({*self.route(hold.route), *self._seeded.get(hold.id, ())}) for hold in holds}

    def lock(self, keys: Iterable[bytes]) -> set[bytes]:
        """Lock balances in key order and have their amounts at hand.

        Returns:
            The keys that the ledger does not have yet.
        """
        wanted = sorted(set(keys) - self.balances.keys())
        if not wanted:
            return set()
        (rows,) = self.session.read((_BALANCES, (self.org, wanted)))
        for key, measure, spent, assumed, held in rows:
            key = bytes(key)  # noqa: PLW2901 - some drivers give memory views
            self.balances[key] = Balance(spent, assumed, held)
            self._measures[key] = _MEASURES[measure]
        return set(wanted) - self.balances.keys()

    # -- changing -----------------------------------------------------------------------------------------------------

    def open_balance(self, ref: BalanceRef, spent: int = 0, assumed: int = 0, held: int = 0) -> None:
        """Add a balance that the ledger does not have, seeded with what its facts gave."""
        self.balances[ref.key] = Balance(spent, assumed, held)
        self._measures[ref.key] = ref.measure
        start, end = ref.period.start, ref.period.end
        self._new_balances.append(
            (
                self.org,
                ref.key,
                ref.rule,
                ref.fingerprint,
                ref.era,
                ref.measure.value,
                json.dumps(dict(ref.scope), ensure_ascii=False),
                None if start is None else to_us(start),
                None if end is None else to_us(end),
                spent,
                assumed,
                held,
                spent,
                assumed,
            )
        )

    def seed_hold(self, hold_id: str, key: bytes) -> None:
        """Note that a live hold counts under a balance that was opened after it."""
        self._seeded.setdefault(hold_id, set()).add(key)
        self._new_seeded.append((self.org, hold_id, key))

    def write_openings(self) -> None:
        """Write new balances now, in key order.

        Raises:
            Restart: another transaction has written one of them.
        """
        if self._new_balances:
            self._new_balances.sort(key=lambda row: row[1])
            written = self.session.read(*[(_OPEN_BALANCE, row) for row in self._new_balances])
            if not all(written):
                raise Restart
            self._new_balances = []

    def hold(self, hold_id: str, refs: Iterable[BalanceRef], holds: Amounts, expires_us: int) -> None:
        """Keep amounts back under balances that are locked, until the hold ends."""
        for ref in refs:
            self.balances[ref.key].held += holds.held_of(ref.measure)
            self._changed.add(ref.key)
        self._new_holds.append((self.org, hold_id, expires_us))

    def end_hold(self, hold: Hold, legs: Iterable[bytes]) -> None:
        """Give back what a live hold kept."""
        for key in legs:
            self.balances[key].held -= hold.holds.held_of(self._measures[key])
            self._changed.add(key)
        self._ended[hold.id] = None
        self.holds.pop(hold.id, None)

    def extend_hold(self, hold_id: str, expires_us: int) -> None:
        """Move the end of a live hold."""
        self._extended.append((expires_us, self.org, hold_id))

    def event(self, hold_id: str, kind: str, at_us: int, expires_us: int | None, reason: str | None) -> None:
        """Note what happened to a hold; numbered as it is written, since two events may have one instant."""
        self._events.append((self.org, hold_id, self.org, hold_id, kind, at_us, expires_us, reason))

    def enter(self, entry: Entry, legs: Iterable[bytes]) -> None:
        """Book an entry under balances that are locked. Its route must be of these legs."""
        spent, assumed = entry.spent, entry.assumed
        for key in legs:
            measure = self._measures[key]
            balance = self.balances[key]
            balance.spent += spent.of(measure)
            balance.assumed += 0 if assumed is NOTHING else assumed.of(measure)
            self._changed.add(key)
        self._entries.append(entry)

    def enter_rows(self, rows: Iterable[Row], counted: Iterable[tuple[Iterable[bytes], Amounts]]) -> None:
        """Book many entries at once, as rows of table `entry`, with the sums that they count under balances that are locked."""
        for legs, spent in counted:
            for key in legs:
                self.balances[key].spent += spent.of(self._measures[key])
                self._changed.add(key)
        self._entry_rows += rows

    def write_too(self, statement: Statement, rows: Sequence[Row]) -> None:
        """Run a statement once per row with the transaction, after everything else."""
        self._further.append((statement, rows))

    def route_of(self, legs: Iterable[bytes]) -> bytes | None:
        """The route of a set of balances, written with the transaction where it is new."""
        keys = tuple(legs)
        if not keys:
            return None
        key = self.known.route_keys.get(keys)
        if key is None:
            ordered = tuple(sorted(keys))
            key = self.known.route_keys[keys] = route_key(ordered)
            if key not in self.known.routes:
                self._routes[key] = ordered
        elif key not in self.known.routes:  # the transaction that made it did not commit
            self._routes[key] = tuple(sorted(keys))
        return key

    def subject(self, key: bytes, labels: Mapping[str, str]) -> None:
        """Have a subject's labels in the ledger."""
        if key not in self.known.subjects and key not in self._subjects:
            self._subjects[key] = json.dumps(dict(labels), ensure_ascii=False)

    def quote(self, quote_id: str, body: str) -> None:
        """Have a quote's content in the ledger."""
        if quote_id not in self.known.quotes:
            self._quotes[quote_id] = body

    def needs_quote(self, quote_id: str) -> bool:
        """Whether the quote is not known to be in the ledger."""
        return quote_id not in self.known.quotes and quote_id not in self._quotes

    def record(self, row: Row) -> None:
        """Append a decision's record."""
        self._records.append(row)

    # -- writing ------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Write everything and end the transaction durably."""
        org = self.org
        changed = [
            (balance.spent, balance.assumed, balance.held, org, key) for key in sorted(self._changed) for balance in (self.balances[key],)
        ]
        self.session.write(
            [
                (insert(tables.subject, ignore=True), [(org, key, labels) for key, labels in sorted(self._subjects.items())]),
                (insert(tables.quote, ignore=True), [(org, key, body) for key, body in sorted(self._quotes.items())]),
                (
                    insert(tables.route, ignore=True),
                    [(org, key, balance_key) for key, keys in sorted(self._routes.items()) for balance_key in keys],
                ),
                (insert(tables.seeded_hold, ignore=True), self._new_seeded),
                (_SET_BALANCE, changed),
                (insert(tables.record), self._records),
                (insert(tables.live_hold), self._new_holds),
                (_EXTEND_HOLD, self._extended),
                (insert(tables.entry), [*(entry.row(org) for entry in self._entries), *self._entry_rows]),
                (_ADD_EVENT, self._events),
                (_END_HOLD, [(org, hold_id) for hold_id in self._ended]),
                *self._further,
            ],
            commit=True,
        )
        self.known.routes.update(self._routes)
        self.known.subjects.update(self._subjects)
        self.known.quotes.update(self._quotes)
        self.known.trim()


_MEASURES = {measure.value: measure for measure in Measure}
_OPEN_BALANCE = Statement(f"{insert(tables.balance, ignore=True).text} RETURNING key")
_RECORD_COLUMNS = tuple(column.name for column in tables.record.columns)
_RECORDS = Statement(f"SELECT {', '.join(_RECORD_COLUMNS)} FROM record WHERE org = ? AND id IN ?*")  # noqa: S608 - columns

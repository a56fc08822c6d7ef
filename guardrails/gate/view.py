"""A ledger opened to be read: reports, records and proofs over one state of it, and the one repair that proofs allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select, text

from guardrails.audit.log import Decided, Story, Wanted, decided_by, decisions, story
from guardrails.core import clock
from guardrails.core.balance import Balance
from guardrails.core.errors import LedgerUnavailable
from guardrails.core.instant import from_us, to_us
from guardrails.core.window import Period
from guardrails.db import migrate
from guardrails.db.connect import connect, reading, shown_url, sqlite_path, translated
from guardrails.db.tables import live_hold
from guardrails.engine.decision import Decision
from guardrails.gate.gate import ORG
from guardrails.gate.proof import proven_seeds, scopes_counted, verify_seeds
from guardrails.ledger.publications import active_publication
from guardrails.ledger.rebuild import Rebuilt, lock_out_bookings, open_again, rebuild_amounts, rebuild_holds, set_seeds
from guardrails.ledger.report import Report, report
from guardrails.ledger.verify import Finding, Verification, missing_balances, verify
from guardrails.policy.load import load_files
from guardrails.policy.rules import UnknownOutcome


@dataclass(frozen=True, slots=True)
class View:
    """One state of a ledger. Use `open_view`.

    Attributes:
        at: the instant by which a hold that nobody ended is past its time.
    """

    connection: Connection
    org: str
    at: datetime

    def report(self, period: Period, by: Sequence[str] = (), timezone: str = "UTC") -> Report:
        """Spend and decisions of a stretch of time; see `guardrails.ledger.report.report`."""
        return report(self.connection, self.org, period, by, timezone=timezone, at=self.at, charges_unseen=self._charges_unseen())

    def decided_by(self, period: Period) -> tuple[Decided, ...]:
        """Refusals and downgrades by the rule that decided."""
        return decided_by(self.connection, self.org, period)

    def decisions(self, wanted: Wanted) -> Iterator[Decision]:
        """Decisions, newest first."""
        return decisions(self.connection, self.org, wanted)

    def story(self, name: str) -> Story | None:
        """The record of a decision, by its id or by its caller's request id."""
        return story(self.connection, self.org, name, self.at)

    def verify(self) -> Verification:
        """Check balances, holds and what balances started from against the facts."""
        verification = verify(self.connection, self.org)
        verification.findings += verify_seeds(self.connection, self.org)
        return verification

    def has_policy(self) -> bool:
        """Whether the ledger has an active policy set."""
        return active_publication(self.connection, self.org) is not None

    def _charges_unseen(self) -> bool:
        """Whether holds are past their time that nobody has looked at, and the policy charges them."""
        overdue = select(func.count()).where(live_hold.c.org == self.org, live_hold.c.expires_us <= to_us(self.at))
        if not self.connection.execute(overdue).scalar_one():
            return False
        publication = active_publication(self.connection, self.org)
        return publication is None or load_files(publication.files).defaults.unknown_outcome is UnknownOutcome.CHARGE


@contextmanager
def open_view(database: str, *, org: str = ORG, at: datetime | None = None) -> Iterator[View]:
    """Open a ledger for reading, in one transaction that keeps no booking waiting. Nothing is created.

    Args:
        at: now; the ledger's clock where None.

    Raises:
        LedgerError: there is no ledger, it cannot be read, or it is not at head.
    """
    with _opened(database) as engine, reading(engine) as connection:
        yield View(connection, org, at or _now(connection))


def rebuild(database: str, *, org: str = ORG) -> Rebuilt:
    """Make balances and live holds anew from the facts, in one transaction, alone against bookings.

    Raises:
        LedgerError: there is no ledger, it cannot be written, or it is not at head.
    """
    with _opened(database) as engine, engine.connect() as connection, connection.begin():
        lock_out_bookings(connection, org)
        unproven: list[Finding] = []
        holds = rebuild_holds(connection, org)
        missing = set(missing_balances(connection, org))
        found = {ref.key: ref for ref in scopes_counted(connection, org, unproven) if ref.key in missing} if missing else {}
        opened = open_again(connection, org, found.values())
        seeds: dict[bytes, Balance] = {seed.ref.key: seed.amounts for seed in proven_seeds(connection, org, unproven)}
        # Where an opening cannot be proven, what its balances started from is left as it stands.
        wrong_seeds = 0 if unproven else set_seeds(connection, org, seeds)
        return Rebuilt(rebuild_amounts(connection, org), opened, wrong_seeds, holds)


@contextmanager
def _opened(database: str) -> Iterator[Engine]:
    """An engine on a ledger that is there and at head."""
    path = sqlite_path(database)
    if path is not None:
        if not path.exists():
            msg = f"there is no ledger at {shown_url(database)} yet; a Gate makes one, `guardrails import` and `guardrails demo` too"
            raise LedgerUnavailable(msg)
        migrate.upgrade_if_behind(database)
    engine = connect(database)
    try:
        with translated(database):
            migrate.check(engine, database)
            yield engine
    finally:
        engine.dispose()


def _now(connection: Connection) -> datetime:
    """The ledger's clock: the server's, on SQLite the host's."""
    if connection.dialect.name == "sqlite":
        return clock.now()
    return from_us(connection.execute(text("SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint")).scalar_one())

"""A policy folder becomes the active set of a ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from guardrails.core import clock
from guardrails.core.instant import from_us, to_us
from guardrails.db import migrate
from guardrails.db.connect import connect, is_sqlite, translated
from guardrails.gate.active import fingerprints, open_prices
from guardrails.gate.gate import ORG
from guardrails.ledger.publications import active_publication, lock_publications, publish
from guardrails.policy.load import load_policies


@dataclass(frozen=True, slots=True)
class Published:
    """The set in force after a publication; `changed` is false where it was in force before, by whom and why it says."""

    generation: int
    changed: bool
    policy: str
    by: str
    reason: str
    at: datetime


def publish_policies(database: str, path: str, *, by: str, reason: str) -> Published:
    """Make the set of a folder or file the active one, alone against all bookings.

    Raises:
        InvalidPolicy, PolicyUnreadable: nothing was published.
        LedgerError: the ledger cannot be written, or is a server that is not at head.
    """
    loaded = load_policies(path)
    prices = open_prices(loaded)
    if is_sqlite(database):
        migrate.upgrade_if_behind(database)
    engine = connect(database)
    try:
        with translated(database):
            migrate.check(engine, database)
            with engine.connect() as connection, connection.begin():
                lock_publications(connection, ORG)
                before = active_publication(connection, ORG)
                publish(
                    connection,
                    ORG,
                    policy=loaded.hash,
                    files=loaded.files,
                    fingerprints=fingerprints(loaded),
                    prices=prices.version,
                    by=by,
                    reason=reason,
                    at_us=to_us(clock.now()),
                )
                now = active_publication(connection, ORG)
    finally:
        engine.dispose()
    if now is None:
        msg = "a publication left no active set"
        raise AssertionError(msg)
    changed = before is None or before.generation != now.generation
    return Published(now.generation, changed, now.policy, now.by, now.reason, from_us(now.at_us))

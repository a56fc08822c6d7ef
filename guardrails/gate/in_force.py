"""Which set a Gate decides by: the folder's, published where it is another than the ledger's, or the one that the ledger names."""

from __future__ import annotations

import getpass
from typing import NoReturn

from sqlalchemy import Engine

from guardrails.core import clock
from guardrails.core.errors import PolicyUnreadable
from guardrails.core.instant import to_us
from guardrails.db import migrate
from guardrails.db.connect import is_sqlite, reading, shown_url, translated
from guardrails.gate.active import ActiveSet, active_set, fingerprints, from_publication, open_prices
from guardrails.ledger.publications import active_publication, lock_publications, publish
from guardrails.policy.rules import PolicySet


def opened(engine: Engine, database: str, org: str, policies: PolicySet | None) -> ActiveSet:
    """The set in force of a ledger at head, published where it is another."""
    if is_sqlite(database):
        migrate.upgrade_if_behind(database)
    with translated(database):
        migrate.check(engine, database)
        active = from_ledger(engine, org) if policies is None else _published(engine, org, policies)
    if active is None:
        _refuse_without_policies(database)
    return active


def _published(engine: Engine, org: str, policies: PolicySet) -> ActiveSet:
    """A set as the active one of the ledger, published where it is another."""
    prices = open_prices(policies)
    with engine.connect() as connection, connection.begin():
        lock_publications(connection, org)
        generation = publish(
            connection,
            org,
            policy=policies.hash,
            files=policies.files,
            fingerprints=fingerprints(policies),
            prices=prices.version,
            by=_whoami(),
            reason="opened by a Gate",
            at_us=to_us(clock.now()),
        )
        publication = active_publication(connection, org)
    return active_set(policies, prices, generation, {} if publication is None else publication.eras)


def _refuse_without_policies(database: str) -> NoReturn:
    msg = f"no policies were given, and the ledger {shown_url(database)} has none; publish some with `guardrails policy publish`"
    raise PolicyUnreadable(msg)


def from_ledger(engine: Engine, org: str) -> ActiveSet | None:
    """The set that the ledger names as the active one; None where it has none."""
    with reading(engine) as connection:
        publication = active_publication(connection, org)
    return None if publication is None else from_publication(publication)


def _whoami() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"

"""One decision as it would be: nothing is held, recorded, published or created by asking."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from guardrails.cli.settings import Settings
from guardrails.core.call import Call
from guardrails.core.errors import PolicyUnreadable
from guardrails.db import migrate
from guardrails.db.connect import connect, is_sqlite, reading, shown_url, sqlite_path, translated
from guardrails.engine.decision import Decision
from guardrails.gate.active import ActiveSet, active_set, open_prices
from guardrails.gate.booking import Ledger, carry_out
from guardrails.gate.gate import ORG, Gate
from guardrails.gate.reserve import Reserve
from guardrails.ledger.publications import Publication, active_publication
from guardrails.policy.load import load_policies
from guardrails.policy.rules import PolicySet

_ID = "preview"


def preview(settings: Settings, call: Call) -> Decision:
    """Decide by the policy folder where there is one, else by the ledger's set, with the ledger's balances where it has any.

    `call.at` is the instant of the decision, however far from now.

    Raises:
        InvalidPolicy, PolicyUnreadable: of the folder, or there is no policy set at all.
        LedgerError: the ledger cannot be read.
    """
    folder, database = settings.folder, settings.database
    path = sqlite_path(database)
    if is_sqlite(database) and (path is None or not path.exists()):
        if folder is None:
            msg = f"there is neither a policy folder `{settings.policies}` nor a ledger {shown_url(database)}; start with `guardrails init`"
            raise PolicyUnreadable(msg)
        return _without_ledger(folder, call)
    if folder is None:
        with Gate.open(None, database, clock=_clock(call)) as gate:
            return gate.preview(call)
    loaded = load_policies(folder)
    if is_sqlite(database):
        migrate.upgrade_if_behind(database)
    engine = connect(database)
    try:
        with translated(database):
            migrate.check(engine, database)
            published = _publication(engine)
        if published is None:
            return _without_ledger(folder, call)
        return _by_candidate(engine, database, loaded, published, call)
    finally:
        engine.dispose()


def _without_ledger(folder: str, call: Call) -> Decision:
    """On a ledger that has nothing and is gone afterwards."""
    with tempfile.TemporaryDirectory() as aside, Gate.open(folder, f"sqlite:///{Path(aside) / 'preview.db'}", clock=_clock(call)) as gate:
        return gate.preview(call)


def _by_candidate(engine: Engine, database: str, loaded: PolicySet, published: Publication, call: Call) -> Decision:
    """By a set that need not be the active one: it decides as it would once it were published."""
    prices = open_prices(loaded)

    def as_published(publication: Publication) -> ActiveSet:
        # A rule that is new, or whose fingerprint has changed, would begin an era of its own.
        eras = {
            rule.id: known
            if (known := publication.eras.get(rule.id)) is not None and known[0] == rule.fingerprint
            else (rule.fingerprint, publication.generation + 1)
            for rule in loaded.rules
        }
        return active_set(loaded, prices, publication.generation, eras)

    def reload() -> ActiveSet:
        return as_published(_publication(engine) or published)

    ledger = Ledger(engine, database, ORG, as_published(published), reload, caller_clock=call.at is not None)
    asked = Reserve([replace(call, request_id=None)], [_ID], dry=True)
    try:
        carry_out(ledger, [asked])
    finally:
        ledger.close()
    if asked.error is not None:
        raise asked.error
    return asked.result[0]


def _publication(engine: Engine) -> Publication | None:
    with reading(engine) as connection:
        return active_publication(connection, ORG)


def _clock(call: Call) -> Literal["caller", "ledger"]:
    return "ledger" if call.at is None else "caller"

"""`guardrails db`: the tables of the ledger, brought to this release's version or held to it."""

from __future__ import annotations

import click

from guardrails.cli.lazy import Group
from guardrails.cli.output import shown
from guardrails.cli.settings import Settings
from guardrails.core.errors import LedgerUnavailable
from guardrails.db.connect import connect, reading, shown_url, sqlite_path, translated
from guardrails.db.migrate import HEAD, not_at_head, revision_of
from guardrails.db.migrate import upgrade as upgrade_ledger


@click.group(cls=Group)
def db() -> None:
    """Create, upgrade and check the ledger's tables."""


@db.command()
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Create the ledger, or upgrade it to this release; one that is up to date is left as it is."""
    database = settings.database
    path = sqlite_path(database)
    before = None if path is not None and not path.exists() else _revision(database)
    where = shown(shown_url(database))
    if before == HEAD:
        click.echo(f"the ledger {where} is at revision {HEAD} already")
        return
    upgrade_ledger(database)
    click.echo(f"the ledger {where} was {'created' if before is None else f'upgraded from revision {before}'} and is at revision {HEAD}")


@db.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Exit 0 where the ledger is at this release's version, 1 where it is not; nothing is changed or created."""
    database = settings.database
    path = sqlite_path(database)
    if path is not None and not path.exists():
        msg = f"there is no ledger {shown_url(database)}; `guardrails --database {shown_url(database)} db upgrade` creates it"
        raise LedgerUnavailable(msg)
    found = _revision(database)
    if found != HEAD:
        raise click.ClickException(str(not_at_head(database, found)))  # here it is the answer, and no failure
    click.echo(f"the ledger {shown(shown_url(database))} is at revision {HEAD}")


def _revision(database: str) -> str | None:
    engine = connect(database)
    try:
        with translated(database), reading(engine) as connection:
            return revision_of(connection)
    finally:
        engine.dispose()

"""The ledger's tables at the version that this release needs: created, upgraded, checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from guardrails.core.errors import LedgerNotAtHead, LedgerUnavailable
from guardrails.db.connect import connect, reading, shown_url, sqlite_path, translated

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The revision that this release needs; a test holds it equal to the newest file in migrations/."""


def scripts_folder() -> Path:
    """Where the migrations are: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def upgrade(database: str) -> None:
    """Create or upgrade the ledger's tables to head.

    Raises:
        LedgerError: the database cannot be reached or refuses.
    """
    path = sqlite_path(database)
    if path is not None and path.parent != Path():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the folder {path.parent} of the ledger cannot be created: {error.strerror}"
            raise LedgerUnavailable(msg) from error
    engine = connect(database)
    try:
        with translated(database):
            upgrade_engine(engine)
    finally:
        engine.dispose()


def upgrade_if_behind(database: str) -> None:
    """Create or upgrade an embedded ledger where it is not at head; one that is newer than this release is left alone.

    Raises:
        LedgerError: the file cannot be opened or written.
        LedgerNotAtHead: it was written by a newer release.
    """
    path = sqlite_path(database)
    if path is None or path.exists():
        engine = connect(database)
        try:
            with translated(database), reading(engine) as connection:
                if revision_of(connection) == HEAD:
                    return
        finally:
            engine.dispose()
    upgrade(database)


def upgrade_engine(engine: Engine) -> None:
    """Upgrade over an open engine, in one transaction."""
    from alembic import command  # noqa: PLC0415 - alembic is needed once in a ledger's life, not at every import

    with engine.connect() as connection, connection.begin():
        found = revision_of(connection)
        if found is not None and not _knows(found):
            raise not_at_head(str(engine.url), found)
        command.upgrade(_config(connection), "head")


def downgrade(database: str, revision: str) -> None:
    """Take the tables back to a revision; for tests of the migrations."""
    from alembic import command  # noqa: PLC0415 - see upgrade_engine

    engine = connect(database)
    try:
        with translated(database), engine.connect() as connection, connection.begin():
            command.downgrade(_config(connection), revision)
    finally:
        engine.dispose()


def head() -> str:
    """The newest revision in migrations/."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see upgrade_engine

    return str(ScriptDirectory(str(scripts_folder())).get_current_head())


def revision_of(connection: Connection) -> str | None:
    """The revision that a database is at; None where it has no ledger."""
    if not inspect(connection).has_table("guardrails_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM guardrails_version")).first()
    return None if row is None else str(row[0])


def check(engine: Engine, database: str) -> None:
    """Hold the database to head.

    Raises:
        LedgerNotAtHead: it has no ledger, or one of another version.
    """
    with engine.connect() as connection:
        found = revision_of(connection)
    if found != HEAD:
        raise not_at_head(database, found)


def not_at_head(database: str, found: str | None) -> LedgerNotAtHead:
    """The error for a ledger of another version, which says whether an upgrade is the remedy."""
    return LedgerNotAtHead(shown_url(database), found, HEAD, newer=found is not None and not _knows(found))


def _knows(revision: str) -> bool:
    """Whether this release has a migration of that name; a newer one may have more."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see upgrade_engine

    return any(script.revision == revision for script in ScriptDirectory(str(scripts_folder())).walk_revisions())


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see upgrade_engine

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

"""Where the ledger is: engines for SQLite and PostgreSQL, set up for durable transactions, and foreign errors translated."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from guardrails.core.errors import LedgerBusy, LedgerError, LedgerUnavailable

DEFAULT_URL = "sqlite:///guardrails.db"
BUSY_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
HURRIED_WAIT_S = 3
"""How long to wait for a server or a lock where calls may run without the ledger."""
_PASSWORD = re.compile(r"(//[^:/@]*:).*@")


def parse_url(database: str) -> URL:
    """The database's URL, its driver chosen.

    Raises:
        LedgerUnavailable: not a URL, or of a database that is not supported.
    """
    try:
        url = make_url(database)
    except (ArgumentError, ValueError):
        msg = f"`{shown_url(database)}` is not a database URL; write sqlite:///guardrails.db or postgresql+psycopg://user@host/name"
        raise LedgerUnavailable(msg) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        msg = f"`{url.drivername}` is not supported; the ledger runs on sqlite and postgresql+psycopg"
        raise LedgerUnavailable(msg)
    return url


def shown_url(database: str) -> str:
    """The URL as it may be printed: without a password."""
    try:
        return make_url(database).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return _PASSWORD.sub(r"\1***@", database)  # what cannot be read as a URL may have one all the same


def is_sqlite(database: str) -> bool:
    """Whether the ledger is an embedded file."""
    return parse_url(database).get_backend_name() == "sqlite"


def sqlite_path(database: str) -> Path | None:
    """The file of an embedded ledger; None where it is in memory or on a server."""
    url = parse_url(database)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def connect(database: str) -> Engine:
    """An engine whose connections commit durably. Nothing is opened yet.

    Raises:
        LedgerUnavailable: the URL is not one of a supported database.
    """
    url = parse_url(database)
    try:
        if url.get_backend_name() == "sqlite":
            # `?timeout=` of the URL, in seconds, goes before ours.
            timeout = {} if "timeout" in url.query else {"timeout": BUSY_TIMEOUT_S}
            engine = create_engine(url, connect_args={**timeout, "check_same_thread": False})
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_immediate)
            return engine
        options = f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000} -c synchronous_commit=on -c TimeZone=UTC"
        return create_engine(url, connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "options": options}, pool_pre_ping=True)
    except NoSuchModuleError as error:
        raise LedgerUnavailable(str(error)) from None


def hurry(engine: Engine, wanted: Callable[[], bool]) -> None:
    """Have new connections to a server give up early for as long as that is wanted; also those whose server is gone without a word."""

    def set_limits(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        hurried = wanted()
        options["connect_timeout"] = HURRIED_WAIT_S if hurried else CONNECT_TIMEOUT_S
        if hurried:
            options.update(keepalives_idle=5, keepalives_interval=2, keepalives_count=3, tcp_user_timeout=HURRIED_WAIT_S * 1000)

    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_connect", set_limits)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions begin deferred; ours begin IMMEDIATE (see _begin_immediate), so they are switched off.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _begin_immediate(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's Connection, whose stub differs by version
    # A read that turns into a write gets SQLITE_BUSY at once, whatever the time limit: take the write lock first.
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("read_only") else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction that sees one state of the ledger and keeps no writer waiting."""
    options: dict[str, Any] = {"read_only": True}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


_SQLSTATE_SHUT_DOWN = frozenset({"57P01", "57P02", "57P03"})
"""The server ends, crashes, or has just come back."""
_SQLSTATE_BUSY = frozenset({"55P03", "57014", "40001", "40P01"})
"""Lock not available, statement timeout, serialization failure, deadlock: what trying again can mend."""


@contextmanager
def translated(database: str) -> Iterator[None]:
    """Turn what the database raises into what guardrails raises.

    Raises:
        LedgerBusy: locked by others for longer than the time limit.
        LedgerUnavailable: cannot be reached, opened or written.
        LedgerError: anything else that the database refused.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translation(error, database) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] == "psycopg":
            raise translation(error, database) from error
        raise


def translation(error: Exception, database: str) -> LedgerError:
    """What guardrails raises for an error of the database."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = " ".join(str(origin).split())
    where = shown_url(database)
    if is_busy(error) or (isinstance(origin, sqlite3.OperationalError) and "locked" in text):
        return LedgerBusy(f"the ledger {where} is locked by others: {text}")
    if _is_operational(origin):
        return LedgerUnavailable(f"the ledger {where} cannot be used: {text}")
    return LedgerError(f"the ledger {where} refused: {text}")


def is_busy(error: BaseException) -> bool:
    """Whether a new try of the same transaction can succeed: a lock, a deadlock, a serialization failure."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(origin, sqlite3.OperationalError):
        return False  # the driver has waited for the whole time limit already
    return getattr(origin, "sqlstate", None) in _SQLSTATE_BUSY


def is_duplicate(error: BaseException) -> bool:
    """Whether a row with that key was there already: another transaction wrote it first."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(origin, sqlite3.IntegrityError):
        return "UNIQUE" in str(origin)
    return getattr(origin, "sqlstate", None) == "23505"


def is_disconnect(error: BaseException) -> bool:
    """Whether the connection to a server was lost."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(origin, sqlite3.Error):
        # A file cannot hang up, but its disk can fail; where it is locked, the driver has waited for the whole time limit already.
        return isinstance(origin, sqlite3.OperationalError) and "disk I/O" in str(origin)
    state = getattr(origin, "sqlstate", None)
    if state is None:
        return type(origin).__name__ in ("OperationalError", "InterfaceError")
    return state.startswith("08") or state in _SQLSTATE_SHUT_DOWN


def _is_operational(origin: BaseException) -> bool:
    return isinstance(origin, (sqlite3.OperationalError, sqlite3.DatabaseError)) or any(
        kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(origin).__mro__
    )

"""One connection for the hot path: few statements, built once from the tables, run in batches on the plain driver.

SQLAlchemy owns the schema, the connection and every cold statement; per decision it costs more than the database does, so the
statements that each booking runs go to the driver as text. On PostgreSQL the statements of one step share a round trip.
"""

from __future__ import annotations

import os
import re
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table
from typing_extensions import override

Row = tuple[Any, ...]
"""A row as the driver gives it: values of the columns that were asked for, in that order."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in neutral text: `?` for a value, `?*` for a list of values after IN."""

    text: str


@lru_cache(maxsize=256)
def insert(table: Table, *, ignore: bool = False) -> Statement:
    """INSERT of whole rows of a table, in the order of its columns but for a generated `seq`; `ignore` skips keys that are there."""
    columns = [column.name for column in table.columns if column.autoincrement is not True]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join("?" * len(columns))
    conflict = " ON CONFLICT DO NOTHING" if ignore else ""
    return Statement(f'INSERT INTO "{table.name}" ({names}) VALUES ({values}){conflict}')  # noqa: S608 - names of our own columns


class Session(Protocol):
    """What a booking needs of a connection."""

    dialect: str
    connection: Connection

    def wait_at_most(self, wait_s: int) -> None:
        """Wait no longer than this for what others have locked."""

    def cut(self) -> None:
        """End the connection from another thread, so that the one that waits for an answer gets an error instead."""

    def begin(self) -> None:
        """Start a transaction; on SQLite with the write lock taken."""

    def read(self, *queries: tuple[Statement, Sequence[object]]) -> list[list[Row]]:
        """Run queries in one round trip; their rows in the same order."""

    def write(self, batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        """Run each statement once per row, in order; with `commit` the transaction ends durably in the same round trip."""

    def commit(self) -> None:
        """End the transaction durably."""

    def rollback(self) -> None:
        """Forget the transaction; does nothing where none is open or the connection is gone."""

    def close(self) -> None:
        """Give the connection back."""

    def abandon(self) -> None:
        """Let go of a connection that is gone."""


def open_session(engine: Engine) -> Session:
    """A session on a connection of its own."""
    connection = engine.connect()
    raw: Any = connection.connection.driver_connection
    if engine.dialect.name == "sqlite":
        return SqliteSession(connection, raw)
    raw.autocommit = True  # transactions begin where `begin` says so
    raw.prepare_threshold = 1
    return PostgresSession(connection, raw)


def session_within(connection: Connection) -> Session:
    """A session that reads inside the transaction of a connection, which begins and ends it."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return SqliteSession(connection, raw)
    return PostgresSession(connection, raw)


class SqliteSession(Session):
    """The embedded database: no round trips, the driver's own statement cache."""

    dialect = "sqlite"

    def __init__(self, connection: Connection, raw: sqlite3.Connection) -> None:
        self.connection = connection
        self._raw = raw
        self._cursor = raw.cursor()

    @override
    def wait_at_most(self, wait_s: int) -> None:
        ((wait_ms,),) = self._cursor.execute("PRAGMA busy_timeout").fetchall()
        self._cursor.execute(f"PRAGMA busy_timeout = {min(wait_ms, wait_s * 1000)}")

    @override
    def cut(self) -> None:
        self._raw.interrupt()

    @override
    def begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")

    @override
    def read(self, *queries: tuple[Statement, Sequence[object]]) -> list[list[Row]]:
        return [self._cursor.execute(*_expanded(_unlocked(statement.text), values)).fetchall() for statement, values in queries]

    @override
    def write(self, batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        for statement, rows in batches:
            if len(rows) == 1:
                self._cursor.execute(statement.text, rows[0])
            elif rows:
                self._cursor.executemany(statement.text, rows)
        if commit:
            self._cursor.execute("COMMIT")

    @override
    def commit(self) -> None:
        self._cursor.execute("COMMIT")

    @override
    def rollback(self) -> None:
        if self._raw.in_transaction:
            self._cursor.execute("ROLLBACK")

    @override
    def close(self) -> None:
        self._cursor.close()
        self.connection.close()

    @override
    def abandon(self) -> None:
        self.connection.invalidate()
        self.connection.close()


@lru_cache(maxsize=256)
def _unlocked(text: str) -> str:
    """Without row locks: an immediate transaction has locked everything."""
    return re.sub(r" FOR (SHARE|UPDATE)( OF \w+)?$", "", text)


def _expanded(text: str, values: Sequence[object]) -> tuple[str, list[object]]:
    """`?*` as one mark per value of its list. The lists are padded to a power of two, so that few texts are prepared."""
    if "?*" not in text:
        return text, list(values)
    flat: list[object] = []
    for value in values:
        if isinstance(value, list):
            padded = _padded(value)
            text = text.replace("?*", f"({', '.join('?' * len(padded))})", 1)
            flat += padded
        else:
            flat.append(value)
    return text, flat


def _padded(values: list[object]) -> list[object]:
    size = 1
    while size < len(values):
        size *= 2
    return values + [values[-1] if values else None] * (size - len(values))


class PostgresSession(Session):
    """A server: prepared statements, one round trip a step in pipeline mode."""

    dialect = "postgresql"

    def __init__(self, connection: Connection, raw: Any) -> None:  # noqa: ANN401 - psycopg is imported only by the driver
        self.connection = connection
        self._raw = raw

    @override
    def wait_at_most(self, wait_s: int) -> None:
        self._raw.execute(f"SET lock_timeout = {wait_s * 1000}")

    @override
    def cut(self) -> None:
        if not self._raw.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(self._raw.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    @override
    def begin(self) -> None:
        self._begin_with_next = True

    @override
    def read(self, *queries: tuple[Statement, Sequence[object]]) -> list[list[Row]]:
        # Fetching inside the pipeline would flush it a second time.
        with self._raw.pipeline():
            self._begin_if_due()
            cursors = [self._raw.execute(_native(statement.text), values, prepare=True) for statement, values in queries]
        return [cursor.fetchall() for cursor in cursors]

    @override
    def write(self, batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        with self._raw.pipeline():
            self._begin_if_due()
            cursor = self._raw.cursor()
            for statement, rows in batches:
                if len(rows) == 1:
                    cursor.execute(_native(statement.text), rows[0], prepare=True)
                elif rows:
                    cursor.executemany(_native(statement.text), rows)
            if commit:
                cursor.execute("COMMIT")

    @override
    def commit(self) -> None:
        self._raw.execute("COMMIT")

    @override
    def rollback(self) -> None:
        self._begin_with_next = False
        if not self._raw.closed and not self._raw.broken:
            self._raw.execute("ROLLBACK")

    @override
    def close(self) -> None:
        self._raw.autocommit = False
        self.connection.close()

    @override
    def abandon(self) -> None:
        self.connection.invalidate()
        self.connection.close()

    _begin_with_next = False

    def _begin_if_due(self) -> None:
        if self._begin_with_next:
            self._begin_with_next = False
            self._raw.execute("BEGIN")


@lru_cache(maxsize=256)
def _native(text: str) -> str:
    """Neutral text in the driver's marks; IN over a list becomes `= ANY(array)`."""
    return text.replace("IN ?*", "= ANY(%s)").replace("?", "%s")

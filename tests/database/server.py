"""A private PostgreSQL server for a test run, and fresh databases on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL

HOST = Path(__file__).with_name("host.py")
CLOSE_WAIT_S = 10.0


class PostgresServer:
    """PostgreSQL on a unix socket in a temporary folder, durable as in production (fsync is on)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._names = count(1)
        self._read_answer()

    def url(self, database: str) -> str:
        """The URL of a database of this server, as `guardrails --database` takes it."""
        url = URL.create("postgresql+psycopg", username=self._user, database=database, query={"host": self._host})
        return url.render_as_string(hide_password=False)

    def create_database(self, *, template: str = "template0") -> str:
        """Create a database as a copy of a template; its name."""
        name = f"test_{next(self._names)}"
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    @contextmanager
    def fresh_database(self, *, template: str = "template0") -> Iterator[str]:
        """A database for one test, dropped at its end, which fails where a connection to it was left open."""
        name = self.create_database(template=template)
        yield name
        left_open = self.connections_left_open(name)
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        assert not left_open, f"connections left open: {left_open}"

    def connections(self, database: str) -> list[str]:
        """What each client that is connected to a database did last."""
        query = sql.SQL("SELECT state || ': ' || query FROM pg_stat_activity WHERE datname = {} AND backend_type = 'client backend'")
        return [str(row[0]) for row in self.execute(query.format(database))]

    def connections_left_open(self, database: str, *, wait_s: float = CLOSE_WAIT_S) -> list[str]:
        """The connections that are still there after a moment: the server sees the end of a client's process a little later."""
        end = time.monotonic() + wait_s
        while (connections := self.connections(database)) and time.monotonic() < end:
            time.sleep(0.01)
        return connections

    def crash(self) -> None:
        """Kill every process of the server with SIGKILL and start it again from what is on the disk."""
        assert self._process.stdin is not None
        self._process.stdin.write("crash\n")
        self._process.stdin.flush()
        self._read_answer()

    def execute(self, statement: sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
        """Run a statement outside any transaction, connected to the maintenance database."""
        with psycopg.connect(host=self._host, user=self._user, dbname="postgres", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _read_answer(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            msg = f"no PostgreSQL server: its host ended with {self._process.wait()}; what it said is on stderr"
            raise RuntimeError(msg)
        answer = json.loads(line)
        self._host, self._user = str(answer["host"]), str(answer["user"])


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server of its own for each process that asks, stopped and removed at the end."""
    folder = tempfile.mkdtemp(prefix="guardrails-pg-")  # short: a socket's path may have about 100 characters
    command = [sys.executable, str(HOST), folder]
    # A session of its own: Ctrl-C ends the test run first, and the server after the tests that use it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield PostgresServer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)
            shutil.rmtree(folder, ignore_errors=True)  # the host has removed it, unless it could not even start

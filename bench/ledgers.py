"""Fresh ledgers for a benchmark, on SQLite and PostgreSQL, and a session that remembers what was written."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guardrails import Call, Gate
from guardrails.db import migrate
from guardrails.db.connect import connect
from guardrails.db.session import Row, Session, Statement, open_session
from tests.database.server import postgres

POLICY = """\
version: 1
rules:
  - id: company-month
    kind: spend_limit
    limit: 1_000_000 USD
    window: month
"""

Transaction = list[tuple[Statement, list[Row]]]


@dataclass
class Written:
    """What went to the database: the statements and rows of each transaction, in order."""

    transactions: list[Transaction] = field(default_factory=list)
    _open: Transaction = field(default_factory=list)

    def add(self, batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        self._open += [(statement, list(rows)) for statement, rows in batches if rows]
        if commit:
            self.transactions.append(self._open)
            self._open = []


class Recording:
    """A session that remembers what it writes."""

    def __init__(self, session: Session, written: Written) -> None:
        self._session = session
        self._written = written

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has
        return getattr(self._session, name)

    def write(self, batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        self._session.write(batches, commit=commit)
        self._written.add(batches, commit=commit)


@contextmanager
def databases() -> Iterator[dict[str, Callable[[], str]]]:
    """For each kind of database a function that makes a fresh, migrated one and gives its URL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres())
        count = iter(range(10_000))

        def sqlite() -> str:
            url = f"sqlite:///{folder / f'bench{next(count)}.db'}"
            migrate.upgrade(url)
            return url

        def postgresql() -> str:
            url = server.url(server.create_database())
            migrate.upgrade(url)
            return str(url)

        yield {"sqlite": sqlite, "postgresql": postgresql}


@contextmanager
def gate(url: str, written: Written | None = None, policy: str = POLICY) -> Iterator[Gate]:
    """A Gate on a database, its writes remembered where asked for."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "policy.yaml").write_text(policy)
        with Gate.open(folder, url) as opened:
            if written is not None:
                opened._ledger.session = Recording(open_session(opened._engine), written)  # noqa: SLF001 - a stand-in
            yield opened


@contextmanager
def replayer(url: str) -> Iterator[Callable[[Sequence[Transaction]], None]]:
    """A function that writes the same rows with the plain driver, in the same transactions, as durably: the floor.

    The database first gets the policy set and balances that the rows refer to.
    """
    with gate(url) as opened:
        opened.preview(Call(model="gpt-5-mini"))
    engine = connect(url)
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        if isinstance(raw, sqlite3.Connection):
            cursor = raw.cursor()

            def write_sqlite(transactions: Sequence[Transaction]) -> None:
                for transaction in transactions:
                    cursor.execute("BEGIN IMMEDIATE")
                    for statement, rows in transaction:
                        cursor.executemany(statement.text, rows)
                    cursor.execute("COMMIT")

            yield write_sqlite
        else:
            raw.autocommit = True
            raw.prepare_threshold = 1

            def write_postgres(transactions: Sequence[Transaction]) -> None:
                for transaction in transactions:
                    with raw.pipeline():
                        raw.execute("BEGIN")
                        driver = raw.cursor()
                        for statement, rows in transaction:
                            driver.executemany(statement.text.replace("?", "%s"), rows)
                        raw.execute("COMMIT")

            yield write_postgres
            raw.autocommit = False
    engine.dispose()

"""The test databases keep what the other tests rely on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Engine, text

from guardrails.db.connect import connect
from guardrails.db.migrate import head, revision_of
from tests.conftest import open_files
from tests.database.server import PostgresServer, postgres


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        yield engine
    finally:
        engine.dispose()


def test_each_test_gets_a_ledger_at_head(database_url: str) -> None:
    with connected(database_url) as engine, engine.connect() as connection:
        assert revision_of(connection) == head()


def test_databases_are_copies_that_do_not_see_each_other(postgres_server: PostgresServer, postgres_template: str) -> None:
    with (
        postgres_server.fresh_database(template=postgres_template) as one,
        postgres_server.fresh_database(template=postgres_template) as two,
        connected(postgres_server.url(one)) as first,
        connected(postgres_server.url(two)) as second,
    ):
        with first.begin() as connection:
            connection.execute(text("CREATE TABLE only_here (n integer)"))
        with second.begin() as connection:
            assert connection.execute(text("SELECT to_regclass('only_here')")).scalar() is None


def test_a_connection_left_open_fails_the_test(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as name:
        with connected(postgres_server.url(name)) as engine:
            engine.connect().close()  # goes back to the pool, still open
            assert postgres_server.connections_left_open(name, wait_s=0)
        assert not postgres_server.connections_left_open(name)


def test_a_sqlite_file_left_open_is_seen(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "guardrails.db"
    with connected(sqlite_url) as engine:
        engine.connect().close()
        assert open_files(path)
    assert not open_files(path)


def test_the_server_is_durable_and_survives_its_own_crash() -> None:
    with postgres() as server:
        assert server.execute(sql.SQL("SELECT setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')")) == [("on",), ("on",)]
        server.execute(sql.SQL("CREATE TABLE kept AS SELECT 7 AS n"))
        server.crash()
        assert server.execute(sql.SQL("SELECT n FROM kept")) == [(7,)]


def test_two_servers_run_side_by_side(postgres_server: PostgresServer) -> None:
    with postgres() as other:
        other.execute(sql.SQL("CREATE TABLE only_here (n integer)"))
        assert postgres_server.execute(sql.SQL("SELECT to_regclass('only_here')")) == [(None,)]


def test_a_missing_server_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    with pytest.raises(RuntimeError, match="no PostgreSQL server"), postgres():
        pass

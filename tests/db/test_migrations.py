"""Migrations: one head, from empty, equal to the tables, down and up; a ledger of another revision is told so and left alone."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from guardrails import Gate, LedgerNotAtHead
from guardrails.db.connect import connect
from guardrails.db.migrate import HEAD, check, downgrade, head, revision_of, scripts_folder, upgrade, upgrade_if_behind
from guardrails.db.tables import metadata
from tests.gate.scene import PRICES, call, limit, policy


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    return f"sqlite:///{tmp_path / 'empty.db'}" if request.param == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def folder(policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Path:
    return policy_folder({"policy.yaml": policy(limit("5")), "prices.yaml": PRICES})


@pytest.fixture
def engines() -> Iterator[Callable[[str], Engine]]:
    """Engines that are disposed of at the end."""
    opened: list[Engine] = []

    def open_engine(url: str) -> Engine:
        opened.append(connect(url))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"guardrails_version"}


def test_there_is_one_head_and_the_release_names_it() -> None:
    scripts = ScriptDirectory(str(scripts_folder()))
    assert scripts.get_heads() == [HEAD] == [head()]
    newest = max(path.name for path in (scripts_folder() / "versions").glob("*.py"))
    assert newest.startswith(f"{HEAD}_")


def test_from_empty_to_head_the_tables_are_those_of_the_code(empty_url: str, engines: Callable[[str], Engine]) -> None:
    upgrade(empty_url)
    engine = engines(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "guardrails_version", "compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert revision_of(connection) == HEAD
    assert tables(engine) == set(metadata.tables)


def test_down_and_up_again(empty_url: str, engines: Callable[[str], Engine]) -> None:
    upgrade(empty_url)
    engine = engines(empty_url)
    downgrade(empty_url, "base")
    assert tables(engine) == set()
    upgrade(empty_url)
    upgrade(empty_url)
    assert tables(engine) == set(metadata.tables)


def test_a_server_ledger_that_is_not_at_head_is_refused_with_the_command(
    empty_postgres_url: str, folder: Path, engines: Callable[[str], Engine]
) -> None:
    with pytest.raises(LedgerNotAtHead, match=r"has no ledger tables.* db upgrade"):
        Gate.open(folder, empty_postgres_url)
    engine = engines(empty_postgres_url)
    assert tables(engine) == set()  # nothing was created on a server
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE guardrails_version (version_num text)"))
        connection.execute(text("INSERT INTO guardrails_version VALUES ('9999')"))
    with pytest.raises(LedgerNotAtHead, match="9999"):
        Gate.open(folder, empty_postgres_url)


def test_a_file_of_a_newer_release_is_refused_and_unharmed(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "newer.db"
    url = f"sqlite:///{path}"
    with Gate.open(folder, url) as gate:
        gate.reserve(call(1, at=None))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE guardrails_version SET version_num = '9999'")
        connection.commit()
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(LedgerNotAtHead, match="9999"):
        Gate.open(folder, url)
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_file_is_created_with_its_folder_and_upgraded_on_open(tmp_path: Path, folder: Path, engines: Callable[[str], Engine]) -> None:
    url = f"sqlite:///{tmp_path / 'deep' / 'down' / 'guardrails.db'}"
    with Gate.open(folder, url) as gate:
        assert gate.reserve(call(1, at=None)).allowed
    check(engines(url), url)
    upgrade_if_behind(url)

"""Fixtures: fresh databases of both kinds, policy folders from text, and deterministic properties."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import settings

from guardrails.db.migrate import upgrade
from tests.database.server import PostgresServer, postgres

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A private PostgreSQL server; where it cannot be started, the tests that need it fail."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a database at head, to be copied: migrating once is cheaper than once a test."""
    name = postgres_server.create_database()
    upgrade(postgres_server.url(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger at head, to be copied."""
    path = tmp_path_factory.mktemp("template") / "guardrails.db"
    upgrade(f"sqlite:///{path}")
    assert [file.name for file in path.parent.iterdir()] == [path.name], "the migration left the ledger open"
    return path


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL ledger at head; a test that leaves a connection to it open fails."""
    with postgres_server.fresh_database(template=postgres_template) as name:
        yield postgres_server.url(name)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a PostgreSQL database with no tables, for tests of the migrations."""
    with postgres_server.fresh_database() as name:
        yield postgres_server.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> Iterator[str]:
    """The URL of a fresh SQLite ledger at head; a test that leaves its file open fails."""
    path = tmp_path / "guardrails.db"
    shutil.copyfile(sqlite_template, path)
    yield f"sqlite:///{path}"
    assert not open_files(path), f"connections left open to {path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh ledger at head; the test runs once on each database."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def policy_folder(tmp_path: Path) -> Callable[[str | Mapping[str, str]], Path]:
    """Writes policy files, each time into a new folder: one text is `policy.yaml`, a mapping gives each file's path and text."""

    def write(files: str | Mapping[str, str]) -> Path:
        folder = tmp_path / f"policies-{sum(1 for _ in tmp_path.glob('policies-*')) + 1}"
        for name, text in ({"policy.yaml": files} if isinstance(files, str) else files).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return folder

    return write


def open_files(path: Path) -> list[str]:
    """Files of a SQLite ledger that this process has open; only Linux tells, and CI runs there."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return []
    targets = [str(descriptor.readlink()) for descriptor in descriptors.iterdir() if descriptor.is_symlink()]
    return [target for target in targets if target.startswith(str(path))]

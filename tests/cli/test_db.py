"""`guardrails db`, and what every command says of a ledger that it cannot use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from guardrails.db.connect import connect
from guardrails.db.migrate import HEAD
from tests.cli.run import failure, folder_with, guardrails, process

READERS = [("budgets",), ("audit",), ("audit", "log"), ("audit", "show", "d-1"), ("ledger", "verify"), ("db", "check")]
WRITERS = [("decide", "--model", "big", "--reserve"), ("policy", "publish", "policies", "--by", "me", "--reason", "why")]


@pytest.fixture(autouse=True)
def _in_a_folder_with_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_with(tmp_path / "work" / "policies")
    monkeypatch.chdir(tmp_path / "work")


def test_upgrade_creates_and_is_done_once(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path}/new/ledger.db")
    assert "was created" in guardrails(*database, "db", "upgrade").stdout
    assert f"is at revision {HEAD} already" in guardrails(*database, "db", "upgrade").stdout
    assert guardrails(*database, "db", "check").exit_code == 0


@pytest.mark.parametrize("args", READERS, ids=" ".join)
def test_reading_creates_no_ledger(args: tuple[str, ...], tmp_path: Path) -> None:
    assert "there is no ledger" in failure("--database", f"sqlite:///{tmp_path}/none.db", *args, code=3)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("args", [*READERS, *WRITERS], ids=" ".join)
def test_a_file_that_is_no_database_is_left_alone(args: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear reader, " * 100, encoding="utf-8")
    assert "letter.db" in failure("--database", f"sqlite:///{path}", *args, code=3)
    assert path.read_text(encoding="utf-8").startswith("Dear reader, Dear")


@pytest.mark.parametrize("args", [*READERS, *WRITERS, ("db", "upgrade")], ids=" ".join)
def test_a_ledger_of_a_newer_release_names_its_revision(args: tuple[str, ...], sqlite_url: str) -> None:
    engine = connect(sqlite_url)
    with engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE guardrails_version SET version_num = '9999'"))
    engine.dispose()
    code = 1 if args == ("db", "check") else 3
    said = failure("--database", sqlite_url, *args, code=code)
    assert "is at revision 9999, which this release does not know" in said
    assert "db upgrade" not in said  # it cannot help


@pytest.mark.parametrize("args", [*READERS, *WRITERS], ids=" ".join)
def test_a_server_that_is_not_at_head_names_the_command(args: tuple[str, ...], empty_postgres_url: str) -> None:
    code = 1 if args == ("db", "check") else 3
    said = failure("--database", empty_postgres_url, *args, code=code)
    assert "has no ledger tables" in said
    assert "db upgrade`" in said


def test_a_server_is_upgraded_when_asked(empty_postgres_url: str) -> None:
    database = ("--database", empty_postgres_url)
    assert "was created" in guardrails(*database, "db", "upgrade").stdout
    assert guardrails(*database, "db", "check").exit_code == 0
    assert guardrails(*database, "decide", "--model", "big", "--reserve").exit_code == 0


@pytest.mark.parametrize("args", [*READERS, *WRITERS, ("decide", "--model", "big"), ("db", "upgrade")], ids=" ".join)
def test_a_server_that_cannot_be_reached(args: tuple[str, ...]) -> None:
    said = failure("--database", "postgresql://me:hunter2@127.0.0.1:1/none", *args, code=3)
    assert "cannot be used: connection" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("args", [*WRITERS, ("decide", "--model", "big", "--input-tokens", "1")], ids=" ".join)
def test_a_ledger_that_others_keep_locked(args: tuple[str, ...], sqlite_url: str) -> None:
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "is locked by others" in failure("--database", f"{sqlite_url}?timeout=0.1", *args, code=3)


@pytest.mark.parametrize("args", WRITERS, ids=" ".join)
def test_a_ledger_that_may_only_be_read(args: tuple[str, ...], sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    said = failure("--database", f"sqlite:///file:{path}?mode=ro&uri=true", *args, code=3)
    assert "cannot be used: attempt to write a readonly database" in said


def test_a_folder_as_a_ledger(tmp_path: Path) -> None:
    assert "unable to open database file" in failure("--database", f"sqlite:///{tmp_path}", "db", "upgrade", code=3)
    assert "unable to open database file" in failure("--database", f"sqlite:///{tmp_path}", "audit", code=3)


def test_a_ledger_in_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    failure("--database", f"sqlite:///{tmp_path}/file/ledger.db", "db", "upgrade", code=3)


def test_a_process_says_it_the_same_way(tmp_path: Path) -> None:
    result = process("--database", "sqlite:///none.db", "audit", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (3, "")
    assert len(result.stderr.splitlines()) == 1

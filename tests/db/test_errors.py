"""What the database does wrong comes out as our errors, and as no other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import text

from guardrails import Gate, GuardrailsError, LedgerBusy, LedgerError, LedgerUnavailable, Usage
from guardrails.db.connect import connect, shown_url
from tests.gate.scene import PRICES, call, limit, policy


@pytest.fixture
def folder(policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Path:
    return policy_folder({"policy.yaml": policy(limit("50")), "prices.yaml": PRICES})


@pytest.fixture
def gate(database_url: str, folder: Path) -> Iterator[Gate]:
    with Gate.open(folder, database_url, clock="caller") as gate:
        yield gate


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
        "postgresql+psycopg://nobody@/nothing?host=/nonexistent",
        "postgresql://nobody:secret@127.0.0.1:1/nothing",
        "mysql://root@localhost/x",
        "nonsense",
        "",
        "sqlite:////proc/nowhere/guardrails.db",
    ],
)
def test_a_database_that_cannot_be_reached_is_unavailable(url: str, folder: Path) -> None:
    with pytest.raises(LedgerUnavailable) as error:
        Gate.open(folder, url)
    assert "secret" not in str(error.value)
    assert error.value.retryable


def test_a_database_that_does_not_exist_on_a_running_server(postgres_url: str, folder: Path) -> None:
    with pytest.raises(LedgerUnavailable):
        Gate.open(folder, postgres_url.replace("test_", "missing_"))


def test_a_file_that_is_no_database_is_unavailable_and_unharmed(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError):
        Gate.open(folder, f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_folder_in_the_place_of_the_file_is_unavailable(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(LedgerUnavailable):
        Gate.open(folder, f"sqlite:///{tmp_path}")


def test_a_file_that_cannot_be_written_is_unavailable(sqlite_url: str, folder: Path) -> None:
    with Gate.open(folder, sqlite_url):
        pass
    url = sqlite_url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
    with pytest.raises(LedgerUnavailable), Gate.open(folder, url) as gate:
        gate.reserve(call(1, at=None))


def test_a_file_locked_by_others_is_busy_after_one_wait(tmp_path: Path, sqlite_url: str, folder: Path) -> None:
    url = sqlite_url + "?timeout=0.3"
    with Gate.open(folder, url) as gate:
        decision = gate.reserve(call(1, at=None))
        other = sqlite3.connect(tmp_path / "guardrails.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            begin = time.monotonic()
            for use in (lambda: gate.reserve(call(1, at=None)), lambda: gate.settle(decision, Usage(input_tokens=1, output_tokens=0))):
                with pytest.raises(LedgerBusy):
                    use()
            assert time.monotonic() - begin < 2.5
            other.execute("ROLLBACK")
        finally:
            other.close()
        gate.settle(decision, Usage(input_tokens=1, output_tokens=0))
        assert gate.reserve(call(1, at=None)).allowed


def test_tables_that_are_gone_are_an_error_of_the_ledger(gate: Gate, database_url: str) -> None:
    gate.reserve(call(1))
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE live_hold"))
    engine.dispose()
    with pytest.raises(LedgerError):
        gate.reserve(call(1))


def test_amounts_beyond_what_the_ledger_can_hold_are_our_error_and_harm_nobody_else(gate: Gate) -> None:
    from decimal import Decimal  # noqa: PLC0415 - used here alone

    decisions = gate.reserve_many([call(1) for _ in range(12)])
    refused = 0
    for decision in decisions:
        try:
            gate.settle(decision, Usage(input_tokens=1, output_tokens=0, cost_usd=Decimal(10**9)))
        except GuardrailsError:
            refused += 1
    assert refused  # 12 x 10^18 nano-dollars do not fit into 64 bits
    assert gate.preview(call(1)).reasons


def test_a_password_is_never_shown() -> None:
    assert "secret" not in shown_url("postgresql+psycopg://me:secret@db/ledger")

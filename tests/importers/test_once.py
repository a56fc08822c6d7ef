"""Exactly once: whatever the order, the split, the number of runs and the moment of a kill, one row is one entry."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails import Call, Gate, Usage
from tests.importers.ledgers import AT, assert_adds_up, balances, counts, entries, rows_of, run, spent_of, write

POLICY = """\
version: 1
rules:
  - {id: team-month, kind: spend_limit, per: team, limit: 500 USD, window: month}
  - {id: model-day, kind: token_cap, match: {model: "gpt-*"}, per: [team, user], limit: 5M tokens, window: day, timezone: Europe/Berlin}
  - {id: large, kind: request_cap, match: {input_tokens: {over: 500}}, limit: 1_000 requests, window: month}
"""


def usage_rows(count: int, seed: int = 5) -> list[dict[str, Any]]:
    """Rows of some weeks, teams and models, a few of them delivered twice."""
    rng = random.Random(seed)  # noqa: S311 - test data
    rows: list[dict[str, Any]] = []
    for n in range(count):
        if rows and rng.random() < 0.05:
            rows.append(rng.choice(rows))
            continue
        rows.append(
            {
                "id": f"r{n}",
                "at": f"2026-0{rng.randrange(3, 6)}-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:30:00Z",
                "model": rng.choice(["gpt-5.2", "claude-sonnet-4-6", "mystery"]),
                "subject": {"team": rng.choice(["search", "ads"]), "user": rng.choice(["ana", "bo"])},
                "input_tokens": rng.randrange(1_000),
                "output_tokens": rng.randrange(100),
                **({"cost_usd": str(rng.randrange(1_000_000) / 1_000_000)} if rng.random() < 0.5 else {}),
            }
        )
    return rows


def book(url: str) -> tuple[object, object]:
    """What is in a ledger, whatever runs brought it there."""
    assert_adds_up(url)
    return entries(url), balances(url)


@pytest.fixture
def fresh(sqlite_template: Path, tmp_path: Path) -> Callable[[], str]:
    """Makes SQLite ledgers."""

    def make() -> str:
        path = tmp_path / f"fresh-{sum(1 for _ in tmp_path.glob('fresh-*.db'))}.db"
        shutil.copyfile(sqlite_template, path)
        return f"sqlite:///{path}"

    return make


def test_twice_is_once(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    policies, rows = policy_folder(POLICY), usage_rows(300)
    path = write(tmp_path / "rows.jsonl", rows)
    first = run(database_url, path, policies=policies, chunk_rows=70)
    before = book(database_url)
    again = run(database_url, path, policies=policies)
    assert (again.state.read, again.state.cost_nano_usd, counts(again.state)) == (300, 0, {"duplicate": 300})
    # The same rows in another file, and the same file as another import, are the same rows.
    other = run(database_url, write(tmp_path / "other.jsonl", rows[::-1]), policies=policies)
    assert counts(other.state) == {"duplicate": 300}
    assert book(database_url) == before
    assert first.state.new == len({row["id"] for row in rows})


@given(order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 40), max_size=3), chunk_rows=st.integers(1, 45))
@settings(max_examples=8)
def test_order_and_split_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, order: random.Random, cuts: list[int], chunk_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "policy.yaml").write_text(POLICY)
    rows = usage_rows(40)
    urls = []
    for name in ("whole", "parts"):
        shutil.copyfile(sqlite_template, folder / f"{name}.db")
        urls.append(f"sqlite:///{folder / name}.db")
    run(urls[0], write(folder / "whole.jsonl", rows), policies=policies)
    shuffled = order.sample(rows, len(rows))
    bounds = [0, *sorted(cuts), len(rows)]
    for n, (start, end) in enumerate(pairwise(bounds)):
        part = shuffled[start:end] + order.sample(shuffled, 5)
        run(urls[1], write(folder / f"part{n}.jsonl", part), policies=policies, chunk_rows=chunk_rows)
    assert book(urls[0]) == book(urls[1])


def test_a_killed_import_run_again_ends_in_the_same_book(
    database_url: str, fresh: Callable[[], str], tmp_path: Path, policy_folder: Callable[[str], Path]
) -> None:
    policies = policy_folder(POLICY)
    path = write(tmp_path / "rows.jsonl", [*usage_rows(1_500), "{"])
    whole = fresh()
    expected = run(whole, path, policies=policies)
    rng = random.Random(11)  # noqa: S311 - when to kill
    command = [sys.executable, "-m", "tests.importers.run_import", database_url, str(path), str(policies), "25"]
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 9)):
                process.stdout.readline()
            time.sleep(rng.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        assert_adds_up(database_url)
        assert 0 < len(entries(database_url)) < expected.state.new
    result = run(database_url, path, policies=policies)
    assert book(database_url) == book(whole)
    assert (result.state.read, counts(result.state)) == (1_501, counts(expected.state))
    assert result.state.cost_nano_usd == expected.state.cost_nano_usd
    assert [row["line"] for row in rows_of(database_url, "quarantine")] == [1_501]


def test_two_processes_with_one_file_book_it_once(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    policies, rows = policy_folder(POLICY), usage_rows(1_000)
    path = write(tmp_path / "rows.jsonl", rows)
    run(database_url, write(tmp_path / "one.jsonl", rows[:1]), policies=policies)
    command = [sys.executable, "-m", "tests.importers.run_import", database_url, str(path), str(policies), "20"]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        _, complaint = process.communicate()
        assert process.returncode == 0 or b"LedgerBusy" in complaint, complaint
    run(database_url, path, policies=policies)
    assert len(entries(database_url)) == len({row["id"] for row in rows})
    assert_adds_up(database_url)


def test_refused_rows_of_a_finished_file_are_tried_again(database_url: str, tmp_path: Path) -> None:
    original = {"id": "1", "at": "2026-03-02T08:00:00Z", "cost_usd": 5}
    correction = {"id": "2", "at": "2026-03-02T08:00:00Z", "cost_usd": -2, "corrects": "1"}
    late = write(tmp_path / "late.jsonl", [correction, {"id": "3", "at": "2026-03-02T08:00:00Z", "cost_usd": 1}])
    assert counts(run(database_url, late).state) == {"new": 1, "quarantined": 1}
    run(database_url, write(tmp_path / "original.jsonl", [original]))
    assert counts(run(database_url, late).state) == {"new": 1, "duplicate": 1}
    assert not rows_of(database_url, "quarantine")
    assert counts(run(database_url, late).state) == {"duplicate": 2}
    assert len(entries(database_url)) == 3


# -- the same usage by two ways ----------------------------------------------------------------------------------------

CALL = Call(model="gpt-5.2", provider="openai", input_tokens=1_000, max_output_tokens=100, subject={"team": "search"}, at=AT)


def gate_row(**changes: object) -> dict[str, object]:
    return {
        "id": "resp_1",
        "at": AT.isoformat(),
        "model": "gpt-5.2",
        "provider": "openai",
        "subject": {"team": "search"},
        "input_tokens": 1_000,
        "output_tokens": 50,
        **changes,
    }


def settle(url: str, policies: Path) -> None:
    """One call through the gate whose answer was `resp_1`."""
    with Gate.open(policies, url, clock="caller") as gate:
        gate.settle(gate.reserve(CALL), Usage(input_tokens=1_000, output_tokens=50, response_id="resp_1"))


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({}, 0),
        ({"id": "other", "response_id": "resp_1"}, 0),
        ({"provider": None}, 0),
        ({"provider": "OpenAI"}, 0),
        ({"cost_usd": 3}, 0),
        ({"provider": "azure"}, 1),
        ({"id": "resp_2"}, 1),
    ],
)
def test_an_answer_settled_through_the_gate_is_a_duplicate(
    database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path], changes: dict[str, object], new: int
) -> None:
    policies = policy_folder(POLICY)
    settle(database_url, policies)
    result = run(database_url, write(tmp_path / "rows.jsonl", [gate_row(**changes)]), policies=policies)
    assert (result.state.new, result.state.duplicate) == (new, 1 - new)
    assert_adds_up(database_url)


@pytest.mark.parametrize(
    ("output_tokens", "nano_usd"),
    [
        # 1000 x 1.75/M + 20 x 14/M = 0.00175 + 0.00028 = 0.00203.
        (20, 2_030_000),
        # All that is settled was imported: nothing is left to book, and the hold has ended all the same.
        (50, 2_450_000),
    ],
)
def test_an_answer_imported_before_its_settlement_counts_once(
    database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path], output_tokens: int, nano_usd: int
) -> None:
    policies = policy_folder(POLICY)
    run(database_url, write(tmp_path / "rows.jsonl", [gate_row(output_tokens=output_tokens)]), policies=policies)
    assert spent_of(database_url, "team-month") == {"search": nano_usd}
    settle(database_url, policies)
    # 1000 x 1.75/M + 50 x 14/M = 0.00175 + 0.0007 = 0.00245.
    assert spent_of(database_url, "team-month") == {"search": 2_450_000}
    assert_adds_up(database_url)


def test_one_answer_in_two_exports_is_booked_once(database_url: str, tmp_path: Path) -> None:
    run(database_url, write(tmp_path / "rows.jsonl", [gate_row()]))
    logged = {
        "request_id": "resp_1",
        "call_type": "acompletion",
        "startTime": "2026-11-24 00:00:00+00:00",
        "model": "gpt-5.2",
        "custom_llm_provider": "openai",
        "spend": 0.00245,
        "prompt_tokens": 1_000,
        "completion_tokens": 50,
    }
    result = run(database_url, write(tmp_path / "litellm.jsonl", [logged]), format_name="litellm")
    assert counts(result.state) == {"duplicate": 1}

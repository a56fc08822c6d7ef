"""The guarantees of the ledger under many processes, deaths, lost answers and edits in mid-window."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from guardrails import Gate, Usage, Verdict
from guardrails.db.session import Row, Session, Statement, open_session
from tests.gate import workers
from tests.gate.scene import USD, Scene, amounts, call, limit, policy

USED = Usage(input_tokens=1_000, output_tokens=0)
SPAWN = multiprocessing.get_context("spawn")


def in_processes(context: Any, count: int, target: Any, *arguments: Any) -> None:
    """Run a function in processes of its own; each must end well."""
    processes = [context.Process(target=target, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


# -- 1. never over ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_on_one_database_share_one_limit(scene: Scene, method: str) -> None:
    """Acceptance 9. Acceptance 10."""
    gate = scene.open(policy(limit("25")), clock="ledger")
    if method == "fork":
        gate.close()  # the workers open Gates of their own
    context = multiprocessing.get_context(method)
    barrier, admitted = context.Barrier(3), context.Value("i", 0)
    in_processes(context, 3, workers.reserve_many, scene.url, 15, barrier, admitted)
    assert admitted.value == 25
    assert amounts(scene.open(clock="ledger"), at=None) == (0, 0, 25 * USD)


def test_a_concurrency_cap_is_shared_by_processes(scene: Scene) -> None:
    """Acceptance 11."""
    gate = scene.open(policy("  - {id: at-once, kind: concurrency_cap, limit: 7 concurrent}\n"), clock="ledger")
    barrier, admitted = SPAWN.Barrier(2), SPAWN.Value("i", 0)
    in_processes(SPAWN, 2, workers.reserve_many, scene.url, 6, barrier, admitted)
    assert admitted.value == 7
    assert amounts(gate, "at-once", at=None) == (0, 0, 7)


def test_overlapping_scopes_in_any_order_from_several_processes_do_not_deadlock(scene: Scene) -> None:
    """Acceptance 74."""
    rules = (
        limit("900", id="all")
        + limit("900", id="teams", per="team")
        + limit("900", id="users", per="user")
        + limit("900", id="pairs", per="[user, team]")
    )
    scene.open(policy(rules), clock="ledger").close()
    barrier, failures = SPAWN.Barrier(3), SPAWN.Queue()
    processes = [SPAWN.Process(target=workers.reserve_scopes, args=(scene.url, seed, 12, barrier, failures)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    assert failures.empty(), failures.get()
    # 3 processes x 12 rounds x 4 calls of 10 tokens, a cent each
    assert amounts(scene.open(clock="ledger"), "all", at=None) == (144 * USD // 100, 0, 0)


def test_every_rule_that_a_call_meets_holds_it_or_none(scene: Scene) -> None:
    """Acceptance 3. Acceptance 15. Acceptance 48."""
    rules = limit("9", id="company") + limit("5", id="teams", per="team") + limit("2", id="users", per="user")
    gate = scene.open(policy(rules))
    ana, ben, eva = ({"team": "search", "user": user} for user in ("ana", "ben", "eva"))
    assert gate.reserve(call(2_000, subject=ana)).allowed
    assert gate.reserve(call(1, subject=ana)).rules == ("users",)
    assert gate.reserve(call(2_000, subject=ben)).allowed
    assert gate.reserve(call(1_001, subject=eva)).rules == ("teams",)
    assert gate.reserve_many([call(2_000, subject={"team": "ads", "user": user}) for user in "xy"])[1].allowed
    assert gate.reserve(call(1_001, subject={"team": "law", "user": "z"})).rules == ("company",)
    assert amounts(gate, "company") == (0, 0, 8 * USD)
    assert amounts(gate, "users", user="ana") == (0, 0, 2 * USD)


def test_leaving_a_label_out_is_no_way_around_a_limit(scene: Scene) -> None:
    gate = scene.open(policy(limit("2", per="team")))
    assert [gate.reserve(call(1_000)).allowed for _ in range(3)] == [True, True, False]
    assert amounts(gate, team="(none)") == (0, 0, 2 * USD)


def test_one_label_value_in_several_spellings_is_one_balance(scene: Scene) -> None:
    gate = scene.open(policy(limit("3", per="team")))
    for team in ("Straße", " STRASSE ", "strasse"):
        assert gate.reserve(call(1_000, subject={"team": team})).allowed
    assert not gate.reserve(call(1, subject={"team": "STRAßE"})).allowed
    assert amounts(gate, team="Straße") == (0, 0, 3 * USD)


# -- 4. nothing acknowledged is lost -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_survives_the_end_of_the_process(scene: Scene, end: signal.Signals) -> None:
    """Acceptance 73."""
    scene.open(policy(limit("9000")), clock="ledger").close()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.gate.workers", "write_until_killed", scene.url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(40)]
        process.send_signal(end)
        lines += process.stdout.readlines()
    said = [line.split() for line in lines if line.endswith("\n")]
    assert {row["id"] for row in scene.rows("SELECT id FROM record")} >= {id_ for what, id_ in said if what == "held"}
    assert {row["decision"] for row in scene.rows("SELECT decision FROM entry")} >= {id_ for what, id_ in said if what == "settled"}


def test_a_slot_and_the_money_of_a_process_killed_in_mid_call_come_back_in_time(scene: Scene) -> None:
    """Acceptance 25. Acceptance 29."""
    rules = limit("5", at="{100%: deny}") + "  - {id: at-once, kind: concurrency_cap, limit: 1 concurrent}\n"
    gate = scene.open(policy(rules, defaults="{unknown_outcome: release}"), clock="ledger")
    done = subprocess.run(
        [sys.executable, "-m", "tests.gate.workers", "die_in_a_call", scene.url], stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.startswith("held ")
    end = time.monotonic() + 10
    while not (decision := gate.reserve(workers.live(5_000))).allowed:
        assert decision.rules[0] in ("month", "at-once")
        assert time.monotonic() < end
        time.sleep(0.05)


class LosesAnswers:
    """A session whose connection breaks right after a commit, before its answer is heard, as often as told."""

    def __init__(self, session: Session, times: int) -> None:
        self._session = session
        self._left = times
        self.lost = 0
        self.dialect = session.dialect
        self.connection: Connection = session.connection

    def wait_at_most(self, wait_s: int) -> None:
        self._session.wait_at_most(wait_s)

    def begin(self) -> None:
        self._session.begin()

    def read(self, *queries: tuple[Statement, Sequence[object]]) -> list[list[Row]]:
        return self._session.read(*queries)

    def write(self, batches: Sequence[tuple[Statement, Sequence[Row]]], *, commit: bool) -> None:
        self._session.write(batches, commit=commit)
        if commit and self._left:
            self._left -= 1
            self.lost += 1
            if self.dialect == "sqlite":
                message = "disk I/O error"
                raise sqlite3.OperationalError(message)
            message = "server closed the connection unexpectedly"
            raise psycopg.OperationalError(message)

    def commit(self) -> None:
        self._session.commit()

    def rollback(self) -> None:
        self._session.rollback()

    def close(self) -> None:
        self._session.close()

    def abandon(self) -> None:
        self._session.abandon()

    def cut(self) -> None:
        self._session.cut()


def lose_next_answer(gate: Gate) -> LosesAnswers:
    """Hand the Gate a session that loses one answer."""
    gate._ledger.close()
    gate._ledger.session = losing = LosesAnswers(open_session(gate._engine), 1)
    return losing


def test_a_commit_whose_answer_was_lost_books_nothing_twice(scene: Scene) -> None:
    rules = limit("50") + "  - {id: calls, kind: request_cap, limit: 50 requests, window: month}\n"
    gate = scene.open(policy(rules))
    losing = [lose_next_answer(gate)]
    one = gate.reserve(call(1_000))
    losing.append(lose_next_answer(gate))
    two = gate.reserve(call(1_000, request_id="r-1"))
    losing.append(lose_next_answer(gate))
    three, four = gate.reserve_many([call(1_000), call(60_000)])
    assert (one.allowed, two.allowed, three.allowed, four.allowed) == (True, True, True, False)
    assert amounts(gate) == (0, 0, 3 * USD)
    losing.append(lose_next_answer(gate))
    gate.settle(one, USED)
    losing.append(lose_next_answer(gate))
    gate.release(two, reason="not sent")
    losing.append(lose_next_answer(gate))
    gate.extend(three, ttl_s=9_000)
    assert amounts(gate) == (USD, 0, USD)
    losing.append(lose_next_answer(gate))
    gate.abandon(three)
    assert amounts(gate) == (USD, USD, 0)
    assert amounts(gate, "calls") == (2, 0, 0)
    assert [each.lost for each in losing] == [1] * 7
    assert scene.count("record") == 4


def test_a_refusal_whose_answer_was_lost_stays_a_refusal(scene: Scene) -> None:
    gate = scene.open(policy(limit("1")))
    losing = lose_next_answer(gate)
    assert gate.reserve(call(9_000)).verdict is Verdict.DENY
    assert losing.lost == 1
    assert scene.count("record") == 1


# -- 5. many Gates, many generations, under load ------------------------------------------------------------------------


def test_processes_that_open_the_same_new_ledger_at_once_all_can(scene: Scene) -> None:
    folder = scene.folder(policy(limit("50")))
    barrier, failures = SPAWN.Barrier(3), SPAWN.Queue()
    in_processes(SPAWN, 3, workers.open_gate, folder, scene.url, barrier, failures)
    assert failures.empty(), failures.get()
    assert [row["generation"] for row in scene.rows("SELECT generation FROM publication")] == [1]


def test_gates_that_open_the_same_new_ledger_at_once_publish_once(scene: Scene) -> None:
    folder = scene.folder(policy(limit("50")))
    for _ in range(1 if scene.sqlite else 3):
        barrier = threading.Barrier(6)

        def work(_: int, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            scene.open(folder).reserve(call(1))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    assert [row["generation"] for row in scene.rows("SELECT generation FROM publication")] == [1]


def test_an_edit_under_load_loses_nothing_and_is_not_kept_waiting(scene: Scene) -> None:
    """Acceptance 45. Acceptance 46."""
    rules = [
        policy(limit("900") + limit("900", id=f"extra-{n}", per="user") + limit("900", id="same", per="team", description=f"'{n}'"))
        for n in range(4)
    ]
    gates = [scene.open(rules[0]), scene.open()]
    stop, errors, count = threading.Event(), list[BaseException](), list[int]()

    def work(gate: Gate, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - an order, not a secret
        waiting = []
        while not stop.is_set():
            try:
                subject = {"team": f"t{chance.randrange(2)}", "user": f"u{chance.randrange(3)}"}
                waiting.append(gate.reserve(call(1_000, subject=subject)))
                if len(waiting) > 3:
                    gate.settle(waiting.pop(chance.randrange(4)), Usage(input_tokens=chance.randrange(1_100), output_tokens=0))
                count.append(1)
                time.sleep(0.001)
            except BaseException as error:  # noqa: BLE001 - shown by the test
                errors.append(error)
                return

    threads = [threading.Thread(target=work, args=(gates[n % 2], n)) for n in range(4)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    for n in (1, 2, 3, 1):
        time.sleep(0.15)
        before = time.monotonic()
        scene.open(rules[n])
        slowest = max(slowest, time.monotonic() - before)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert len(count) > 20
    assert slowest < 8
    assert {row["generation"] for row in scene.rows("SELECT generation FROM record")} >= {2, 3, 4}


def test_a_rule_opened_while_older_holds_are_settled_counts_each_of_them_once(scene: Scene) -> None:
    """The first booking under a new rule reads the facts while other Gates settle holds that it does not know: none is missed."""
    first = policy(limit("900"))
    gates = [scene.open(first), *[scene.open() for _ in range(2)]]
    for n in range(3 if scene.sqlite else 8):
        decisions = gates[0].reserve_many([call(1_000) for _ in range(12)])
        scene.open(policy(limit("900") + limit("900", id=f"new-{n}")))
        barrier = threading.Barrier(3)

        def work(m: int, barrier: threading.Barrier = barrier, decisions: list[Any] = decisions) -> None:
            barrier.wait()
            if m == 0:
                gates[0].reserve(call(10))
            for decision in decisions[m::3]:
                gates[m].settle(decision, Usage(input_tokens=700, output_tokens=0))

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(work, range(3)))
        spent = (n + 1) * 12 * 7 * USD // 10
        assert amounts(gates[0], f"new-{n}")[0] == spent
        assert amounts(gates[0])[0] == spent
        scene.prove()


def test_a_reader_sees_one_state_while_others_book(scene: Scene) -> None:
    gate = scene.open(policy(limit("900")))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            gate.settle(gate.reserve(call(10)), USED)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(15):
            scene.prove()
    finally:
        stop.set()
        thread.join(30)


def test_a_gate_connects_again_after_the_server_hung_up(
    postgres_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]
) -> None:
    scene = Scene(postgres_url, policy_folder)
    gate = scene.open(policy(limit("900")))
    gate.reserve(call(1_000))
    scene.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    assert gate.reserve(call(1_000)).allowed
    assert amounts(gate) == (0, 0, 2 * USD)
    scene.close()
    scene.prove()

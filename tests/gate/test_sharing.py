"""One Gate shared by threads, tasks and forked workers; closed while others use it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from typing_extensions import override

from guardrails import Decision, Denied, GateClosed, GuardrailsError, Usage, Verdict
from guardrails.gate.combine import Combiner
from guardrails.gate.operations import Operation
from tests.gate.scene import USD, Scene, after, amounts, call, limit, policy

RULES = limit("5") + "  - {id: at-once, kind: concurrency_cap, limit: 50 concurrent}\n"
USED = Usage(input_tokens=1_000, output_tokens=0)


def at_once(threads: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of threads that all start at the same moment."""
    barrier = threading.Barrier(threads)

    def run(n: int) -> Any:
        barrier.wait()
        return work(n)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


@pytest.mark.parametrize("room", [1, 5])
def test_of_many_threads_exactly_those_that_fit_are_admitted(scene: Scene, room: int) -> None:
    """Acceptance 1."""
    gate = scene.open(policy(limit(str(room))))
    verdicts = at_once(24, lambda _: gate.reserve(call(1_000)).verdict)
    assert verdicts.count(Verdict.ALLOW) == room
    assert amounts(gate) == (0, 0, room * USD)


def test_of_many_tasks_exactly_those_that_fit_are_admitted(scene: Scene) -> None:
    """Acceptance 1."""
    gate = scene.open(policy(limit("5")))

    async def turn() -> bool:
        decision = await gate.areserve(call(1_000))
        if decision.allowed:
            await gate.asettle(decision, USED)
        return decision.allowed

    async def turns() -> list[bool]:
        return await asyncio.gather(*[turn() for _ in range(40)])

    assert sum(asyncio.run(turns())) == 5
    assert amounts(gate) == (5 * USD, 0, 0)


def test_threads_and_tasks_share_one_gate(scene: Scene) -> None:
    gate = scene.open(policy(limit("20")))

    async def several() -> list[bool]:
        return [decision.allowed for decision in await asyncio.gather(*[gate.areserve(call(1_000)) for _ in range(8)])]

    def work(n: int) -> list[bool]:
        return asyncio.run(several()) if n % 2 else [gate.reserve(call(1_000)).allowed for _ in range(8)]

    assert sum(sum(each) for each in at_once(4, work)) == 20
    assert amounts(gate) == (0, 0, 20 * USD)


def test_a_subject_never_seen_before_is_capped_from_its_first_call(scene: Scene) -> None:
    """Acceptance 2."""
    gate = scene.open(policy(limit("3", id="per-user", per="user")))
    decisions = at_once(16, lambda n: gate.reserve(call(1_000, subject={"user": f"new-{n % 2}"})))
    for user in ("new-0", "new-1"):
        assert sum(decision.allowed for decision in decisions if decision.call.subject["user"] == user) == 3
    assert amounts(gate, "per-user", user="new-0") == (0, 0, 3 * USD)


def test_the_same_request_id_from_many_threads_holds_once(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decisions = at_once(12, lambda _: gate.reserve(call(1_000, request_id="r-1")))
    assert all(decision == decisions[0] for decision in decisions)
    assert amounts(gate) == (0, 0, USD)
    at_once(12, lambda _: gate.settle(decisions[0], USED))
    assert amounts(gate) == (USD, 0, 0)
    assert len(scene.entries()) == 1


def test_gates_that_settle_the_same_attempt_at_once_book_it_once(scene: Scene) -> None:
    gates = [scene.open(policy(RULES)), *[scene.open() for _ in range(3)]]
    decision = gates[0].reserve(call(2_000))
    at_once(4, lambda n: gates[n].settle(decision, USED))
    assert amounts(gates[0]) == (USD, 0, 0)


def test_gates_that_settle_a_charged_hold_at_once_replace_the_charge_once(scene: Scene) -> None:
    gates = [scene.open(policy(RULES)), *[scene.open() for _ in range(3)]]
    for n in range(5):
        decision = gates[0].reserve(call(500))
        gates[0].abandon(decision)

        def work(m: int, decision: Decision = decision) -> None:
            gates[m].settle(decision, Usage(input_tokens=100, output_tokens=0), attempt=m + 1)

        at_once(4, work)
        # four attempts of 0.10 USD each, and nothing assumed
        assert amounts(gates[0]) == ((n + 1) * 4 * USD // 10, 0, 0)


def test_a_release_and_a_settlement_of_a_charged_hold_at_once_end_as_the_settlement(scene: Scene) -> None:
    gates = [scene.open(policy(RULES)), scene.open()]
    for n in range(5):
        decision = gates[0].reserve(call(500))
        gates[0].abandon(decision)

        def work(m: int, decision: Any = decision) -> None:
            try:
                if m:
                    gates[1].settle(decision, Usage(input_tokens=100, output_tokens=0))
                else:
                    gates[0].release(decision, reason="not sent")
            except GuardrailsError:
                assert not m  # a settlement is never refused

        at_once(2, work)
        assert amounts(gates[0]) == ((n + 1) * USD // 10, 0, 0)


def test_a_mistake_of_one_caller_is_not_that_of_another(scene: Scene) -> None:
    gate = scene.open(policy(RULES))

    def work(n: int) -> bool:
        if n % 3 == 0:
            with pytest.raises(GuardrailsError):
                gate.settle(f"d-unknown-{n}", USED)
            return False
        return gate.reserve(call(100)).allowed

    assert sum(at_once(12, work)) == 8
    assert amounts(gate) == (0, 0, 8 * USD // 10)


def test_the_asynchronous_verbs_do_as_the_others(scene: Scene) -> None:
    gate = scene.open(policy(RULES))

    async def story() -> None:
        one, two = await gate.areserve_many([call(1_000), call(1_000)])
        assert await gate.aextend(one, ttl_s=3_600) == after(hours=1)
        await gate.asettle(one, USED)
        await gate.arelease(two, reason="not sent")
        async with gate.admit(call(1_000)) as admission:
            await admission.asettle(USED)
        async with gate.admit(call(1_000)) as admission:
            await admission.arelease("not sent")
        async with gate.admit(call(1_000)):
            pass
        with pytest.raises(Denied):
            async with gate.admit(call(9_000)):
                pytest.fail("a refused call must not run")

    asyncio.run(story())
    assert amounts(gate) == (2 * USD, USD, 0)


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_a_task_cancelled_while_it_reserves_gives_back_what_it_held(scene: Scene, turns: int) -> None:
    """Acceptance 29."""
    gate = scene.open(policy(RULES))

    async def story() -> None:
        reserving = asyncio.create_task(gate.areserve(call(5_000)))
        for _ in range(turns):
            await asyncio.sleep(0)
        reserving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reserving

    asyncio.run(story())
    assert amounts(gate) == (0, 0, 0)
    assert gate.reserve(call(5_000)).allowed


def test_a_program_that_ends_while_it_reserves_leaves_no_hold(scene: Scene) -> None:
    gate = scene.open(policy(RULES))

    async def story() -> None:
        async with asyncio.timeout(0):
            await gate.areserve(call(1_000))

    for _ in range(5):
        with pytest.raises(TimeoutError):
            asyncio.run(story())
    assert amounts(gate) == (0, 0, 0)


def test_a_context_cancelled_in_its_body_is_not_left_without_an_outcome(scene: Scene) -> None:
    """Acceptance 29. Acceptance 56."""
    gate = scene.open(policy(RULES))

    async def stream(running: asyncio.Event) -> None:
        async with gate.admit(call(1_000)):
            running.set()
            await asyncio.sleep(60)

    async def story() -> None:
        running = asyncio.Event()
        streaming = asyncio.create_task(stream(running))
        await running.wait()
        streaming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await streaming

    asyncio.run(story())
    assert amounts(gate) == (0, USD, 0)
    assert amounts(gate, "at-once") == (0, 0, 0)


def test_a_task_cancelled_while_it_settles_settles_all_the_same(scene: Scene) -> None:
    """Acceptance 73."""
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(1_000))

    async def story() -> None:
        settling = asyncio.create_task(gate.asettle(decision, USED))
        await asyncio.sleep(0)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling

    asyncio.run(story())
    gate.close()
    assert scene.entries()[0]["cost_nano_usd"] == USD


def test_closing_waits_for_what_is_under_way_and_refuses_what_comes_after(scene: Scene) -> None:
    gate = scene.open(policy(limit("500")))
    answers: list[str] = []

    def work() -> None:
        try:
            while True:
                answers.append(gate.reserve(call(1)).id)
        except GateClosed:
            pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    while len(answers) < 20:
        time.sleep(0.001)
    gate.close()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert {row["id"] for row in scene.rows("SELECT id FROM record")} == set(answers)


def test_a_closed_gate_takes_nothing_and_closes_twice(scene: Scene) -> None:
    gate = scene.open(policy(RULES))
    decision = gate.reserve(call(1_000))
    gate.close()
    gate.close()
    uses: list[Callable[[], object]] = [
        lambda: gate.reserve(call(1)),
        lambda: gate.preview(call(1)),
        lambda: gate.reserve_many([call(1)]),
        lambda: gate.settle(decision, USED),
        lambda: gate.release(decision, reason="late"),
        lambda: gate.extend(decision, ttl_s=1),
        gate.budgets,
        lambda: asyncio.run(gate.areserve(call(1))),
        lambda: asyncio.run(gate.asettle(decision, USED)),
    ]
    for use in uses:
        with pytest.raises(GateClosed):
            use()
    with pytest.raises(GateClosed), gate.admit(call(1)):
        pytest.fail("a closed Gate admits nothing")


def test_forked_workers_use_the_gate_and_leave_the_parents_connections_alone(scene: Scene) -> None:
    """Acceptance 10."""
    scene.open(policy(limit("50")), clock="ledger").close()
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.gate.workers", "fork_while_threads_decide", scene.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "errors []\n", done.stderr
    assert done.returncode == 0
    assert not done.stderr


class Interrupted(BaseException):
    """What a signal raises in the main thread, as Ctrl-C does."""


class Nothing(Operation[None]):
    """An operation that does nothing."""

    @override
    def apply(self, context: object) -> None:
        """Nothing."""


def test_a_caller_interrupted_while_it_waits_does_not_hold_up_the_others() -> None:
    started, go_on = threading.Event(), threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def carry_out(operations: Sequence[Operation[Any]]) -> None:
        started.set()
        assert go_on.wait(10)
        for operation in operations:
            operation.result = None

    def interrupt(*_: object) -> None:
        raise Interrupted

    combiner = Combiner(carry_out)
    leader = threading.Thread(target=combiner.submit, args=(Nothing(),))
    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGUSR1))
    try:
        leader.start()
        assert started.wait(10)
        timer.start()
        with pytest.raises(Interrupted):
            combiner.submit(Nothing())
    finally:
        signal.signal(signal.SIGUSR1, before)
        go_on.set()
    leader.join(10)
    other = threading.Thread(target=combiner.submit, args=(Nothing(),), daemon=True)
    other.start()
    other.join(5)
    assert not other.is_alive(), "the queue waits for a caller that has gone"
    combiner.close()

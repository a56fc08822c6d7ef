"""What the processes of the tests run; importable, so that a spawned interpreter finds it."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from guardrails import Call, Gate, GuardrailsError, Usage
from tests.gate.scene import call

_FORGET = {"at": None}


def live(tokens: int = 1_000, **facts: Any) -> Call:
    """A call by the ledger's clock."""
    return call(tokens, **{**_FORGET, **facts})


def reserve_many(url: str, tries: int, barrier: Any, admitted: Any, folder: Path | None = None) -> None:
    """Reserve as often as told, from the moment when all are ready."""
    with Gate.open(folder, url) as gate:
        barrier.wait()
        count = sum(gate.reserve(live()).allowed for _ in range(tries))
    with admitted.get_lock():
        admitted.value += count


def reserve_scopes(url: str, seed: int, rounds: int, barrier: Any, failures: Any) -> None:
    """Reserve and settle batches under overlapping scopes in an order of its own."""
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    try:
        with Gate.open(None, url) as gate:
            barrier.wait()
            for _ in range(rounds):
                calls = [live(10, subject={"team": f"t{n}", "user": f"u{chance.randrange(4)}"}) for n in chance.sample(range(6), 4)]
                decisions = gate.reserve_many(calls)
                chance.shuffle(decisions)
                for decision in decisions:
                    gate.settle(decision, Usage(input_tokens=10, output_tokens=0))
    except GuardrailsError as error:
        failures.put(repr(error))


def open_gate(folder: Path, url: str, barrier: Any, failures: Any) -> None:
    """Open a Gate at the same moment as others, and use it."""
    barrier.wait()
    try:
        with Gate.open(folder, url) as gate:
            gate.reserve(live(1))
    except Exception as error:  # noqa: BLE001 - the test shows whatever it was
        failures.put(repr(error))


def write_until_killed(url: str) -> None:
    """Reserve and settle for ever, and tell on the output what was acknowledged."""
    with Gate.open(None, url) as gate:
        while True:
            decision = gate.reserve(live(10))
            _say(f"held {decision.id}")
            gate.settle(decision, Usage(input_tokens=10, output_tokens=0))
            _say(f"settled {decision.id}")


def die_in_a_call(url: str) -> None:
    """Reserve, then die without a word."""
    gate = Gate.open(None, url)
    _say(f"held {gate.reserve(live(1_000, hold_ttl_s=1.5)).id}")
    os.kill(os.getpid(), signal.SIGKILL)


def fork_while_threads_decide(url: str) -> None:
    """Fork workers that use the Gate, or only close it, while the parent's threads decide; then all must have worked."""
    import threading  # noqa: PLC0415 - only this program has threads

    with Gate.open(None, url) as gate:
        gate.reserve(live(1))
        stop = threading.Event()
        errors: list[str] = []
        # SQLite itself does not survive a fork in the middle of a transaction: there the fork waits for a quiet moment.
        quiet = [threading.Lock() if url.startswith("sqlite") else nullcontext() for _ in range(3)]

        def decide(lock: AbstractContextManager[Any]) -> None:
            while not stop.is_set():
                try:
                    with lock:
                        gate.settle(gate.reserve(live(1)), Usage(input_tokens=1, output_tokens=0))
                except Exception as error:  # noqa: BLE001 - told on the output
                    errors.append(repr(error))
                time.sleep(0.005)  # SQLite's writers do not queue: without a pause the workers would starve

        threads = [threading.Thread(target=decide, args=(lock,)) for lock in quiet]
        for thread in threads:
            thread.start()
        for n in range(6):
            with quiet[0], quiet[1], quiet[2]:
                child = os.fork()
            if not child:
                code = 1
                try:
                    if n % 2:
                        for _ in range(5):
                            gate.settle(gate.reserve(live(1)), Usage(input_tokens=1, output_tokens=0))
                    gate.close()
                    code = 0
                finally:
                    os._exit(code)
            _wait(child, errors)
        stop.set()
        for thread in threads:
            thread.join()
    _say(f"errors {errors}")


def _wait(child: int, errors: list[str]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            if status:
                errors.append(f"a worker ended with {status}")
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    errors.append("a worker hung")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

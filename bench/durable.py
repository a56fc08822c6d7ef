"""Durable decisions: reserve + settle of many callers in one process on one hot balance, as a share of the floor.

The floor is the same rows with the same bytes, written by the plain driver in the same batches with the same durability: what was
written in a round is remembered and written again to a fresh database.

    python -m bench.durable [--callers 32] [--pairs 6000] [--rounds 5] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import threading
import time
from collections.abc import Callable

from bench.ledgers import Written, databases, gate, replayer
from guardrails import Call, Gate, Usage
from guardrails.db.connect import connect, reading
from guardrails.ledger.verify import verify

CALL = Call(model="gpt-5-mini", input_tokens=1_200, max_output_tokens=800, subject={"team": "search", "user": "ana"})
USAGE = Usage(input_tokens=1_180, output_tokens=412)


def run_callers(opened: Gate, callers: int, pairs: int) -> float:
    """Seconds for `pairs` reservations with their settlements, shared by so many threads."""
    start = threading.Barrier(callers + 1)

    def caller() -> None:
        start.wait()
        for _ in range(pairs // callers):
            opened.settle(opened.reserve(CALL), USAGE)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def one_round(fresh: Callable[[], str], callers: int, pairs: int) -> tuple[float, float, float]:
    """Pairs per second of ours and of the floor, and the operations in a transaction."""
    url = fresh()
    written = Written()
    with gate(url, written) as opened:
        opened.settle(opened.reserve(CALL), USAGE)
        written.transactions.clear()
        ours_s = run_callers(opened, callers, pairs)
    engine = connect(url)
    with reading(engine) as connection:
        verification = verify(connection, "default")
    engine.dispose()
    assert verification.ok, verification.findings
    assert verification.checked["records"] == pairs // callers * callers + 1
    with replayer(fresh()) as replay:
        began = time.perf_counter()
        replay(written.transactions)
        floor_s = time.perf_counter() - began
    done = pairs // callers * callers
    return done / ours_s, done / floor_s, 2 * done / len(written.transactions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with databases() as fresh:
        kinds = [kind for kind in fresh if arguments.only in ("", kind)]
        if arguments.profile:
            for kind in kinds:
                profile(fresh[kind], arguments.pairs)
            return
        results: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
        for _ in range(arguments.rounds):
            for kind in kinds:
                results[kind].append(one_round(fresh[kind], arguments.callers, arguments.pairs))
        for kind, rounds in results.items():
            ours, floor, batch = (statistics.median(column) for column in zip(*rounds, strict=True))
            share = statistics.median(mine / plain for mine, plain, _ in rounds)
            print(
                f"{kind}: {ours:,.0f} pairs/s of {arguments.callers} callers, floor {floor:,.0f}, "
                f"share of the floor {share:.2f}, {batch:.1f} operations a transaction"
            )


def profile(fresh: Callable[[], str], pairs: int) -> None:
    """Where the time of a batch goes, with many calls in one operation so that one thread does the work."""
    with gate(fresh()) as opened:
        opened.settle(opened.reserve(CALL), USAGE)
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(pairs // 32):
            for decision in opened.reserve_many([CALL] * 32):
                assert decision.allowed
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()

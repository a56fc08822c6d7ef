"""One caller's latency: reserve + settle, against two plain transactions with the same rows and the same durability.

python -m bench.single [--pairs 300] [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import time

from bench.durable import CALL, USAGE
from bench.ledgers import Written, databases, gate, replayer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with databases() as fresh:
        for kind, make in fresh.items():
            rounds = []
            for _ in range(arguments.rounds):
                written = Written()
                with gate(make(), written) as opened, replayer(make()) as replay:
                    for _ in range(20):
                        opened.settle(opened.reserve(CALL), USAGE)
                    replay(written.transactions)
                    written.transactions.clear()
                    ours, plain = [], []
                    for _ in range(arguments.pairs):
                        began = time.perf_counter()
                        opened.settle(opened.reserve(CALL), USAGE)
                        ours.append(time.perf_counter() - began)
                        began = time.perf_counter()
                        replay(written.transactions)
                        plain.append(time.perf_counter() - began)
                        assert len(written.transactions) == 2
                        written.transactions.clear()
                    rounds.append((statistics.median(ours) * 1e6, statistics.median(plain) * 1e6))
            ours_us, plain_us = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(mine / floor for mine, floor in rounds)
            print(
                f"{kind}: reserve + settle {ours_us:,.0f} µs, two plain transactions {plain_us:,.0f} µs, ratio {ratio:.2f} (aim: at most 3)"
            )


if __name__ == "__main__":
    main()

"""Loading 10,000 rules against only parsing the same text: one line with the ratio of the medians.

The bare parser is PyYAML's C event stream, exhausted; the time to compose its nodes is given beside it.
"""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

import yaml

from guardrails.policy.load import load_files

RULES = 10_000
ROUNDS = 7


def text_of(rules: int) -> str:
    """A policy file of that many rules, each with a team and an amount of its own."""
    blocks = [
        f"""\
  - id: team-{number}-month
    kind: spend_limit
    match: {{team: team-{number}}}
    limit: {number + 100}.50 USD
    window: month
    at:
      80%: warn
      100%: deny
"""
        for number in range(rules)
    ]
    return "version: 1\nrules:\n" + "".join(blocks)


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = perf_counter()
    work()
    return perf_counter() - start


def main() -> None:
    text = text_of(int(sys.argv[1]) if len(sys.argv) > 1 else RULES)

    def events() -> None:
        for _ in yaml.parse(text, Loader=yaml.CSafeLoader):
            pass

    def nodes() -> object:
        return yaml.compose(text, Loader=yaml.CSafeLoader)

    def load() -> object:
        return load_files({"rules.yaml": text})

    times: dict[str, list[float]] = {"events": [], "nodes": [], "load": []}
    for _ in range(ROUNDS):
        for name, work in (("events", events), ("nodes", nodes), ("load", load)):
            times[name].append(seconds(work))
    median = {name: statistics.median(each) for name, each in times.items()}
    print(
        f"load {median['load'] * 1e3:.0f} ms = {median['load'] / median['events']:.2f} x bare events ({median['events'] * 1e3:.0f} ms)"
        f" = {median['load'] / median['nodes']:.2f} x composed nodes ({median['nodes'] * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()

"""Real traces as live decisions: the Azure code trace and Mooncake's prefix ids, teams by a seeded rule, then `ledger verify`.

Every call of a trace is reserved at its own instant and settled with what it really wrote; equal prefix ids of Mooncake's trace are
cache reads. What is printed: verdicts, spend, rate, and whether the ledger adds up.

    python -m bench.replay [--azure FILE] [--mooncake FILE]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.ledgers import databases
from guardrails import Call, Gate, Usage, Verdict
from guardrails.core.money import usd_for_people
from guardrails.db.connect import connect, reading
from guardrails.ledger.verify import verify

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "traces"
TEAMS = ("search", "ads", "research", "interns")
BLOCK_TOKENS = 512
BATCH = 64
POLICY = """\
version: 1
tiers:
  frontier: [gpt-5.2]
  standard: [gpt-5-mini]
  economy: [gpt-5-nano]
labels:
  team: {required: true, values: [search, ads, research, interns]}
rules:
  - id: team-day
    kind: spend_limit
    per: team
    limit: {default: 2 USD, research: 5 USD}
    window: day
    at: {60%: warn, 80%: downgrade to standard, 95%: downgrade to economy, 97%: deny}
  - id: company-hour
    kind: token_cap
    limit: 6M tokens
    window: hour
    mode: warn
  - id: interns
    kind: tier_restriction
    match: {team: interns}
    allow: [standard, economy]
    otherwise: downgrade to standard
"""


def azure(path: Path) -> Iterator[tuple[datetime, Usage]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC)
            yield at, Usage(input_tokens=int(row["ContextTokens"]), output_tokens=int(row["GeneratedTokens"]))


def mooncake(path: Path) -> Iterator[tuple[datetime, Usage]]:
    start = datetime(2025, 2, 1, 9, tzinfo=UTC)
    seen: set[int] = set()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            blocks = 0
            for block in row["hash_ids"]:
                if block not in seen:
                    break
                blocks += 1
            seen.update(row["hash_ids"])
            read = min(blocks * BLOCK_TOKENS, row["input_length"])
            at = start + timedelta(milliseconds=row["timestamp"])
            yield at, Usage(input_tokens=row["input_length"] - read, cache_read_tokens=read, output_tokens=row["output_length"])


def replay(url: str, name: str, calls: list[tuple[datetime, Usage]]) -> None:
    rng = random.Random(2026)  # noqa: S311 - a seeded rule, so that every run has the same teams
    verdicts: Counter[Verdict] = Counter()
    spent = 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "policy.yaml").write_text(POLICY)
        began = time.perf_counter()
        with Gate.open(folder, url, clock="caller") as gate:
            for first in range(0, len(calls), BATCH):
                batch = calls[first : first + BATCH]
                decisions = gate.reserve_many(
                    Call(
                        model="gpt-5.2",
                        input_tokens=usage.all_input_tokens or 0,
                        max_output_tokens=1_024,
                        subject={"team": rng.choice(TEAMS)},
                        at=at,
                    )
                    for at, usage in batch
                )
                for decision, (_, usage) in zip(decisions, batch, strict=True):
                    verdicts[decision.verdict] += 1
                    if decision.allowed:
                        spent += gate.settle(decision, usage).cost_nano_usd or 0
        seconds = time.perf_counter() - began
    engine = connect(url)
    with reading(engine) as connection:
        verification = verify(connection, "default")
    engine.dispose()
    assert verification.ok, verification.findings
    counts = ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict)
    kind = url.split(":", maxsplit=1)[0].split("+", maxsplit=1)[0]
    print(
        f"{name} on {kind}: {len(calls)} calls, {counts}; {usd_for_people(spent)} USD settled; "
        f"{len(calls) / seconds:,.0f} calls/s; ledger verify ok over {verification.checked}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--azure", type=Path, default=DATA / "azure_llm_2023_code.csv.gz")
    parser.add_argument("--mooncake", type=Path, default=DATA / "mooncake_conversation_first600.jsonl.gz")
    arguments = parser.parse_args()
    with databases() as fresh:
        for make in fresh.values():
            replay(make(), "Azure code trace", list(azure(arguments.azure)))
            replay(make(), "Mooncake conversation trace", list(mooncake(arguments.mooncake)))


if __name__ == "__main__":
    main()

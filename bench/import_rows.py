"""`import jsonl` on SQLite: rows a second, as a share of the exact import that the plain driver does.

The floor keeps as little as an exactly-once import can: each row once by the hash of its id, and the file's offset, in one transaction
a chunk; no prices, no rules, no balances, nothing checked. Both read the same file, in turns.

    python -m bench.import_rows [--rows 200000] [--rounds 1] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import pstats
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardrails.core import clock
from guardrails.core.instant import rfc3339
from guardrails.db.connect import connect, reading
from guardrails.gate.importing import Importer
from guardrails.importers.formats import FORMATS
from guardrails.importers.rows import import_file
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.verify import verify

POLICY = """\
version: 1
rules:
  - {id: company-month, kind: spend_limit, limit: 1_000_000 USD, window: month}
  - {id: team-month, kind: spend_limit, per: team, limit: 100_000 USD, window: month, timezone: Europe/Berlin}
  - {id: user-day, kind: token_cap, per: [team, user], limit: 500M tokens, window: day}
"""
MODELS = ("gpt-5.2", "gpt-5-mini", "claude-sonnet-4-6", "claude-haiku-4-5")
PROVIDERS = ("openai", "openai", "anthropic", "anthropic")
START = datetime(2026, 3, 1, tzinfo=UTC)
CHUNK_BYTES = 1 << 20


def write_rows(path: Path, rows: int) -> int:
    """A month of calls of 8 teams with 25 users each, in order of time; one in a hundred is delivered twice. Returns the distinct ones."""
    rng = random.Random(7)  # noqa: S311 - a benchmark's data
    distinct = 0
    with path.open("w", encoding="utf-8") as file:
        last = ""
        for n in range(rows):
            if n and rng.random() < 0.01:
                file.write(last)
                continue
            distinct += 1
            model = rng.randrange(4)
            team = rng.randrange(8)
            row = {
                "id": f"resp_{n:08d}",
                "at": rfc3339(START + timedelta(seconds=n * 30 * 86_400 / rows)),
                "model": MODELS[model],
                "provider": PROVIDERS[model],
                "subject": {"team": f"team-{team}", "user": f"user-{team}-{rng.randrange(25)}"},
                "input_tokens": rng.randrange(50, 8_000),
                "cache_read_tokens": rng.choice((0, 0, 1_024)),
                "output_tokens": rng.randrange(1, 900),
            }
            last = json.dumps(row) + "\n"
            file.write(last)
    return distinct


def ours(path: Path, folder: Path, distinct: int) -> float:
    """Seconds of an import into a fresh ledger."""
    policies = folder / "policies"
    policies.mkdir()
    (policies / "policy.yaml").write_text(POLICY)
    url = f"sqlite:///{folder / 'ledger.db'}"
    with Importer.open(policies, url) as importer, SourceFile(str(path)) as source:
        began = time.perf_counter()
        result = import_file(importer, source, FORMATS["jsonl"], Subjects(), clock.now())
        seconds = time.perf_counter() - began
    assert result.state.new == distinct, result.state
    assert not result.refused, result.refused
    engine = connect(url)
    with reading(engine) as connection:
        verification = verify(connection, "default")
    engine.dispose()
    assert verification.ok, verification.findings
    return seconds


def floor(path: Path, folder: Path, distinct: int) -> float:
    """Seconds of the plain driver."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA cache_size=-65536")
    connection.execute(
        "CREATE TABLE usage(seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, team TEXT, user TEXT, provider TEXT, model TEXT, "
        "input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, id TEXT, key BLOB NOT NULL UNIQUE)"
    )
    connection.execute("CREATE TABLE import(file TEXT PRIMARY KEY, position INTEGER NOT NULL)")
    began = time.perf_counter()
    name = hashlib.blake2b(path.read_bytes()).hexdigest()
    position = 0
    with path.open("rb") as file:
        while lines := file.readlines(CHUNK_BYTES):
            position += sum(map(len, lines))
            rows = []
            for line in lines:
                row = json.loads(line)
                labels = row["subject"]
                key = hashlib.blake2b(b"jsonl\0" + row["id"].encode(), digest_size=16).digest()
                counts = (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"])
                rows.append((row["at"], labels["team"], labels["user"], row["provider"], row["model"], *counts, row["id"], key))
            rows.sort(key=lambda row: row[-1])
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO usage(at, team, user, provider, model, input_tokens, cached_tokens, output_tokens, id, key) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )
            connection.execute(
                "INSERT INTO import VALUES (?, ?) ON CONFLICT (file) DO UPDATE SET position = excluded.position", (name, position)
            )
            connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    assert connection.execute("SELECT count(*) FROM usage").fetchone() == (distinct,)
    connection.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "rows.jsonl")
        distinct = write_rows(path, arguments.rows)
        ratios = []
        for n in range(arguments.rounds):
            folder = Path(name, str(n))
            folder.mkdir()
            if arguments.profile:
                profiler = cProfile.Profile()
                profiler.runcall(ours, path, folder, distinct)
                pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
                return
            ours_s, floor_s = ours(path, folder, distinct), floor(path, folder, distinct)
            ratios.append(floor_s / ours_s)
            print(f"sqlite: {arguments.rows / ours_s:,.0f} rows/s, floor {arguments.rows / floor_s:,.0f}, share {ratios[-1]:.2f}")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"median share of the floor {statistics.median(ratios):.2f}, peak memory {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()

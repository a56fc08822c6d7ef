"""The demo's usage: a LiteLLM log and an Azure trace, both real, moved in time so that they end now."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from guardrails.core.call import Call
from guardrails.core.instant import parse_instant
from guardrails.core.usage import Usage
from guardrails.engine.decision import Decision
from guardrails.gate.gate import Gate

CALLS = 400
_SEED = 20_260_310
_USUAL_OUTPUT, _LONG_OUTPUT = 256, 2_048
_TEAMS = {"search": ("gpt-5.2", 35), "ads": ("claude-sonnet-4-6", 20), "research": ("claude-opus-4-6", 15), "support": ("gpt-5.2", 15)}
_TEAMS["interns"] = ("gpt-5.2", 15)
_USERS = ("ana", "ben", "chi", "dov", "eve")
_DATA = files("guardrails") / "cli" / "demo_data"


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One request of the trace, with who asked for which model, and what it wrote in the end."""

    call: Call
    output_tokens: int


def traced_calls(now: datetime) -> list[TracedCall]:
    """The first requests of the Azure trace as calls that end now.

    Instants and token counts are the trace's own; it does not say who called which model, which a seeded choice does.
    """
    with (_DATA / "azure_llm_2023_code_first2000.csv.gz").open("rb") as packed, gzip.open(packed, "rt", encoding="ascii") as text:
        rows = [row for row, _ in zip(csv.DictReader(text), range(CALLS), strict=False)]
    instants = [parse_instant(f"{row['TIMESTAMP'][:26]}+00:00") for row in rows]
    shift = now - instants[-1]
    chance = random.Random(_SEED)  # noqa: S311 - the same demo every time
    traced = []
    for row, instant in zip(rows, instants, strict=True):
        (team,) = chance.choices(list(_TEAMS), [weight for _, weight in _TEAMS.values()])
        written = int(row["GeneratedTokens"])
        call = Call(
            model=_TEAMS[team][0],
            input_tokens=int(row["ContextTokens"]),
            max_output_tokens=_USUAL_OUTPUT if written <= _USUAL_OUTPUT else _LONG_OUTPUT,
            subject={"team": team, "user": chance.choice(_USERS), "environment": "prod"},
            at=instant + shift,
        )
        traced.append(TracedCall(call, written))
    return traced


def replay(gate: Gate, traced: list[TracedCall], progress: Callable[[int], None]) -> Iterator[Decision]:
    """Decide each call in its turn, and settle those that may run with what the trace says they used."""
    for place, each in enumerate(traced, start=1):
        decision = gate.reserve(each.call)
        if decision.allowed:
            gate.settle(decision, Usage(input_tokens=each.call.input_tokens, output_tokens=each.output_tokens))
        progress(place)
        yield decision


def write_usage(path: Path, ends: datetime) -> int:
    """Write the LiteLLM log as of now: its last row at `ends`, and teams named as in the policy; how many rows it has."""
    rows = [json.loads(line) for line in (_DATA / "litellm_spendlogs.jsonl").read_text(encoding="utf-8").splitlines()]
    shift = ends - max(parse_instant(row["startTime"]) for row in rows)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            row["startTime"] = _moved(row["startTime"], shift)
            row["endTime"] = _moved(row["endTime"], shift)
            row["team_id"] = row["team_id"].removeprefix("team-")
            file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
    return len(rows)


def _moved(text: str, shift: timedelta) -> str:
    return (parse_instant(text) + shift).isoformat(sep=" ")

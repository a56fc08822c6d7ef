"""A ledger for one test, with prices that are easy to add up, and proven at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from guardrails import Call, Decision, Gate
from guardrails.core.money import NANO_PER_USD
from guardrails.db.connect import connect, reading
from guardrails.gate.budgets import Budget
from guardrails.ledger.verify import verify

T0 = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""A Tuesday noon."""

PRICES = """
version: 1
prices:
  - {model: big, from: 2020-01-01, input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}
  - {model: small, from: 2020-01-01, input_usd_per_mtok: 100, output_usd_per_mtok: 100}
  - {model: gratis, from: 2020-01-01, input_usd_per_mtok: 0, output_usd_per_mtok: 0}
  - {model: hours, from: 2020-01-01, usd_per_unit: {gpu_hour: 3}}
"""
"""A token of `big` costs 0.001 USD, so that 1,000 tokens cost 1 USD; of `small` a tenth of that; an hour of `hours` 3 USD."""

TIERS = "tiers: {top: [big], low: [small]}"
USD = NANO_PER_USD


def after(**spans: float) -> datetime:
    """An instant some time after T0."""
    return T0 + timedelta(**spans)


def call(tokens: int = 1_000, *, at: datetime | None = T0, **facts: Any) -> Call:
    """A call of `big` that costs a tenth of a cent per token and writes nothing."""
    return Call(**{"model": "big", "input_tokens": tokens, "max_output_tokens": 0, "at": at, **facts})


def policy(rules: str, *, defaults: str = "{}") -> str:
    """A policy file with the two tiers and these rules."""
    return f"version: 1\n{TIERS}\ndefaults: {defaults}\nrules:\n{rules}"


def limit(usd: str = "5", **keys: str) -> str:
    """A spend limit for all of March, or with other keys."""
    keys = {"id": "month", "window": "month", **keys}
    return f"  - {{kind: spend_limit, limit: {usd} USD, {', '.join(f'{name}: {value}' for name, value in keys.items())}}}\n"


class Scene:
    """One ledger: gates on it, its rows, its proof."""

    def __init__(self, url: str, write: Callable[[str | Mapping[str, str]], Path]) -> None:
        self.url = url
        self._write = write
        self._gates: list[Gate] = []

    def folder(self, policies: str, prices: str = PRICES) -> Path:
        """A policy folder with the scene's prices."""
        return self._write({"policy.yaml": policies, "prices.yaml": prices})

    def open(self, policies: str | Path | None = None, *, clock: Any = "caller") -> Gate:
        """A Gate, closed at the end of the test."""
        folder = self.folder(policies) if isinstance(policies, str) else policies
        gate = Gate.open(folder, self.url, clock=clock)
        self._gates.append(gate)
        return gate

    @property
    def sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def close(self) -> None:
        for gate in self._gates:
            gate.close()

    def prove(self) -> None:
        """The ledger adds up."""
        with self.connection() as connection:
            verification = verify(connection, "default")
        assert verification.ok, "\n".join(f"{finding.code}: {finding.subject}: {finding.message}" for finding in verification.findings)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A look at the rows, apart from every Gate."""
        engine = connect(self.url)
        try:
            with reading(engine) as connection:
                yield connection
        finally:
            engine.dispose()

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.connection() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])  # noqa: S608 - our own names

    def entries(self, decision: Decision | None = None) -> list[dict[str, Any]]:
        """Entries in the order in which they were booked."""
        rows = self.rows("SELECT * FROM entry ORDER BY seq")
        return rows if decision is None else [row for row in rows if row["decision"] == decision.id]

    def counters(self) -> list[tuple[Any, ...]]:
        """Every balance as it stands."""
        rows = self.rows("SELECT rule, scope, start_us, spent, assumed, held FROM balance ORDER BY rule, scope, start_us")
        return [tuple(row.values()) for row in rows]


def budget(gate: Gate, rule: str, at: datetime | None = T0, **scope: str) -> Budget:
    """One budget as `guardrails budgets` shows it."""
    (found,) = [each for each in gate.budgets(at) if each.rule.id == rule and dict(each.scope) == scope]
    return found


def amounts(gate: Gate, rule: str = "month", at: datetime | None = T0, **scope: str) -> tuple[int, int, int]:
    """(spent, assumed, held) of one budget in its smallest units."""
    found = budget(gate, rule, at, **scope)
    return found.spent, found.assumed, found.held


def pass_time(gate: Gate, at: datetime) -> None:
    """Have an admission look at the ledger at an instant, and leave nothing of its own behind."""
    gate.release(gate.reserve(call(0, at=at, model="gratis")), reason="only a look")

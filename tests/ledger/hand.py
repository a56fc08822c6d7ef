"""Ledgers written by hand: rows of entries and decisions without a Gate, so that what reports say can be worked out beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from guardrails.core.hashing import hashed
from guardrails.core.instant import to_us
from guardrails.core.subject import subject_key
from guardrails.db import tables
from guardrails.db.connect import connect

ORG = "default"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
USD = 10**9


class Hand:
    """Writes rows; each gets the next number as its name and as the instant at which it was recorded."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._number = 0

    def entry(
        self,
        at: datetime,
        cost_nano_usd: int | None,
        subject: Mapping[str, str] | None = None,
        *,
        model: str | None = "m",
        **columns: object,
    ) -> None:
        """A row of usage."""
        number = self._next()
        counts = {"cache_read_tokens": 0, "cache_write_short_tokens": 0, "cache_write_long_tokens": 0, "cache_write_unknown_tokens": 0}
        assumed = {"assumed_nano_usd": 0, "assumed_input_tokens": 0, "assumed_output_tokens": 0}
        row = {
            "org": ORG,
            "key": hashed("entry", number),
            "content": hashed("entry", number),
            "source": "hand",
            "at_us": to_us(at),
            "recorded_us": number,
            "subject": self._subject(subject or {}),
            "model": model,
            "requests": 1,
            "cost_nano_usd": cost_nano_usd,
            **counts,
            **assumed,
        }
        self.connection.execute(insert(tables.entry).values(**{**row, **columns}))

    def decision(
        self,
        at: datetime,
        verdict: str,
        subject: Mapping[str, str] | None = None,
        *,
        asked: str = "m",
        ran: str | None = "m",
        saved_nano_usd: int | None = 0,
        rule: str = "r",
    ) -> str:
        """A row of a decision; its id."""
        number = self._next()
        effect = {"deny": "deny", "downgrade": "downgrade", "allow": "allow"}[verdict]
        reasons = [{"rule": rule, "effect": effect, "model": asked, "source": ["policies/a.yaml", 1]}]
        row = {
            "org": ORG,
            "id": f"d-{number}",
            "facts": hashed("facts", number),
            "at_us": to_us(at),
            "recorded_us": number,
            "generation": 1,
            "verdict": verdict,
            "subject": self._subject(subject or {}),
            "requested_model": asked,
            "model": None if verdict == "deny" else ran,
            "operation": "chat",
            "quote": "q",
            "held_nano_usd": 0,
            "held_input_tokens": 0,
            "held_output_tokens": 0,
            "saved_nano_usd": saved_nano_usd,
            "body": json.dumps({"call": {"model": asked, "subject": dict(subject or {})}, "reasons": reasons}, separators=(",", ":")),
        }
        self.connection.execute(insert(tables.record).values(**row))
        return f"d-{number}"

    def live(self, decision: str, expires_at: datetime, held_nano_usd: int) -> None:
        """Let a decision hold an amount until an instant."""
        self.connection.execute(tables.record.update().where(tables.record.c.id == decision).values(held_nano_usd=held_nano_usd))
        self.connection.execute(insert(tables.live_hold).values(org=ORG, id=decision, expires_us=to_us(expires_at)))

    def _subject(self, labels: Mapping[str, str]) -> bytes:
        """The key of a subject whose labels stay as they were first written."""
        key = subject_key(labels)
        if self.connection.execute(select(tables.subject.c.key).where(tables.subject.c.key == key)).first() is None:
            self.connection.execute(insert(tables.subject).values(org=ORG, key=key, labels=json.dumps(dict(labels))))
        return key

    def _next(self) -> int:
        self._number += 1
        return self._number


@contextmanager
def writing(database: str) -> Iterator[Hand]:
    """A ledger to write rows into; they are committed at the end."""
    engine = connect(database)
    try:
        with engine.connect() as connection, connection.begin():
            yield Hand(connection)
    finally:
        engine.dispose()

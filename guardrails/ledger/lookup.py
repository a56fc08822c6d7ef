"""What a transaction looks up besides the rows that it locks: routes, subjects, quotes, and the histories of decisions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from guardrails.core.balance import Amounts
from guardrails.db import tables
from guardrails.db.session import Row, Session, Statement
from guardrails.ledger.entry import Hold

_HOLD_COLUMNS = (
    "r.id, r.at_us, r.generation, r.verdict, r.subject, r.model, r.provider, r.tier, r.operation, r.quote, r.route, "
    "r.held_nano_usd, r.held_input_tokens, r.held_output_tokens"
)
DECIDED = Statement(f"SELECT {_HOLD_COLUMNS} FROM record r WHERE r.org = ? AND r.id IN ?*")  # noqa: S608 - columns
_ROUTES = Statement("SELECT key, balance FROM route WHERE org = ? AND key IN ?*")
_ENTRY_COLUMNS = tuple(column.name for column in tables.entry.columns)
_ENTRIES = Statement(f"SELECT {', '.join(_ENTRY_COLUMNS)} FROM entry WHERE org = ? AND decision IN ?* ORDER BY seq")  # noqa: S608 - columns
_DECIDED_US = Statement("SELECT max(at_us) FROM record WHERE org = ? AND id IN ?*")
_EVENTS = Statement("SELECT hold, kind FROM hold_event WHERE org = ? AND hold IN ?* ORDER BY n")
_RESPONSES = Statement(
    f"SELECT {', '.join(_ENTRY_COLUMNS)} FROM entry WHERE org = ? AND response IN ?* AND decision IS NULL ORDER BY seq"  # noqa: S608 - columns
)
_LABELS = Statement("SELECT key, labels FROM subject WHERE org = ? AND key IN ?*")
_QUOTES = Statement("SELECT id, body FROM quote WHERE org = ? AND id IN ?*")
_REMEMBERED = 100_000


@dataclass(slots=True)
class History:
    """A decision whose hold does not live: its facts, what was booked for it (oldest first), and what happened to it."""

    hold: Hold
    entries: list[dict[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str | None:
        """`settled`, `released`, `expired` (charged as assumed or not); None where nothing ended."""
        if any(entry["attempt"] is not None for entry in self.entries):
            return "settled"
        if "released" in self.events:
            return "released"
        return "expired" if "expired" in self.events or "unseen" in self.events else None


@dataclass(slots=True)
class Known:
    """What is known to be in the ledger already; remembered from one transaction to the next, never required."""

    routes: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    route_keys: dict[tuple[bytes, ...], bytes] = field(default_factory=dict)
    subjects: set[bytes] = field(default_factory=set)
    quotes: set[str] = field(default_factory=set)

    def trim(self) -> None:
        """Forget everything where it has grown too large for a memory."""
        for memory in (self.routes, self.route_keys, self.subjects, self.quotes):
            if len(memory) > _REMEMBERED:
                memory.clear()


class Lookup:
    """Facts by their keys, read in one transaction.

    Attributes:
        ended: decisions that were asked for and hold nothing, by id.
        unrecorded: entries of ids that were asked for and have no record: of decisions that were only previewed.
    """

    def __init__(self, session: Session, org: str, known: Known) -> None:
        self.session = session
        self.org = org
        self.known = known
        self.ended: dict[str, Hold] = {}
        self.unrecorded: dict[str, list[dict[str, Any]]] = {}
        self._routes: dict[bytes, tuple[bytes, ...]] = {}

    def histories(self, ids: Sequence[str]) -> dict[str, History]:
        """What the ledger has of decisions whose hold no longer lives, or never did, by id; unknown ids are left out."""
        if not ids:
            return {}
        wanted = list(ids)
        unread = [hold_id for hold_id in wanted if hold_id not in self.ended]
        if unread:
            (rows,) = self.session.read((DECIDED, (self.org, unread)))
            self.ended.update({row[0]: hold_of(row, None) for row in rows})
        entries, events = self.session.read((_ENTRIES, (self.org, wanted)), (_EVENTS, (self.org, wanted)))
        found = {hold_id: History(self.ended[hold_id]) for hold_id in wanted if hold_id in self.ended}
        for row in entries:
            entry = dict(zip(_ENTRY_COLUMNS, row, strict=True))
            if entry["decision"] in found:
                found[entry["decision"]].entries.append(entry)
            else:
                self.unrecorded.setdefault(entry["decision"], []).append(entry)
        for hold_id, kind in events:
            if hold_id in found:
                found[hold_id].events.append(kind)
        return found

    def answered(self, responses: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Entries of the same provider's answers that did not come through a decision, by response id."""
        if not responses:
            return {}
        (rows,) = self.session.read((_RESPONSES, (self.org, list(responses))))
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            entry = dict(zip(_ENTRY_COLUMNS, row, strict=True))
            found.setdefault(entry["response"], []).append(entry)
        return found

    def labels(self, subjects: Iterable[bytes]) -> dict[bytes, dict[str, str]]:
        """The labels of subjects, as first written."""
        wanted = sorted(set(subjects))
        if not wanted:
            return {}
        (rows,) = self.session.read((_LABELS, (self.org, wanted)))
        return {bytes(key): json.loads(labels) for key, labels in rows}

    def quote_texts(self, ids: Iterable[str]) -> dict[str, str]:
        """The contents of quotes."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        (rows,) = self.session.read((_QUOTES, (self.org, wanted)))
        return dict(rows)

    def read_routes(self, keys: Iterable[bytes | None]) -> None:
        """Have the balances of these routes at hand."""
        unknown = [key for key in set(keys) if key is not None and key not in self.known.routes]
        if unknown:
            (rows,) = self.session.read((_ROUTES, (self.org, unknown)))
            found: dict[bytes, list[bytes]] = {}
            for key, balance_key in rows:
                found.setdefault(bytes(key), []).append(bytes(balance_key))
            self.known.routes.update({key: tuple(sorted(keys)) for key, keys in found.items()})

    def route(self, key: bytes | None) -> tuple[bytes, ...]:
        """The balances of a route that is at hand."""
        return () if key is None else self.known.routes.get(key) or self._routes.get(key, ())


def hold_of(row: Row, expires_us: int | None) -> Hold:
    """A hold from the columns of `DECIDED`."""
    hold_id, at_us, generation, verdict, subject, model, provider, tier, operation, quote, route, nano_usd, input_tokens, output_tokens = (
        row
    )
    return Hold(
        hold_id,
        at_us,
        generation,
        verdict,
        bytes(subject),
        model,
        provider,
        tier,
        operation,
        quote,
        None if route is None else bytes(route),
        Amounts(nano_usd, input_tokens, output_tokens, 1),
        expires_us,
    )


def decided_us(session: Session, org: str, ids: Sequence[str]) -> int | None:
    """The latest instant of some decisions, read on its own; None where the ledger has none of them."""
    if not ids:
        return None
    (((at_us,),),) = session.read((_DECIDED_US, (org, list(ids))))
    return None if at_us is None else int(at_us)

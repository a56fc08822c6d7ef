"""A chunk of imported rows as one operation: rows, balances and how far the file has come, in one transaction or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from typing_extensions import override

from guardrails.core.balance import Amounts, BalanceRef
from guardrails.core.errors import LedgerBusy
from guardrails.gate.active import ActiveSet
from guardrails.gate.counting import NOWHERE, Counting, Route
from guardrails.gate.import_row import Outcome, PreparedRow, bound_of, correcting, entry_of, mismatch, prepared_row, total
from guardrails.gate.operations import Context, Operation, keep_quote
from guardrails.ledger.imported import ImportedRow, ImportState, Rejected, row_key
from guardrails.ledger.imports import Corrected, answers, booked_rows, corrected, forget_refused, locked_state, refuse, set_state
from guardrails.pricing.price import quote_from_text

NEW, DUPLICATE, CONFLICT, REFUSED = "new", "duplicate", "conflict", "quarantined"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one file, in the order in which they are taken.

    Attributes:
        state: the file's import before them.
        last: nothing comes after them.
        again: the file was finished before and is read again for the rows that were refused.
    """

    state: ImportState
    items: Sequence[ImportedRow | Rejected]
    last: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of a chunk: the file's import after it, and each row's outcome in order."""

    state: ImportState
    outcomes: Sequence[Outcome]


@dataclass(slots=True)
class Memory:
    """What the chunks of one run share: the rules as they meet past usage, and, where nothing is written, the rows seen before."""

    active: ActiveSet
    counting: Counting = field(init=False)
    seen: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counting = Counting(self.active.ruleset)

    def follow(self, active: ActiveSet) -> None:
        """Go by another policy set from now on."""
        if active is not self.active:
            self.active = active
            self.counting = Counting(active.ruleset)


class ImportChunk(Operation[Booked]):
    """Book a chunk of rows. What needs no lock is done before the transaction, and again only where the set changed in the meantime."""

    def __init__(self, chunk: Chunk, memory: Memory, *, dry: bool = False) -> None:
        self.chunk = chunk
        self.memory = memory
        self.dry = dry
        self._rows: list[PreparedRow] = []
        self._prepared_for: ActiveSet | None = None
        self._tried = False
        self._corrected: dict[bytes, tuple[Corrected, Route]] = {}
        self._prepare(memory.active)

    @override
    def plan(self, context: Context) -> Iterable[BalanceRef]:
        self._prepare(context.active)
        if self.dry:
            return ()
        self._corrected = self._named(context)
        routes = {each.route for each in self._rows} | {route for _, route in self._corrected.values()}
        return {ref.key: ref for route in routes for ref in route.refs}.values()

    @override
    def apply(self, context: Context) -> Booked:
        chunk = self.chunk
        if not self.dry and not chunk.again:
            stored = locked_state(context.book, chunk.state.id)
            if stored is not None and stored.position != chunk.state.position:
                if stored.position == chunk.state.position + len(chunk.items) and self._tried:
                    return Booked(stored, ())  # it was committed, and only the answer was lost
                message = f"the file {chunk.state.path} is imported by another process, which is at row {stored.position}"
                raise LedgerBusy(message)
        self._tried = True
        outcomes = self._outcomes(context)
        state = _state_after(chunk, outcomes)
        if not self.dry:
            self._write(context, state, outcomes)
        return Booked(state, outcomes)

    def _prepare(self, active: ActiveSet) -> None:
        if active is not self._prepared_for:
            memory, source = self.memory, self.chunk.state.format
            memory.follow(active)
            self._rows = [prepared_row(each, source, active, memory.counting) for each in self.chunk.items if isinstance(each, ImportedRow)]
            self._prepared_for = active

    def _named(self, context: Context) -> dict[bytes, tuple[Corrected, Route]]:
        """For corrections by key: the entry that each names, and where the correction counts."""
        names = {name: row_key(self.chunk.state.format, name) for each in self._rows if (name := each.row.corrects) is not None}
        if not names:
            return {}
        book, counting = context.book, self.memory.counting
        found = corrected(book, names)
        labels = book.labels(entry.subject for entry in found.values())
        texts = book.quote_texts({entry.quote for entry in found.values() if entry.quote is not None})
        named = {}
        for each in self._rows:
            entry = None if each.row.corrects is None else found.get(each.row.corrects)
            if entry is not None:
                quote = None if entry.quote is None else quote_from_text(texts[entry.quote])
                payer = counting.payer(labels[entry.subject])
                route = counting.route(payer, quote, entry.provider, entry.operation, bound_of(each.row.usage), each.row.at)
                named[each.key] = (entry, route)
        return named

    def _outcomes(self, context: Context) -> list[Outcome]:
        """What becomes of each row; of rows with one id the first is booked."""
        book, seen = context.book, self.memory.seen
        there = booked_rows(book, sorted({each.key for each in self._rows})) | seen
        answered = answers(book, sorted({each.response for each in self._rows if each.response is not None}))
        rows = iter(self._rows)
        outcomes = []
        for item in self.chunk.items:
            if isinstance(item, Rejected):
                outcomes.append(Outcome(item, REFUSED, item.reason))
                continue
            each = next(rows)
            outcome = self._outcome(context, each, there.get(each.key), answered)
            outcomes.append(outcome)
            if outcome.kind == NEW:
                there[each.key] = each.content
                if each.response is not None:
                    answered.setdefault(each.response, []).append(each.provider)
                if self.dry:
                    seen[each.key] = each.content
        return outcomes

    def _outcome(self, context: Context, each: PreparedRow, content: bytes | None, answered: dict[str, list[str | None]]) -> Outcome:
        row, state = each.row, self.chunk.state
        if content is not None and content != each.content:
            return Outcome(row, CONFLICT, f"the id `{row.id}` is in the ledger with other content")
        answer = answered.get(each.response, ()) if each.response is not None else ()
        if content is not None or any(each.is_answer_of(provider) for provider in answer):
            return Outcome(row, DUPLICATE)
        entry = entry_of(each, state.format, state.id, context.now_us)
        if row.corrects is None or self.dry:
            return Outcome(row, NEW, entry=entry, route=each.route, prepared=each)
        named, route = self._corrected.get(each.key, (None, NOWHERE))
        problem = f"corrects: the ledger has no entry `{row.corrects}`" if named is None else mismatch(each, named)
        if named is None or problem is not None:
            return Outcome(row, REFUSED, problem or "")
        return Outcome(row, NEW, entry=correcting(entry, named, route), route=route)

    def _write(self, context: Context, state: ImportState, outcomes: Sequence[Outcome]) -> None:
        book = context.book
        entries = [outcome.entry for outcome in outcomes if outcome.entry is not None]
        counted: dict[Route, list[Amounts]] = {}
        for outcome in outcomes:
            if outcome.entry is not None:
                counted.setdefault(outcome.route, []).append(outcome.entry.spent)
            if outcome.prepared is not None:
                book.subject(outcome.prepared.payer.key, outcome.prepared.payer.labels)
                if outcome.prepared.quote is not None:
                    keep_quote(book, outcome.prepared.quote)
        for route in counted:
            book.route_of(route.legs)
        # In the order of the unique key: it is quicker, and of two imports of the same rows one waits for the other.
        entries.sort(key=lambda entry: entry.key)
        book.enter_rows([entry.row(book.org) for entry in entries], [(route.legs, total(spent)) for route, spent in counted.items()])
        if self.chunk.again and self.chunk.state.position == 0:
            forget_refused(book, state.id)
        refuse(book, state.id, [(each.row.line, each.kind, each.reason, each.row.raw) for each in outcomes if each.reason])
        set_state(book, state)


def _state_after(chunk: Chunk, outcomes: Sequence[Outcome]) -> ImportState:
    kinds = Counter(outcome.kind for outcome in outcomes)
    before = chunk.state
    return replace(
        before,
        position=before.position + len(outcomes),
        done=chunk.last,
        read=before.read + len(outcomes),
        new=before.new + kinds[NEW],
        duplicate=before.duplicate + kinds[DUPLICATE],
        conflict=before.conflict + kinds[CONFLICT],
        quarantined=before.quarantined + kinds[REFUSED],
        cost_nano_usd=before.cost_nano_usd + sum(outcome.entry.cost_nano_usd or 0 for outcome in outcomes if outcome.entry is not None),
    )

"""A chunk of imported rows as one operation: rows, balances and how far the file has come, in one transaction or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from guardrails.core.balance import Amounts, BalanceRef
from guardrails.core.errors import LedgerBusy
from guardrails.core.instant import to_us
from guardrails.core.model_name import fold
from guardrails.core.usage import Usage
from guardrails.gate.active import ActiveSet
from guardrails.gate.counting import NOWHERE, Counting, Payer, Route
from guardrails.gate.operations import Context, Operation, keep_quote
from guardrails.gate.settling import usage_detail
from guardrails.ledger.entry import Entry
from guardrails.ledger.imported import ImportedRow, ImportState, Rejected, row_content, row_key
from guardrails.ledger.imports import Corrected, answers, booked_rows, corrected, forget_refused, locked_state, refuse, set_state
from guardrails.pricing.cost import cost
from guardrails.pricing.price import Price, Quote, quote_from_text
from guardrails.pricing.provider_names import provider_id

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
    """What became of a chunk.

    Attributes:
        state: the file's import after it.
        findings: what the policy's label rules found in rows that were booked all the same, with their number.
        unpriced: rows that were booked without a known cost.
        outcomes: of each row in order: what became of it, why, and the entry as it was (or would be) booked.
    """

    state: ImportState
    findings: Counter[str]
    unpriced: int
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row.

    Attributes:
        kind: `new`, `duplicate`, `conflict` or `quarantined`.
        reason: why it was not booked; empty where it was, or had been before.
        entry: as it was, or would be, booked; None where it was not.
    """

    row: ImportedRow | Rejected
    kind: str
    reason: str = ""
    entry: Entry | None = None
    prepared: _Prepared | None = None


@dataclass(slots=True)
class Memory:
    """What chunks of one run share: the rules as they meet past usage, and, where nothing is written, the rows seen before."""

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


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A row with all that can be known of it before the ledger is looked at."""

    row: ImportedRow
    key: bytes
    content: bytes
    payer: Payer
    quote: Quote | None
    provider: str | None
    answered_by: str | None
    priced_nano_usd: int | None
    route: Route


class ImportChunk(Operation[Booked]):
    """Book a chunk of imported rows.

    The work that needs no lock is done before the transaction, and again only where the policy set has changed in the meantime.
    """

    def __init__(self, chunk: Chunk, memory: Memory, *, dry: bool = False) -> None:
        self.chunk = chunk
        self.memory = memory
        self.dry = dry
        self._prepared_for: ActiveSet | None = None
        self._prepared: list[_Prepared] = []
        self._corrected: dict[bytes, tuple[Corrected, Route]] = {}
        self.prepare(memory.active)

    def prepare(self, active: ActiveSet) -> None:
        """Price the rows and find their rules, by one policy set."""
        if active is self._prepared_for:
            return
        self.memory.follow(active)
        rows = [item for item in self.chunk.items if isinstance(item, ImportedRow)]
        self._prepared = [self._prepare(row) for row in rows]
        self._prepared_for = active

    def _prepare(self, row: ImportedRow) -> _Prepared:
        memory, usage = self.memory, row.usage
        payer = memory.counting.payer(row.subject)
        provider = None if row.provider is None else fold(row.provider)
        quote = None
        priced = None
        if row.model is not None:
            quote = memory.active.prices.quote(
                row.model, provider=provider, service_tier=usage.service_tier, operation=row.operation or "chat", at=row.at
            )
            served_by = quote.provider
            priced = priced_nano_usd(usage, row.requests, quote.price)
        else:
            served_by = provider
        route = NOWHERE
        if row.corrects is None and (row.stated_nano_usd is None or row.stated_nano_usd >= 0):
            route = memory.counting.route(payer, quote, served_by, row.operation, _bound(usage), to_us(row.at), row.at)
        answered_by = None if provider is None else provider_id(provider)
        key = row_key(self.chunk.state.format, row.id)
        return _Prepared(row, key, row_content(row, payer.key), payer, quote, served_by, answered_by, priced, route)

    def plan(self, context: Context) -> Iterable[BalanceRef]:
        self.prepare(context.active)
        if self.dry:
            return ()
        refs = {ref.key: ref for route in {each.route for each in self._prepared} for ref in route.refs}
        self._corrected = self._corrections(context)
        refs.update({ref.key: ref for _, route in self._corrected.values() for ref in route.refs})
        return refs.values()

    def apply(self, context: Context) -> Booked:
        book, chunk = context.book, self.chunk
        stored = locked_state(book, chunk.state.id)
        position = chunk.state.position
        if stored is not None and not self.dry and not chunk.again and stored.position != position:
            if stored.position == position + len(chunk.items):
                # The commit of an earlier try whose answer was lost.
                return Booked(stored, Counter(), 0, ())
            message = f"the file {chunk.state.path} is being imported by another process (at row {stored.position})"
            raise LedgerBusy(message)
        outcomes = self._outcomes(context)
        state = self._state_after(outcomes)
        findings = Counter(
            finding for each, (kind, _, _) in outcomes if kind == NEW and isinstance(each, _Prepared) for finding in each.payer.findings
        )
        entries = [entry for _, (kind, _, entry) in outcomes if kind == NEW and entry is not None]
        unpriced = sum(1 for entry in entries if entry.cost_nano_usd is None)
        if not self.dry:
            self._write(context, state, outcomes)
        shown = [(each.row if isinstance(each, _Prepared) else each, kind, entry) for each, (kind, _, entry) in outcomes]
        return Booked(state, findings, unpriced, shown)

    # -- what becomes of each row --------------------------------------------------------------------------------------

    def _outcomes(self, context: Context) -> list[tuple[_Prepared | Rejected, tuple[str, str, Entry | None]]]:
        """Of each item: what becomes of it, why, and its entry where it is new."""
        book = context.book
        there = booked_rows(book, sorted({each.key for each in self._prepared}))
        there.update(self.memory.seen)
        responses = sorted({response for each in self._prepared if (response := _response(each.row)) is not None})
        answered = answers(book, responses)
        prepared = iter(self._prepared)
        outcomes: list[tuple[_Prepared | Rejected, tuple[str, str, Entry | None]]] = []
        for item in self.chunk.items:
            if isinstance(item, Rejected):
                outcomes.append((item, (REFUSED, item.reason, None)))
                continue
            each = next(prepared)
            outcome = self._outcome(context, each, there, answered)
            if outcome[0] == NEW:
                there[each.key] = each.content
                response = _response(each.row)
                if response is not None:
                    answered.setdefault(response, []).append(each.provider)
            outcomes.append((each, outcome))
        if self.dry:
            self.memory.seen.update({each.key: each.content for each in self._prepared})
        return outcomes

    def _outcome(
        self, context: Context, each: _Prepared, there: dict[bytes, bytes], answered: dict[str, list[str | None]]
    ) -> tuple[str, str, Entry | None]:
        row = each.row
        content = there.get(each.key)
        if content is not None:
            if content == each.content:
                return DUPLICATE, "", None
            return CONFLICT, f"the id `{row.id}` is in the ledger with other content", None
        if row.corrects is not None and not self.dry:
            found = self._corrected.get(each.key)
            if found is None:
                return REFUSED, f"corrects: there is no entry `{row.corrects}` in the ledger", None
            problem = _differs(each, found[0])
            if problem is not None:
                return REFUSED, problem, None
            return NEW, "", _correcting(self._entry(context, each, found[1]), found[0])
        response = _response(row)
        if response is not None and any(_same_provider(each.answered_by, provider) for provider in answered.get(response, ())):
            return DUPLICATE, "", None
        return NEW, "", self._entry(context, each, each.route)

    def _entry(self, context: Context, each: _Prepared, route: Route) -> Entry:
        row, usage = each.row, each.row.usage
        total = row.stated_nano_usd if row.stated_nano_usd is not None else each.priced_nano_usd
        marks = row.marks
        if total is None:
            marks = (*marks, "unpriced")
        if row.corrects is not None:
            marks = (*marks, "correction")
        elif total is not None and total < 0:
            marks = (*marks, "uncounted")
        return Entry(
            key=each.key,
            content=each.content,
            source=self.chunk.state.format,
            at_us=to_us(row.at),
            recorded_us=context.now_us,
            subject=each.payer.key,
            import_id=self.chunk.state.id,
            model=row.model,
            provider=each.provider,
            tier=None if each.quote is None else context.active.ruleset.tier_of(each.quote.forms),
            operation=row.operation,
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_short_tokens=usage.cache_write_short_tokens,
            cache_write_long_tokens=usage.cache_write_long_tokens,
            cache_write_unknown_tokens=usage.cache_write_unknown_tokens,
            output_tokens=usage.output_tokens,
            requests=row.requests,
            cost_nano_usd=total,
            stated_nano_usd=row.stated_nano_usd,
            priced_nano_usd=each.priced_nano_usd,
            quote=None if each.quote is None else each.quote.id,
            route=route.key,
            response=_response(row),
            marks=marks,
            detail=usage_detail(usage),
        )

    def _corrections(self, context: Context) -> dict[bytes, tuple[Corrected, Route]]:
        """For corrections by key: the entry that each names, and its own balances, by the facts of that entry at the correction's instant."""
        names = {
            each.row.corrects: row_key(self.chunk.state.format, each.row.corrects)
            for each in self._prepared
            if each.row.corrects is not None
        }
        if not names:
            return {}
        book, counting = context.book, self.memory.counting
        found = corrected(book, names)
        labels = book.labels(entry.subject for entry in found.values())
        texts = book.quote_texts({entry.quote for entry in found.values() if entry.quote is not None})
        corrections = {}
        for each in self._prepared:
            row = each.row
            entry = None if row.corrects is None else found.get(row.corrects)
            if entry is not None:
                quote = None if entry.quote is None else quote_from_text(texts[entry.quote])
                payer = counting.payer(labels[entry.subject])
                route = counting.route(payer, quote, entry.provider, entry.operation, _bound(row.usage), to_us(row.at), row.at)
                corrections[each.key] = (entry, route)
        return corrections

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(
        self, context: Context, state: ImportState, outcomes: Sequence[tuple[_Prepared | Rejected, tuple[str, str, Entry | None]]]
    ) -> None:
        book = context.book
        rows = []
        counted: dict[Route, list[Amounts]] = {}
        refused = []
        for each, (kind, reason, entry) in outcomes:
            if entry is not None and isinstance(each, _Prepared):
                rows.append((entry.key, entry.row(book.org)))
                route = each.route if each.row.corrects is None else self._corrected[each.key][1]
                counted.setdefault(route, []).append(entry.spent)
                if each.row.corrects is None:
                    book.subject(each.payer.key, each.payer.labels)
                if each.quote is not None:
                    keep_quote(book, each.quote)
            elif kind != DUPLICATE:
                line, raw = (each.row.line, each.row.raw) if isinstance(each, _Prepared) else (each.line, each.raw)
                refused.append((line, kind, reason, raw))
        for route in counted:
            book.route_of(route.legs)
        # In the order of the unique key: quicker, and two imports of the same rows wait for each other instead of deadlocking.
        rows.sort(key=lambda row: row[0])
        book.enter_rows([row for _, row in rows], [(route.legs, _sum(spent)) for route, spent in counted.items()])
        if self.chunk.again and self.chunk.state.position == 0:
            forget_refused(book, state.id)
        refuse(book, state.id, refused)
        set_state(book, state)

    def _state_after(self, outcomes: Sequence[tuple[_Prepared | Rejected, tuple[str, str, Entry | None]]]) -> ImportState:
        kinds = Counter(kind for _, (kind, _, _) in outcomes)
        before = self.chunk.state
        return replace(
            before,
            position=before.position + len(outcomes),
            done=self.chunk.last,
            read=before.read + len(outcomes),
            new=before.new + kinds[NEW],
            duplicate=before.duplicate + kinds[DUPLICATE],
            conflict=before.conflict + kinds[CONFLICT],
            quarantined=before.quarantined + kinds[REFUSED],
            cost_nano_usd=before.cost_nano_usd + sum(entry.cost_nano_usd or 0 for _, (_, _, entry) in outcomes if entry is not None),
        )


def priced_nano_usd(usage: Usage, requests: int, price: Price | None) -> int | None:
    """Our own cost of a row that stands for so many requests; None where it is not known."""
    if price is None or requests == 1:
        return cost(usage, price)
    tariff = price.tariff
    if tariff.steps and _all_input(usage) > tariff.steps[0][0]:
        return None  # the sum of many requests does not tell how large each of them was
    if "requests" in tariff.units and "requests" not in usage.units:
        usage = replace(usage, units={**usage.units, "requests": Decimal(requests)})
    return cost(usage, price)


def _bound(usage: Usage) -> tuple[int, int]:
    return _all_input(usage), usage.output_tokens or 0


def _all_input(usage: Usage) -> int:
    return (usage.input_tokens or 0) + usage.cache_read_tokens + usage.cache_write_tokens


def _response(row: ImportedRow) -> str | None:
    """The provider's answer that the row is the usage of; a correction is none."""
    return None if row.corrects is not None else row.usage.response_id


def _same_provider(stated: str | None, booked: str | None) -> bool:
    """Whether an answer of that id may be the same one: of one provider, or of one that either side does not name."""
    return stated is None or booked is None or provider_id(stated) == provider_id(booked)


def _differs(each: _Prepared, entry: Corrected) -> str | None:
    """What keeps a row from correcting an entry: it says itself that it is another's."""
    row = each.row
    if row.subject and each.payer.key != entry.subject:
        return f"subject: is not that of the entry `{row.corrects}`; leave it out, a correction counts where its entry does"
    if row.model is not None and (entry.model is None or fold(row.model) != fold(entry.model)):
        return f"model: is not that of the entry `{row.corrects}`, which is `{entry.model}`; leave it out, or name the same"
    return None


def _correcting(entry: Entry, corrected_entry: Corrected) -> Entry:
    """A correction has the facts of the entry that it corrects, so that it counts where that one does."""
    return replace(
        entry,
        corrects=corrected_entry.key,
        subject=corrected_entry.subject,
        model=corrected_entry.model,
        provider=corrected_entry.provider,
        tier=corrected_entry.tier,
        operation=corrected_entry.operation,
        quote=corrected_entry.quote,
    )


def _sum(amounts: Sequence[Amounts]) -> Amounts:
    return Amounts(
        sum(each.nano_usd for each in amounts),
        sum(each.input_tokens for each in amounts),
        sum(each.output_tokens for each in amounts),
        sum(each.requests for each in amounts),
    )

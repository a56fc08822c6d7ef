"""An imported row, priced and matched: all that can be known of it before the ledger is looked at, and the entry that it becomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from guardrails.core.balance import Amounts
from guardrails.core.instant import to_us
from guardrails.core.model_name import fold
from guardrails.core.provider_name import provider_id
from guardrails.core.usage import Usage
from guardrails.gate.active import ActiveSet
from guardrails.gate.counting import NOWHERE, Counting, Payer, Route
from guardrails.gate.settlement import usage_detail
from guardrails.ledger.entry import Entry
from guardrails.ledger.imported import ImportedRow, Rejected, row_content, row_key
from guardrails.ledger.imports import Corrected
from guardrails.pricing.cost import cost
from guardrails.pricing.price import Price, Quote


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRow:
    """A row, priced and matched by one policy set.

    Attributes:
        provider: folded, as stated or as the price book knows it.
        response: the provider's answer that the row is the usage of; a correction is none.
        route: the balances that it counts under.
    """

    row: ImportedRow
    key: bytes
    content: bytes
    payer: Payer
    quote: Quote | None
    provider: str | None
    tier: str | None
    priced_nano_usd: int | None
    response: str | None
    route: Route

    def is_answer_of(self, provider: str | None) -> bool:
        """Whether an answer with the same id may be the same one: of one provider, or of one that either side does not name."""
        return self.row.provider is None or provider is None or provider_id(fold(self.row.provider)) == provider_id(provider)

    @property
    def cost_nano_usd(self) -> int | None:
        """What the source states, else ours."""
        return self.row.stated_nano_usd if self.row.stated_nano_usd is not None else self.priced_nano_usd


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one row.

    Attributes:
        kind: `new`, `duplicate`, `conflict` or `quarantined`.
        reason: why it is not booked; empty where it is, or was before.
        entry: as it is, or would be, booked; None where it is not.
        route: the balances that the entry counts under.
    """

    row: ImportedRow | Rejected
    kind: str
    reason: str = ""
    entry: Entry | None = None
    route: Route = NOWHERE
    prepared: PreparedRow | None = None


def prepared_row(row: ImportedRow, source: str, active: ActiveSet, counting: Counting) -> PreparedRow:
    """A row, priced at its own instant and matched by the active set."""
    usage = row.usage
    payer = counting.payer(row.subject)
    provider = None if row.provider is None else fold(row.provider)
    quote = priced = tier = None
    if row.model is not None:
        operation = row.operation or "chat"
        quote = active.prices.quote(row.model, provider=provider, service_tier=usage.service_tier, operation=operation, at=row.at)
        provider = quote.provider
        tier = active.ruleset.tier_of(quote.forms)
        priced = priced_nano_usd(usage, row.requests, quote.price)
    corrects = row.corrects is not None
    # Of an amount below zero nothing says which balances it once was in, unless it names the entry that it corrects.
    counts = not corrects and (row.stated_nano_usd is None or row.stated_nano_usd >= 0)
    return PreparedRow(
        row=row,
        key=row_key(source, row.id),
        content=row_content(row, payer.key),
        payer=payer,
        quote=quote,
        provider=provider,
        tier=tier,
        priced_nano_usd=priced,
        response=None if corrects else usage.response_id,
        route=counting.route(payer, quote, provider, row.operation, bound_of(usage), row.at) if counts else NOWHERE,
    )


def entry_of(prepared: PreparedRow, source: str, import_id: str, recorded_us: int) -> Entry:
    """The entry that a row becomes."""
    row, usage, total = prepared.row, prepared.row.usage, prepared.cost_nano_usd
    marks = row.marks
    if total is None:
        marks = (*marks, "unpriced")
    elif total < 0 and row.corrects is None:
        marks = (*marks, "uncounted")
    return Entry(
        key=prepared.key,
        content=prepared.content,
        source=source,
        at_us=to_us(row.at),
        recorded_us=recorded_us,
        subject=prepared.payer.key,
        import_id=import_id,
        model=row.model,
        provider=prepared.provider,
        tier=prepared.tier,
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
        priced_nano_usd=prepared.priced_nano_usd,
        quote=None if prepared.quote is None else prepared.quote.id,
        route=prepared.route.key,
        response=prepared.response,
        marks=marks,
        detail=usage_detail(usage),
    )


def correcting(entry: Entry, corrected: Corrected, route: Route) -> Entry:
    """The entry of a correction: it has the facts of the one that it corrects, and counts where that one would at its own instant."""
    return replace(
        entry,
        corrects=corrected.key,
        subject=corrected.subject,
        model=corrected.model,
        provider=corrected.provider,
        tier=corrected.tier,
        operation=corrected.operation,
        quote=corrected.quote,
        route=route.key,
        marks=(*entry.marks, "correction"),
    )


def mismatch(prepared: PreparedRow, corrected: Corrected) -> str | None:
    """What keeps a row from correcting an entry: it says itself that it is about another; None where nothing does."""
    row = prepared.row
    if row.subject and prepared.payer.key != corrected.subject:
        return f"subject: is not that of the entry `{row.corrects}`; leave it out, a correction counts where its entry does"
    if row.model is not None and (corrected.model is None or fold(row.model) != fold(corrected.model)):
        return (
            f"model: is not that of the entry `{row.corrects}`, which is {corrected.model or 'of no model'}; leave it out, or name the same"
        )
    return None


def priced_nano_usd(usage: Usage, requests: int, price: Price | None) -> int | None:
    """Our own cost of usage that stands for so many requests; None where it is not known."""
    if price is None or requests == 1:
        return cost(usage, price)
    tariff = price.tariff
    if tariff.steps and _all_input(usage) > tariff.steps[0][0]:
        return None  # the sum of many requests does not tell how large each of them was
    if "requests" in tariff.units and "requests" not in usage.units:
        usage = replace(usage, units={**usage.units, "requests": Decimal(requests)})
    return cost(usage, price)


def bound_of(usage: Usage) -> tuple[int, int]:
    """The (input, output) tokens that conditions on past usage look at."""
    return _all_input(usage), usage.output_tokens or 0


def total(amounts: Iterable[Amounts]) -> Amounts:
    """The sum of amounts."""
    nano_usd = input_tokens = output_tokens = requests = 0
    for each in amounts:
        nano_usd += each.nano_usd
        input_tokens += each.input_tokens
        output_tokens += each.output_tokens
        requests += each.requests
    return Amounts(nano_usd, input_tokens, output_tokens, requests)


def _all_input(usage: Usage) -> int:
    return (usage.input_tokens or 0) + usage.cache_read_tokens + usage.cache_write_tokens

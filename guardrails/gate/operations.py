"""What callers ask of the ledger, each as one value that a shared transaction can carry out among others.

An operation says which rows it needs before anything is locked, and then changes amounts in memory; an error of one leaves the others
alone. `Context` is the transaction as they see it. The operations themselves are in `reserve.py`, `settle.py` and `ending.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from guardrails.core.balance import BalanceRef
from guardrails.core.instant import from_us, to_us
from guardrails.core.model_name import fold
from guardrails.engine.candidate import folded, matches
from guardrails.engine.decision import Decision
from guardrails.gate.active import ActiveSet
from guardrails.ledger.book import Book
from guardrails.ledger.entry import Hold
from guardrails.ledger.lookup import History
from guardrails.policy.match import Facts
from guardrails.pricing.price import Quote, quote_to_text

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """One transaction: the locked rows, the set in force, and the ledger's instant."""

    book: Book
    active: ActiveSet
    now: datetime
    caller_clock: bool
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    answered: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    labels: dict[bytes, Mapping[str, str]] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    decided: dict[str, Decision] = field(default_factory=dict)
    legs: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    let_go: set[str] = field(default_factory=set)

    @property
    def now_us(self) -> int:
        """The ledger's instant in microseconds."""
        return to_us(self.now)

    def quote(self, quote_id: str) -> Quote:
        """A quote that a record names."""
        return self.quotes[quote_id]


class Operation(ABC, Generic[T]):
    """One request of one caller. When it is done, `error` is set or else `result`."""

    result: T
    error: BaseException | None = None

    hold_ids: tuple[str, ...] = ()
    """Holds that it ends or extends: locked before anything else."""
    record_ids: tuple[str, ...] = ()
    """Decisions of callers' own request ids: the ledger may have them."""
    ids: tuple[str, ...] = ()
    """All decisions that it makes: a transaction that is tried again may find that it was committed."""
    quotes_at_hand: tuple[Quote, ...] = ()
    """Quotes that the caller's decision carries, so that they need not be read."""
    response: str | None = None
    """The provider's id of an answer that may have been imported before."""
    at: datetime | None = None
    """The caller's clock, where the Gate goes by it."""
    judges: bool = False
    """It decides by the balances: holds past their time end first. What only books leaves them to the next one that looks."""
    dry: bool = False
    """Decide, then forget everything: it shares no transaction."""

    @property
    def touches(self) -> frozenset[str]:
        """Names of which no two operations of one transaction may share one."""
        return frozenset((*self.hold_ids, *self.record_ids))

    def plan(self, context: Context) -> Iterable[BalanceRef]:  # noqa: ARG002 - some need none
        """The balances that it needs, by what they are named after; those of its holds are locked anyway."""
        return ()

    def looks_at(self, context: Context) -> Iterable[BalanceRef]:  # noqa: ARG002 - most look at none
        """The balances that it changes if the ledger has them, and leaves alone otherwise."""
        return ()

    @abstractmethod
    def apply(self, context: Context) -> T:
        """Change the book; raises before it changes anything, or not at all."""


def keep_quote(book: Book, quote: Quote) -> None:
    """Have a quote in the ledger by its content."""
    if book.needs_quote(quote.id):
        book.quote(quote.id, quote_to_text(quote))


def legs_of(context: Context, hold: Hold) -> tuple[bytes, ...]:
    """The balances that a hold's fate changes: those it counts under; once it has ended, also those opened since that hold its entries."""
    legs = context.legs.get(hold.id, ())
    if hold.live:
        return legs
    opened = {ref.key for ref in counted_now(context, hold) if ref.key in context.book.balances}
    return tuple({*legs, *opened})


def counted_now(context: Context, hold: Hold) -> list[BalanceRef]:
    """The balances of the active set that a hold's facts count under."""
    quote = context.quote(hold.quote)
    labels = context.labels[hold.subject]
    ruleset = context.active.ruleset
    facts = Facts(
        folded(labels),
        quote.forms,
        quote.provider,
        ruleset.tier_of(quote.forms),
        fold(hold.operation),
        hold.holds.input_tokens,
        hold.holds.output_tokens,
    )
    return [ref for _, ref in matches(ruleset, facts, labels, from_us(hold.at_us)) if ref is not None]

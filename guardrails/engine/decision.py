"""A decision is a value: verdict, the model to run, and every reason with its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from guardrails.core.balance import Amounts, BalanceRef
from guardrails.core.call import Call
from guardrails.core.frozen import Frozen
from guardrails.core.instant import rfc3339
from guardrails.core.money import nano_to_usd, usd_text
from guardrails.core.quantity import Measure, amount_text
from guardrails.core.window import Period
from guardrails.engine.explain import decision_message, reason_message
from guardrails.policy.rules import Mode, Source
from guardrails.pricing.price import Quote


class Verdict(StrEnum):
    """What becomes of a call."""

    ALLOW = "allow"
    DENY = "deny"
    DOWNGRADE = "downgrade"


class Effect(StrEnum):
    """What one rule says of a call; in mode `warn` or `shadow`, what it would say."""

    DENY = "deny"
    DOWNGRADE = "downgrade"
    WARN = "warn"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Reason:
    """What one rule said of one model that was tried.

    Attributes:
        rule: the rule's id, or the name of the default or label that spoke: `defaults.unmatched`, `labels.team`.
        model: the model that was looked at.
        source: where it is written; the same rule of the same set may lie under another folder elsewhere.
        share: the share of the limit whose action this is; None where none applied.
        measure: what the rule counts; None where it counts nothing, and then every number is None.
        limit_units, spent_units, assumed_units, held_units, requested_units: whole nano-dollars or counts before this call.
            `limit`, `spent`, … are the same in USD as exact Decimals, or as counts.
        target: the tier or model that a downgrade asks for.
        unpriced: `requested` is not an estimate but what `defaults.unknown_price` holds for a model without a price.
        detail: what there is to say where there are no numbers.
    """

    rule: str
    effect: Effect
    mode: Mode
    model: str
    source: Source = field(compare=False)
    share: Fraction | None = None
    measure: Measure | None = None
    limit_units: int | None = None
    spent_units: int = 0
    assumed_units: int = 0
    held_units: int = 0
    requested_units: int = 0
    scope: Mapping[str, str] = field(default_factory=Frozen)
    window: Period | None = None
    target: str | None = None
    unpriced: bool = False
    detail: str | None = None

    @property
    def left_units(self) -> int | None:
        """The limit less what is spent, assumed and held before this call; below zero where it was passed."""
        return None if self.limit_units is None else self.limit_units - self.spent_units - self.assumed_units - self.held_units

    @property
    def limit(self) -> Decimal | int | None:
        """The limit: exact USD, or a count."""
        return self._number(self.limit_units)

    @property
    def spent(self) -> Decimal | int | None:
        """What is settled or imported: exact USD, or a count."""
        return self._number(self.spent_units)

    @property
    def assumed(self) -> Decimal | int | None:
        """What calls whose cost or end nobody saw are taken to have used: exact USD, or a count."""
        return self._number(self.assumed_units)

    @property
    def held(self) -> Decimal | int | None:
        """What is kept back for calls that run: exact USD, or a count."""
        return self._number(self.held_units)

    @property
    def requested(self) -> Decimal | int | None:
        """The most that this call can take: exact USD, or a count."""
        return self._number(self.requested_units)

    @property
    def left(self) -> Decimal | int | None:
        """What is left of the limit before this call: exact USD, or a count."""
        return self._number(self.left_units)

    def _number(self, units: int | None) -> Decimal | int | None:
        if units is None or self.measure is None:
            return None
        return nano_to_usd(units) if self.measure is Measure.USD else units

    @property
    def message(self) -> str:
        """The reason as a sentence for people."""
        return reason_message(self)

    def as_json(self) -> dict[str, object]:
        """Stable keys of product.md §6; amounts as text in the policy language, None where nothing is counted."""
        return {**self.as_facts(), "message": self.message}

    def as_facts(self) -> dict[str, object]:
        """What a record keeps: all keys but the sentence, which follows from them."""
        measure = self.measure
        window = self.window
        facts: dict[str, object] = {
            "rule": self.rule,
            "effect": self.effect.value,
            "mode": self.mode.value,
            "model": self.model,
            "share": None if self.share is None else share_text(self.share),
        }
        if measure is None:
            facts.update(limit=None, spent=None, assumed=None, held=None, requested=None, left=None)
        else:
            facts["limit"] = None if self.limit_units is None else amount_text(self.limit_units, measure)
            facts["spent"] = amount_text(self.spent_units, measure)
            facts["assumed"] = amount_text(self.assumed_units, measure)
            facts["held"] = amount_text(self.held_units, measure)
            facts["requested"] = amount_text(self.requested_units, measure)
            facts["left"] = None if self.left_units is None else amount_text(self.left_units, measure)
        facts["scope"] = dict(self.scope)
        facts["window"] = (
            None
            if window is None
            else {
                "start": None if window.start is None else rfc3339(window.start),
                "end": None if window.end is None else rfc3339(window.end),
            }
        )
        facts["source"] = str(self.source)
        facts["target"] = self.target
        facts["unpriced"] = self.unpriced
        facts["detail"] = self.detail
        return facts


@dataclass(frozen=True, slots=True)
class Held:
    """What a decision keeps back: exact USD, and tokens in and out together."""

    usd: Decimal
    tokens: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a call.

    Attributes:
        id: text; the name of its record and of its hold.
        model: the model to call; None when denied.
        reasons: every rule considered that had something to say, those that decided first. Rules in mode `shadow` are
            only in `shadow`, which goes to the record.
        holds: what is held until it is settled, released or expired.
        counted: the balances that the hold counts under, frozen now.
        policy: hash of the policy set.
        quote: what the price book said of the chosen (else the requested) model, pinned.
        requested_nano_usd: the estimate for the model asked for; None where it has no price.
        at: the one instant that decided.
        expires_at: when the hold ends by itself, unless it is extended.
        quotes: of every model that was looked at, those that did not fit included.
        generation: of the policy set in the ledger; 0 in a preview without one.
        unchecked: made while the ledger could not be reached, so that no balance was looked at; nothing is held until the
            ledger is back.
    """

    id: str
    verdict: Verdict
    call: Call
    model: str | None
    reasons: tuple[Reason, ...]
    shadow: tuple[Reason, ...]
    holds: Amounts
    counted: tuple[BalanceRef, ...] = field(compare=False)
    policy: str
    quote: Quote
    tier: str | None
    requested_nano_usd: int | None
    estimate_nano_usd: int | None
    at: datetime
    expires_at: datetime | None = None
    quotes: tuple[Quote, ...] = field(default=(), compare=False)
    generation: int = field(default=0, compare=False)
    unchecked: bool = False

    @property
    def held(self) -> Held:
        """What is held, as people count it."""
        return Held(nano_to_usd(self.holds.nano_usd), self.holds.input_tokens + self.holds.output_tokens)

    @property
    def requested_model(self) -> str:
        """The model that was asked for."""
        return self.call.model

    @property
    def allowed(self) -> bool:
        """Whether the call may run, as asked for or downgraded."""
        return self.verdict is not Verdict.DENY

    @property
    def price(self) -> str | None:
        """Where the pinned price comes from; None where the model has none."""
        return None if self.quote.price is None else self.quote.price.name

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that decided: those that denied or downgraded in force. Empty for an allowed call."""
        if self.verdict is Verdict.ALLOW:
            return ()
        return tuple(dict.fromkeys(reason.rule for reason in self.reasons if decides(reason)))

    @property
    def cause(self) -> Reason | None:
        """The first reason against the model asked for; None for an allowed call."""
        if self.verdict is Verdict.ALLOW:
            return None
        reasons = [reason for reason in self.reasons if decides(reason)]
        return next((reason for reason in reasons if reason.model == self.requested_model), reasons[0])

    @property
    def rule(self) -> str | None:
        """The rule of `cause`; None for an allowed call."""
        return None if self.cause is None else self.cause.rule

    @property
    def message(self) -> str:
        """The decision as a sentence for people."""
        return decision_message(self)

    @property
    def saved_nano_usd(self) -> int | None:
        """The estimate of what was asked for less that of what runs; None where a price is unknown."""
        if self.requested_nano_usd is None:
            return None
        match self.verdict:
            case Verdict.ALLOW:
                return 0
            case Verdict.DENY:
                return self.requested_nano_usd
            case Verdict.DOWNGRADE:
                return None if self.estimate_nano_usd is None else self.requested_nano_usd - self.estimate_nano_usd

    def as_json(self) -> dict[str, object]:
        """Stable JSON of product.md §6."""
        return {
            "id": self.id,
            "verdict": self.verdict.value,
            "requested_model": self.requested_model,
            "model": self.model,
            "held": {"usd": usd_text(self.holds.nano_usd), "tokens": self.held.tokens},
            "reasons": [reason.as_json() for reason in self.reasons],
            "policy": self.policy,
            "price": self.price,
            "at": rfc3339(self.at),
            "unchecked": self.unchecked,
            "message": self.message,
        }


def decides(reason: Reason) -> bool:
    """Whether a reason changes what becomes of a call: it denies or downgrades, and is in force."""
    return reason.mode is Mode.ENFORCE and reason.effect in (Effect.DENY, Effect.DOWNGRADE)


def share_text(share: Fraction) -> str:
    """A share as decimal text, `0.9`, rounded to six places where it has no end."""
    whole = share * 10**6
    text = f"{round(whole) / 10**6:f}" if whole.denominator != 1 else f"{whole.numerator // 10**6}.{whole.numerator % 10**6:06d}"
    return text.rstrip("0").rstrip(".")

"""Rules as they are evaluated: plain frozen values, resolved and complete. As written they are `document.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from fractions import Fraction

from typing_extensions import override

from guardrails.core.model_name import is_pattern
from guardrails.core.model_name import pattern as compiled
from guardrails.core.quantity import Measure
from guardrails.core.window import Window


class RuleKind(StrEnum):
    """The kinds of rules of the policy language."""

    SPEND_LIMIT = "spend_limit"
    TOKEN_CAP = "token_cap"  # noqa: S105 - not a password
    REQUEST_CAP = "request_cap"
    CONCURRENCY_CAP = "concurrency_cap"
    TIER_RESTRICTION = "tier_restriction"


class Mode(StrEnum):
    """`warn` reports in the decision without changing it, `shadow` only in the record. All modes keep their balances."""

    ENFORCE = "enforce"
    WARN = "warn"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Source:
    """Where something was written. `path` is relative to where the policy folder is named: `policies/a.yaml`."""

    path: str
    line: int

    @override
    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Test(Enum):
    """How a condition looks at a value."""

    IN = "in"
    NOT_IN = "not in"
    EXISTS = "exists"
    MISSING = "missing"
    OVER = "over"
    UNDER = "under"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one attribute: a label of the subject or an attribute of the call.

    Attributes:
        attribute: a label's name, or `model`, `provider`, `tier`, `operation`, `input_tokens`, `output_tokens`.
        test: how the value is looked at.
        exact: folded values (`label_key` for labels, `fold` for call attributes, tiers as they are named) of which one must (or
            for NOT_IN must not) be it.
        patterns: compiled wildcards, tested with `fullmatch` on the folded value.
        bounds: (over,), (under,) or (low, high), the last inclusive, for the numeric tests.
        text: the condition as written, for explanations.
        prefixes: folded text before the first wildcard of each of `patterns`.
    """

    attribute: str
    test: Test
    exact: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()
    bounds: tuple[int, ...] = ()
    text: str = ""
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deny:
    """The share refuses the call."""


@dataclass(frozen=True, slots=True)
class Warn:
    """The share is reported."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """The share asks for a cheaper model: `target` is a tier's name or a concrete model."""

    target: str


Action = Deny | Warn | Downgrade


@dataclass(frozen=True, slots=True)
class Threshold:
    """What happens above a share of the limit; shares may pass 1."""

    share: Fraction
    action: Action


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a rule in whole nano-dollars or counts: one for all, or by the folded value of the single `per` label."""

    measure: Measure
    default: int | None = None
    by_value: Mapping[str, int] = field(default_factory=dict)

    def for_value(self, key: str | None) -> int | None:
        """The limit for a folded scope value; None where the rule does not apply to it."""
        if key is not None and key in self.by_value:
            return self.by_value[key]
        return self.default


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which models a tier_restriction lets through.

    A model passes when `allows` is True and it is one of the tiers or patterns, or `allows` is False and it is none of them.
    """

    allows: bool
    tiers: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    otherwise: Deny | Downgrade
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule, resolved: zones, windows and defaults filled in.

    Attributes:
        limits: None for a tier_restriction.
        window: None for a tier_restriction and a concurrency_cap; kind `call` looks at the call alone.
        thresholds: ascending by share; never empty where there are limits.
        fingerprint: hash of what selects and buckets; a change of it starts a new balance.
    """

    id: str
    kind: RuleKind
    source: Source
    fingerprint: str
    description: str = ""
    match: tuple[Condition, ...] = ()
    excepts: tuple[tuple[Condition, ...], ...] = ()
    per: tuple[str, ...] = ()
    limits: Limits | None = None
    window: Window | None = None
    thresholds: tuple[Threshold, ...] = ()
    restriction: Restriction | None = None
    mode: Mode = Mode.ENFORCE
    starts: datetime | None = None
    ends: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether the instant is in the half-open range from `from` to `until`."""
        return (self.starts is None or self.starts <= at) and (self.ends is None or at < self.ends)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What a subject must and may say under one label. `values` maps folded values to their written form; None: any."""

    name: str
    required: bool
    values: Mapping[str, str] | None
    source: Source


class UnknownOutcome(StrEnum):
    """What a call costs whose end nobody saw."""

    CHARGE = "charge"
    RELEASE = "release"


class Answer(StrEnum):
    """A default that lets through or refuses."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where nothing else is said.

    Attributes:
        unknown_price: ALLOW, DENY, or the nano-dollars to hold for a call without a price.
    """

    timezone: str = "UTC"
    assume_output_tokens: int = 1_024
    hold_ttl_s: int = 600
    unknown_price: Answer | int = Answer.DENY
    unknown_outcome: UnknownOutcome = UnknownOutcome.CHARGE
    unavailable: Answer = Answer.DENY
    unmatched: Answer = Answer.ALLOW
    week_starts: int = 0
    source: Source = Source("defaults", 1)


@dataclass(frozen=True, slots=True)
class Tier:
    """A class of models. `models` are as written, in order; `concrete` are those without a wildcard."""

    name: str
    models: tuple[str, ...]

    @property
    def concrete(self) -> tuple[str, ...]:
        """The models that can be called as they are named."""
        return tuple(model for model in self.models if not is_pattern(model))


@dataclass(frozen=True, eq=False)
class PolicySet:
    """All rules loaded together, named by the hash of their files.

    Attributes:
        hash: `sha256:` and the hex digest over the files' names and texts.
        files: text by path, relative to the folder, prices.yaml included: enough to load the same set again.
        tiers: dearest first.
    """

    hash: str
    files: Mapping[str, str]
    rules: tuple[Rule, ...]
    tiers: tuple[Tier, ...]
    labels: tuple[LabelRule, ...]
    defaults: Defaults

    def tier_of(self, forms: tuple[str, ...]) -> str | None:
        """The tier of a model by the forms of its name: named outright before by wildcard, then dearest first."""
        for tier in self.tiers:
            if any(not is_pattern(model) and compiled(model).fullmatch(form) for model in tier.models for form in forms):
                return tier.name
        for tier in self.tiers:
            if any(is_pattern(model) and compiled(model).fullmatch(form) for model in tier.models for form in forms):
                return tier.name
        return None

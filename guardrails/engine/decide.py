"""The combination rule of the policy language, over values alone.

Every matching rule counts; none is first. The requested model is tried; where an enforced rule denies or downgrades it, the
targets that the triggered rules offer are tried, dearest first, each against all rules with its own estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardrails.core.balance import NOTHING, Balance, BalanceRef
from guardrails.core.call import Call
from guardrails.core.model_name import fold
from guardrails.core.provider_name import provider_id
from guardrails.core.subject import label_key
from guardrails.engine.candidate import Candidate, Quotes, Ruleset, candidate
from guardrails.engine.decision import Decision, Effect, Reason, Verdict, decides
from guardrails.engine.judge import Finding, judge
from guardrails.policy.rules import LabelRule, Mode
from guardrails.pricing.price import Quote


@dataclass(frozen=True, slots=True)
class Missing:
    """The decision needs balances that were not handed in: read these too, then decide again."""

    refs: tuple[BalanceRef, ...]


def decide(
    ruleset: Ruleset,
    call: Call,
    asked: Candidate,
    quotes: Quotes,
    balances: Mapping[bytes, Balance] | None,
    *,
    decision_id: str,
    at: datetime,
    generation: int = 0,
) -> Decision | Missing:
    """Decide one call.

    Args:
        asked: the candidate of the requested model, as `candidate()` made it.
        balances: amounts by key; a key that is missing is asked for by returning `Missing`. None decides unchecked, as the
            rules that need no balance say: the ledger cannot be reached, and `defaults.unavailable` allows that.
        at: the one instant of the decision.
        generation: of the policy set in the ledger.
    """
    refused = _label_reasons(ruleset, call)
    unchecked = [] if balances is not None else [_unchecked(ruleset, call)]
    if missing := _missing(asked, balances):
        return missing
    tried = asked
    findings = judge(ruleset, asked, balances, at)
    reasons = [*unchecked, *refused, *(finding.reason for finding in findings)]
    verdict = Verdict.DENY
    quoted = {asked.model: asked.quote}
    if not refused:
        if not any(decides(finding.reason) for finding in findings):
            verdict = Verdict.ALLOW
        else:
            offers = _Offers(ruleset, call, asked, quotes, at, quoted)
            offers.add(findings)
            while (offered := offers.next()) is not None:
                if missing := _missing(offered, balances):
                    return missing
                further = judge(ruleset, offered, balances, at)
                reasons += [finding.reason for finding in further]
                if not any(decides(finding.reason) for finding in further):
                    tried, verdict = offered, Verdict.DOWNGRADE
                    break
                offers.add(further)
    admitted = verdict is not Verdict.DENY
    ttl_s = call.hold_ttl_s if call.hold_ttl_s is not None else ruleset.policies.defaults.hold_ttl_s
    return Decision(
        id=decision_id,
        verdict=verdict,
        call=call,
        model=tried.model if admitted else None,
        reasons=_sorted(reason for reason in reasons if reason.mode is not Mode.SHADOW),
        shadow=_sorted(reason for reason in reasons if reason.mode is Mode.SHADOW),
        holds=tried.holds if admitted else NOTHING,
        counted=tuple(tried.refs) if admitted else (),
        policy=ruleset.policies.hash,
        quote=tried.quote,
        tier=tried.tier,
        requested_nano_usd=asked.estimate.cost_nano_usd,
        estimate_nano_usd=tried.estimate.cost_nano_usd if admitted else None,
        at=at,
        expires_at=at + timedelta(seconds=ttl_s) if admitted else None,
        quotes=tuple(quoted.values()),
        generation=generation,
        unchecked=balances is None,
    )


_ORDER = {Effect.DENY: 0, Effect.DOWNGRADE: 1, Effect.WARN: 2, Effect.ALLOW: 3}


def _sorted(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Those that decide first; otherwise in the order in which they were found."""
    found = list(reasons)
    if len(found) > 1 and any(reason.effect is not Effect.ALLOW for reason in found):
        found.sort(key=lambda reason: (not decides(reason), _ORDER[reason.effect]))
    return tuple(found)


def _missing(tried: Candidate, balances: Mapping[bytes, Balance] | None) -> Missing | None:
    if balances is None:
        return None
    refs = tuple([ref for _, ref in tried.matched if ref is not None and ref.key not in balances])
    return Missing(refs) if refs else None


def _unchecked(ruleset: Ruleset, call: Call) -> Reason:
    detail = "the ledger cannot be reached, and `defaults.unavailable` is `allow`: limits are not checked, the call is booked later"
    return Reason("defaults.unavailable", Effect.ALLOW, Mode.ENFORCE, call.model, ruleset.policies.defaults.source, detail=detail)


def _label_reasons(ruleset: Ruleset, call: Call) -> list[Reason]:
    return [
        Reason(f"labels.{label.name}", Effect.DENY, Mode.ENFORCE, call.model, label.source, detail=problem)
        for label in ruleset.policies.labels
        if (problem := label_finding(label, call.subject.get(label.name))) is not None
    ]


def label_finding(label: LabelRule, value: str | None) -> str | None:
    """What a subject's value lacks under a label rule, as a sentence; None where it is as it should be."""
    if value is None:
        return f"label `{label.name}` is required" if label.required else None
    if label.values is not None and label_key(value) not in label.values:
        return f"label `{label.name}` is `{value}`, which is none of {', '.join(label.values.values())}"
    return None


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a target stands among the offers: by tier, then by its place in the tier; last in none."""

    tier: int
    model: int
    name: str


class _Offers:
    """The downgrade targets that triggered rules offer, dearest first, each tried once."""

    def __init__(self, ruleset: Ruleset, call: Call, asked: Candidate, quotes: Quotes, at: datetime, quoted: dict[str, Quote]) -> None:
        """`quoted` takes in the quote of every model that is looked at: the record needs them to be decided again."""
        self._ruleset = ruleset
        self._call = call
        self._asked = asked
        self._quotes = quotes
        self._at = at
        self._quoted = quoted
        self._targets: set[str] = set()
        self._models = {fold(asked.model)}
        self._waiting: dict[_Place, Candidate] = {}

    def add(self, findings: Sequence[Finding]) -> None:
        """Take in what the enforced rules among these findings offer."""
        for finding in findings:
            if decides(finding.reason):
                for target in finding.offers:
                    if target not in self._targets:
                        self._targets.add(target)
                        self._resolve(target)

    def next(self) -> Candidate | None:
        """The dearest candidate not tried yet; None when there is none left."""
        return self._waiting.pop(min(self._waiting)) if self._waiting else None

    def _resolve(self, target: str) -> None:
        """Of a tier the first model that fits; a model as it is named, where it fits."""
        for model in self._ruleset.models_of(target):
            offered = candidate(self._ruleset, self._call, model, self._quotes, self._at)
            self._quoted[model] = offered.quote
            if self._fits(offered):
                name = fold(model)
                if name not in self._models:
                    self._models.add(name)
                    self._waiting[self._place(offered, name)] = offered
                return

    def _fits(self, offered: Candidate) -> bool:
        """Whether the caller can reach it, its context holds the call, and its estimate is cheaper."""
        providers, runs_at = self._call.providers, offered.quote.provider
        if providers is not None and (
            runs_at is None or provider_id(runs_at) not in {provider_id(fold(provider)) for provider in providers}
        ):
            return False
        window = offered.quote.context_window
        bound = offered.estimate
        if window is not None and bound.input_tokens + bound.output_tokens > window:
            return False
        cost, asked_cost = bound.cost_nano_usd, self._asked.estimate.cost_nano_usd
        return cost is not None and (asked_cost is None or cost < asked_cost)

    def _place(self, offered: Candidate, name: str) -> _Place:
        if offered.tier is None:
            return _Place(len(self._ruleset.places), 0, name)
        return _Place(self._ruleset.places[offered.tier], self._ruleset.place_in_tier(offered.tier, offered.quote.forms), name)

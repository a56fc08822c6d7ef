"""What each rule says of one model that is tried, given the balances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from guardrails.core.balance import Balance, BalanceRef
from guardrails.core.frozen import Frozen
from guardrails.core.quantity import Measure
from guardrails.core.subject import NONE
from guardrails.engine.candidate import Candidate, Ruleset
from guardrails.engine.decision import Effect, Reason
from guardrails.policy.rules import Answer, Deny, Downgrade, Limits, Mode, Restriction, Rule, RuleKind, Threshold, Warn

_NO_BALANCE = Balance()
_KIND_EFFECT = {Deny: Effect.DENY, Downgrade: Effect.DOWNGRADE, Warn: Effect.WARN}


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason, and the targets that its rule offers: every applying share offers one, those below a denying one included."""

    reason: Reason
    offers: tuple[str, ...] = ()


def judge(ruleset: Ruleset, tried: Candidate, balances: Mapping[bytes, Balance] | None, at: datetime) -> list[Finding]:
    """What every rule in force says of the tried model, in the order of the rules.

    Args:
        balances: None where the ledger cannot be reached: rules that count beyond one call then check nothing, and say so.
    """
    findings = []
    enforced = False
    for rule, ref in tried.matched:
        if not rule.in_force(at):
            continue
        if rule.restriction is not None:
            findings.append(_restricted(ruleset, rule, rule.restriction, tried))
        elif rule.limits is not None:
            finding = _limited(ruleset, rule, rule.limits, ref, tried, balances)
            if finding is None:
                continue
            findings.append(finding)
        enforced = enforced or rule.mode is Mode.ENFORCE
    denies = ruleset.policies.defaults.unmatched is Answer.DENY
    if not enforced and (denies or not findings):
        # Rules in mode `warn` or `shadow` change no decision, and so do not make a call a matched one either.
        findings.append(_unmatched(ruleset, tried))
    return findings


def asks(ruleset: Ruleset, target: str, tried: Candidate) -> bool:
    """Whether a downgrade asks anything of the tried model: not when it goes to its own tier or to a dearer one."""
    places = ruleset.places
    if target in places:
        target_place: int | None = places[target]
    else:
        forms = ruleset.forms_of(target)
        if not set(forms).isdisjoint(tried.quote.forms):
            return False
        tier = ruleset.tier_of(forms)
        target_place = None if tier is None else places[tier]
    if target_place is None or tried.tier is None:
        return True
    return places[tried.tier] < target_place


def _limited(
    ruleset: Ruleset, rule: Rule, limits: Limits, ref: BalanceRef | None, tried: Candidate, balances: Mapping[bytes, Balance] | None
) -> Finding | None:
    limit = limits.for_value(tried.labels.get(rule.per[0], NONE) if limits.by_value else None)
    if limit is None:
        return None
    scope = Frozen((label, tried.subject.get(label, NONE)) for label in rule.per) if ref is None else ref.scope
    measure = limits.measure
    unpriced = measure is Measure.USD and tried.unpriced
    if unpriced and ruleset.policies.defaults.unknown_price is Answer.DENY:
        detail = f"no price is known of `{tried.model}` for what this call needs, and `defaults.unknown_price` is `deny`"
        return Finding(Reason(rule.id, Effect.DENY, rule.mode, tried.model, rule.source, scope=scope, detail=detail))
    free = measure is Measure.USD and not unpriced and tried.holds.nano_usd == 0
    if ref is not None and balances is None:
        return Finding(_unchecked(rule, limit, tried, scope, free=free))
    balance = _NO_BALANCE if ref is None or balances is None else balances[ref.key]
    requested = tried.holds.held_of(measure)
    total = balance.total + requested
    said = _Said() if free else _applying(ruleset, rule, limit, total, tried)
    reason = Reason(
        rule.id,
        said.effect,
        rule.mode,
        tried.model,
        rule.source,
        share=said.share,
        measure=measure,
        limit_units=limit,
        spent_units=balance.spent,
        assumed_units=balance.assumed,
        held_units=balance.held,
        requested_units=requested,
        scope=scope,
        window=None if ref is None or rule.kind is RuleKind.CONCURRENCY_CAP else ref.period,
        target=said.target,
        unpriced=unpriced,
    )
    return Finding(reason, tuple(said.offers))


def _unchecked(rule: Rule, limit: int, tried: Candidate, scope: Mapping[str, str], *, free: bool) -> Reason:
    """What a rule says without its balance: only a limit of 0 refuses whatever was spent."""
    if limit == 0 and not free and any(isinstance(threshold.action, Deny) for threshold in rule.thresholds):
        return Reason(rule.id, Effect.DENY, rule.mode, tried.model, rule.source, scope=scope, detail="the limit is 0, whatever was spent")
    detail = "not checked: what counts against this limit is not known while the ledger cannot be reached"
    return Reason(rule.id, Effect.ALLOW, rule.mode, tried.model, rule.source, scope=scope, detail=detail)


@dataclass(slots=True)
class _Said:
    """What the shares of a limit say of one total."""

    effect: Effect = Effect.ALLOW
    share: Fraction | None = None
    target: str | None = None
    offers: list[str] = field(default_factory=list)

    def add(self, threshold: Threshold, effect: Effect, target: str | None) -> None:
        """Take in a share that applies: deny over downgrade over warn, of equals the higher share."""
        if _STRENGTH[effect] >= _STRENGTH[self.effect]:
            self.effect, self.share, self.target = effect, threshold.share, target


def _applying(ruleset: Ruleset, rule: Rule, limit: int, total: int, tried: Candidate) -> _Said:
    """The strongest action whose share the total is above, and the targets of all of them."""
    said = _Said()
    if not limit:
        said.add(_WHOLE, Effect.DENY, None)  # nothing fits under 0, whatever `at` says of shares of it
    for threshold in rule.thresholds:
        if limit and total * threshold.share.denominator <= limit * threshold.share.numerator:
            continue
        action = threshold.action
        target = action.target if isinstance(action, Downgrade) else None
        if target is not None:
            if not asks(ruleset, target, tried):
                continue
            said.offers.append(target)
        said.add(threshold, _KIND_EFFECT[type(action)], target)
    return said


_WHOLE = Threshold(Fraction(1), Deny())
_STRENGTH = {Effect.ALLOW: 0, Effect.WARN: 1, Effect.DOWNGRADE: 2, Effect.DENY: 3}


def _restricted(ruleset: Ruleset, rule: Rule, restriction: Restriction, tried: Candidate) -> Finding:
    named = tried.tier in restriction.tiers or any(
        pattern.fullmatch(form) is not None for pattern in restriction.patterns for form in tried.quote.forms
    )
    place = f"of tier {tried.tier}" if tried.tier is not None else "in no tier"
    if named == restriction.allows:
        detail = f"`{tried.model}` is {place}, which {restriction.text} lets through"
        return Finding(Reason(rule.id, Effect.ALLOW, rule.mode, tried.model, rule.source, detail=detail))
    otherwise = restriction.otherwise
    if isinstance(otherwise, Deny):
        detail = f"`{tried.model}` is {place}, which {restriction.text} refuses"
        return Finding(Reason(rule.id, Effect.DENY, rule.mode, tried.model, rule.source, detail=detail))
    if not asks(ruleset, otherwise.target, tried):
        detail = f"`{tried.model}` is {place}, already where {restriction.text} would downgrade to"
        return Finding(Reason(rule.id, Effect.ALLOW, rule.mode, tried.model, rule.source, detail=detail))
    detail = f"`{tried.model}` is {place}, for which {restriction.text} asks for {otherwise.target}"
    reason = Reason(rule.id, Effect.DOWNGRADE, rule.mode, tried.model, rule.source, target=otherwise.target, detail=detail)
    return Finding(reason, (otherwise.target,))


def _unmatched(ruleset: Ruleset, tried: Candidate) -> Finding:
    defaults = ruleset.policies.defaults
    effect = Effect.DENY if defaults.unmatched is Answer.DENY else Effect.ALLOW
    detail = f"no enforced rule matches this call, and `defaults.unmatched` is `{defaults.unmatched.value}`"
    return Finding(Reason("defaults.unmatched", effect, Mode.ENFORCE, tried.model, defaults.source, detail=detail))

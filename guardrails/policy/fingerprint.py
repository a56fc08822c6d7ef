"""What a rule selects and how it buckets, as a hash: rules with equal fingerprints count the same calls in the same balances."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from guardrails.core.window import Window, WindowKind
from guardrails.policy.rules import Condition, Test, Tier

_WITHOUT_ZONE = frozenset({WindowKind.CALL, WindowKind.LIFETIME})


def bucket_of(window: Window) -> str:
    """What of a window tells its balances apart, as text."""
    if window.kind in _WITHOUT_ZONE:
        return window.kind.value
    return f"{window.kind.value} {window.timezone} {window.week_starts if window.kind is WindowKind.WEEK else ''}".rstrip()


def fingerprint_of(
    kind: str,
    measure: str,
    match: tuple[Condition, ...],
    excepts: tuple[tuple[Condition, ...], ...],
    per: tuple[str, ...],
    bucket: str,
    tiers: Sequence[Tier],
) -> str:
    """The hash as hex. Limits, shares, mode, dates and description are not in it, and neither is the rule's id.

    A condition on `tier` depends on every tier: a model is in the first that names it.
    """
    selected = _selected(match) if match else []
    excluded = sorted([_selected(each) for each in excepts]) if excepts else []
    named = [(tier.name, tier.models) for tier in tiers] if tiers and _names_tiers(match, excepts) else []
    # `ascii` of nested tuples, lists, text and whole numbers is one to one and the same on every version of Python.
    text = ascii((kind, measure, selected, excluded, per, bucket, named))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _selected(match: tuple[Condition, ...]) -> list[tuple[object, ...]]:
    selected = [_canonical(condition) for condition in match]
    selected.sort()
    return selected


def _canonical(condition: Condition) -> tuple[object, ...]:
    patterns = sorted([each.pattern for each in condition.patterns]) if condition.patterns else []
    # The name of a test costs a call of Python to look up, and nearly every test is this one.
    test = "in" if condition.test is Test.IN else condition.test.value
    return (condition.attribute, test, sorted(condition.exact), patterns, condition.bounds)


def _names_tiers(match: tuple[Condition, ...], excepts: tuple[tuple[Condition, ...], ...]) -> bool:
    return any(condition.attribute == "tier" for each in (match, *excepts) for condition in each)

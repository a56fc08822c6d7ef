"""Which rules meet a call. Dates, mode and limits are not looked at.

A rule is found under its rarest condition that names whole values, else under the text before the wildcards of one; only rules
without any such condition are tried for every call. So what a call costs depends on the rules that it meets, not on those
that there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from guardrails.policy.rules import Condition, PolicySet, Rule, Test


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions look at.

    Attributes:
        labels: folded value by the name of the label; absent labels are not in it.
        forms: the folded forms of the model's name; any that matches counts.
        provider: folded; None where it is not known.
        tier: as it is named; None for a model in no tier.
        operation: folded.
        input_tokens: as estimated, cached input included.
        output_tokens: as estimated.
    """

    labels: Mapping[str, str]
    forms: tuple[str, ...]
    provider: str | None
    tier: str | None
    operation: str
    input_tokens: int
    output_tokens: int


_Check: TypeAlias = Callable[[Facts], bool]
_Checks: TypeAlias = tuple[_Check, ...]
_Entry: TypeAlias = "tuple[int, Rule, _Checks, tuple[_Checks, ...]]"
"""Place in the set, rule, the conditions that being found under a value has not settled, the exceptions."""

_Name: TypeAlias = tuple[str, str]
"""An attribute and a folded value, or the beginning of one."""

_CALL_VALUES = frozenset({"provider", "tier", "operation"})


class RuleIndex:
    """The rules of a set, made ready to be met."""

    def __init__(self, policies: PolicySet) -> None:
        rarity = Counter(name for rule in policies.rules for condition in rule.match for name in _names(condition))
        self._always: list[_Entry] = []
        self._exact: dict[str, dict[str, list[_Entry]]] = {}
        self._prefixed: dict[str, dict[str, list[_Entry]]] = {}
        for place, rule in enumerate(policies.rules):
            self._file(place, rule, rarity)
        self._by_label = [(name, found) for name, found in self._exact.items() if name != "model" and name not in _CALL_VALUES]
        self._by_model = self._exact.get("model")
        self._by_call = [(name, found) for name, found in self._exact.items() if name in _CALL_VALUES]
        self._by_prefix = [(name, found, sorted({len(prefix) for prefix in found})) for name, found in self._prefixed.items()]

    def matching(self, facts: Facts) -> list[Rule]:
        """The rules whose conditions all hold and of whose exceptions none does, in the order of the set."""
        labels = facts.labels
        always = self._always
        found = always
        for label, entries_by_value in self._by_label:
            value = labels.get(label)
            if value is not None and value in entries_by_value:
                found = found + entries_by_value[value]
        if self._by_model is not None or self._by_call or self._by_prefix:
            found = found + self._found_by_call(facts)
        if found is not always:
            found.sort(key=_place)
        rules = []
        last = -1
        for place, rule, checks, excepts in found:
            if place == last:
                continue
            last = place
            for check in checks:
                if not check(facts):
                    break
            else:
                if not excepts or not _excepted(excepts, facts):
                    rules.append(rule)
        return rules

    def _found_by_call(self, facts: Facts) -> list[_Entry]:
        """Rules under the call's own attributes, and under the beginnings of values; some perhaps twice."""
        found: list[_Entry] = []
        if self._by_model is not None:
            for form in facts.forms:
                found += self._by_model.get(form, ())
        for name, entries_by_value in self._by_call:
            value = getattr(facts, name)
            if value is not None:
                found += entries_by_value.get(value, ())
        for name, entries_by_prefix, lengths in self._by_prefix:
            for value in _values(name, facts):
                for length in lengths:
                    found += entries_by_prefix.get(value[:length], ())
        return found

    def _file(self, place: int, rule: Rule, rarity: Counter[_Name]) -> None:
        """Put a rule under the rarest of its conditions."""
        ranked = [(sum(rarity[name] for name in names), condition) for condition in rule.match if (names := _names(condition))]
        best = min(ranked, key=lambda each: each[0])[1] if ranked else None
        settled = best if best is not None and not best.patterns else None
        checks = tuple(_check(condition) for condition in rule.match if condition is not settled)
        excepts = tuple(tuple(_check(condition) for condition in match) for match in rule.excepts)
        entry = (place, rule, checks, excepts)
        if best is None:
            self._always.append(entry)
            return
        for value in best.exact:
            self._exact.setdefault(best.attribute, {}).setdefault(value, []).append(entry)
        for prefix in set(best.prefixes):
            self._prefixed.setdefault(best.attribute, {}).setdefault(prefix, []).append(entry)


def _place(entry: _Entry) -> int:
    return entry[0]


def _names(condition: Condition) -> list[_Name]:
    """Under what a rule with this condition can be found; empty where a call with any value, or with none, may meet it."""
    if condition.test is not Test.IN or not all(condition.prefixes):
        return []
    return [(condition.attribute, value) for value in (*condition.exact, *condition.prefixes)]


def _values(attribute: str, facts: Facts) -> tuple[str, ...]:
    if attribute == "model":
        return facts.forms
    value = getattr(facts, attribute) if attribute in _CALL_VALUES else facts.labels.get(attribute)
    return () if value is None else (value,)


def _excepted(excepts: tuple[_Checks, ...], facts: Facts) -> bool:
    return any(all(check(facts) for check in checks) for checks in excepts)


def _check(condition: Condition) -> _Check:
    """The condition as a function."""
    attribute = condition.attribute
    if attribute in {"input_tokens", "output_tokens"}:
        return _count_check(condition)
    wanted = condition.test in {Test.IN, Test.EXISTS}
    if condition.test in {Test.EXISTS, Test.MISSING}:
        return lambda facts: bool(_values(attribute, facts)) is wanted
    exact, patterns = condition.exact, condition.patterns
    if attribute == "model" or attribute in _CALL_VALUES or patterns:

        def check(facts: Facts) -> bool:
            for value in _values(attribute, facts):
                if value in exact:
                    return wanted
                for pattern in patterns:
                    if pattern.fullmatch(value) is not None:
                        return wanted
            return not wanted

        return check
    if wanted:
        return lambda facts: facts.labels.get(attribute) in exact
    return lambda facts: facts.labels.get(attribute) not in exact


def _count_check(condition: Condition) -> _Check:
    is_input = condition.attribute == "input_tokens"
    low, high = condition.bounds[0], condition.bounds[-1]
    if condition.test is Test.OVER:
        return lambda facts: (facts.input_tokens if is_input else facts.output_tokens) > low
    if condition.test is Test.UNDER:
        return lambda facts: (facts.input_tokens if is_input else facts.output_tokens) < low
    return lambda facts: low <= (facts.input_tokens if is_input else facts.output_tokens) <= high

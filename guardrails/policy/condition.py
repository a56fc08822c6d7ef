"""Conditions of `match` and `except`, from what is written to what is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guardrails.core.model_name import fold, is_pattern, pattern
from guardrails.core.subject import CALL_ATTRIBUTES, NONE, label_key, label_name_problem, label_value_problem
from guardrails.policy.document import ConditionDocument, TestDocument
from guardrails.policy.rules import Condition, Test
from guardrails.source.complaint import Loc
from guardrails.source.problem import nearest, quoted

Report = Callable[..., None]
"""`report(loc, code, message, hint=None, *, key=False)` adds a problem with a value, or its key, of the rule at hand."""

BAD_NAME = "{} is no name for a label: letters, digits, `_`, `.` and `-`, not starting with a digit"
_COUNTS = frozenset({"input_tokens", "output_tokens"})
_NUMERIC = {"over": Test.OVER, "under": Test.UNDER, "between": Test.BETWEEN}


class Conditions:
    """Reads the conditions of one policy set; equal ones are read once. `tiers` is None where they are not known."""

    def __init__(self, tiers: frozenset[str] | None) -> None:
        self._tiers = tiers
        self._known: dict[tuple[str, str], Condition] = {}

    def all_of(self, match: Mapping[str, ConditionDocument], loc: Loc, report: Report) -> tuple[Condition, ...]:
        """The conditions of one match, in the order in which they are written."""
        found = []
        for attribute, written in match.items():
            condition = self._known.get((attribute, written)) if type(written) is str else None
            if condition is None:
                condition = self._read(attribute, written, (*loc, attribute), report)
            found.append(condition)
        return tuple(found)

    def _read(self, attribute: str, written: ConditionDocument, loc: Loc, report: Report) -> Condition:
        if type(written) is str and attribute not in CALL_ATTRIBUTES and _is_plain(attribute, written):
            condition = self._known[attribute, written] = Condition(attribute, Test.IN, frozenset((label_key(written),)), text=written)
            return condition
        if attribute not in CALL_ATTRIBUTES and label_name_problem(attribute) is not None:
            report(loc, "bad-label-name", BAD_NAME.format(quoted(attribute)), key=True)
        if isinstance(written, TestDocument):
            return self._test(attribute, written, loc, report)
        return self._one_of(attribute, written, Test.IN, loc, report)

    def _test(self, attribute: str, written: TestDocument, loc: Loc, report: Report) -> Condition:
        given = [name for name, field in TestDocument.model_fields.items() if name in written.model_fields_set]
        keys = [TestDocument.model_fields[name].alias or name for name in given]
        if len(keys) != 1:
            several = f"a condition is one test, this has {len(keys)}" if keys else "a condition needs a test such as `exists: true`"
            report(loc, "bad-condition", several, "between: [a, b]" if set(keys) == {"over", "under"} else None)
            return Condition(attribute, Test.EXISTS)
        key = keys[0]
        if written.not_ is not None:
            return self._one_of(attribute, written.not_, Test.NOT_IN, (*loc, key), report)
        if written.exists is not None:
            if attribute in _COUNTS:
                report(loc, "bad-condition", f"every call has {quoted(attribute)}, test it with `over`, `under` or `between`")
            return Condition(attribute, Test.EXISTS if written.exists else Test.MISSING, text=f"{{exists: {str(written.exists).lower()}}}")
        if attribute not in _COUNTS:
            report((*loc, key), "bad-condition", f"`{key}` compares numbers, only `input_tokens` and `output_tokens` are numbers", key=True)
        bounds = (
            tuple(written.between) if written.between is not None else (written.over if written.over is not None else written.under or 0,)
        )
        if bounds[0] > bounds[-1]:
            report((*loc, key), "bad-condition", f"`between` goes from {bounds[0]} down to {bounds[1]}, no number is in it")
        shown = f"[{bounds[0]}, {bounds[1]}]" if len(bounds) > 1 else str(bounds[0])
        return Condition(attribute, _NUMERIC[key], bounds=bounds, text=f"{{{key}: {shown}}}")

    def _one_of(self, attribute: str, words: str | list[str], test: Test, loc: Loc, report: Report) -> Condition:
        """A condition on the value itself: any of the words, or none of them."""
        if attribute in _COUNTS:
            report(loc, "bad-condition", f"{quoted(attribute)} is a number, test it with `over`, `under` or `between`")
        fold_value = label_key if attribute not in CALL_ATTRIBUTES else str.strip if attribute == "tier" else fold
        exact: list[str] = []
        wild: list[str] = []
        for at, word in [(loc, words)] if isinstance(words, str) else [((*loc, place), word) for place, word in enumerate(words)]:
            self._check(attribute, word, at, report)
            (wild if is_pattern(word) else exact).append(fold_value(word))
        shown = words if isinstance(words, str) else f"[{', '.join(words)}]"
        return Condition(
            attribute,
            test,
            frozenset(exact),
            tuple([pattern(word) for word in wild]),
            text=f"{{not: {shown}}}" if test is Test.NOT_IN else shown,
            prefixes=tuple([fold(word[: min(word.find(mark) for mark in "*?" if mark in word)]) for word in wild]),
        )

    def _check(self, attribute: str, word: str, loc: Loc, report: Report) -> None:
        if not word.strip():
            message = f"an empty value is an absent {'attribute' if attribute in CALL_ATTRIBUTES else 'label'}, write `{{exists: false}}`"
            report(loc, "bad-condition", message)
        elif attribute == "tier":
            if self._tiers is not None and not _is_tier(word.strip(), self._tiers):
                report(loc, "unknown-tier", f"no tier {quoted(word)} is defined", nearest(word, self._tiers))
        elif attribute not in CALL_ATTRIBUTES and (problem := label_value_problem(word)) is not None:
            hint = "{exists: false}" if label_key(word) == NONE else None
            report(loc, "bad-label-value", f"the value of label {quoted(attribute)} {problem}", hint)


def _is_plain(label: str, value: str) -> bool:
    """Whether a condition on a label is one whole value with nothing wrong: nearly all are, so that this is decided first."""
    return not is_pattern(value) and label_name_problem(label) is None and label_value_problem(value) is None and bool(value.strip())


def _is_tier(word: str, tiers: frozenset[str]) -> bool:
    return any(pattern(word).fullmatch(fold(tier)) for tier in tiers) if is_pattern(word) else word in tiers

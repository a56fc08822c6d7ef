"""Documents to rules: zones, windows and defaults filled in, and what one key says of another checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from guardrails.core.model_name import fold, is_pattern, pattern
from guardrails.core.quantity import Amount
from guardrails.core.subject import CALL_ATTRIBUTES, NONE, label_key, label_name_problem, label_value_problem, written_form
from guardrails.core.window import Window, WindowKind
from guardrails.policy.amount import DENY, share_of
from guardrails.policy.condition import BAD_NAME, Conditions
from guardrails.policy.document import (
    WEEKDAYS,
    AnyRuleDocument,
    DefaultsDocument,
    LabelDocument,
    MatchDocument,
    PolicyDocument,
    RuleDocument,
    TierRestrictionDocument,
)
from guardrails.policy.fingerprint import bucket_of, fingerprint_of
from guardrails.policy.rules import (
    Action,
    Condition,
    Defaults,
    Deny,
    Downgrade,
    LabelRule,
    Limits,
    Restriction,
    Rule,
    RuleKind,
    Source,
    Threshold,
    Tier,
)
from guardrails.source.complaint import Loc
from guardrails.source.document import Read
from guardrails.source.problem import Problem, nearest, quoted
from guardrails.source.written import Mistake, start_of

_WHOLE_LIMIT = (Threshold(Fraction(1), DENY),)
_KINDS = {kind.value: kind for kind in RuleKind}
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Parts:
    """What one file says, as far as it could be read; rules with their place in the file."""

    read: Read[PolicyDocument]
    tiers: dict[str, list[str]] | None
    labels: dict[str, LabelDocument] | None
    defaults: DefaultsDocument | None
    rules: Sequence[tuple[int, RuleDocument]]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Resolved:
    """A whole set, resolved."""

    rules: tuple[Rule, ...]
    tiers: tuple[Tier, ...]
    labels: tuple[LabelRule, ...]
    defaults: Defaults


def resolve(files: Sequence[Parts], problems: list[Problem]) -> Resolved:
    """The rules of all files together; what is wrong is added to `problems`."""
    return _Resolver(files, problems).resolved()


class _Resolver:
    """Resolves one set."""

    def __init__(self, files: Sequence[Parts], problems: list[Problem]) -> None:
        self._files = files
        self._problems = problems
        self._tiers: tuple[Tier, ...] = ()
        self._tier_names: frozenset[str] | None = None
        self._labels: dict[str, LabelRule] = {}
        self._defaults = Defaults()
        self._conditions = Conditions(None)
        self._windows: dict[tuple[WindowKind, str], tuple[Window, str]] = {}
        self._known_thresholds: dict[tuple[tuple[str, Action], ...], tuple[Threshold, ...]] = {}
        self._ids: dict[str, Source] = {}
        self._read: Read[PolicyDocument]
        self._loc: Loc = ()

    def resolved(self) -> Resolved:
        self._one_section("tiers")
        self._one_section("labels")
        self._one_section("defaults")
        for parts in self._files:
            self._read, self._loc = parts.read, ()
            if parts.tiers is not None:
                self._tiers = tuple(self._tier(name, models) for name, models in parts.tiers.items())
            if parts.labels is not None:
                self._labels = {name: self._label(name, label) for name, label in parts.labels.items()}
            if parts.defaults is not None:
                self._defaults = self._resolved_defaults(parts.defaults)
        self._tier_names = frozenset(tier.name for tier in self._tiers) if all(parts.complete for parts in self._files) else None
        self._conditions = Conditions(self._tier_names)
        rules = []
        for parts in self._files:
            self._read = parts.read
            lines = parts.read.item_lines(("rules",))
            for place, document in parts.rules:
                self._loc = ("rules", place)
                rules.append(self._rule(document, Source(parts.read.path, lines[place])))
        return Resolved(tuple(rules), self._tiers, tuple(self._labels.values()), self._defaults)

    def _report(self, loc: Loc, code: str, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self._problems.append(self._read.problem((*self._loc, *loc), code, message, hint, key=key))

    def _one_section(self, name: str) -> None:
        first: str | None = None
        for parts in self._files:
            if not isinstance(parts.read.plain, dict) or name not in parts.read.plain:
                continue
            line, _ = parts.read.mark((name,), key=True)
            if first is not None:
                message = f"`{name}` already stands in {first}, it stands in one file of a set"
                self._problems.append(parts.read.problem((name,), "second-section", message, key=True))
            first = first or f"{parts.read.path}:{line}"

    def _tier(self, name: str, models: list[str]) -> Tier:
        loc = ("tiers", name)
        if is_pattern(name) or name != name.strip() or not name.isprintable():
            self._report(loc, "bad-tier-name", f"{quoted(name)} is no name for a tier", key=True)
        seen: dict[str, str] = {}
        for place, model in enumerate(models):
            if not model.strip():
                self._report((*loc, place), "empty-value", f"an item of {quoted(name)} is empty")
            elif fold(model) in seen:
                self._report((*loc, place), "duplicate-model", f"{quoted(model)} is in tier {quoted(name)} already")
            seen[fold(model)] = model
        return Tier(name, tuple(model.strip() for model in models))

    def _label(self, name: str, label: LabelDocument) -> LabelRule:
        loc = ("labels", name)
        if name in CALL_ATTRIBUTES:
            self._report(loc, "bad-label-name", f"{quoted(name)} is read from the call, a label needs another name", key=True)
        elif label_name_problem(name) is not None:
            self._report(loc, "bad-label-name", BAD_NAME.format(quoted(name)), key=True)
        values: dict[str, str] | None = None
        if label.values is not None:
            values = {}
            for place, value in enumerate(label.values):
                at = (*loc, "values", place)
                self._check_value(name, value, at)
                if label_key(value) in values:
                    self._report(at, "duplicate-value", f"{quoted(value)} is the same value as {quoted(values[label_key(value)])}")
                values.setdefault(label_key(value), written_form(value))
        line, _ = self._read.mark(loc, key=True)
        return LabelRule(name, label.required, values, Source(self._read.path, line))

    def _check_value(self, label: str, value: str, loc: Loc, *, key: bool = False) -> None:
        if (problem := label_value_problem(value)) is not None:
            self._report(loc, "bad-label-value", f"the value of label {quoted(label)} {problem}", key=key)
        elif not value.strip():
            self._report(loc, "bad-label-value", f"an empty value of label {quoted(label)} is an absent label", key=key)
        elif is_pattern(value):
            self._report(loc, "bad-label-value", f"{quoted(value)} has a wildcard, whole values stand here", key=key)

    def _resolved_defaults(self, written: DefaultsDocument) -> Defaults:
        line, _ = self._read.mark(("defaults",), key=True)
        return Defaults(
            written.timezone,
            written.assume_output_tokens,
            written.hold_ttl,
            written.unknown_price,
            written.unknown_outcome,
            written.unavailable,
            written.unmatched,
            WEEKDAYS.index(written.week_starts),
            Source(self._read.path, line),
        )

    def _rule(self, document: RuleDocument, source: Source) -> Rule:
        earlier = self._ids.setdefault(document.id, source)
        if earlier is not source:
            self._report(("id",), "duplicate-id", f"rule id {quoted(document.id)} is taken by the rule at {earlier}")
        match = self._conditions.all_of(document.match, ("match",), self._report) if document.match else ()
        excepts = self._excepts(document.except_) if document.except_ else ()
        timezone = document.timezone or self._defaults.timezone
        starts, ends = self._dates(document, timezone) if document.from_ is not None or document.until is not None else (None, None)
        if document.kind == "tier_restriction":
            return Rule(
                document.id,
                RuleKind.TIER_RESTRICTION,
                source,
                fingerprint_of(document.kind, "", match, excepts, (), "", self._tiers),
                document.description,
                match,
                excepts,
                restriction=self._restriction(document),
                mode=document.mode,
                starts=starts,
                ends=ends,
            )
        per = self._per(document.per) if document.per is not None else ()
        limits = self._limits(document.limit, per)
        window, bucket = (None, "") if document.kind == "concurrency_cap" else self._window(document.window, timezone)
        return Rule(
            document.id,
            _KINDS[document.kind],
            source,
            fingerprint_of(document.kind, str(limits.measure), match, excepts, per, bucket, self._tiers),
            document.description,
            match,
            excepts,
            per,
            limits,
            window,
            _WHOLE_LIMIT if document.at is None else self._thresholds(document.at),
            None,
            document.mode,
            starts,
            ends,
        )

    def _excepts(self, matches: list[MatchDocument]) -> tuple[tuple[Condition, ...], ...]:
        excepts = []
        for place, match in enumerate(matches):
            if not match:
                self._report(("except", place), "empty-value", "an empty match in `except` excludes every call")
            excepts.append(self._conditions.all_of(match, ("except", place), self._report))
        return tuple(excepts)

    def _dates(self, document: AnyRuleDocument, timezone: str) -> tuple[datetime | None, datetime | None]:
        starts = None if document.from_ is None else start_of(document.from_, timezone)
        ends = None if document.until is None else start_of(document.until, timezone)
        if starts is not None and ends is not None and starts >= ends:
            self._report(("until",), "bad-range", "`until` must be later than `from`")
        return starts, ends

    def _window(self, kind: WindowKind, timezone: str) -> tuple[Window, str]:
        """A window, and what of it is in a fingerprint; rules with the same have one object."""
        known = self._windows.get((kind, timezone))
        if known is None:
            window = Window(kind, timezone, self._defaults.week_starts)
            known = self._windows[kind, timezone] = (window, bucket_of(window))
        return known

    def _per(self, written: str | list[str]) -> tuple[str, ...]:
        labels = (written,) if isinstance(written, str) else tuple(written)
        for place, label in enumerate(labels):
            loc: Loc = ("per",) if isinstance(written, str) else ("per", place)
            if label in CALL_ATTRIBUTES:
                self._report(
                    loc, "bad-per", f"`per` takes labels of the subject, {quoted(label)} is read from the call; use `match` for it"
                )
            elif label_name_problem(label) is not None:
                self._report(loc, "bad-label-name", BAD_NAME.format(quoted(label)))
            elif label in labels[:place]:
                self._report(loc, "duplicate-value", f"{quoted(label)} is in `per` already")
        return labels

    def _limits(self, limit: Amount | dict[str, Amount], per: tuple[str, ...]) -> Limits:
        if not isinstance(limit, dict):
            return Limits(limit.measure, limit.value)
        measure = next(iter(limit.values())).measure
        if len(per) != 1:
            needs = "`limit` by value needs `per` with a single label"
            self._report(("limit",), "bad-limit", f"{needs}, this has {len(per)}" if per else needs)
        default: int | None = None
        by_value: dict[str, int] = {}
        for written, amount in limit.items():
            loc = ("limit", written)
            value = label_key(written)
            if amount.measure is not measure:
                self._report(
                    loc, "bad-limit", f"`limit` is in `{measure.value}` above and in `{amount.measure.value}` here, one rule has one unit"
                )
            if value == _DEFAULT:
                if default is not None:
                    self._report(loc, "duplicate-value", "`default` is in `limit` already", key=True)
                default = amount.value
                continue
            if value in by_value:
                self._report(
                    loc, "duplicate-value", f"{quoted(written)} is the same value as one above, values are compared without case", key=True
                )
            elif value != NONE and len(per) == 1:
                self._check_limited_value(per[0], written, loc)
            by_value[value] = amount.value
        return Limits(measure, default, by_value)

    def _check_limited_value(self, label: str, written: str, loc: Loc) -> None:
        self._check_value(label, written, loc, key=True)
        rule = self._labels.get(label)
        if rule is not None and rule.values is not None and label_key(written) not in rule.values:
            close = nearest(written, [*rule.values.values(), _DEFAULT, NONE])
            self._report(loc, "unknown-value", f"{quoted(written)} is not among the values of label {quoted(label)}", close, key=True)

    def _thresholds(self, written: dict[str, Action]) -> tuple[Threshold, ...]:
        key = tuple(written.items())
        known = self._known_thresholds.get(key)
        if known is not None:
            return known
        before = len(self._problems)
        found: dict[Fraction, Threshold] = {}
        for text, action in written.items():
            loc = ("at", text)
            try:
                share = share_of(text)
            except Mistake as mistake:
                self._report(loc, mistake.code, mistake.message, mistake.hint, key=True)
                continue
            if share in found:
                self._report(loc, "duplicate-value", f"{quoted(text)} is the same share as one above", key=True)
            if isinstance(action, Downgrade):
                self._check_target(action.target, loc)
            found[share] = Threshold(share, action)
        if not written:
            self._report(("at",), "empty-value", "`at` is empty")
        thresholds = tuple([found[share] for share in sorted(found)])
        if len(self._problems) == before:
            self._known_thresholds[key] = thresholds
        return thresholds

    def _check_target(self, target: str, loc: Loc) -> None:
        """A target that is no tier is a model, unless it looks like a misspelt tier and no tier has such a model."""
        if self._tier_names is None or target in self._tier_names:
            return
        close = nearest(target, self._tier_names)
        if close is not None and not any(pattern(model).fullmatch(fold(target)) for tier in self._tiers for model in tier.models):
            self._report(loc, "unknown-tier", f"no tier {quoted(target)} is defined, and no tier has such a model", close)

    def _restriction(self, document: TierRestrictionDocument) -> Restriction:
        written = document.allow if document.allow is not None else document.deny
        key = "allow" if document.allow is not None else "deny"
        if written is None:
            self._report((), "missing-key", "a `tier_restriction` needs `allow` or `deny`")
        elif document.allow is not None and document.deny is not None:
            self._report(("deny",), "bad-restriction", "a `tier_restriction` has `allow` or `deny`, not both", key=True)
        tiers: set[str] = set()
        patterns = []
        words = [written] if isinstance(written, str) else written or []
        for place, word in enumerate(words):
            loc: Loc = (key,) if isinstance(written, str) else (key, place)
            if self._tier_names is not None and word in self._tier_names:
                tiers.add(word)
                continue
            if not word.strip():
                self._report(loc, "empty-value", f"an item of `{key}` is empty")
            elif not is_pattern(word):
                self._check_target(word, loc)
            patterns.append(pattern(word))
        otherwise: Deny | Downgrade = document.otherwise or DENY
        if isinstance(otherwise, Downgrade):
            self._check_target(otherwise.target, ("otherwise",))
        shown = ", ".join(words)
        return Restriction(key == "allow", frozenset(tiers), tuple(patterns), otherwise, f"`{key}: [{shown}]`")

import time
from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.core.model_name import forms_as_given
from guardrails.policy.load import load_files
from guardrails.policy.match import Facts, RuleIndex

TIERS = "tiers: {frontier: [gpt-5.2], economy: [gpt-5-nano]}"


def facts(
    labels: Mapping[str, str] | None = None,
    *,
    model: str = "openai/gpt-5.2",
    provider: str | None = None,
    tier: str | None = None,
    operation: str = "chat",
    input_tokens: int = 0,
    output_tokens: int = 0,
) -> Facts:
    return Facts(labels or {}, forms_as_given(model), provider, tier, operation, input_tokens, output_tokens)


def index(*rules: str) -> RuleIndex:
    """An index of rules `r0`, `r1`, … with these matches, or matches and exceptions."""
    lines = [
        f"  - {{id: r{place}, kind: spend_limit, limit: 5 USD, window: day, {match if match.startswith('match') else f'match: {match}'}}}"
        for place, match in enumerate(rules)
    ]
    return RuleIndex(load_files({"a.yaml": f"version: 1\n{TIERS}\nrules:\n" + "\n".join(lines) + "\n"}))


def meets(match: str, of: Facts) -> bool:
    return [rule.id for rule in index(match).matching(of)] == ["r0"]


@pytest.mark.parametrize(
    ("match", "of", "met"),
    [
        ("{}", facts(), True),
        ("{team: Search}", facts({"team": "search"}), True),
        ("{team: search}", facts({"team": "searches"}), False),
        ("{team: search}", facts(), False),
        ("{team: [a, search]}", facts({"team": "search"}), True),
        ("{team: 's*'}", facts({"team": "search"}), True),
        ("{team: 's*'}", facts({"team": "ads"}), False),
        ("{team: '*'}", facts(), False),
        ("{team: '*'}", facts({"team": "x"}), True),
        ("{team: 's?'}", facts({"team": "s"}), False),
        ("{team: 's?'}", facts({"team": "sx"}), True),
        ("{team: {not: search}}", facts({"team": "search"}), False),
        ("{team: {not: search}}", facts({"team": "ads"}), True),
        ("{team: {not: search}}", facts(), True),
        ("{team: {not: ['s*', ads]}}", facts({"team": "search"}), False),
        ("{team: {not: ['s*', ads]}}", facts(), True),
        ("{team: {exists: true}}", facts({"team": "x"}), True),
        ("{team: {exists: true}}", facts(), False),
        ("{team: {exists: false}}", facts(), True),
        ("{team: {exists: false}}", facts({"team": "x"}), False),
        ("{team: a, user: b}", facts({"team": "a", "user": "b"}), True),
        ("{team: a, user: b}", facts({"team": "a", "user": "c"}), False),
        ("{team: a, user: b}", facts({"team": "a"}), False),
        ("{model: gpt-5.2}", facts(model="openrouter/openai/GPT-5.2"), True),
        ("{model: openai/gpt-5.2}", facts(model="openrouter/openai/gpt-5.2"), True),
        ("{model: openai/gpt-5.2}", facts(model="gpt-5.2"), False),
        ("{model: 'gpt-*'}", facts(model="azure/gpt-5"), True),
        ("{model: {not: gpt-5.2}}", facts(model="openai/gpt-5.2"), False),
        ("{model: {not: 'openai/*'}}", facts(model="gpt-5.2"), True),
        ("{provider: OpenAI}", facts(provider="openai"), True),
        ("{provider: openai}", facts(), False),
        ("{provider: {not: openai}}", facts(), True),
        ("{provider: {exists: false}}", facts(), True),
        ("{tier: economy}", facts(tier="economy"), True),
        ("{tier: economy}", facts(tier="frontier"), False),
        ("{tier: economy}", facts(), False),
        ("{tier: {not: economy}}", facts(), True),
        ("{tier: {exists: true}}", facts(), False),
        ("{operation: batch}", facts(operation="batch"), True),
        ("{operation: {not: chat}}", facts(), False),
        ("{input_tokens: {over: 10}}", facts(input_tokens=10), False),
        ("{input_tokens: {over: 10}}", facts(input_tokens=11), True),
        ("{output_tokens: {under: 10}}", facts(output_tokens=10), False),
        ("{output_tokens: {under: 10}}", facts(output_tokens=9), True),
        ("{input_tokens: {between: [5, 7]}}", facts(input_tokens=4), False),
        ("{input_tokens: {between: [5, 7]}}", facts(input_tokens=5), True),
        ("{input_tokens: {between: [5, 7]}}", facts(input_tokens=7), True),
        ("{output_tokens: {between: [5, 7]}}", facts(output_tokens=8), False),
        ("match: {team: a}, except: [{user: b}, {project: c, user: d}]", facts({"team": "a", "user": "b"}), False),
        ("match: {team: a}, except: [{user: b}, {project: c, user: d}]", facts({"team": "a", "user": "d"}), True),
        ("match: {team: a}, except: [{user: b}, {project: c, user: d}]", facts({"team": "a", "user": "d", "project": "c"}), False),
        ("match: {}, except: [{team: {exists: false}}]", facts(), False),
    ],
)
def test_meets_a_call_when_all_conditions_hold_and_no_exception_does(match: str, of: Facts, met: bool) -> None:  # noqa: FBT001 - a parameter
    assert meets(match, of) is met


def test_finds_rules_in_the_order_of_the_set_and_each_once() -> None:
    rules = index(
        "{model: [gpt-5.2, openai/gpt-5.2]}", "{}", "{team: [a, 'a*']}", "{team: {not: b}}", "{team: a, model: 'gpt*'}", "{user: x}"
    )
    found = rules.matching(facts({"team": "a"}))
    assert [rule.id for rule in found] == ["r0", "r1", "r2", "r3", "r4"]


_values = st.sampled_from(["a", "ab", "abc", "b", "ba"])
_words = st.sampled_from(["a", "ab", "b", "a*", "*b", "?", "a?", "*"])
_condition = st.one_of(
    _words.map(lambda word: f"'{word}'"),
    st.lists(_words, min_size=1, max_size=3).map(str),
    _words.map(lambda word: f"{{not: '{word}'}}"),
    st.lists(_words, min_size=1, max_size=2).map(lambda words: f"{{not: {words}}}"),
    st.sampled_from(["{exists: true}", "{exists: false}"]),
)
_count_condition = st.one_of(
    st.integers(0, 4).map(lambda bound: f"{{over: {bound}}}"),
    st.integers(0, 4).map(lambda bound: f"{{under: {bound}}}"),
    st.tuples(st.integers(0, 2), st.integers(2, 4)).map(lambda pair: f"{{between: {list(pair)}}}"),
)
_tier_condition = st.sampled_from(["economy", "[economy, frontier]", "{not: economy}", "{exists: false}", "'*r*'"])
_match = st.fixed_dictionaries(
    {},
    optional={
        "x": _condition,
        "y": _condition,
        "model": _condition,
        "provider": _condition,
        "operation": _condition,
        "tier": _tier_condition,
        "input_tokens": _count_condition,
        "output_tokens": _count_condition,
    },
)
_rule = st.tuples(_match, st.lists(_match.filter(bool), max_size=2))
_facts = st.builds(
    Facts,
    labels=st.dictionaries(st.sampled_from(["x", "y"]), _values, max_size=2),
    forms=st.lists(_values, max_size=3).map(tuple),
    provider=st.none() | _values,
    tier=st.sampled_from([None, "frontier", "economy"]),
    operation=_values,
    input_tokens=st.integers(0, 5),
    output_tokens=st.integers(0, 5),
)


def _holds(attribute: str, condition: object, of: Facts) -> bool:
    """What a condition means, as trivially as it can be said, from what is written."""
    if attribute in {"input_tokens", "output_tokens"}:
        assert isinstance(condition, dict)
        count = of.input_tokens if attribute == "input_tokens" else of.output_tokens
        ((test, bound),) = condition.items()
        return bool(
            {"over": lambda: count > bound, "under": lambda: count < bound, "between": lambda: bound[0] <= count <= bound[1]}[test]()
        )
    values: list[str | None] = list(of.forms) if attribute == "model" else [getattr(of, attribute, of.labels.get(attribute))]
    present = [value for value in values if value is not None]
    if isinstance(condition, dict):
        ((test, wanted),) = condition.items()
        if test == "exists":
            return bool(present) is wanted
        return not _holds(attribute, wanted, of)
    words = condition if isinstance(condition, list) else [condition]
    return any(fnmatchcase(value, str(word)) for value in present for word in words)


def _parsed(match: Mapping[str, str]) -> dict[str, object]:
    import yaml  # noqa: PLC0415 - the reference reads its matches with a reader of its own

    read = {name: yaml.safe_load(condition) for name, condition in match.items()}
    assert all(each is not None for each in read.values())
    return read


@settings(max_examples=150)
@given(st.lists(_rule, min_size=1, max_size=8), st.lists(_facts, min_size=1, max_size=5))
def test_finds_what_a_plain_loop_over_all_rules_finds(rules: list[tuple[dict[str, str], list[dict[str, str]]]], calls: list[Facts]) -> None:
    def text(match: Mapping[str, str]) -> str:
        return "{" + ", ".join(f"{name}: {condition}" for name, condition in match.items()) + "}"

    found = index(*[f"match: {text(match)}, except: [{', '.join(map(text, excepts))}]" for match, excepts in rules])
    read = [(_parsed(match), [_parsed(each) for each in excepts]) for match, excepts in rules]
    for call in calls:
        expected = [
            f"r{place}"
            for place, (match, excepts) in enumerate(read)
            if all(_holds(name, condition, call) for name, condition in match.items())
            and not any(all(_holds(name, condition, call) for name, condition in each.items()) for each in excepts)
        ]
        assert [rule.id for rule in found.matching(call)] == expected


def test_ten_thousand_rules_cost_a_call_no_more_than_ten() -> None:
    """Cost follows the rules that match, not those that exist; the bound is loose, `bench/` has the figures."""
    few, many = (index("{}", "{model: gpt-5.2}", *[f"{{team: t{number}}}" for number in range(count)]) for count in (10, 10_000))
    of = facts({"team": "t7", "user": "ana"})
    assert [rule.id for rule in few.matching(of)] == [rule.id for rule in many.matching(of)] == ["r0", "r1", "r9"]
    assert _fastest_s(many, of) < 4 * _fastest_s(few, of)


def _fastest_s(rules: RuleIndex, of: Facts) -> float:
    times = []
    for _ in range(30):
        start = time.perf_counter()
        for _ in range(50):
            rules.matching(of)
        times.append(time.perf_counter() - start)
    return min(times)

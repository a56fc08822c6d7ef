"""What may be written, on both sides of each boundary, and what it resolves to."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from guardrails.core.quantity import Measure
from guardrails.core.window import Window, WindowKind
from guardrails.policy.load import check_files, load_files
from guardrails.policy.rules import Answer, Deny, Downgrade, Mode, PolicySet, Rule, RuleKind, Threshold, UnknownOutcome, Warn
from guardrails.policy.rules import Test as Look

EXAMPLE = (Path(__file__).parent / "example.yaml").read_text(encoding="utf-8")


def rule(keys: str, top: str = "") -> Rule:
    """The only rule of a set; `keys` override those of a simple spend limit."""
    return load_files({"a.yaml": text_of(keys, top)}).rules[0]


def codes(keys: str, top: str = "") -> list[str]:
    return [problem.code for problem in check_files({"a.yaml": text_of(keys, top)})[1]]


def text_of(keys: str, top: str) -> str:
    written = dict(line.split(": ", 1) for line in ("id: r", "kind: spend_limit", "limit: 5 USD", "window: day", *keys.splitlines()))
    lines = [f"    {key}: {value}" for key, value in written.items() if value != "-"]
    return f"version: 1\n{top}\nrules:\n  -\n" + "\n".join(lines) + "\n"


def defaults(text: str) -> PolicySet:
    return load_files({"a.yaml": f"version: 1\ndefaults: {{{text}}}\n"})


def test_the_example_of_the_language_loads_as_it_reads() -> None:
    policies = load_files({"example.yaml": EXAMPLE})
    rules = {each.id: each for each in policies.rules}
    assert list(rules) == ["team-month", "company-day", "prompt-size", "user-tokens", "user-rate", "agents-at-once", "interns"]

    month = rules["team-month"]
    assert month.kind is RuleKind.SPEND_LIMIT
    assert month.description == "Every team's month"
    assert month.per == ("team",)
    assert month.window == Window(WindowKind.MONTH, "Europe/Berlin", 0)
    assert month.limits is not None
    assert (month.limits.measure, month.limits.default, month.limits.by_value) == (
        Measure.USD,
        500_000_000_000,  # 500 USD of 10**9 nano-dollars
        {"research": 5_000_000_000_000},
    )
    assert month.thresholds == (
        Threshold(Fraction(4, 5), Warn()),
        Threshold(Fraction(9, 10), Downgrade("economy")),
        Threshold(Fraction(1), Deny()),
    )
    assert str(month.source) == "policies/example.yaml:24"

    day = rules["company-day"]
    assert day.window == Window(WindowKind.DAY, "America/New_York", 0)
    assert day.mode is Mode.SHADOW
    assert day.thresholds == (Threshold(Fraction(1), Deny()),)

    (condition,) = rules["prompt-size"].match
    assert (condition.attribute, condition.test, set(condition.exact)) == ("environment", Look.NOT_IN, {"prod"})
    assert rules["user-tokens"].per == ("team", "user")
    assert rules["agents-at-once"].window is None

    interns = rules["interns"]
    assert interns.restriction is not None
    assert interns.restriction.allows
    assert interns.restriction.tiers == {"standard", "economy"}
    assert interns.restriction.otherwise == Downgrade("standard")
    # Berlin is two hours ahead of UTC in September and one in January.
    assert interns.starts == datetime(2026, 8, 31, 22, tzinfo=UTC)
    assert interns.ends == datetime(2026, 12, 31, 23, tzinfo=UTC)

    assert [tier.name for tier in policies.tiers] == ["frontier", "standard", "economy"]
    assert [(label.name, label.required) for label in policies.labels] == [("team", True), ("environment", False)]
    assert policies.labels[0].source.line == 10
    assert policies.defaults.hold_ttl_s == 600
    assert policies.defaults.source.line == 13


@pytest.mark.parametrize(
    ("written", "nano_usd"),
    [
        ("0 USD", 0),
        ("0.25 USD", 250_000_000),
        ("5_000 USD", 5_000_000_000_000),
        ("10.10 USD", 10_100_000_000),
        ("0.000000001 USD", 1),
        ("0.0000000010 USD", 1),
        ("9_223_372_036.854775807 USD", 2**63 - 1),
        ("007 USD", 7_000_000_000),
    ],
)
def test_money_is_exact_to_the_nano_dollar(written: str, nano_usd: int) -> None:
    limits = rule(f"limit: {written}").limits
    assert limits is not None
    assert limits.default == nano_usd


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("0.0000000001 USD", "too-fine"),
        ("9_223_372_036.854775808 USD", "too-large"),
        ("-0.01 USD", "negative"),
        ("1e3 USD", "bad-amount"),
        ("NaN USD", "bad-amount"),
        ("0x10 USD", "bad-amount"),
        ("5 USD per day", "wrong-unit"),
        ("5 GBP", "other-currency"),
        ("5 cents", "wrong-unit"),
        ("5", "no-unit"),
        ("USD", "bad-amount"),
        ("5  USD", "bad-amount"),
        ("{a: 5 USD}", "bad-limit"),
        ("9" * 60 + " USD", "too-large"),
        ("9" * 6_000 + " USD", "bad-amount"),
    ],
)
def test_refuses_what_is_no_amount_of_money(written: str, code: str) -> None:
    assert codes(f"limit: {written}") == [code]


@pytest.mark.parametrize(
    ("kind", "written", "measure", "value"),
    [
        ("token_cap", "2M tokens", Measure.TOKENS, 2_000_000),
        ("token_cap", "8k output tokens", Measure.OUTPUT_TOKENS, 8_000),
        ("token_cap", "32_000 input tokens", Measure.INPUT_TOKENS, 32_000),
        ("token_cap", "1.5M tokens", Measure.TOKENS, 1_500_000),
        ("token_cap", "1 token", Measure.TOKENS, 1),
        ("token_cap", "3G tokens", Measure.TOKENS, 3_000_000_000),
        ("token_cap", "3B tokens", Measure.TOKENS, 3_000_000_000),
        ("request_cap", "60 requests", Measure.REQUESTS, 60),
        ("request_cap", "1 request", Measure.REQUESTS, 1),
        ("request_cap", "0 requests", Measure.REQUESTS, 0),
    ],
)
def test_counts_take_the_units_of_their_kind(kind: str, written: str, measure: Measure, value: int) -> None:
    limits = rule(f"kind: {kind}\nlimit: {written}").limits
    assert limits is not None
    assert (limits.measure, limits.default) == (measure, value)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("token_cap", "5 requests"),
        ("request_cap", "5 tokens"),
        ("request_cap", "5 USD"),
        ("spend_limit", "8 concurrent"),
        ("token_cap", "5 words"),
    ],
)
def test_refuses_the_units_of_other_kinds(kind: str, written: str) -> None:
    assert codes(f"kind: {kind}\nlimit: {written}") == ["wrong-unit"]


@pytest.mark.parametrize("window", list(WindowKind))
def test_takes_every_window(window: WindowKind) -> None:
    resolved = rule(f"window: {window.value}").window
    assert resolved is not None
    assert resolved.kind is window


@pytest.mark.parametrize("kind", ["spend_limit", "token_cap", "request_cap"])
def test_a_limit_over_time_needs_its_window(kind: str) -> None:
    unit = {"spend_limit": "USD", "token_cap": "tokens", "request_cap": "requests"}[kind]
    assert codes(f"kind: {kind}\nlimit: 5 {unit}\nwindow: -") == ["missing-key"]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("kind: concurrency_cap\nlimit: 8 concurrent", "key-not-taken"),
        ("kind: tier_restriction\nlimit: -\ndeny: x", "key-not-taken"),
        ("kind: tier_restriction\nlimit: -\nwindow: -\ndeny: x\nper: team", "key-not-taken"),
        ("kind: tier_restriction\nlimit: -\nwindow: -\ndeny: x\nat: {80%: warn}", "key-not-taken"),
        ("allow: x", "key-not-taken"),
        ("otherwise: deny", "key-not-taken"),
    ],
)
def test_a_kind_refuses_the_keys_of_others(keys: str, code: str) -> None:
    assert codes(keys) == [code]


@pytest.mark.parametrize(
    ("written", "share"),
    [
        ("80%", Fraction(4, 5)),
        ("99.5%", Fraction(199, 200)),
        ("0.1%", Fraction(1, 1000)),
        ("150%", Fraction(3, 2)),
        ("80 %", Fraction(4, 5)),
    ],
)
def test_shares_are_exact_and_may_pass_the_limit(written: str, share: Fraction) -> None:
    assert rule(f"at: {{{written}: warn}}").thresholds == (Threshold(share, Warn()),)


@pytest.mark.parametrize("written", ["0%", "0.0%", "-1%", "80", "0.8", "eighty%", "80%%", "1e2%"])
def test_refuses_what_is_no_share(written: str) -> None:
    assert codes(f"at: {{{written}: warn}}") == ["bad-share"]


def test_thresholds_ascend_however_they_are_written() -> None:
    assert [each.share for each in rule("at: {120%: deny, 80%: warn, 100%: warn}").thresholds] == [
        Fraction(4, 5),
        Fraction(1),
        Fraction(6, 5),
    ]


def test_rules_with_the_same_shares_and_windows_share_them() -> None:
    text = "version: 1\nrules:\n" + "".join(
        f"  - {{id: {name}, kind: spend_limit, limit: 5 USD, window: day, at: {{80%: warn}}}}\n" for name in "ab"
    )
    first, second = load_files({"a.yaml": text}).rules
    assert first.thresholds is second.thresholds
    assert first.window is second.window


TIERS = "tiers: {frontier: [gpt-5.2, 'economist-*'], economy: [gpt-5-nano]}"


@pytest.mark.parametrize("target", ["economy", "gpt-5-nano", "openrouter/openai/gpt-5-mini", "economist-7b", "some-other-model"])
def test_a_downgrade_goes_to_a_tier_or_a_model(target: str) -> None:
    assert rule(f"at: {{80%: downgrade to {target}}}", TIERS).thresholds[0].action == Downgrade(target)


@pytest.mark.parametrize("target", ["econmy", "Economy", "frontiers"])
def test_a_misspelt_tier_is_no_model(target: str) -> None:
    assert codes(f"at: {{80%: downgrade to {target}}}", TIERS) == ["unknown-tier"]
    assert codes(f"kind: tier_restriction\nlimit: -\nwindow: -\nallow: {target}", TIERS) == ["unknown-tier"]
    assert codes(f"kind: tier_restriction\nlimit: -\nwindow: -\ndeny: x\notherwise: downgrade to {target}", TIERS) == ["unknown-tier"]


def test_a_restriction_tells_tiers_from_model_patterns() -> None:
    restriction = rule('kind: tier_restriction\nlimit: -\nwindow: -\ndeny: [frontier, "GPT-4*", o1]', TIERS).restriction
    assert restriction is not None
    assert not restriction.allows
    assert restriction.tiers == {"frontier"}
    assert [bool(each.fullmatch("gpt-4o")) for each in restriction.patterns] == [True, False]
    assert restriction.otherwise == Deny()
    assert restriction.text == "`deny: [frontier, GPT-4*, o1]`"


@pytest.mark.parametrize(
    ("written", "test", "exact", "bounds"),
    [
        ("{team: ' Search '}", Look.IN, {"search"}, ()),
        ("{team: STRASSE}", Look.IN, {"strasse"}, ()),
        ("{team: straße}", Look.IN, {"strasse"}, ()),
        ("{team: [a, B]}", Look.IN, {"a", "b"}, ()),
        ("{team: {not: a}}", Look.NOT_IN, {"a"}, ()),
        ("{team: {not: [a, b]}}", Look.NOT_IN, {"a", "b"}, ()),
        ("{team: {exists: true}}", Look.EXISTS, set(), ()),
        ("{team: {exists: false}}", Look.MISSING, set(), ()),
        ("{team: 2026}", Look.IN, {"2026"}, ()),
        ("{model: GPT-5.2}", Look.IN, {"gpt-5.2"}, ()),
        ("{input_tokens: {over: 32k}}", Look.OVER, set(), (32_000,)),
        ("{output_tokens: {under: 5}}", Look.UNDER, set(), (5,)),
        ("{output_tokens: {under: 0}}", Look.UNDER, set(), (0,)),
        ("{input_tokens: {between: [5, 5]}}", Look.BETWEEN, set(), (5, 5)),
    ],
)
def test_conditions_fold_what_they_compare(written: str, test: Look, exact: set[str], bounds: tuple[int, ...]) -> None:
    (condition,) = rule(f"match: {written}").match
    assert (condition.test, set(condition.exact), condition.bounds) == (test, exact, bounds)


def test_wildcards_are_patterns_on_the_folded_value() -> None:
    (condition,) = rule('match: {app: ["Agent-*", "b?t", plain]}').match
    assert condition.exact == {"plain"}
    assert condition.prefixes == ("agent-", "b")
    assert [each.fullmatch("agent-7") is not None for each in condition.patterns] == [True, False]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("{team: Search}", "Search"),
        ("{team: [a, b]}", "[a, b]"),
        ("{team: {not: a}}", "{not: a}"),
        ("{team: {not: [a, b]}}", "{not: [a, b]}"),
        ("{team: {exists: false}}", "{exists: false}"),
        ("{input_tokens: {over: 32k}}", "{over: 32000}"),
        ("{input_tokens: {between: [1, 2]}}", "{between: [1, 2]}"),
    ],
)
def test_a_condition_shows_itself_as_written(written: str, shown: str) -> None:
    assert rule(f"match: {written}").match[0].text == shown


def test_a_condition_on_a_tier_may_have_a_wildcard_that_some_tier_meets() -> None:
    assert codes('match: {tier: "eco*"}', TIERS) == []
    assert codes('match: {tier: "exo*"}', TIERS) == ["unknown-tier"]
    assert codes("match: {tier: {not: economy}}", TIERS) == []
    assert codes("match: {tier: {exists: false}}") == []


def test_a_limit_by_value_folds_its_values_and_knows_default_and_none() -> None:
    limits = rule("per: team\nlimit: {' Search ': 5 USD, (none): 0 USD, default: 1 USD}").limits
    assert limits is not None
    assert limits.default == 1_000_000_000
    assert limits.by_value == {"search": 5_000_000_000, "(none)": 0}
    assert limits.for_value("search") == 5_000_000_000
    assert limits.for_value("other") == 1_000_000_000


def test_a_limit_by_value_without_default_leaves_other_values_alone() -> None:
    limits = rule("per: team\nlimit: {search: 5 USD}").limits
    assert limits is not None
    assert limits.for_value("other") is None


def test_listed_values_are_compared_without_case() -> None:
    top = "labels: {team: {values: [Search, ÉTÉ]}}"
    assert codes("per: team\nlimit: {SEARCH: 5 USD, été: 6 USD, (none): 1 USD, default: 1 USD}", top) == []
    assert codes("per: team\nlimit: {sarch: 5 USD}", top) == ["unknown-value"]
    assert codes("per: user\nlimit: {sarch: 5 USD}", top) == []
    values = load_files({"a.yaml": f"version: 1\n{top}\n"}).labels[0].values
    assert values == {"search": "Search", "été": "ÉTÉ"}


@pytest.mark.parametrize(
    ("keys", "starts"),
    [
        ("from: 2026-03-29\ntimezone: Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("from: 2026-03-30\ntimezone: Europe/Berlin", datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("from: 2026-03-29", datetime(2026, 3, 29, tzinfo=UTC)),
        ("from: 2026-03-29T01:00:00+02:00\ntimezone: Asia/Tokyo", datetime(2026, 3, 28, 23, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_the_zone_of_the_rule(keys: str, starts: datetime) -> None:
    assert rule(keys).starts == starts


def test_from_is_before_until() -> None:
    assert codes("from: 2026-01-01\nuntil: 2026-01-02") == []
    assert codes("from: 2026-01-01\nuntil: 2026-01-01") == ["bad-range"]
    # Midnight of the second in Tokyo is 15:00 of the first in UTC.
    assert codes("from: 2026-01-01T15:00:00Z\nuntil: 2026-01-02\ntimezone: Asia/Tokyo") == ["bad-range"]
    assert codes("from: 2026-01-01T14:59:59Z\nuntil: 2026-01-02\ntimezone: Asia/Tokyo") == []


def test_defaults_fill_in_what_a_rule_leaves_out() -> None:
    top = "defaults: {timezone: Asia/Tokyo, week_starts: sunday}"
    assert rule("window: week", top).window == Window(WindowKind.WEEK, "Asia/Tokyo", 6)
    assert rule("window: week\ntimezone: UTC", top).window == Window(WindowKind.WEEK, "UTC", 6)


def test_defaults_take_what_they_say() -> None:
    read = defaults(
        "assume_output_tokens: 4k, hold_ttl: 2 hours, unknown_price: hold 0.50 USD, "
        "unknown_outcome: release, unavailable: allow, unmatched: deny"
    ).defaults
    assert read.assume_output_tokens == 4_000
    assert read.hold_ttl_s == 7_200
    assert read.unknown_price == 500_000_000
    assert read.unknown_outcome is UnknownOutcome.RELEASE
    assert read.unavailable is Answer.ALLOW
    assert read.unmatched is Answer.DENY
    assert defaults("unknown_price: allow").defaults.unknown_price is Answer.ALLOW


@pytest.mark.parametrize(
    ("id_", "good"),
    [("a", True), ("7", True), ("a-b-7", True), ("a" * 128, True), ("-a", False), ("a_b", False), ("A", False), ("a" * 129, False)],
)
def test_ids_are_lower_case_letters_digits_and_dashes(id_: str, good: bool) -> None:  # noqa: FBT001 - a parameter
    assert codes(f"id: {id_}") == ([] if good else ["bad-id"])


def test_the_keys_of_a_rule_may_come_from_an_anchor() -> None:
    text = """\
version: 1
rules:
  - &day {id: a, kind: spend_limit, limit: 5 USD, window: day}
  - {<<: *day, id: b, limit: 6 USD}
"""
    rules = load_files({"a.yaml": text}).rules
    assert [(each.id, each.limits.default if each.limits else None) for each in rules] == [("a", 5_000_000_000), ("b", 6_000_000_000)]

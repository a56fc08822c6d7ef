"""Laws of the decision, and a reference of the combination rule written from the policy language alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.core.balance import Balance
from guardrails.core.call import Call
from guardrails.engine.candidate import Ruleset, candidate
from guardrails.engine.decide import Missing, decide
from guardrails.engine.decision import Decision, Verdict
from guardrails.gate.active import Quotes
from guardrails.policy.load import load_files
from guardrails.pricing.book import PriceBook

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
USD = 10**9
TIERS = {"high": ["h1", "h2"], "mid": ["m1", "m2"], "low": ["l1"]}
USD_PER_KTOK = {"h1": 40, "h2": 50, "m1": 20, "m2": 10, "l1": 5, "free": 0}
"""A thousand tokens; `free` is in no tier, and `h2`, second in its tier, is the dearest."""

PRICES = PriceBook.open(
    "version: 1\nprices:\n"
    + "".join(
        f"  - {{model: {model}, from: 2020-01-01, input_usd_per_mtok: {usd * 1_000}, output_usd_per_mtok: {usd * 1_000}}}\n"
        for model, usd in USD_PER_KTOK.items()
    )
)
QUOTES = Quotes(PRICES, AT)
MODELS = [*USD_PER_KTOK, "unheard-of"]


@dataclass(frozen=True)
class Written:
    """A rule as the tests make it: a limit with shares, or a restriction."""

    id: str
    mode: str
    models: tuple[str, ...]
    unit: str = ""
    limit: int = 0
    at: tuple[tuple[int, str], ...] = ()
    allow: tuple[str, ...] = ()
    otherwise: str = "deny"

    @property
    def yaml(self) -> str:
        match = f"match: {{model: [{', '.join(self.models)}]}}, " if self.models else ""
        head = f"  - {{id: {self.id}, mode: {self.mode}, {match}"
        if self.allow:
            return f"{head}kind: tier_restriction, allow: [{', '.join(self.allow)}], otherwise: {self.otherwise}}}\n"
        kind = "spend_limit" if self.unit == "USD" else "token_cap"
        at = ", ".join(f"{share}%: {action}" for share, action in self.at)
        return f"{head}kind: {kind}, limit: {self.limit} {self.unit}, window: day, at: {{{at}}}}}\n"


TARGETS = st.sampled_from(["high", "mid", "low", "l1", "free"])
ACTIONS = st.one_of(st.just("warn"), st.just("deny"), TARGETS.map("downgrade to {}".format))
SHARES = st.dictionaries(st.sampled_from([50, 80, 90, 100, 120]), ACTIONS, min_size=1, max_size=3).map(lambda at: tuple(sorted(at.items())))
MATCHES = st.one_of(st.just(()), st.lists(st.sampled_from(MODELS), min_size=1, max_size=3, unique=True).map(tuple))
MODES = st.sampled_from(["enforce", "enforce", "enforce", "warn", "shadow"])
LIMITED = st.builds(
    Written, id=st.just(""), mode=MODES, models=MATCHES, unit=st.sampled_from(["USD", "tokens"]), limit=st.integers(1, 100), at=SHARES
)
RESTRICTED = st.builds(
    Written,
    id=st.just(""),
    mode=MODES,
    models=MATCHES,
    allow=st.lists(st.sampled_from(list(TIERS)), min_size=1, max_size=2, unique=True).map(tuple),
    otherwise=st.one_of(st.just("deny"), TARGETS.map("downgrade to {}".format)),
)
RULES = st.lists(st.one_of(LIMITED, LIMITED, RESTRICTED), max_size=4).map(
    lambda rules: [
        Written(**{**{name: getattr(rule, name) for name in rule.__dataclass_fields__}, "id": f"r{n}"}) for n, rule in enumerate(rules)
    ]
)
USED = st.lists(st.integers(0, 130), min_size=4, max_size=4)
"""What each rule's balance has, in its own unit."""
CALLS = st.builds(
    Call,
    model=st.sampled_from(MODELS),
    input_tokens=st.sampled_from([0, 1, 100, 500, 1_000, 2_000]),
    max_output_tokens=st.sampled_from([0, 0, 500]),
)


def ruleset(rules: list[Written], *, defaults: str = "{}") -> Ruleset:
    tiers = ", ".join(f"{tier}: [{', '.join(models)}]" for tier, models in TIERS.items())
    text = f"version: 1\ntiers: {{{tiers}}}\ndefaults: {defaults}\nrules:{' []' if not rules else ''}\n" + "".join(
        rule.yaml for rule in rules
    )
    return Ruleset(load_files({"policy.yaml": text}))


def used_by(rules: list[Written], used: list[int]) -> dict[str, int]:
    return {rule.id: amount * (USD if rule.unit == "USD" else 1) for rule, amount in zip(rules, used, strict=False)}


def decided(rules: Ruleset, call: Call, used: Mapping[str, int]) -> Decision:
    """The decision, every balance given as half spent and half held."""
    asked = candidate(rules, call, call.model, QUOTES, AT)
    balances: dict[bytes, Balance] = {}
    while True:
        answer = decide(rules, call, asked, QUOTES, balances, decision_id="d", at=AT)
        if not isinstance(answer, Missing):
            return answer
        for ref in answer.refs:
            spent = used[ref.rule] // 2
            balances[ref.key] = Balance(spent=spent, held=used[ref.rule] - spent)


# -- the reference ----------------------------------------------------------------------------------------------------


def tier_of(model: str) -> str | None:
    return next((tier for tier, models in TIERS.items() if model in models), None)


def place(target: str) -> tuple[int, int]:
    """Dearest first: tier order, then the order in the tier; a model stands at its tier's place, last when in none."""
    tiers = list(TIERS)
    if target in TIERS:
        return tiers.index(target), 0
    tier = tier_of(target)
    return (len(tiers), 0) if tier is None else (tiers.index(tier), TIERS[tier].index(target))


def asks(target: str, model: str) -> bool:
    """A downgrade to the tried model's own tier, or to a dearer one, asks for nothing; one to itself neither."""
    return target != model and (tier_of(model) is None or place(target)[0] > place(model)[0])


def estimate(call: Call, model: str) -> int | None:
    rate = USD_PER_KTOK.get(model)
    return None if rate is None else (call.input_tokens + (call.max_output_tokens or 0)) * rate * USD // 1_000


def triggered(rule: Written, call: Call, model: str, used: int) -> tuple[bool, set[str]]:
    """Whether the rule denies or downgrades the model, and the targets that it offers."""
    if rule.allow:
        if tier_of(model) in rule.allow:
            return False, set()
        if rule.otherwise == "deny":
            return True, set()
        target = rule.otherwise.removeprefix("downgrade to ")
        return (True, {target}) if asks(target, model) else (False, set())
    cost = estimate(call, model)
    if rule.unit == "USD" and cost is None:
        return True, set()  # unknown_price: deny
    if rule.unit == "USD" and cost == 0:
        return False, set()  # free calls pass money limits
    requested = cost if rule.unit == "USD" else call.input_tokens + (call.max_output_tokens or 0)
    assert requested is not None
    limit = rule.limit * (USD if rule.unit == "USD" else 1)
    applying = [action for share, action in rule.at if (used + requested) * 100 > share * limit]
    targets = {target for action in applying if action.startswith("down") and asks(target := action.removeprefix("downgrade to "), model)}
    return "deny" in applying or bool(targets), targets


def resolved(target: str, call: Call) -> str | None:
    """Within a tier the first model whose estimate is cheaper."""
    asked = estimate(call, call.model)
    for model in TIERS.get(target, [target]):
        cost = estimate(call, model)
        if cost is not None and (asked is None or cost < asked):
            return model
    return None


def reference(rules: list[Written], call: Call, used: Mapping[str, int]) -> tuple[Verdict, str | None]:
    """Verdict and model by the words of the policy language."""

    def further(model: str) -> tuple[bool, set[str]]:
        said = [
            triggered(rule, call, model, used[rule.id])
            for rule in rules
            if rule.mode == "enforce" and (not rule.models or model in rule.models)
        ]
        return any(hit for hit, _ in said), set().union(*(targets for hit, targets in said if hit))

    refused, offered = further(call.model)
    if not refused:
        return Verdict.ALLOW, call.model
    tried: set[str] = set()
    while True:
        waiting = sorted({model for target in offered if (model := resolved(target, call)) is not None} - tried, key=place)
        if not waiting:
            return Verdict.DENY, None
        tried.add(waiting[0])
        refused, more = further(waiting[0])
        if not refused:
            return Verdict.DOWNGRADE, waiting[0]
        offered |= more


@settings(max_examples=400)
@given(rules=RULES, used=USED, call=CALLS)
def test_the_engine_agrees_with_the_words_of_the_policy_language(rules: list[Written], used: list[int], call: Call) -> None:
    decision = decided(ruleset(rules), call, used_by(rules, used))
    assert (decision.verdict, decision.model) == reference(rules, call, used_by(rules, used))


@settings(max_examples=200)
@given(rules=RULES, used=USED, call=CALLS, more=st.integers(1, 60), which=st.integers(0, 3))
def test_more_spent_never_turns_a_refused_model_into_an_allowed_one(
    rules: list[Written], used: list[int], call: Call, more: int, which: int
) -> None:
    compiled = ruleset(rules)
    poorer = [amount + more * (n == which) for n, amount in enumerate(used)]
    if decided(compiled, call, used_by(rules, used)).verdict is not Verdict.ALLOW:
        assert decided(compiled, call, used_by(rules, poorer)).verdict is not Verdict.ALLOW


@settings(max_examples=150)
@given(limit=st.integers(1, 100), used=st.integers(0, 130), more=st.integers(0, 100), call=CALLS)
def test_more_spent_never_turns_a_denial_of_one_limit_into_anything_else(limit: int, used: int, more: int, call: Call) -> None:
    rule = Written("r0", "enforce", (), "USD", limit, ((80, "downgrade to low"), (100, "deny")))
    if decided(ruleset([rule]), call, {"r0": used * USD}).verdict is Verdict.DENY:
        assert decided(ruleset([rule]), call, {"r0": (used + more) * USD}).verdict is Verdict.DENY


@settings(max_examples=150)
@given(rules=RULES, used=USED, call=CALLS, extra=LIMITED, mode=st.sampled_from(["warn", "shadow"]))
def test_a_rule_that_only_reports_never_changes_verdict_or_model(
    rules: list[Written], used: list[int], call: Call, extra: Written, mode: str
) -> None:
    before = decided(ruleset(rules), call, used_by(rules, used))
    reporting = Written("extra", mode, extra.models, extra.unit, extra.limit, extra.at)
    after = decided(ruleset([*rules, reporting]), call, {**used_by(rules, used), "extra": 99 * USD})
    assert (after.verdict, after.model, after.holds) == (before.verdict, before.model, before.holds)
    assert mode != "shadow" or "extra" not in {reason.rule for reason in after.reasons}


@settings(max_examples=150)
@given(rules=RULES, used=USED, call=CALLS, seed=st.integers(0, 1_000))
def test_the_order_of_rules_changes_neither_verdict_nor_model(rules: list[Written], used: list[int], call: Call, seed: int) -> None:
    amounts = used_by(rules, used)
    shuffled = random.Random(seed).sample(rules, len(rules))  # noqa: S311 - an order, not a secret
    one, other = decided(ruleset(rules), call, amounts), decided(ruleset(shuffled), call, amounts)
    assert (one.verdict, one.model, set(one.rules)) == (other.verdict, other.model, set(other.rules))


@settings(max_examples=150)
@given(rules=RULES, used=USED, call=CALLS)
def test_a_downgraded_model_is_cheaper_and_refused_by_nobody(rules: list[Written], used: list[int], call: Call) -> None:
    amounts = used_by(rules, used)
    decision = decided(ruleset(rules), call, amounts)
    if decision.verdict is Verdict.DOWNGRADE:
        assert decision.model is not None
        asked, runs = estimate(call, call.model), estimate(call, decision.model)
        assert runs is not None
        assert asked is None or runs < asked
        assert decision.holds.nano_usd == runs
        matched = [rule for rule in rules if rule.mode == "enforce" and (not rule.models or decision.model in rule.models)]
        assert not any(triggered(rule, call, decision.model, amounts[rule.id])[0] for rule in matched)


@settings(max_examples=100)
@given(rules=RULES, used=USED, call=CALLS)
def test_the_same_values_give_the_same_decision(rules: list[Written], used: list[int], call: Call) -> None:
    amounts = used_by(rules, used)
    assert decided(ruleset(rules), call, amounts) == decided(ruleset(rules), call, amounts)


@settings(max_examples=150)
@given(rules=RULES, used=USED, call=CALLS)
def test_what_is_admitted_stays_under_every_enforced_share_that_denies(rules: list[Written], used: list[int], call: Call) -> None:
    amounts = used_by(rules, used)
    decision = decided(ruleset(rules), call, amounts)
    if not decision.allowed:
        return
    for ref in decision.counted:
        rule = next(rule for rule in rules if rule.id == ref.rule)
        adds = decision.holds.of(ref.measure)
        free = rule.unit == "USD" and not adds
        for share, action in rule.at:
            if rule.mode == "enforce" and action == "deny" and not free:
                unit = USD if rule.unit == "USD" else 1
                assert (amounts[rule.id] + adds) * 100 <= share * rule.limit * unit


def test_only_models_of_providers_that_the_caller_can_reach_are_offered() -> None:
    rule = Written("r0", "enforce", ("h1",), "USD", 1, ((100, "downgrade to low"),))
    call = Call(model="h1", input_tokens=1_000, max_output_tokens=0, providers=("elsewhere",))
    assert decided(ruleset([rule]), call, {"r0": 0}).verdict is Verdict.DENY


def test_a_limit_of_nothing_denies_every_call_that_counts_against_it() -> None:
    """Acceptance 52."""
    rule = Written("r0", "enforce", (), "tokens", 0, ((100, "deny"),))
    for tokens in (0, 1):
        assert decided(ruleset([rule]), Call(model="l1", input_tokens=tokens, max_output_tokens=0), {"r0": 0}).verdict is Verdict.DENY


def test_free_calls_pass_money_limits_and_meet_token_limits() -> None:
    """Acceptance 51."""
    money = Written("r0", "enforce", (), "USD", 1, ((100, "deny"),))
    tokens = Written("r1", "enforce", (), "tokens", 10, ((100, "deny"),))
    call = Call(model="free", input_tokens=11, max_output_tokens=0)
    assert decided(ruleset([money]), call, {"r0": 9 * USD}).verdict is Verdict.ALLOW
    assert decided(ruleset([money, tokens]), call, {"r0": 9 * USD, "r1": 0}).rules == ("r1",)

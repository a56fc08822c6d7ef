"""The pure decision: its cost must depend on the rules that match, not on the rules that exist.

A call meets the same three rules in a set of 10 and in a set of 10,000; beside it `cedarpy` authorizes a request against 1,000
policies of the same shape.

    python -m bench.pure
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import cedarpy

from guardrails import Call
from guardrails.core.balance import Balance
from guardrails.engine.candidate import Ruleset, candidate
from guardrails.engine.decide import decide
from guardrails.engine.decision import Decision
from guardrails.gate.active import Quotes
from guardrails.policy.load import load_files
from guardrails.pricing.book import PriceBook

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
CALLS = 2_000
ROUNDS = 9


def policy(rules: int) -> str:
    """A set of so many rules of which a call of team t0 meets three."""
    lines = [
        "version: 1",
        "rules:",
        "  - {id: company, kind: spend_limit, limit: 1_000_000 USD, window: month}",
        "  - {id: user-day, kind: token_cap, per: user, limit: 10M tokens, window: day}",
    ]
    lines += [
        f"  - {{id: team-{number}, kind: spend_limit, match: {{team: t{number}}}, limit: {number + 1_000} USD, window: month}}"
        for number in range(rules - 2)
    ]
    return "\n".join(lines) + "\n"


def decider(rules: int) -> Callable[[int], Decision]:
    """A function that decides the n-th call against so many rules, nothing of it remembered from the call before."""
    ruleset = Ruleset(load_files({"policy.yaml": policy(rules)}))
    quotes = Quotes(PriceBook.open(), AT)
    fresh = itertools.count()
    calls: list[Call] = []

    def one(n: int) -> Decision:
        if not n:
            # Users that were never seen before: a round gains nothing from the one before it.
            users = [next(fresh) for _ in range(CALLS)]
            calls[:] = [
                Call(model="gpt-5-mini", input_tokens=900, max_output_tokens=100, subject={"team": "t0", "user": f"u{user}"})
                for user in users
            ]
        call = calls[n]
        asked = candidate(ruleset, call, call.model, quotes, AT)
        balances = {ref.key: Balance(1_000, 0, 500) for ref in asked.refs}
        decision = decide(ruleset, call, asked, quotes, balances, decision_id="d", at=AT)
        assert isinstance(decision, Decision)
        return decision

    return one


def cedar(policies: int) -> Callable[[int], bool]:
    """The same question to Cedar: may this principal call, given policies of the same shape, parsed once."""
    text = "\n".join(
        f'permit(principal == Team::"t{number}", action == Action::"call", resource == Model::"gpt-5-mini") '
        f"when {{ context.spent + context.cost <= {number + 1_000} }};"
        for number in range(policies)
    )
    parsed = cedarpy.PolicySet.from_str(text)
    entities = cedarpy.Entities.from_json_str("[]")
    request = {
        "principal": 'Team::"t0"',
        "action": 'Action::"call"',
        "resource": 'Model::"gpt-5-mini"',
        "context": {"spent": 1, "cost": 1},
    }

    def one(_: int) -> bool:
        return bool(cedarpy.is_authorized(request, parsed, entities).allowed)

    return one


def rate(one: Callable[[int], object], calls: int) -> float:
    """Microseconds of one call."""
    began = time.perf_counter()
    for n in range(1, calls):
        one(n)
    return (time.perf_counter() - began) / (calls - 1) * 1e6


def main() -> None:
    few, many, thousand, peer = decider(10), decider(10_000), decider(1_000), cedar(1_000)
    for one in (few, many, thousand):
        assert len(one(0).reasons) == 3
    assert peer(0)
    rounds = []
    for _ in range(ROUNDS):
        for fresh in (few, many, thousand):
            fresh(0)
        rounds.append((rate(few, CALLS), rate(many, CALLS), rate(thousand, CALLS), rate(peer, 200)))
    few_us, many_us, thousand_us, peer_us = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(row[1] / row[0] for row in rounds)
    print(f"pure decision: {few_us:.1f} µs with 10 rules, {many_us:.1f} µs with 10,000: ratio {ratio:.2f} (aim: at most 1.5)")
    print(f"beside cedarpy, 1,000 rules: {thousand_us:.1f} µs against {peer_us:,.1f} µs of an authorization")


if __name__ == "__main__":
    main()

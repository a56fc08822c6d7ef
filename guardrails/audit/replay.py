"""A decision recomputed from its record alone, by the same pure function that made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from guardrails.audit.record import restored
from guardrails.core.balance import Balance
from guardrails.core.call import Call
from guardrails.engine.candidate import Ruleset, candidate, folded
from guardrails.engine.decide import Missing, decide
from guardrails.engine.decision import Decision
from guardrails.pricing.price import Quote


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision as it was recorded, as it is computed now, and in what they differ.

    Attributes:
        differences: names of the parts that differ; empty where the record explains its decision whole.
    """

    recorded: Decision
    computed: Decision
    differences: tuple[str, ...]


def replay(row: Mapping[str, Any], ruleset: Ruleset, quote_of: Callable[[str], Quote]) -> Replay:
    """Decide a record's call again, from its facts, its policy set, its pinned quotes and its balances.

    Args:
        row: the columns of table `record` by name.
        ruleset: of the policy set that the record names.
        quote_of: a quote by its id.
    """
    body = json.loads(row["body"])
    recorded = restored(row, quote_of(row["quote"]))
    quotes = {model: quote_of(quote_id) for model, quote_id in body["quotes"].items()}

    def quote(_: Call, model: str) -> Quote:
        return quotes[model]

    call, at = recorded.call, recorded.at
    balances = None if recorded.unchecked else _balances(recorded, ruleset)
    asked = candidate(ruleset, call, call.model, quote, at)
    while isinstance(
        answer := decide(ruleset, call, asked, quote, balances, decision_id=recorded.id, at=at, generation=recorded.generation),
        Missing,
    ):
        if balances is None:
            raise AssertionError  # an unchecked decision asks for no balances
        # Rules that were not in force, or have no limit for the scope, said nothing: their balances decide nothing either.
        balances.update({ref.key: Balance() for ref in answer.refs})
    parts = ("verdict", "model", "reasons", "shadow", "holds", "expires_at", "requested_nano_usd", "estimate_nano_usd", "tier")
    return Replay(recorded, answer, tuple(part for part in parts if getattr(recorded, part) != getattr(answer, part)))


def _balances(recorded: Decision, ruleset: Ruleset) -> dict[bytes, Balance]:
    """The balances that the record's reasons name, with their amounts before the decision."""
    subject = recorded.call.subject
    labels = folded(subject)
    rules = {rule.id: rule for rule in ruleset.policies.rules}
    balances = {}
    for reason in (*recorded.reasons, *recorded.shadow):
        rule = rules.get(reason.rule)
        ref = None if rule is None or reason.measure is None else ruleset.balance_ref(rule, labels, subject, recorded.at)
        if ref is not None:
            balances[ref.key] = Balance(reason.spent_units, reason.assumed_units, reason.held_units)
    return balances

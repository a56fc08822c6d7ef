"""Where a model runs: own prices bound to a provider, spellings of providers, prefixes before a colon."""

from __future__ import annotations

import pytest

from guardrails import Call, Verdict
from tests.gate.scene import PRICES, T0, Scene, limit, policy

BOUND = PRICES + "  - {model: mid3, provider: pc, from: 2020-01-01, input_usd_per_mtok: 10, output_usd_per_mtok: 10}\n"
TIERS = """version: 1
tiers:
  top: [gemini-2.5-pro, gpt-5.2, big]
  low: [gemini-2.5-flash, gpt-5-mini, mid3]
rules:
  - {id: cheap, kind: tier_restriction, allow: [low], otherwise: downgrade to low}
"""


@pytest.mark.parametrize(
    "call", [{"model": "mid3"}, {"model": "mid3", "providers": ("pc",)}, {"model": "pc/mid3"}, {"model": "mid3", "provider": "pc"}]
)
def test_an_own_price_bound_to_a_provider_is_found_however_the_call_says_so(scene: Scene, call: dict[str, object]) -> None:
    gate = scene.open(scene.folder(policy(limit("5")), BOUND))
    decision = gate.reserve(Call(**{"input_tokens": 1_000, "max_output_tokens": 0, "at": T0, **call}))  # type: ignore[arg-type]  # by name
    assert decision.allowed
    # 1,000 tokens at 10 USD a million are 0.01 USD.
    assert decision.holds.nano_usd == 10_000_000


@pytest.mark.parametrize("providers", [("google",), ("gemini",), ("vertex_ai",)])
def test_a_provider_is_reached_under_any_of_its_names(scene: Scene, providers: tuple[str, ...]) -> None:
    gate = scene.open(scene.folder(TIERS, BOUND))
    decision = gate.reserve(Call(model="gemini-2.5-pro", input_tokens=1_000, max_output_tokens=10, providers=providers, at=T0))
    assert (decision.verdict, decision.model) == (Verdict.DOWNGRADE, "gemini-2.5-flash")


def test_a_target_runs_where_the_caller_can_reach_it(scene: Scene) -> None:
    gate = scene.open(scene.folder(TIERS, BOUND))
    for model in ("gpt-5.2", "azure/gpt-5.2"):
        decision = gate.reserve(Call(model=model, input_tokens=1_000, max_output_tokens=10, providers=("azure",), at=T0))
        assert (decision.verdict, decision.model, decision.quote.provider) == (Verdict.DOWNGRADE, "gpt-5-mini", "azure")
    nowhere = gate.reserve(Call(model="big", input_tokens=1_000, max_output_tokens=10, providers=("nobody",), at=T0))
    assert nowhere.verdict is Verdict.DENY


def test_a_prefix_before_a_colon_names_the_provider(scene: Scene) -> None:
    rules = "  - {id: no-anthropic, kind: request_cap, match: {provider: anthropic}, limit: 0 requests, window: day}\n"
    gate = scene.open(scene.folder(policy(rules), PRICES))
    dodging = gate.reserve(Call(model="anthropic:claude-opus-4-6", input_tokens=1_000, max_output_tokens=10, at=T0))
    assert (dodging.verdict, dodging.rules) == (Verdict.DENY, ("no-anthropic",))
    other = gate.reserve(Call(model="openai:gpt-5.2", input_tokens=1_000, max_output_tokens=10, at=T0))
    assert (other.verdict, other.price) == (Verdict.ALLOW, "genai-prices 0.2.3 openai/gpt-5.2")

from datetime import UTC, datetime, timedelta

import pytest

from guardrails.core.model_name import forms_as_given
from guardrails.policy.load import load_files

TIERS = """\
version: 1
tiers:
  frontier: [gpt-5.2, "gpt-5*", claude-opus-4-6]
  economy: [gpt-5-nano, "gpt-*", "claude-*"]
rules:
  - {id: a, kind: spend_limit, limit: 5 USD, window: day, from: 2026-09-01T00:00:00Z, until: 2026-10-01T00:00:00Z}
  - {id: b, kind: spend_limit, limit: 5 USD, window: day}
"""


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("gpt-5.2", "frontier"),
        ("openrouter/openai/GPT-5.2", "frontier"),
        ("gpt-5-nano", "economy"),  # named outright, though a dearer tier has it by wildcard
        ("gpt-5-mini", "frontier"),
        ("gpt-4o", "economy"),
        ("claude-opus-4-6", "frontier"),
        ("claude-haiku-4-5", "economy"),
        ("llama-4-70b", None),
    ],
)
def test_a_model_is_in_the_tier_that_names_it_outright_else_in_the_dearest_by_wildcard(model: str, tier: str | None) -> None:
    assert load_files({"a.yaml": TIERS}).tier_of(forms_as_given(model)) == tier


def test_only_models_without_wildcards_can_be_called() -> None:
    assert [each.concrete for each in load_files({"a.yaml": TIERS}).tiers] == [("gpt-5.2", "claude-opus-4-6"), ("gpt-5-nano",)]


def test_a_rule_is_in_force_from_its_first_instant_to_before_its_last() -> None:
    dated, always = load_files({"a.yaml": TIERS}).rules
    start, end, moment = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC), timedelta(microseconds=1)
    assert [dated.in_force(at) for at in (start - moment, start, end - moment, end)] == [False, True, True, False]
    assert always.in_force(start - timedelta(days=10_000))

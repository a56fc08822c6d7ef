"""The sets that a company starts from: each loads, its prices too, and does what its own tests say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from guardrails.core.model_name import is_pattern
from guardrails.gate.active import open_prices
from guardrails.policy.load import load_policies
from tests.casework.document import Case, read_tests
from tests.casework.run import Write, run_case

FOLDER = Path(__file__).parent.parent.parent / "policies"
SETS = sorted(path for path in FOLDER.iterdir() if path.is_dir())
TESTS = [test for folder in SETS for test in read_tests(folder)]


def test_there_are_three_sets_to_start_from() -> None:
    assert [folder.name for folder in SETS] == ["agents", "departments", "startup"]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.id)
def test_does_what_its_own_tests_say(test: Case, sqlite_url: str, policy_folder: Write) -> None:
    run_case(test, sqlite_url, policy_folder)


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_names_only_models_that_have_a_price(folder: Path) -> None:
    policies = load_policies(folder)
    prices = open_prices(policies)
    at = datetime(2026, 11, 1, tzinfo=UTC)
    models = [model for tier in policies.tiers for model in tier.models if not is_pattern(model)]
    assert [model for model in models if prices.quote(model, at=at).price is None] == []


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_every_rule_says_why_it_has_its_number(folder: Path) -> None:
    for path in folder.glob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("  - id:"):
                assert lines[number - 1].startswith("  #"), f"{path.name}:{number + 1}"

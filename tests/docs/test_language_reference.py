"""policies/README.md says what the language is: every example loads, every key of the code is in it, and its claims are tried out."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import indent

import pytest

from guardrails.core.window import WindowKind
from guardrails.policy.load import check_files
from guardrails.policy.rules import Defaults, PolicySet, RuleKind
from guardrails.policy.schema import schema_text
from guardrails.pricing.prices_file import read_prices
from tests.casework.document import Case, read_tests
from tests.casework.run import Write, run_case
from tests.docs.markdown import Block, blocks

PAGE = Path(__file__).parent.parent.parent / "policies" / "README.md"
EXAMPLES = list(blocks(PAGE, "yaml"))
WHOLE_SET = next(example for example in EXAMPLES if "rules:" in example.text)
POLICIES = [example for example in EXAMPLES if "prices:" not in example.text and "tests:" not in example.text]
TIERS = {"tiers.yaml": "version: 1\ntiers: {frontier: [gpt-5.2], standard: [gpt-5-mini], economy: [gpt-5-nano]}\n"}


def loaded(example: Block) -> PolicySet:
    """The set of an example; rules alone and sections alone are completed."""
    text = example.text
    if text.startswith("- id:"):
        text = f"rules:\n{indent(text, '  ')}"
    if "version:" not in text:
        text = f"version: 1\n{text}"
    policies, problems = check_files({"example.yaml": text, **({} if "tiers:" in text else TIERS)})
    assert policies is not None, "\n".join(map(str, problems))
    return policies


@pytest.mark.parametrize("example", POLICIES, ids=lambda example: example.id)
def test_every_example_loads(example: Block) -> None:
    loaded(example)


def test_the_price_list_loads() -> None:
    (example,) = [example for example in EXAMPLES if "prices:" in example.text]
    prices, problems = read_prices(example.text, "prices.yaml")
    assert problems == ()
    assert len(prices.prices) == 3


def test_the_example_test_holds_for_the_first_example(tmp_path: Path, sqlite_url: str, policy_folder: Write) -> None:
    (example,) = [example for example in EXAMPLES if "tests:" in example.text]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "budget.yaml").write_text(WHOLE_SET.text, encoding="utf-8")
    (tmp_path / "set" / "first.test.yaml").write_text(example.text, encoding="utf-8")
    tests: list[Case] = list(read_tests(tmp_path / "set"))
    assert tests
    for test in tests:
        run_case(test, sqlite_url, policy_folder)


def test_the_defaults_that_it_names_are_those_of_the_code() -> None:
    (example,) = [example for example in EXAMPLES if example.text.startswith("defaults:")]
    written = loaded(example).defaults
    none = Defaults()
    for name in Defaults.__dataclass_fields__:
        if name != "source":
            assert getattr(written, name) == getattr(none, name), name


def test_every_key_kind_and_window_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    definitions = json.loads(schema_text())["$defs"]
    keys = {key for definition in definitions.values() for key in definition.get("properties", {})}
    words = keys | {kind.value for kind in RuleKind} | {window.value for window in WindowKind}
    assert sorted(word for word in words if f"`{word}`" not in page and f"{word}:" not in page) == []

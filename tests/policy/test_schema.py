import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from guardrails.core.subject import CALL_ATTRIBUTES
from guardrails.policy.schema import CALL_ATTRIBUTE_TEXTS, policy_schema, schema_text

EXAMPLE = (Path(__file__).parent / "example.yaml").read_text(encoding="utf-8")
ROOT = Path(__file__).parent.parent.parent
POLICIES = [
    file for file in sorted((ROOT / "policies").rglob("*.yaml")) if not file.name.endswith(".test.yaml") and file.name != "prices.yaml"
]


class EditorLoader(yaml.SafeLoader):
    """Reads YAML as editors do, by version 1.2: dates and numbers with underscores are text."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(policy_schema())
    return [error.message for error in validator.iter_errors(yaml.load(text, Loader=EditorLoader))]  # noqa: S506 - a safe loader


def test_the_committed_schema_is_the_one_of_the_code() -> None:
    assert (ROOT / "policies/schema.json").read_text(encoding="utf-8") == schema_text()


def test_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(policy_schema())


def test_takes_the_example_of_the_language() -> None:
    assert errors(EXAMPLE) == []


def test_takes_the_policies_of_the_project() -> None:
    assert {str(file): errors(file.read_text(encoding="utf-8")) for file in POLICIES} == {str(file): [] for file in POLICIES}


@pytest.mark.parametrize(
    "keys",
    [
        "limit: 5 USD, window: day, match: {input_tokens: {over: 1000}, team: 7, flag: true}",
        "limit: 5 USD, window: day, match: {input_tokens: {between: [5, 2k]}, team: {exists: false}}",
        "limit: 5 USD, window: day, from: 2026-01-01, until: '2026-01-01T10:00:00Z'",
        "limit: {default: 5 USD, (none): 0 USD}, per: team, window: day",
        "limit: 5 USD, window: day, at: {99.5%: downgrade to gpt-5-nano, 100%: deny}",
    ],
)
def test_takes_what_the_loader_takes(keys: str) -> None:
    assert errors(f"version: 1\nrules: [{{id: a, kind: spend_limit, {keys}}}]\n") == []


@pytest.mark.parametrize(
    "keys",
    [
        "limit: 5 EUR, window: day",
        "limit: 5, window: day",
        "limit: 5 USD, window: monthly",
        "limit: 5 USD",
        "limit: 5 USD, window: day, allow: x",
        "limit: 5 USD, window: day, at: {'80': warn}",
        "limit: 5 USD, window: day, at: {80%: block}",
        "limit: 5 USD, window: day, match: {team: {is: a}}",
        "limit: 5 USD, window: day, match: {my team: a}",
        "limit: 5 USD, window: day, per: ",
    ],
)
def test_refuses_what_the_loader_refuses(keys: str) -> None:
    assert errors(f"version: 1\nrules: [{{id: a, kind: spend_limit, {keys}}}]\n")


def test_offers_every_attribute_of_a_call_in_a_match() -> None:
    assert set(CALL_ATTRIBUTE_TEXTS) == CALL_ATTRIBUTES
    assert set(policy_schema()["$defs"]["Match"]["properties"]) == CALL_ATTRIBUTES


def test_describes_every_key() -> None:
    schema = policy_schema()
    described = [schema, *(definition for definition in schema["$defs"].values() if "properties" in definition)]
    missing = [key for definition in described for key, part in definition["properties"].items() if not part.get("description")]
    assert missing == []


def test_has_no_reference_to_nothing() -> None:
    schema = policy_schema()
    names = {f"#/$defs/{name}" for name in schema["$defs"]}
    assert set(_references(json.loads(schema_text()))) <= names


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        here = [part["$ref"]] if "$ref" in part else []
        return here + [each for value in part.values() for each in _references(value)]
    return [each for value in part for each in _references(value)] if isinstance(part, list) else []

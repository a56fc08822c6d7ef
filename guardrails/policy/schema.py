"""JSON Schema of the policy language for editors: completion, hover text, and the mistakes that one key shows by itself."""

from __future__ import annotations

import json
from typing import Any

from guardrails.policy.document import PolicyDocument

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
CALL_ATTRIBUTE_TEXTS = {
    "model": "The model's name, with or without provider prefix; `*` and `?` are wildcards.",
    "provider": "The provider that the call goes to.",
    "tier": "The name of a tier.",
    "operation": "`chat`, `embedding`, `image`, `audio`, `batch`, `training`, …",
    "input_tokens": "Input tokens as estimated: `{over: n}`, `{under: n}` or `{between: [a, b]}`.",
    "output_tokens": "Output tokens as estimated: `{over: n}`, `{under: n}` or `{between: [a, b]}`.",
}


def policy_schema() -> dict[str, Any]:
    """The schema as plain values; `policies/schema.json` is this, as text."""
    schema = PolicyDocument.model_json_schema(by_alias=True)
    _simplify(schema)
    _name_matches(schema["$defs"])
    return {"$schema": _DIALECT, "title": "guardrails policy set, version 1", **schema}


def schema_text() -> str:
    """The text of `schema.json`."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def _simplify(part: Any) -> None:  # noqa: ANN401 - any part of a schema
    """Take out titles, which only repeat the keys, and the null of keys that are left out, which nobody may write."""
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        if part.get("default", "") is None:
            del part["default"]
        for each in part.values():
            _simplify(each)
    elif isinstance(part, list):
        for each in part:
            _simplify(each)


def _name_matches(definitions: dict[str, Any]) -> None:
    """Say once what a match is, and offer in it the call's attributes beside any label."""
    rules = [definition["properties"] for definition in definitions.values() if "match" in definition.get("properties", {})]
    condition = rules[0]["match"]["additionalProperties"]
    for rule in rules:
        rule["match"] = {"description": rule["match"]["description"], "$ref": "#/$defs/Match"}
        rule["except"]["items"] = {"$ref": "#/$defs/Match"}
    definitions["Condition"] = condition
    definitions["Match"] = {
        "description": "Attributes to conditions: any label of the subject, or an attribute of the call.",
        "type": "object",
        "properties": {name: {"description": text, "$ref": "#/$defs/Condition"} for name, text in CALL_ATTRIBUTE_TEXTS.items()},
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$"},
        "additionalProperties": {"$ref": "#/$defs/Condition"},
    }

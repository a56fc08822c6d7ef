"""What pydantic finds wrong with a document, in words of our own.

A location of pydantic names, besides keys and indices, the branches of unions it went through; they are left out of ours.
Branches told apart by shape are tagged `<text>`, `<list>` and `<mapping>`, so that a message can name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from guardrails.source.nodes import Plain
from guardrails.source.problem import nearest, quoted
from guardrails.source.written import Mistake

TEXT, LIST, MAPPING = "<text>", "<list>", "<mapping>"
_SHAPES = {TEXT: "text", LIST: "a list", MAPPING: "a mapping"}
_WANTED = {
    "string_type": (TEXT,),
    "list_type": (LIST,),
    "tuple_type": (LIST,),
    "dict_type": (MAPPING,),
    "model_type": (MAPPING,),
    "model_attributes_type": (MAPPING,),
}
_QUOTED = re.compile(r"'([^']*)'")
_KEY = "[key]"

Loc = tuple[str | int, ...]
"""The way to a value: keys and list indices from the top of the document."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake in plain values. `key` says that it is about the key at `loc`, not its value."""

    loc: Loc
    code: str
    message: str
    hint: str | None = None
    key: bool = False


def shape_of(value: object) -> str | None:
    """The tag of the union's branch for a value as composed, by its shape; a discriminator for pydantic."""
    return TEXT if isinstance(value, str) else LIST if isinstance(value, list) else MAPPING if isinstance(value, dict) else None


def complaints(error: ValidationError, model: type[BaseModel], plain: Plain) -> list[Complaint]:
    """Every mistake once; a key that is only misspelt is not missing as well."""
    found = [_complaint(details, model, plain) for details in error.errors(include_url=False)]
    misspelt = {(*each.loc[:-1], each.hint) for each in found if each.code == "unknown-key" and each.hint is not None}
    return [each for each in found if each.code != "missing-key" or each.loc not in misspelt]


def _complaint(details: ErrorDetails, model: type[BaseModel], plain: Plain) -> Complaint:
    kind, written = details["type"], details["input"]
    loc = _own_loc(details["loc"], plain, missing=kind == "missing")
    if kind == "missing":
        return Complaint(loc, "missing-key", f"key {quoted(str(loc[-1]))} is missing")
    if kind == "extra_forbidden":
        return _unknown_key(details["loc"], loc, model)
    if written is None:
        return Complaint(loc, "empty-value", f"{_subject(loc)} has no value", key=bool(loc) and isinstance(loc[-1], str))
    if kind in {"union_tag_not_found", "union_tag_invalid", "literal_error", "enum"}:
        return _no_such_value(loc, written, details.get("ctx", {}))
    if kind in _WANTED:
        return Complaint(loc, "wrong-shape", _wrong_shape(loc, written, _WANTED[kind]))
    return _refused(details, loc)


def _refused(details: ErrorDetails, loc: Loc) -> Complaint:
    """What the validator of a field, of ours or of pydantic, has refused."""
    about_key = details["loc"][-1:] == (_KEY,)
    mistake = details.get("ctx", {}).get("error")
    if isinstance(mistake, Mistake):
        return Complaint(loc, mistake.code, mistake.message, mistake.hint, about_key)
    if details["type"] in {"too_short", "too_long"}:
        return _wrong_length(loc, details.get("ctx", {}))
    message = str(mistake) if isinstance(mistake, ValueError) else f"{_subject(loc)}: {details['msg'][:1].lower()}{details['msg'][1:]}"
    return Complaint(loc, "bad-value", message, None, about_key)


def _wrong_length(loc: Loc, context: Mapping[str, Any]) -> Complaint:
    length, wanted = context["actual_length"], context.get("min_length") or context.get("max_length")
    if not length:
        return Complaint(loc, "empty-value", f"{_subject(loc)} is empty")
    return Complaint(loc, "wrong-length", f"{_subject(loc)} takes {wanted} items, not {length}")


def _no_such_value(loc: Loc, written: object, context: Mapping[str, Any]) -> Complaint:
    """A value, or the key that tells the kind of a mapping, that is none of the legal ones."""
    legal = _QUOTED.findall(context.get("expected_tags") or context.get("expected") or "")
    if legal and set(legal) <= set(_SHAPES):
        return Complaint(loc, "wrong-shape", _wrong_shape(loc, written, tuple(legal)))
    if isinstance(written, Mapping):
        key = _QUOTED.findall(context["discriminator"])[0]
        loc = (*loc, key)
        if key not in written:
            return Complaint(loc, "missing-key", f"key {quoted(key)} is missing")
        written = written[key]
        if written is None:
            return Complaint(loc, "empty-value", f"{quoted(key)} has no value", key=True)
    if not isinstance(written, str):
        return Complaint(loc, "wrong-shape", _wrong_shape(loc, written, (TEXT,)))
    if len(legal) == 1:
        return Complaint(loc, "bad-value", f"{_subject(loc)} is always `{legal[0]}`, not {quoted(written)}")
    one_of = f"{', '.join(f'`{each}`' for each in legal[:-1])} or `{legal[-1]}`"
    return Complaint(loc, "bad-value", f"{_subject(loc)} is {one_of}, not {quoted(written)}", nearest(written, legal))


def _subject(loc: Loc) -> str:
    """What a message calls the place: its key, or its list."""
    name = next((step for step in reversed(loc) if isinstance(step, str)), None)
    if name is None:
        return "the file"
    return quoted(name) if loc[-1] == name else f"an item of {quoted(name)}"


def _wrong_shape(loc: Loc, written: object, wanted: tuple[str, ...]) -> str:
    found = _SHAPES.get(shape_of(written) or "", "that")
    return f"{_subject(loc)} must be {' or '.join(_SHAPES[tag] for tag in wanted)}, not {found}"


def _unknown_key(pydantic_loc: Loc, loc: Loc, model: type[BaseModel]) -> Complaint:
    key = str(loc[-1])
    legal: list[str] = []
    elsewhere: set[str] = set()
    branch = None
    for schema, tag in _schemas_along(model, pydantic_loc[:-1]):
        legal = list(_fields(schema) or ())
        if schema["type"] == "tagged-union":
            elsewhere = {name for choice in schema["choices"].values() for name in _fields(choice) or ()}
        if tag is not None:
            branch = tag
    if branch is not None and key in elsewhere:
        return Complaint(loc, "key-not-taken", f"a {quoted(branch)} takes no {quoted(key)}", key=True)
    return Complaint(loc, "unknown-key", f"unknown key {quoted(key)}", nearest(key, legal), key=True)


def _own_loc(loc: Loc, plain: Plain, *, missing: bool) -> Loc:
    """A location without the branches of unions."""
    own: list[str | int] = []
    value: Any = plain
    for place, step in enumerate(loc):
        inside = step in value if isinstance(value, dict) else isinstance(value, list) and isinstance(step, int) and step < len(value)
        if inside:
            value = value[step]
            own.append(step)
        elif missing and place == len(loc) - 1:
            own.append(step)
    return tuple(own)


_Schema = Mapping[str, Any]


def _schemas_along(model: type[BaseModel], loc: Loc) -> Iterator[tuple[_Schema, str | None]]:
    """The schemas from the top to a location, each with the tag of the branch if it was reached by one."""
    top: _Schema = model.__pydantic_core_schema__
    definitions: dict[str, _Schema] = {}
    if top["type"] == "definitions":
        definitions = {each["ref"]: each for each in top["definitions"]}
        top = top["schema"]
    schema = _bare(top, definitions)
    yield schema, None
    for step in loc:
        tag = None
        if (fields := _fields(schema)) is not None:
            following = fields.get(str(step))
        elif schema["type"] == "tagged-union":
            following, tag = schema["choices"].get(step), str(step) if step not in _SHAPES else None
        else:
            following = schema.get("items_schema" if schema["type"] == "list" else "values_schema")
        if following is None:
            yield {"type": "unknown"}, None
            return
        schema = _bare(following, definitions)
        yield schema, tag


def _bare(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    """A schema without what is wrapped around it."""
    while True:
        if schema["type"] == "definition-ref":
            schema = definitions[schema["schema_ref"]]
        elif "schema" in schema and schema["type"] != "tagged-union":
            schema = schema["schema"]
        else:
            return schema


def _fields(schema: _Schema) -> dict[str, _Schema] | None:
    """The legal keys of a model's schema, as they are written; None for other schemas."""
    if schema["type"] == "model":
        schema = schema["schema"]
    if schema["type"] != "model-fields":
        return None
    return {each.get("validation_alias", name): each["schema"] for name, each in schema["fields"].items()}

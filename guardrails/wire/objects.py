"""Usage objects and responses as SDKs hand them out."""

from __future__ import annotations

from guardrails.core.usage import Usage
from guardrails.wire.origin import Origin
from guardrails.wire.shapes import shape_of, shape_of_counts


def usage_of(obj: object, model: str | None = None) -> Usage | None:
    """The usage of a provider's usage object, or of a whole response that has one.

    Takes what SDKs hand out (pydantic models, dataclasses, plain objects) and dicts, in snake_case or camelCase, and a
    `Usage` as it is. No SDK is needed for it.

    Args:
        obj: `response.usage`, `response.usage_metadata` or the response. The response says more: its id, its tool calls.
        model: the model that ran, used where the object names none. Gemini through an OpenAI-compatible client leaves
            thinking out of `completion_tokens`, and only the model's name tells.

    Returns:
        None where the object carries no usage.
    """
    if obj is None or isinstance(obj, Usage):
        return obj
    origin = Origin(model=model)
    shape = shape_of_counts(obj)
    if shape is not None:
        event = {shape.counts_under: obj} if shape.counts_under else obj
    else:
        shape, event = shape_of(obj), obj
    if shape is None:
        return None
    tally = shape.tally(origin)
    tally.add(event)
    return tally.usage()

"""Anthropic messages, on Anthropic's own host, on Bedrock and on Vertex.

`input_tokens` excludes what was read from a cache and written to one. In a stream `message_delta` repeats counts that go on
from those of `message_start`: each field is taken from the latest event that has it, none is added.
"""

from __future__ import annotations

import re

from guardrails.core.usage import Usage
from guardrails.wire.field import added, count, field, first_count, items, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_PATH = re.compile(r"(^|/anthropic)/v1/messages$|/publishers/anthropic/models/[^/]+:(stream)?rawpredict$")
_TOOLS = {"web_search_requests": "web_searches", "web_fetch_requests": "web_fetches", "code_execution_requests": "code_executions"}
_FIELDS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "speed",
    "iterations",
)


class AnthropicTally:
    """Keeps every field of the usage as the latest event had it."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._counts: dict[str, object] = {}
        self._model: str | None = None
        self._id: str | None = None
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body or an event of a stream."""
        if event is DONE:
            return
        if text(event, "type") == "message_stop":
            self.complete = True
        message = field(event, "message")
        message = event if message is None else message
        self._model = text(message, "model") or self._model
        self._id = text(message, "id") or self._id
        counts = field(message, "usage")
        if not knows_counts(counts):
            return
        latest = {name: value for name in _FIELDS if (value := field(counts, name)) is not None}
        if "cache_creation" not in latest and count(latest, "cache_creation_input_tokens") not in (None, _split_total(self._counts)):
            self._counts.pop("cache_creation", None)  # a new total makes an old split untrue
        self._counts.update(latest)

    def usage(self) -> Usage | None:
        """The usage as of the latest events."""
        reading = _reading(self._counts, self._model or self._origin.model)
        reading.response_id = self._id
        speed = text(self._counts, "speed")
        reading.service_tier = speed if speed == "fast" else text(self._counts, "service_tier")
        tools = field(self._counts, "server_tool_use")
        for name, unit in _TOOLS.items():
            used = count(tools, name)
            if used:
                reading.units[unit] = used
        reading.parts = tuple(_parts(self._counts, reading))
        return reading.usage()


def _reading(counts: object, model: str | None) -> Reading:
    reading = Reading(
        model=model,
        input_tokens=count(counts, "input_tokens"),
        cache_read_tokens=count(counts, "cache_read_input_tokens") or 0,
        output_tokens=count(counts, "output_tokens"),
        reasoning_tokens=count(counts, "output_tokens_details", "thinking_tokens") or 0,
    )
    written = count(counts, "cache_creation_input_tokens") or 0
    reading.cache_write_short_tokens = count(counts, "cache_creation", "ephemeral_5m_input_tokens") or 0
    reading.cache_write_long_tokens = count(counts, "cache_creation", "ephemeral_1h_input_tokens") or 0
    reading.cache_write_unknown_tokens = max(0, written - (_split_total(counts) or 0))
    return reading


def _split_total(counts: object) -> int | None:
    return added(count(counts, "cache_creation", "ephemeral_5m_input_tokens"), count(counts, "cache_creation", "ephemeral_1h_input_tokens"))


def _parts(counts: object, top: Reading) -> list[Usage]:
    """The iterations that the top level leaves out: what other models did, and compaction.

    Iterations of type `message` are inside the top level; but where the prompt was compacted on the way, it counts only the
    last of them.
    """
    iterations = items(counts, "iterations")
    messages = [each for each in iterations if text(each, "type") == "message"]
    apart = [each for each in iterations if text(each, "type") != "message"]
    readings = [_reading(each, text(each, "model") or top.model) for each in apart]
    if any(text(each, "type") == "compaction" for each in apart) and len(messages) > 1:
        earlier = [_reading(each, text(each, "model") or top.model) for each in messages[:-1]]
        last = _reading(messages[-1], top.model)
        if _all_input(last) == _all_input(top):
            if last.output_tokens != top.output_tokens:  # the output is that of all messages
                for each in earlier:
                    each.output_tokens, each.reasoning_tokens = 0, 0
            readings = earlier + readings
    return [usage for reading in readings if (usage := reading.usage()) is not None]


def _all_input(reading: Reading) -> int:
    written = reading.cache_write_short_tokens + reading.cache_write_long_tokens + reading.cache_write_unknown_tokens
    return (reading.input_tokens or 0) + reading.cache_read_tokens + written


def knows(event: object) -> bool:
    """Whether an event starts a message, or has this shape's usage."""
    return text(event, "type") == "message_start" or knows_counts(field(event, "usage"))


def knows_counts(counts: object) -> bool:
    """Whether a usage object counts `input_tokens` or `output_tokens`; OpenAI's has those names too, and is tried before."""
    return first_count(counts, ("input_tokens",), ("output_tokens",)) is not None


def _told(origin: Origin) -> bool:
    return _PATH.search(origin.path) is not None


SHAPE = Shape("anthropic", AnthropicTally, _told, knows, knows_counts, "usage")

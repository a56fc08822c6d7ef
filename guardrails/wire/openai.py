"""OpenAI's newer shape, with `input_tokens` that include cached and written ones.

Read here: responses (compaction and background too), images, transcriptions and speech, realtime `response.done`, and the
batch object with its own usage. xAI and OpenRouter answer `/responses` in the same shape.
"""

from __future__ import annotations

import re
from decimal import Decimal

from guardrails.core.usage import Usage
from guardrails.wire.field import count, dollars, field, first_count, items, quantity, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_PATH = re.compile(r"/responses(/|$)|/(images|audio)/[^/]+$|/batches(/|$)")
_IMAGES = re.compile(r"/images/[^/]+$")
_FINAL_EVENTS = (
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.done",
    "transcript.text.done",
    "speech.audio.done",
    "image_generation.completed",
    "image_edit.completed",
)
_FINAL_STATES = ("completed", "incomplete", "failed", "cancelled", "expired")
_INPUT_DETAILS = ("input_tokens_details", "input_token_details")  # transcriptions and realtime write the singular
_OUTPUT_DETAILS = ("output_tokens_details", "output_token_details")
_ANTHROPIC_COUNTS = (("cache_creation_input_tokens",), ("cache_read_input_tokens",), ("output_tokens_details", "thinking_tokens"))
_DEFAULT_IMAGE_MODEL = "gpt-image-1"


class OpenAITally:
    """Keeps the last usage that is not null, and the tool calls of the last answer."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._answer: object = None
        self._named: object = None
        self._type = ""
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body or an event of a stream."""
        if event is DONE:
            self.complete = True
            return
        answer = field(event, "response")
        answer = event if answer is None else answer
        if text(answer, "id") is not None or self._named is None:
            self._named = answer
        counts = field(answer, "usage")
        if knows_counts(counts) or _media_units(answer, counts):
            self._answer, self._type = answer, text(event, "type") or ""
        if self._type in _FINAL_EVENTS or text(answer, "status") in _FINAL_STATES:
            self.complete = True

    def usage(self) -> Usage | None:
        """The usage of the answer, final or as of the last event that had one."""
        answer = self._answer
        counts = field(answer, "usage")
        reading = Reading(
            model=text(answer, "model") or text(self._named, "model") or self._origin.model,
            response_id=text(answer, "id") or text(self._named, "id"),
            service_tier="batch" if text(answer, "object") == "batch" else text(answer, "service_tier"),
            cost_usd=dollars(counts, "cost"),
        )
        _read_input(counts, reading)
        _read_output(counts, reading)
        if self._type == "speech.audio.done":
            reading.output_audio_tokens = reading.output_tokens or 0
        images = _IMAGES.search(self._origin.path) is not None or self._type.startswith("image_")
        if (images or _is_images(answer)) and first_count(counts, *((name, "text_tokens") for name in _OUTPUT_DETAILS)) is None:
            reading.output_image_tokens = reading.output_tokens or 0
        reading.units.update(_media_units(answer, counts))
        reading.units.update(_tool_units(answer, counts))
        image_part = _image_generation(answer)
        reading.parts = () if image_part is None else (image_part,)
        if text(answer, "object") == "batch":
            reading.partial = text(answer, "status") not in _FINAL_STATES
            reading.units.update(_batch_units(answer))
        return reading.usage()


def _read_input(counts: object, reading: Reading) -> None:
    details = [(name,) for name in _INPUT_DETAILS]
    reading.cache_read_tokens = first_count(counts, *((*name, "cached_tokens") for name in details)) or 0
    written = first_count(counts, *((*name, "cache_write_tokens") for name in details))
    split = [(*name, "cache_write_tokens_details") for name in details]
    short = first_count(counts, *((*name, "ttl_30m_tokens") for name in split)) or 0
    long = first_count(counts, *((*name, "ttl_12h_tokens") for name in split)) or 0
    reading.cache_write_short_tokens, reading.cache_write_long_tokens = short, long
    reading.cache_write_unknown_tokens = max(0, (written or 0) - short - long)
    reading.take_input(count(counts, "input_tokens"), cache_write_tokens=max(written or 0, short + long))
    for modality in ("audio", "image"):
        whole = first_count(counts, *((*name, f"{modality}_tokens") for name in details))
        if whole:
            cached = first_count(counts, *((*name, "cached_tokens_details", f"{modality}_tokens") for name in details))
            reading.share(modality, whole, cached)


def _read_output(counts: object, reading: Reading) -> None:
    reading.output_tokens = count(counts, "output_tokens")
    if reading.output_tokens is None and count(counts, "total_tokens") == count(counts, "input_tokens") is not None:
        reading.output_tokens = 0
    reading.reasoning_tokens = first_count(counts, *((name, "reasoning_tokens") for name in _OUTPUT_DETAILS)) or 0
    for modality in ("audio", "image"):
        part = first_count(counts, *((name, f"{modality}_tokens") for name in _OUTPUT_DETAILS))
        if part:
            setattr(reading, f"output_{modality}_tokens", part)


def _media_units(answer: object, counts: object) -> dict[str, Decimal | int]:
    """Seconds of a transcription and images that came without token counts: what such models are paid by."""
    seconds = quantity(counts, "seconds")
    if seconds is None and counts is None and text(answer, "text") is not None:
        seconds = quantity(answer, "duration")  # a verbose transcription
    if seconds is not None:
        return {"audio_seconds": seconds}
    return {"images": len(items(answer, "data"))} if counts is None and _is_images(answer) else {}


def _is_images(answer: object) -> bool:
    images = items(answer, "data")
    return bool(images) and all(text(image, "url") or isinstance(field(image, "b64_json"), str) for image in images)


def _tool_units(answer: object, counts: object) -> dict[str, Decimal | int]:
    """Tool calls that are charged by the call. Opening a page that was found is no search."""
    searches = first_count(answer, ("tool_usage", "web_search", "num_requests"))
    if searches is None:
        searches = first_count(counts, ("tool_calls_details", "search_web", "invocation"))  # Perplexity
    if searches is None:
        calls = [item for item in items(answer, "output") if text(item, "type") == "web_search_call"]
        searches = sum(text(call, "action", "type") in (None, "search") for call in calls)
    files = sum(text(item, "type") == "file_search_call" for item in items(answer, "output"))
    return {name: number for name, number in (("web_searches", searches), ("storage_searches", files)) if number}


def _image_generation(answer: object) -> Usage | None:
    """Images made by a tool, whose tokens are another model's and are not in the answer's own counts."""
    counts = field(answer, "tool_usage", "image_gen")
    if not count(counts, "input_tokens") and not count(counts, "output_tokens"):
        return None
    tools = [text(tool, "model") for tool in items(answer, "tools") if text(tool, "type") == "image_generation"]
    reading = Reading(model=next((model for model in tools if model), _DEFAULT_IMAGE_MODEL))
    _read_input(counts, reading)
    _read_output(counts, reading)
    return reading.usage()


def _batch_units(answer: object) -> dict[str, Decimal | int]:
    completed = count(answer, "request_counts", "completed")
    return {"requests": completed} if completed else {}


def knows(event: object) -> bool:
    """Whether an event is of the responses API, or a body with this shape's usage."""
    kind = text(event, "object") or ""
    return (
        kind in ("response", "response.compaction", "realtime.response", "batch")
        or (text(event, "type") or "").startswith(("response.", "transcript.text.", "speech.audio.", "image_generation.", "image_edit."))
        or knows_counts(field(event, "usage"))
        or bool(_media_units(event, field(event, "usage")))
    )


def knows_counts(counts: object) -> bool:
    """Whether a usage object counts `input_tokens` with cached ones inside, or seconds."""
    if first_count(counts, ("input_tokens",), ("output_tokens",)) is None:
        return quantity(counts, "seconds") is not None
    if first_count(counts, *_ANTHROPIC_COUNTS) is not None:
        return False
    return count(counts, "total_tokens") is not None or any(field(counts, name) is not None for name in (*_INPUT_DETAILS, *_OUTPUT_DETAILS))


def _told(origin: Origin) -> bool:
    return _PATH.search(origin.path) is not None


SHAPE = Shape("openai responses", OpenAITally, _told, knows, knows_counts, "usage")

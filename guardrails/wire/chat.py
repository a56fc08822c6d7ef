"""OpenAI chat completions, and the many that speak like it.

Read here: chat completions, completions, embeddings and assistants runs of OpenAI; Azure, Mistral, Groq, DeepSeek, xAI,
OpenRouter, Perplexity, Together and OpenAI-compatible servers; Gemini through its OpenAI-compatible endpoint.

`prompt_tokens` includes cached and written tokens, `completion_tokens` includes reasoning, except where `_read_output` says.
"""

from __future__ import annotations

import re
from decimal import Decimal

from guardrails.core.usage import Usage
from guardrails.wire.field import added, count, dollars, field, first_count, largest_count, quantity, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_PATH = re.compile(r"/(chat/completions|completions|embeddings)$|/threads/[^/]+/runs")
_CACHE_READ = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_token_details", "cached_tokens"),  # OpenAI assistants runs
    ("num_cached_tokens",),  # Mistral
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Moonshot
    ("cached_prompt_text_tokens",),  # xAI, before it had details
    ("cache_read_input_tokens",),  # LiteLLM
)
_CACHE_WRITE = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("prompt_tokens_details", "cache_creation_tokens"),  # LiteLLM
    ("cache_creation_input_tokens",),
)
_TICK_EXPONENT = 10  # xAI states its cost in ten-thousand-millionths of a USD
_ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")


class ChatTally:
    """Keeps the last usage that is not null. Groq sends the same one again under `x_groq`, which is not looked at."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._counts: object = None
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body, a chunk or `[DONE]`."""
        if event is DONE:
            self.complete = True
            return
        kind = text(event, "object") or ""
        if kind.startswith("thread.") and kind != "thread.run":
            return  # the steps of a run are inside the run's own usage
        self._model = text(event, "model") or self._model
        self._id = text(event, "id") or self._id
        self._tier = text(event, "service_tier") or self._tier
        counts = field(event, "usage")
        if knows_counts(counts):
            self._counts = counts
        if kind == "thread.run" and text(event, "status") in _ENDED:
            self.complete = True

    def usage(self) -> Usage | None:
        """The usage of the last chunk that had one."""
        counts = self._counts
        reading = Reading(model=self._model or self._origin.model, response_id=self._id, service_tier=self._tier)
        _read_input(counts, reading)
        _read_output(counts, reading, self._origin.host)
        reading.cost_usd = _cost(counts)
        seconds = quantity(counts, "prompt_audio_seconds")
        if seconds:
            reading.units["audio_seconds"] = seconds
        searches = first_count(counts, ("server_tool_use_details", "web_search_requests"), ("num_search_queries",))
        if searches:
            reading.units["web_searches"] = searches
        return reading.usage()


def _read_input(counts: object, reading: Reading) -> None:
    prompt = count(counts, "prompt_tokens")
    reading.cache_read_tokens = largest_count(counts, *_CACHE_READ) or 0
    reading.cache_write_unknown_tokens = largest_count(counts, *_CACHE_WRITE) or 0
    missed = count(counts, "prompt_cache_miss_tokens")
    if missed is not None and count(counts, "prompt_cache_hit_tokens") is not None:
        reading.input_tokens = missed
    else:
        reading.take_input(prompt, cache_write_tokens=reading.cache_write_unknown_tokens)
    for modality in ("audio", "image", "video"):
        whole = count(counts, "prompt_tokens_details", f"{modality}_tokens")
        if whole:
            cached = first_count(
                counts,
                ("prompt_tokens_details", "cached_tokens_details", f"{modality}_tokens"),
                ("prompt_tokens_details", f"cached_{modality}_tokens"),
            )
            reading.share(modality, whole, cached)


def _read_output(counts: object, reading: Reading, host: str) -> None:
    prompt, completion = count(counts, "prompt_tokens"), count(counts, "completion_tokens")
    total = count(counts, "total_tokens")
    reading.reasoning_tokens = first_count(counts, ("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)) or 0
    if completion is None and prompt is not None and total == prompt:
        completion = 0  # embeddings
    if completion is not None and prompt is not None and total is not None and _thinks_outside(host, reading.model):
        completion = max(completion, total - prompt)
        reading.reasoning_tokens = max(reading.reasoning_tokens, completion - (count(counts, "completion_tokens") or 0))
    elif completion is not None and (host.endswith("perplexity.ai") or "sonar" in (reading.model or "").casefold()):
        # Perplexity bills these beside the completion.
        completion = added(completion, count(counts, "reasoning_tokens"), count(counts, "citation_tokens"))
    reading.output_tokens = completion
    for modality in ("audio", "image", "video"):
        part = count(counts, "completion_tokens_details", f"{modality}_tokens")
        if part:
            setattr(reading, f"output_{modality}_tokens", part)


def _thinks_outside(host: str, model: str | None) -> bool:
    """Whether reasoning may be outside `completion_tokens` and only in `total_tokens`, as with Gemini and xAI.

    Where neither host nor model is known, it is taken to be: everywhere else the total is the sum of the two.
    """
    name = (model or "").casefold()
    return "gemini" in name or "grok" in name or host.endswith(("googleapis.com", "x.ai")) or not (host or name)


def _cost(counts: object) -> Decimal | None:
    """What the answer says that it cost: OpenRouter, Perplexity (`cost.total_cost`) and xAI (ticks) do."""
    stated = dollars(counts, "cost")
    if stated is not None and field(counts, "is_byok") is True:
        # Paid with a key of one's own: `cost` is OpenRouter's fee alone, the provider charges the rest.
        upstream = dollars(counts, "cost_details", "upstream_inference_cost")
        return None if upstream is None else stated + upstream
    if stated is None:
        stated = dollars(counts, "cost", "total_cost")
    if stated is None:
        ticks = count(counts, "cost_in_usd_ticks")
        return None if ticks is None else Decimal(ticks).scaleb(-_TICK_EXPONENT)
    return stated


def knows(event: object) -> bool:
    """Whether an event is a chat completion, a chunk of one, or an object of an assistants run."""
    kind = text(event, "object") or ""
    return (
        kind.startswith(("chat.completion", "text_completion", "thread."))
        or isinstance(field(event, "choices"), (list, tuple))
        or knows_counts(field(event, "usage"))
    )


def knows_counts(counts: object) -> bool:
    """Whether a usage object counts `prompt_tokens`."""
    return count(counts, "prompt_tokens") is not None or count(counts, "completion_tokens") is not None


def _told(origin: Origin) -> bool:
    return _PATH.search(origin.path) is not None


SHAPE = Shape("openai chat", ChatTally, _told, knows, knows_counts, "usage")

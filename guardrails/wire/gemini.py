"""Google Gemini, on the Gemini API and on Vertex.

`promptTokenCount` includes cached content; `candidatesTokenCount` excludes thoughts; what tools put into the prompt is apart.
"""

from __future__ import annotations

import re

from guardrails.core.usage import Usage
from guardrails.wire.field import added, count, field, first_count, items, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_PATH = re.compile(r":(stream)?generatecontent$")
_MODALITIES = ("audio", "image", "video")
_TIERS = {"on_demand": "standard", "on_demand_flex": "flex", "on_demand_priority": "priority"}


class GeminiTally:
    """Keeps the last usage: every chunk repeats it, and it may fall, so that neither the largest nor the sum is right."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._counts: object = None
        self._model: str | None = None
        self._id: str | None = None
        self._queries: dict[str, None] = {}
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body or a chunk."""
        if event is DONE:
            return
        self._model = text(event, "model_version") or self._model
        self._id = text(event, "response_id") or self._id
        for candidate in items(event, "candidates"):
            for query in items(candidate, "grounding_metadata", "web_search_queries"):
                if isinstance(query, str) and query:
                    self._queries[query] = None
        counts = field(event, "usage_metadata")
        if knows_counts(counts):
            self._counts = counts
            finished = any(field(candidate, "finish_reason") is not None for candidate in items(event, "candidates"))
            self.complete = finished or field(event, "prompt_feedback", "block_reason") is not None

    def usage(self) -> Usage | None:
        """The usage of the last chunk that had one."""
        counts = self._counts
        reading = Reading(model=self._model or self._origin.model, response_id=self._id, service_tier=_tier(counts))
        reading.cache_read_tokens = first_count(counts, ("cached_content_token_count",)) or 0
        prompt, tools = count(counts, "prompt_token_count"), count(counts, "tool_use_prompt_token_count")
        if prompt is not None:
            reading.take_input(added(prompt, tools))
        reading.reasoning_tokens = count(counts, "thoughts_token_count") or 0
        reading.output_tokens = _output(counts, prompt, tools)
        for modality in _MODALITIES:
            _read_modality(counts, modality, reading)
        if self._queries:
            reading.units["web_searches"] = 1 if _pays_by_prompt(reading.model) else len(self._queries)
        return reading.usage() if counts is not None else None


def _output(counts: object, prompt: int | None, tools: int | None) -> int | None:
    """Candidates and thoughts. Candidates are missing where nothing was generated; the total tells that it was nothing."""
    candidates = first_count(counts, ("candidates_token_count",), ("response_token_count",))  # the live API calls it a response
    thoughts = count(counts, "thoughts_token_count")
    total = count(counts, "total_token_count")
    if candidates is None and thoughts is None and prompt is not None and total is not None:
        return max(0, total - prompt - (tools or 0))
    return added(candidates, thoughts)


def _read_modality(counts: object, modality: str, reading: Reading) -> None:
    whole = added(_of(counts, "prompt_tokens_details", modality), _of(counts, "tool_use_prompt_tokens_details", modality))
    if whole:
        known = bool(items(counts, "cache_tokens_details")) or not reading.cache_read_tokens
        reading.share(modality, whole, _of(counts, "cache_tokens_details", modality) or 0 if known else None)
    made = added(_of(counts, "candidates_tokens_details", modality), _of(counts, "response_tokens_details", modality))
    if made:
        setattr(reading, f"output_{modality}_tokens", made)


def _of(counts: object, details: str, modality: str) -> int | None:
    """The tokens of one modality; SDKs have it as an enum whose name is the wire's word."""
    return added(
        *(
            count(detail, "token_count")
            for detail in items(counts, details)
            if str(getattr(field(detail, "modality"), "value", field(detail, "modality"))).casefold() == modality
        )
    )


def _pays_by_prompt(model: str | None) -> bool:
    """Whether grounding is charged by the prompt, as it was before Gemini 3, and not by the search."""
    return (model or "").casefold().startswith(("gemini-1", "gemini-2"))


def _tier(counts: object) -> str | None:
    """The tier in the price book's words; SDKs have an enum here too."""
    for name in ("service_tier", "traffic_type"):
        found = field(counts, name)
        tier = text({"tier": getattr(found, "value", found)}, "tier")
        if tier is not None:
            return _TIERS.get(tier.casefold(), tier.casefold())
    return None


def knows(event: object) -> bool:
    """Whether an event has Gemini's usage, or candidates."""
    return knows_counts(field(event, "usage_metadata")) or isinstance(field(event, "candidates"), (list, tuple))


def knows_counts(counts: object) -> bool:
    """Whether a usage object counts a prompt or candidates; a `cachedContents` answer has a total alone."""
    return first_count(counts, ("prompt_token_count",), ("candidates_token_count",), ("response_token_count",)) is not None


def _told(origin: Origin) -> bool:
    return _PATH.search(origin.path) is not None


SHAPE = Shape("gemini", GeminiTally, _told, knows, knows_counts, "usage_metadata")

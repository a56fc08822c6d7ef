"""LangChain's `usage_metadata`, the same for every provider: `input_tokens` includes what was cached."""

from __future__ import annotations

from guardrails.core.usage import Usage
from guardrails.wire.field import count, field, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import Shape


class LangChainTally:
    """Reads a message's `usage_metadata`."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._message: object = None
        self.complete = True

    def add(self, event: object) -> None:
        """Take a message."""
        self._message = event

    def usage(self) -> Usage | None:
        """The usage of the message."""
        counts = field(self._message, "usage_metadata")
        named = field(self._message, "response_metadata")
        reading = Reading(
            model=text(named, "model_name") or text(named, "model") or self._origin.model,
            response_id=text(named, "id"),
            service_tier=text(named, "service_tier"),
        )
        details = field(counts, "input_token_details")
        reading.cache_read_tokens = count(details, "cache_read") or 0
        reading.cache_write_short_tokens = count(details, "ephemeral_5m_input_tokens") or 0
        reading.cache_write_long_tokens = count(details, "ephemeral_1h_input_tokens") or 0
        split = reading.cache_write_short_tokens + reading.cache_write_long_tokens
        # Where the split is told, `cache_creation` is 0 and not the total.
        reading.cache_write_unknown_tokens = max(0, (count(details, "cache_creation") or 0) - split)
        reading.take_input(count(counts, "input_tokens"), cache_write_tokens=split + reading.cache_write_unknown_tokens)
        reading.output_tokens = count(counts, "output_tokens")
        reading.reasoning_tokens = count(counts, "output_token_details", "reasoning") or 0
        audio = count(details, "audio")
        if audio:
            reading.share("audio", audio)
        reading.output_audio_tokens = count(counts, "output_token_details", "audio") or 0
        return reading.usage()


def knows(event: object) -> bool:
    """Whether an object is a message with LangChain's counts."""
    return count(event, "usage_metadata", "input_tokens") is not None


def knows_counts(counts: object) -> bool:
    """Whether a usage object has names of details that only LangChain writes. Without details it is read like OpenAI's."""
    names = (("input_token_details", "cache_read"), ("input_token_details", "cache_creation"), ("output_token_details", "reasoning"))
    return any(count(counts, *path) is not None for path in names)


def _told(_: Origin) -> bool:
    return False  # no provider answers with it


SHAPE = Shape("langchain", LangChainTally, _told, knows, knows_counts, "usage_metadata")

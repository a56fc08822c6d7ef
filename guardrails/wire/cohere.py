"""Cohere: chat, embed and rerank. `billed_units` are charged, `tokens` were processed; charge by the first."""

from __future__ import annotations

import re

from guardrails.core.usage import Usage
from guardrails.wire.field import count, field, first_count, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_HOST = re.compile(r"(^|\.)cohere\.(com|ai)$")
_PATH = re.compile(r"/v[12]/(chat|embed|rerank|classify|generate|summarize)$")
_ENDS = ("message-end", "stream-end")
_UNITS = {"search_units": "rerank_searches", "images": "images", "classifications": "classifications"}


class CohereTally:
    """Keeps the last billed units; in a stream only its last event has them."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._billed: object = None
        self._id: str | None = None
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body or an event of a stream."""
        if event is DONE:
            return
        kind = text(event, "type")
        if kind in (None, "message-start") or self._id is None:
            self._id = text(event, "id") or text(event, "response_id") or text(event, "generation_id") or self._id
        for place in (("usage",), ("delta", "usage"), ("meta",), ("response", "meta")):
            billed = field(event, *place, "billed_units")
            if billed is not None:
                self._billed = billed
        if kind in _ENDS or text(event, "event_type") in _ENDS:
            self.complete = True

    def usage(self) -> Usage | None:
        """What was billed. What embeds or ranks writes nothing, and does not say so."""
        reading = Reading(model=self._origin.model, response_id=self._id)
        reading.input_tokens = count(self._billed, "input_tokens")
        reading.output_tokens = count(self._billed, "output_tokens")
        for name, unit in _UNITS.items():
            used = count(self._billed, name)
            if used:
                reading.units[unit] = used
        if reading.output_tokens is None and (self._embeds or reading.units):
            reading.output_tokens = 0
            reading.input_tokens = reading.input_tokens or 0
        return reading.usage()

    @property
    def _embeds(self) -> bool:
        return self._origin.path.endswith("/embed") and count(self._billed, "input_tokens") is not None


def knows(event: object) -> bool:
    """Whether an event has billed units, or is of Cohere's stream."""
    kind = text(event, "type") or ""
    billed = (("usage",), ("delta", "usage"), ("meta",), ("response", "meta"))
    return kind in ("message-start", *_ENDS) or any(field(event, *place, "billed_units") is not None for place in billed)


def knows_counts(counts: object) -> bool:
    """Whether a usage object has billed units."""
    billed = field(counts, "billed_units")
    return first_count(billed, ("input_tokens",), ("output_tokens",), ("search_units",)) is not None


def _told(origin: Origin) -> bool:
    return _HOST.search(origin.host) is not None and _PATH.search(origin.path) is not None


SHAPE = Shape("cohere", CohereTally, _told, knows, knows_counts, "usage")

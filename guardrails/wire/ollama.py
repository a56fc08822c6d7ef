"""Ollama's own API: one JSON object a line, the last of which counts."""

from __future__ import annotations

import re

from guardrails.core.usage import Usage
from guardrails.wire.field import count, field, first_count, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_PATH = re.compile(r"/api/(chat|generate|embed)$")


class OllamaTally:
    """Keeps the last counts. It caches no prices and names no answer: it is paid by the hour, if at all."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._counts: object = None
        self._model: str | None = None
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body or a line."""
        if event is DONE:
            return
        self._model = text(event, "model") or self._model
        if knows_counts(event):
            self._counts = event
        if field(event, "done") is True:
            self.complete = True

    def usage(self) -> Usage | None:
        """The counts of the last line; an embedding writes nothing."""
        output = count(self._counts, "eval_count")
        if output is None and field(self._counts, "embeddings") is not None:
            output = 0
        return Reading(
            model=self._model or self._origin.model, input_tokens=count(self._counts, "prompt_eval_count"), output_tokens=output
        ).usage()


def knows(event: object) -> bool:
    """Whether an event counts evaluated tokens, or is a line before the one that does."""
    return knows_counts(event) or (isinstance(field(event, "done"), bool) and text(event, "model") is not None)


def knows_counts(counts: object) -> bool:
    """Whether an object counts evaluated tokens."""
    return first_count(counts, ("prompt_eval_count",), ("eval_count",)) is not None


def _told(origin: Origin) -> bool:
    return _PATH.search(origin.path) is not None


SHAPE = Shape("ollama", OllamaTally, _told, knows, knows_counts, "")

"""Results of a batch, one JSON object a line, each with a whole answer of OpenAI's or Anthropic's inside."""

from __future__ import annotations

from dataclasses import replace

from guardrails.core.usage import COUNTERS, Usage
from guardrails.wire import anthropic, chat, openai
from guardrails.wire.field import field, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape

_INSIDE = (("response", "body"), ("result", "message"))
_ANSWERS = (chat.SHAPE, openai.SHAPE, anthropic.SHAPE)


class BatchTally:
    """Adds up the answers of a file, each once, and each model apart."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._answers: dict[str, Usage] = {}
        self.complete = True

    def add(self, event: object) -> None:
        """Take one line; a line without usage, such as an error, was not charged."""
        if event is DONE:
            return
        answer = next((found for path in _INSIDE if (found := field(event, *path)) is not None), None)
        shape = next((shape for shape in _ANSWERS if shape.knows(answer)), None)
        key = text(event, "custom_id") or text(answer, "id")
        if shape is None or key is None:
            return
        tally = shape.tally(Origin(host=self._origin.host, model=self._origin.model))
        tally.add(answer)
        usage = tally.usage()
        if usage is not None:
            self._answers[key] = usage

    def usage(self) -> Usage | None:
        """The sum under the first model; every other model is a part of it."""
        by_model: dict[str | None, list[Usage]] = {}
        for usage in self._answers.values():
            by_model.setdefault(usage.model, []).append(usage)
        sums = [_sum(usages) for usages in by_model.values()]
        return replace(sums[0], parts=(*sums[0].parts, *sums[1:])) if sums else None


def _sum(usages: list[Usage]) -> Usage:
    """One usage for all. A count that one of them does not report is unknown in the sum."""
    reading = Reading(model=usages[0].model, service_tier="batch", parts=tuple(part for usage in usages for part in usage.parts))
    for name in ("input_tokens", "output_tokens", *COUNTERS):
        counts = [getattr(usage, name) for usage in usages]
        setattr(reading, name, None if None in counts else sum(counts))
    for usage in usages:
        for name, number in usage.units.items():
            reading.units[name] = reading.units.get(name, 0) + number
    reading.units["requests"] = len(usages)
    reading.clamped = list(dict.fromkeys(name for usage in usages for name in usage.clamped))
    return reading.usage() or Usage()


def knows(event: object) -> bool:
    """Whether an event is a line of results: the caller's own id, and an answer or an error."""
    return text(event, "custom_id") is not None and (field(event, "result") is not None or field(event, "response") is not None)


def knows_counts(_: object) -> bool:
    """A line of results has no usage object of its own."""
    return False


def _told(_: Origin) -> bool:
    return False  # a results file comes from a path that says nothing of its content


SHAPE = Shape("batch results", BatchTally, _told, knows, knows_counts, "usage")

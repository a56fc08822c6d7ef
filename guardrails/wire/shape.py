"""What every API shape offers: how it is recognised, and a tally that its events are added to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from guardrails.core.usage import Usage
from guardrails.wire.origin import Origin

DONE = object()
"""The event `[DONE]`, with which OpenAI-shaped streams end."""


class Tally(Protocol):
    """Adds up the events of one answer; a body that is no stream is a single event."""

    @property
    def complete(self) -> bool:
        """Whether the stream said that it has ended."""

    def add(self, event: object) -> None:
        """Take one event, parsed; the same event again changes nothing."""

    def usage(self) -> Usage | None:
        """The usage as of the events so far; None where none was reported."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One API shape.

    Attributes:
        tally: makes an empty tally.
        told: whether host, path or headers say that the answer has this shape.
        knows: whether an event or a body has this shape by its own looks.
        knows_counts: whether a bare usage object has this shape.
        counts_under: the name under which an event holds its usage object.
    """

    name: str
    tally: Callable[[Origin], Tally]
    told: Callable[[Origin], bool]
    knows: Callable[[object], bool]
    knows_counts: Callable[[object], bool]
    counts_under: str

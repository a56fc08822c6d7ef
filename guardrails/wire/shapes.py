"""The API shapes that are read: one file each, and one line here.

The order is that in which looks are tried: those that no other shape has come first.
"""

from __future__ import annotations

from guardrails.wire import anthropic, batches, bedrock, chat, cohere, gemini, langchain, ollama, openai
from guardrails.wire.origin import Origin
from guardrails.wire.shape import Shape

SHAPES: tuple[Shape, ...] = (
    batches.SHAPE,
    gemini.SHAPE,
    bedrock.SHAPE,
    cohere.SHAPE,
    ollama.SHAPE,
    langchain.SHAPE,
    openai.SHAPE,
    chat.SHAPE,
    anthropic.SHAPE,
)


def told_shape(origin: Origin) -> Shape | None:
    """The shape that host, path or headers name."""
    return next((shape for shape in SHAPES if shape.told(origin)), None)


def shape_of(event: object) -> Shape | None:
    """The shape that an event or a body has by its looks."""
    return next((shape for shape in SHAPES if shape.knows(event)), None)


def shape_of_counts(counts: object) -> Shape | None:
    """The shape that a bare usage object has by its looks."""
    return next((shape for shape in SHAPES if shape.knows_counts(counts)), None)

"""A YAML text as a pydantic model, every mistake with the position of the key or value that it is about.

The models get dicts, lists, text and None, nothing else: fields read their text with validators of their own that raise
`Mistake`. What pydantic itself finds wrong (unknown keys, missing keys, wrong shapes, values of no list) is worded here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from guardrails.source.complaint import Loc, complaints
from guardrails.source.nodes import MappingNode, Mark, Node, Plain, SequenceNode, compose, lines_of, mark_of
from guardrails.source.problem import Problem

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Read(Generic[M]):
    """A text as it was read.

    Attributes:
        value: the model; None where there are problems.
        problems: all mistakes, sorted.
        plain: the document as dicts, lists, text and None, as far as it could be composed.
    """

    path: str
    text: str
    value: M | None
    problems: tuple[Problem, ...]
    plain: Plain
    root: Node | None = field(repr=False)

    def mark(self, loc: Loc, *, key: bool = False) -> tuple[int, int]:
        """Line and column, 1-based, of a value, or of its key; of the nearest value around it where there is none such."""
        mark = _found(self.root, loc, key=key)
        return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)

    def item_lines(self, loc: Loc) -> list[int]:
        """The line, 1-based, of each item of the list there; empty where no list is there."""
        node = _node(self.root, loc)
        return [mark_of(item).line + 1 for item in node.places] if isinstance(node, SequenceNode) else []

    def problem(self, loc: Loc, code: str, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """A problem with the value there, or with its key."""
        line, column = self.mark(loc, key=key)
        lines = lines_of(self.text)
        return Problem(self.path, line, column, code, message, hint, lines[line - 1] if line <= len(lines) else "")


def read_document(text: str, path: str, model: type[M]) -> Read[M]:
    """A text as a model. Never raises for what the text says: that is in `problems`, with positions shown under `path`."""
    composed = compose(text, path)
    if composed.root is None or composed.problems:
        found = validated(Read(path, text, None, (), composed.plain, composed.root), model) if composed.root is not None else None
        problems = composed.problems if found is None else (*composed.problems, *found.problems)
        return Read(path, text, None, tuple(sorted(problems)), composed.plain, composed.root)
    return validated(Read(path, text, None, (), composed.plain, composed.root), model)


def validated(read: Read[M], model: type[M]) -> Read[M]:
    """The same text with the model of its plain values, or what is wrong with them."""
    try:
        return Read(read.path, read.text, model.model_validate(read.plain), (), read.plain, read.root)
    except ValidationError as error:
        found = complaints(error, model, read.plain)
    problems = sorted(read.problem(each.loc, each.code, each.message, each.hint, key=each.key) for each in found)
    return Read(read.path, read.text, None, tuple(problems), read.plain, read.root)


def _found(node: Node | None, loc: Loc, *, key: bool) -> Mark | None:
    """The mark of what stands at a location, or of the nearest around it."""
    if node is None:
        return None
    mark = mark_of(node)
    for place, step in enumerate(loc):
        if key and place == len(loc) - 1 and isinstance(node, MappingNode) and step in node.places:
            return node.places[str(step)][0]
        node = _inner(node, step)
        if node is None:
            break
        mark = mark_of(node)
    return mark


def _node(node: Node | None, loc: Loc) -> Node | None:
    for step in loc:
        if node is not None:
            node = _inner(node, step)
    return node


def _inner(node: Node, step: str | int) -> Node | None:
    if isinstance(node, MappingNode) and step in node.places:
        return node.places[str(step)][1]
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.places):
        return node.places[step]
    return None

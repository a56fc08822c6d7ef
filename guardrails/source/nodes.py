"""YAML text to plain values with a position each.

Scalars stay the text that was written: `10.10`, `1e3`, `on`, `0123` and `2026-09-01` are text, and only a plain null is
None. Comments, anchors, aliases and merge keys work; a second document, custom tags, duplicate keys, loops and bombs of
aliases and deep nesting are problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from guardrails.source.problem import Problem, quoted
from guardrails.source.syntax import syntax_place, syntax_sentence

MAX_DEPTH: Final = 40
MAX_ALIASED_NODES: Final = 250_000

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"


class Mark(Protocol):
    """A position in the text, 0-based, as PyYAML has it."""

    line: int
    column: int


_Event: TypeAlias = Any
"""An event of PyYAML, whose stubs do not know that events of a text always have their positions."""


class MappingNode:
    """Where a mapping and each of its keys and values stand."""

    __slots__ = ("mark", "places")

    def __init__(self, mark: Mark, places: dict[str, tuple[Mark, Node]]) -> None:
        self.mark = mark
        self.places = places


class SequenceNode:
    """Where a list and each of its items stand."""

    __slots__ = ("mark", "places")

    def __init__(self, mark: Mark, places: list[Node]) -> None:
        self.mark = mark
        self.places = places


Node: TypeAlias = "Mark | MappingNode | SequenceNode"
"""Where a value stands: the mark alone for a scalar."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A text as plain values, where each stands, and what is wrong with it. `root` is None where there is no document."""

    plain: Plain
    root: Node | None
    problems: tuple[Problem, ...]


@lru_cache(maxsize=2)
def lines_of(text: str) -> list[str]:
    """The lines of a text as YAML counts them."""
    return _LINE_BREAK.split(text.removeprefix("\ufeff"))


def mark_of(node: Node) -> Mark:
    """The position of a node's first character."""
    return node.mark if isinstance(node, (MappingNode, SequenceNode)) else node


_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE = "<<"
_FASTEST_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML may be installed without libyaml; then its own parser reads the same, slower."""
_HARMLESS_TAGS = frozenset({"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


def compose(text: str, path: str, loader_of: Callable[[str], Any] = _FASTEST_LOADER) -> Composed:
    """Plain values of a YAML text, with their positions and the problems in it; never raises."""
    text = text.removeprefix("\ufeff")
    composer = _Composer(text, path)
    plain: Plain = None
    root: Node | None = None
    loader = None
    try:
        loader = loader_of(text)
        plain, root = composer.document(loader.get_event)
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        line, column = composer.within(*syntax_place(error))
        composer.report(line, column, *syntax_sentence(error, composer.line_at(line), column))
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        composer.report(*_bad_character(text, error))
    finally:
        if loader is not None:
            loader.dispose()
    return Composed(plain, root, tuple(composer.problems))


def _bad_character(text: str, error: Exception) -> tuple[int, int, str, str]:
    """What the reader below the parser, which says no line, did not take."""
    character = _NOT_TEXT.search(text)
    at = len(text) if character is None else character.start()
    breaks = list(_LINE_BREAK.finditer(text, 0, at))
    name = str(error) if character is None else "NUL" if character[0] == "\0" else f"U+{ord(character[0]):04X}"
    return len(breaks), at - (breaks[-1].end() if breaks else 0), "bad-character", f"the character {name} is not allowed in YAML"


class _Stop(Exception):
    """The rest of the text is not worth reading."""


@dataclass(slots=True)
class _Anchored:
    """A named node; `plain` and `node` are set once it is complete."""

    nodes: int
    plain: Plain = None
    node: Node | None = None


class _Composer:
    """Reads the events of one text."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._aliased_nodes = 0
        self._get: Callable[[], _Event] = lambda: None
        self.problems: list[Problem] = []

    def line_at(self, line: int) -> str:
        lines = lines_of(self._text)
        return lines[line] if line < len(lines) else ""

    def within(self, line: int, column: int) -> tuple[int, int]:
        """A place in the text: the end of the last line that says something where the place is behind it."""
        while line >= 1 and not self.line_at(line).strip():
            line -= 1
            column = len(self.line_at(line))
        return line, column

    def report(self, line: int, column: int, code: str, message: str) -> None:
        self.problems.append(Problem(self._path, line + 1, column + 1, code, message, None, self.line_at(line)))

    def _report_at(self, mark: Mark, code: str, message: str) -> None:
        self.report(mark.line, mark.column, code, message)

    def document(self, get: Callable[[], _Event]) -> tuple[Plain, Node | None]:
        """The only document of the stream."""
        self._get = get
        get()
        if not isinstance(get(), DocumentStartEvent):
            self.report(0, 0, "empty-file", "the file is empty")
            return None, None
        event = get()
        node: Node | None
        plain, node = self._value(event, 0)
        if plain is None and not self.problems:
            self._report_at(event.start_mark, "empty-file", "the file has no content")
            node = None
        get()
        following = get()
        if not isinstance(following, StreamEndEvent):
            self._report_at(following.start_mark, "several-documents", "the file has a second document, one file holds one")
        return plain, node

    def _value(self, event: _Event, depth: int) -> tuple[Plain, Node]:
        """The value that begins with an event, whatever it is."""
        kind = type(event)
        if kind is MappingStartEvent and event.anchor is None and event.tag is None and depth < MAX_DEPTH:
            return self._mapping(depth + 1, event.start_mark)
        if kind is AliasEvent:
            return self._alias(event)
        mark: Mark = event.start_mark
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _HARMLESS_TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._report_at(mark, "custom-tag", f"the tag {quoted(shown)} is not allowed, values are read as they are written")
        if event.anchor is None:
            return self._content(event, depth, mark)
        anchored = self._anchors[event.anchor] = _Anchored(0)
        before = self._nodes + self._aliased_nodes
        plain, node = self._content(event, depth, mark)
        anchored.plain, anchored.node = plain, node
        anchored.nodes = max(1, self._nodes + self._aliased_nodes - before)
        return plain, node

    def _content(self, event: _Event, depth: int, mark: Mark) -> tuple[Plain, Node]:
        if isinstance(event, ScalarEvent):
            self._nodes += 1
            return (None if event.value in _NULLS and not event.style and event.tag is None else event.value), mark
        if depth >= MAX_DEPTH:
            self._report_at(mark, "too-deep", f"this is nested more than {MAX_DEPTH} levels deep")
            raise _Stop
        return self._mapping(depth + 1, mark) if type(event) is MappingStartEvent else self._sequence(depth + 1, mark)

    def _alias(self, event: _Event) -> tuple[Plain, Node]:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            self._report_at(
                event.start_mark, "unknown-alias", f"`*{event.anchor}` is an alias without an anchor before it, quote it if it is text"
            )
            raise _Stop
        if anchored.node is None:
            self._report_at(event.start_mark, "alias-loop", f"the alias `*{event.anchor}` stands inside what it names")
            raise _Stop
        self._aliased_nodes += anchored.nodes
        if self._aliased_nodes > MAX_ALIASED_NODES:
            self._report_at(event.start_mark, "alias-bomb", f"aliases make the file more than {MAX_ALIASED_NODES:,} values larger")
            raise _Stop
        return anchored.plain, anchored.node

    def _mapping(self, depth: int, mark: Mark) -> tuple[dict[str, Plain], MappingNode]:
        # The inner loop of loading: scalars without tag or anchor are handled here, everything else in `_value`.
        get = self._get
        plain: dict[str, Plain] = {}
        places: dict[str, tuple[Mark, Node]] = {}
        merges: list[tuple[Plain, Node]] = []
        value: Plain
        node: Node
        while True:
            event = get()
            kind = type(event)
            if kind is ScalarEvent and event.anchor is None and event.tag is None:
                key = event.value
            elif kind is MappingEndEvent:
                break
            else:
                key = self._odd_key(event, depth)
            key_mark = event.start_mark
            following = get()
            following_kind = type(following)
            if following_kind is ScalarEvent and following.anchor is None and following.tag is None:
                value = following.value
                node = following.start_mark
                if value in _NULLS and not following.style:
                    value = None
            else:
                value, node = self._value(following, depth)
            if key in plain or not key or key == _MERGE:
                self._odd_pair(event, plain, places, merges, (value, node))
            else:
                plain[key] = value
                places[key] = (key_mark, node)
        self._nodes += 1 + 2 * len(plain)
        for merge in merges:
            self._merge(merge, plain, places)
        return plain, MappingNode(mark, places)

    def _odd_key(self, event: _Event, depth: int) -> str:
        value, _ = self._value(event, depth)
        return "" if isinstance(value, (list, dict)) or value is None else value

    def _odd_pair(
        self,
        event: _Event,
        plain: dict[str, Plain],
        places: dict[str, tuple[Mark, Node]],
        merges: list[tuple[Plain, Node]],
        value: tuple[Plain, Node],
    ) -> None:
        """A key that is there already, is a merge, or is none."""
        kind, key = type(event), getattr(event, "value", "")
        if issubclass(kind, CollectionStartEvent):
            self._report_at(event.start_mark, "bad-key", "a key must be text, not a list or mapping")
        elif kind is AliasEvent:
            self._report_at(event.start_mark, "bad-key", "a key must be text, not an alias")
        elif key == _MERGE and not event.style:
            merges.append(value)
        elif key in plain:
            self._report_at(event.start_mark, "duplicate-key", f"duplicate key {quoted(key)}, first on line {places[key][0].line + 1}")
        elif key == _MERGE:
            plain[key], places[key] = value[0], (event.start_mark, value[1])
        else:
            self._report_at(event.start_mark, "bad-key", "there is no key before `:`")

    def _merge(self, merge: tuple[Plain, Node], plain: dict[str, Plain], places: dict[str, tuple[Mark, Node]]) -> None:
        """Add what a `<<` brings; keys that are there already win."""
        value, node = merge
        if isinstance(value, list) and isinstance(node, SequenceNode):
            for item in zip(value, node.places, strict=True):
                self._merge(item, plain, places)
        elif isinstance(value, dict) and isinstance(node, MappingNode):
            self._aliased_nodes += 2 * len(value)
            for key in value:
                if key not in plain:
                    plain[key] = value[key]
                    places[key] = node.places[key]
        else:
            self._report_at(mark_of(node), "bad-merge", "`<<` takes a mapping or a list of mappings")

    def _sequence(self, depth: int, mark: Mark) -> tuple[list[Plain], SequenceNode]:
        get = self._get
        plain: list[Plain] = []
        places: list[Node] = []
        value: Plain
        while True:
            event = get()
            kind = type(event)
            if kind is ScalarEvent and event.anchor is None and event.tag is None:
                value = event.value
                plain.append(None if value in _NULLS and not event.style else value)
                places.append(event.start_mark)
            elif kind is SequenceEndEvent:
                break
            else:
                value, node = self._value(event, depth)
                plain.append(value)
                places.append(node)
        self._nodes += 1 + len(plain)
        return plain, SequenceNode(mark, places)

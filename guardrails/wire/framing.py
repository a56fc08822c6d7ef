"""Bytes into events: server-sent events, JSON values (a body, an array as it grows, one value a line) and AWS frames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Protocol

from guardrails.wire.shape import DONE

_STRUCTURE = re.compile(rb'["\\{}\[\]]')
_BREAK = re.compile(rb"\r\n|\n|\r(?!\Z)")
_BOM = b"\xef\xbb\xbf"
_SSE = re.compile(rb"(data|event|id|retry)?:")
_BEGINNING = 16
"""Bytes that are enough to tell the framings apart."""


class Framing(Protocol):
    """Splits bytes into events, however they are cut into chunks."""

    def feed(self, chunk: bytes) -> Iterator[object]:
        """The events that are complete with these bytes."""

    def rest(self) -> Iterator[object]:
        """The event that would be complete if nothing more came; asking changes nothing."""


def parsed(data: bytes) -> object:
    """The value of a JSON text, numbers with decimals exact, NaN as null; None where it is none that can be read."""
    try:
        return json.loads(data, parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, RecursionError, InvalidOperation):
        return None


class SseEvents:
    """Server-sent events: the JSON of `data:` fields, and `[DONE]`. Comments and event names say nothing that the data does not."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[object]:
        """The events that are complete with these bytes."""
        held_back = bool(self._pieces) and self._pieces[-1].endswith(b"\r")  # half of a line's end, perhaps
        self._pieces.append(chunk)
        if not held_back and b"\n" not in chunk and b"\r" not in chunk:
            return
        *lines, rest = _BREAK.split(b"".join(self._pieces))
        self._pieces = [rest]
        for line in lines:
            if line:
                self._take(line)
            elif self._data:
                data, self._data = self._data, []
                yield from _event(data)

    def rest(self) -> Iterator[object]:
        """The event whose closing blank line is missing."""
        last = b"".join(self._pieces).rstrip(b"\r")
        yield from _event([*self._data, _value(last)] if last.startswith(b"data:") else self._data)

    def _take(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(_value(line))


def _value(line: bytes) -> bytes:
    return line.removeprefix(b"data:").removeprefix(b" ")


def _event(data: list[bytes]) -> Iterator[object]:
    text = b"\n".join(data).strip()
    if text == b"[DONE]":
        yield DONE
    elif text and (event := parsed(text)) is not None:
        yield event


class JsonValues:
    """JSON objects, alone, one after the other or as the elements of an array that is still growing."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._start: int | None = None
        self._depth = 0
        self._in_text = False
        self._values = 0
        self._in_array = False

    @property
    def is_single(self) -> bool:
        """Whether all that came is one object: a body, not a stream."""
        return self._values <= 1 and not self._in_array

    def feed(self, chunk: bytes) -> Iterator[object]:
        """The objects that are complete with these bytes."""
        if not self._buffer and chunk.startswith(b"{") and isinstance(whole := parsed(chunk), dict):
            self._values += 1
            yield whole
            return
        self._buffer += chunk
        position = self._scanned
        while (found := _STRUCTURE.search(self._buffer, position)) is not None:
            position = found.end()
            if found[0] == b"\\" and self._in_text:
                position += 1  # what it escapes, which may not have come yet
            elif self._closes(found[0], found.start()):
                value = parsed(bytes(self._buffer[self._start : position]))
                del self._buffer[:position]
                self._start, position = None, 0
                self._values += 1
                if value is not None:
                    yield value
        self._scanned = max(position, len(self._buffer))
        if self._start is None:
            self._buffer.clear()
            self._scanned = 0

    def rest(self) -> Iterator[object]:
        """Nothing: an object without its end cannot be read."""
        return iter(())

    def _closes(self, mark: bytes, at: int) -> bool:
        """Take one structural character; whether it ends an outermost object."""
        if mark == b'"':
            self._in_text = not self._in_text and self._start is not None
        elif self._in_text:
            return False
        elif mark == b"{":
            self._start = at if self._start is None else self._start
            self._depth += 1
        elif mark == b"[" and self._start is None:
            self._in_array = True
        elif mark == b"}" and self._start is not None:
            self._depth -= 1
            return self._depth == 0
        return False


def framing_for(beginning: bytes, content_type: str | None) -> Framing | None:
    """The framing of a body by its first bytes and what it says to be; None where more bytes are needed to tell."""
    from guardrails.wire.aws_frames import AwsFrames  # noqa: PLC0415 - it parses what it finds with this module

    said = (content_type or "").casefold()
    if "amazon.eventstream" in said:
        return AwsFrames()
    start = beginning.removeprefix(_BOM).lstrip()
    if start[:1] in (b"{", b"["):
        return JsonValues()
    if "event-stream" in said or _SSE.match(start):
        return SseEvents()
    if len(beginning) < _BEGINNING:
        return None
    return AwsFrames() if beginning[0] == 0 else JsonValues()

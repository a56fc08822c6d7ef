"""Bytes of an answer into its usage, whole or as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from guardrails.core.usage import Usage
from guardrails.wire.framing import Framing, JsonValues, framing_for
from guardrails.wire.origin import Origin, origin
from guardrails.wire.shape import Tally
from guardrails.wire.shapes import shape_of, told_shape

_FIRST_ERROR_STATUS = 400
_BEGINNING_BYTES = 64


class StreamReader:
    """Reads the usage of one answer from its bytes as they come, in chunks of any size.

    `usage()` may be asked at any time. Until the stream has said that it is at its end, what it returns is `partial`; of a
    body that is no stream there is nothing until it is whole.
    """

    def __init__(
        self,
        *,
        content_type: str | None = None,
        host: str | None = None,
        path: str | None = None,
        model: str | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        """Start with what is known of the response; `model` is the model asked for, used where the answer names none."""
        self._origin: Origin = origin(host, path, model, headers)
        self._content_type = content_type or self._origin.headers.get("content-type")
        self._failed = status is not None and status >= _FIRST_ERROR_STATUS
        told = told_shape(self._origin)
        self._tally: Tally | None = None if told is None else told.tally(self._origin)
        self._beginning = b""
        self._framing: Framing | None = None
        self._events = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._failed:
            return
        if self._framing is None:
            self._beginning += chunk
            self._framing = framing_for(self._beginning, self._content_type)
            if self._framing is None:
                return
            chunk, self._beginning = self._beginning, b""
        for event in self._framing.feed(chunk):
            self._add(event)

    def usage(self) -> Usage | None:
        """The usage as of the bytes so far; None where they carry none."""
        if self._failed:
            return None
        for event in self._framing.rest() if self._framing is not None else ():
            self._add(event)
        usage = None if self._tally is None else self._tally.usage()
        if usage is None or self._tally is None or self._tally.complete or self._is_one_body:
            return usage
        return replace(usage, partial=True)

    @property
    def _is_one_body(self) -> bool:
        """Whether the bytes were a single JSON value, which is no stream, or none at all but headers."""
        return self._framing is None or (isinstance(self._framing, JsonValues) and self._framing.is_single)

    def _add(self, event: object) -> None:
        if self._tally is None:
            shape = shape_of(event)
            if shape is None:
                return
            self._tally = shape.tally(self._origin)
        self._tally.add(event)


def read_usage(
    body: bytes,
    content_type: str | None = None,
    host: str | None = None,
    path: str | None = None,
    model: str | None = None,
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
) -> Usage | None:
    """The usage that a provider's response carries, whole body or recorded stream.

    Args:
        body: the bytes of the response, not compressed.
        content_type: tells a stream from a body where the bytes do not.
        host: with `path`, tells the API's shape; where neither is known, the body's own looks do.
        path: of the request.
        model: the model asked for, used where the answer names none.
        headers: of the response; Bedrock's InvokeModel states its counts there.
        status: of the response; an error has no usage.

    Returns:
        None where the response carries no usage: an error, a stream that never reports, a blocked prompt. Never raises on
        what a provider may send.
    """
    for known_host, known_path in ((host, path), (None, None)):
        # A path that is not what it looks like must not hide what the body says of itself.
        reader = StreamReader(content_type=content_type, host=known_host, path=known_path, model=model, headers=headers, status=status)
        reader.feed(body)
        usage = reader.usage()
        if usage is not None:
            return usage
    return None

"""AWS event-stream frames, as far as Bedrock needs them.

A frame: 4 bytes total length, 4 bytes length of the headers, 4 bytes checksum, headers, payload, 4 bytes checksum. The
checksums guard against a transport that TLS has already guarded, and are not looked at; lengths are.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator

from guardrails.wire.field import field
from guardrails.wire.framing import parsed

_PRELUDE = struct.Struct(">II")
_PRELUDE_BYTES = 12
_CHECKSUM_BYTES = 4
_MOST_BYTES = 24 * 2**20
_MOST_HEADER_BYTES = 128 * 2**10
"""What AWS itself allows a message and its headers."""


class AwsFrames:
    """The JSON of each frame's payload. InvokeModel streams hold the vendor's own JSON in it, in base64 under `bytes`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken = False

    def feed(self, chunk: bytes) -> Iterator[object]:
        """The events that are complete with these bytes; none any more once a length cannot be."""
        if self._broken:
            return
        self._buffer += chunk
        while len(self._buffer) >= _PRELUDE_BYTES:
            total, headers = _PRELUDE.unpack_from(self._buffer)
            payload_start = _PRELUDE_BYTES + headers
            if headers > _MOST_HEADER_BYTES or not payload_start + _CHECKSUM_BYTES <= total <= _MOST_BYTES:
                self._broken = True
                self._buffer.clear()
                return
            if len(self._buffer) < total:
                return
            event = parsed(bytes(self._buffer[payload_start : total - _CHECKSUM_BYTES]))
            del self._buffer[:total]
            inner = field(event, "bytes")
            if isinstance(inner, str):
                event = _decoded(inner)
            if event is not None:
                yield event

    def rest(self) -> Iterator[object]:
        """Nothing: a frame without its end cannot be read."""
        return iter(())


def _decoded(inner: str) -> object:
    try:
        return parsed(base64.b64decode(inner, validate=True))
    except (binascii.Error, ValueError):
        return None

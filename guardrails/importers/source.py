"""A file to import: opened whatever way it is packed, named by its bytes, read line by line."""

from __future__ import annotations

import gzip
import hashlib
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from guardrails.core.errors import FileUnreadable

STDIN = "-"
_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


class SourceFile:
    """An opened file, or standard input, which is kept aside to be read after its bytes are known. A context manager.

    Attributes:
        path: as the user named it.
        digest: hash of the bytes as they lie there.
        size: number of those bytes.
    """

    def __init__(self, path: str) -> None:
        """Open and hash.

        Raises:
            FileUnreadable: it is not there, a folder, or not allowed.
        """
        self.path = "standard input" if path == STDIN else path
        try:
            self._raw = _spooled(sys.stdin.buffer) if path == STDIN else Path(path).open("rb")  # noqa: SIM115 - closed with the source
            self.digest = _digest(self._raw)
            self.size = self._raw.tell()
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error

    @property
    def position(self) -> int:
        """How many of its bytes were read."""
        return self._raw.tell()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Lines that are not blank, with their number from 1, unpacked, without a byte order mark and the line's end.

        Raises:
            FileUnreadable: it breaks off, or cannot be read on.
        """
        self._raw.seek(0)
        packed = self._raw.read(2) == _GZIP
        self._raw.seek(0)
        stream = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
        number = 0
        while line := self._next_line(stream, number):
            number += 1
            text = (line.removeprefix(_MARK) if number == 1 else line).rstrip(b"\r\n")
            if text and not text.isspace():
                yield number, text

    def _next_line(self, stream: BinaryIO | gzip.GzipFile, number: int) -> bytes:
        try:
            return stream.readline()
        except (OSError, EOFError, zlib.error) as error:
            message = f"the file {self.path} breaks off after line {number}, the rows before are booked: {error}"
            raise FileUnreadable(message) from error

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.blake2b(digest_size=16)
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _spooled(stream: BinaryIO) -> BinaryIO:
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the source
    while block := stream.read(_BLOCK):
        spool.write(block)
    spool.seek(0)
    return spool


def check_readable(path: str) -> None:
    """Tell of a file that cannot be read before anything is booked.

    Raises:
        FileUnreadable: it is not there, a folder, or not allowed.
    """
    if path != STDIN:
        try:
            Path(path).open("rb").close()
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError | ValueError) -> FileUnreadable:
    reason = error.strerror if isinstance(error, OSError) else error
    return FileUnreadable(f"the file {path} cannot be read: {reason}")

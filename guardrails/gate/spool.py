"""The spool: a small file beside the ledger that takes in what happens while the ledger cannot be reached.

One line per event: checksum, then JSON. Lines are appended and flushed to disk under a lock, so that several processes share one
file and what was acknowledged is there after a kill. What the ledger has taken over is noted in the same file; the file is cut when
nothing is left. A torn line at the end was never acknowledged and is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guardrails.core import clock
from guardrails.core.errors import LedgerUnavailable
from guardrails.db.connect import parse_url, sqlite_path

Event = Mapping[str, Any]
"""One line: `n` (its name), `kind`, `decision`, and what the kind needs."""

VARIABLE = "GUARDRAILS_SPOOL"
DRAIN_WAIT_S = 5.0
"""How long a process waits for another one that empties the same spool."""

_START_BYTES = 64
_NOTES = frozenset({"booked"})


def spool_path(database: str, org: str, default_org: str, folder: str | Path | None = None) -> Path | None:
    """The spool of a ledger; None for one in memory, which is never out of reach.

    Args:
        folder: where the spools of servers lie; the user's state folder where None. The environment's GUARDRAILS_SPOOL wins.
    """
    file = sqlite_path(database)
    url = parse_url(database)
    if file is None and url.get_backend_name() == "sqlite":
        return None
    folder = os.environ.get(VARIABLE) or folder
    if file is not None and folder is None:
        other = "" if org == default_org else f".{_short(org)}"
        return file.absolute().with_name(f"{file.name}{other}.spool")
    name = _short(str(file.absolute()) if file is not None else url.set(password=None).render_as_string(), org)
    return Path(folder).absolute() / f"{name}.spool" if folder else _state_folder() / f"{name}.spool"


def _short(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _state_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "guardrails"


@dataclass(slots=True)
class Contents:
    """What a spool has said so far.

    Attributes:
        pending: events that the ledger does not have yet, by name, in order.
        reserved: the events of decisions, by the decision's id, those that the ledger has by now included.
        ended: how decisions ended, by id: `settled`, `released`.
        renamed: ids under which the ledger has a decision other than the one that was made here.
        unreadable: lines that are no events.
    """

    start: bytes = b""
    offset: int = 0
    pending: dict[str, Event] = field(default_factory=dict)
    reserved: dict[str, Event] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    unreadable: list[bytes] = field(default_factory=list)

    def take_in(self, lines: bytes) -> None:
        """Read whole lines, and pass over the torn one at the end."""
        whole = lines[: lines.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.split(b"\n")[:-1]:
            event = _read(line)
            if event is None:
                if line:
                    self.unreadable.append(line)
            elif event["kind"] in _NOTES:
                self.renamed.update(event["renamed"])
                for name in event["events"]:
                    self.pending.pop(name, None)
            else:
                self._add(event)

    def _add(self, event: Event) -> None:
        self.pending[event["n"]] = event
        if event["kind"] == "reserved":
            self.reserved.setdefault(event["decision"], event)
        elif event["kind"] == "settled" or (event["kind"] == "released" and event["decision"] not in self.ended):
            self.ended[event["decision"]] = event["kind"]


class OpenSpool:
    """The file while it is locked: read up to its end, to be appended to."""

    def __init__(self, path: Path, descriptor: int, contents: Contents) -> None:
        self.contents = contents
        self._path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def append(self, events: Iterable[Mapping[str, object]]) -> None:
        """Have events on disk, all of them or none.

        Raises:
            OSError: the file cannot be written; nothing of it stays.
        """
        text = b"".join(_line({"n": secrets.token_hex(8), **event}) for event in events)
        if not text:
            return
        if self._size > self.contents.offset:
            text = b"\n" + text  # ends a line that a killed process left torn
        try:
            view = memoryview(text)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self.catch_up()

    def note_booked(self, names: Iterable[str], renamed: Mapping[str, str]) -> None:
        """Note that the ledger has taken over these events."""
        self.append([{"kind": "booked", "events": list(names), "renamed": dict(renamed)}])

    def put_aside(self, refused: Iterable[tuple[Event | bytes, str]]) -> None:
        """Keep what cannot be booked in a file of its own, with the reason: nothing is dropped."""
        lines = [
            {"reason": reason, "line": event.decode("utf-8", "replace")} if isinstance(event, bytes) else {"reason": reason, "event": event}
            for event, reason in refused
        ]
        if lines:
            with self._path.with_name(f"{self._path.name}.refused").open("ab") as file:
                file.write(b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())

    def cut(self) -> None:
        """Empty the file: the ledger has everything."""
        os.ftruncate(self._descriptor, 0)
        os.fsync(self._descriptor)

    def catch_up(self) -> None:
        """Read what was appended since, by this process or another."""
        start = os.pread(self._descriptor, _START_BYTES, 0)
        if not start.startswith(self.contents.start):  # cut since, and written anew
            self.contents = Contents()
        contents = self.contents
        self._size = os.fstat(self._descriptor).st_size
        chunks = []
        offset = contents.offset
        while chunk := os.pread(self._descriptor, 1 << 20, offset):
            chunks.append(chunk)
            offset += len(chunk)
        contents.take_in(b"".join(chunks))
        contents.start = start[: contents.offset]


class Spool:
    """The spool of one ledger, as one Gate uses it. It keeps no file open."""

    open_as = OpenSpool

    def __init__(self, path: Path) -> None:
        self.path = path
        self._contents = Contents()

    @property
    def is_empty(self) -> bool:
        """Whether the ledger has everything."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return True

    @contextmanager
    def opened(self) -> Iterator[OpenSpool]:
        """The file, locked against every other process and read up to its end.

        Raises:
            LedgerUnavailable: it cannot be read or written, so that nothing can be kept in the ledger's place.
        """
        try:
            descriptor = self._descriptor()
            try:
                _lock(descriptor, wait=True)
                opened = self.open_as(self.path, descriptor, self._contents)
                opened.catch_up()
                yield opened
                self._contents = opened.contents
            finally:
                os.close(descriptor)  # ends the lock
        except OSError as error:
            self._contents = Contents()
            msg = f"the spool {self.path} cannot be used: {error.strerror or error}"
            raise LedgerUnavailable(msg) from error

    @contextmanager
    def draining(self) -> Iterator[bool]:
        """Alone in emptying it; False where another process is still at it after a while."""
        try:
            descriptor = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"the spool {self.path} cannot be used: {error.strerror or error}"
            raise LedgerUnavailable(msg) from error
        try:
            end_s = clock.monotonic_s() + DRAIN_WAIT_S
            while not (alone := _lock(descriptor, wait=False)) and clock.monotonic_s() < end_s:
                time.sleep(0.02)
            yield alone
        finally:
            os.close(descriptor)

    def _descriptor(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self.path, flags)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, flags | os.O_CREAT, 0o600)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            return descriptor


def _lock(descriptor: int, *, wait: bool) -> bool:
    import fcntl  # noqa: PLC0415 - not on every platform, and only an outage needs it

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _line(event: Mapping[str, object]) -> bytes:
    text = json.dumps(event, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(line: bytes) -> Event | None:
    """The event of a line; None where it is torn, or was never one."""
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not all(isinstance(event.get(name), str) for name in ("n", "kind")):
        return None
    if event["kind"] in _NOTES:
        return event if isinstance(event.get("events"), list) and isinstance(event.get("renamed"), dict) else None
    return event if isinstance(event.get("decision"), str) else None

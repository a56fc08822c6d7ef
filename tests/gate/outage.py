"""A ledger that can be taken away and given back: SQLite by a writer that does not let go, PostgreSQL by a connection that is cut."""

from __future__ import annotations

import selectors
import socket
import sqlite3
import threading
from abc import ABC, abstractmethod
from contextlib import closing, suppress

from sqlalchemy import make_url
from typing_extensions import override

from guardrails.db.connect import sqlite_path


class Outage(ABC):
    """One ledger behind something that fails.

    Attributes:
        url: as Gates reach it.
    """

    url: str

    @abstractmethod
    def begin(self) -> None:
        """Take the ledger away."""

    @abstractmethod
    def end(self) -> None:
        """Give it back."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing open."""


class LockedFile(Outage):
    """SQLite: another writer holds the file for as long as the outage lasts."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}?timeout=0.1"
        path = sqlite_path(url)
        assert path is not None
        self._path = path
        self._writer: sqlite3.Connection | None = None

    @override
    def begin(self) -> None:
        self._writer = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._writer.execute("BEGIN EXCLUSIVE")

    @override
    def end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @override
    def close(self) -> None:
        self.end()


class CutLine(Outage):
    """PostgreSQL: a line over loopback TCP that can be cut.

    Attributes:
        tries: connections that were asked for since the line is there.
    """

    def __init__(self, url: str) -> None:
        there = make_url(url)
        self._socket_path = f"{there.query['host']}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = there.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        self.tries = 0
        self._is_cut = False
        self._flows = threading.Event()
        self._flows.set()
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @override
    def begin(self) -> None:
        with self._lock:
            self._is_cut = True
            self._cut_all()

    @override
    def end(self) -> None:
        with self._lock:
            self._is_cut = False

    def freeze(self) -> None:
        """Keep every connection, and say no word on it any more."""
        self._flows.clear()

    @override
    def close(self) -> None:
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._is_cut = True
            self._cut_all()

    def _cut_all(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.tries += 1
                if self._is_cut:
                    near.close()
                    continue
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._socket_path)
                self._ends += [near, far]
            threading.Thread(target=_carry, args=(near, far, self._flows), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket, flows: threading.Event) -> None:
    """Hand bytes on in both directions until one end is gone."""
    with closing(near), closing(far), selectors.DefaultSelector() as waiting, suppress(OSError):
        waiting.register(near, selectors.EVENT_READ, far)
        waiting.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in waiting.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                data = source.recv(65_536)
                flows.wait()
                if not data:
                    return
                key.data.sendall(data)

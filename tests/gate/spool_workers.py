"""Processes that spool and die; importable, so that a fresh interpreter finds them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from typing_extensions import override

from guardrails import Gate, Usage
from guardrails.gate.drain import drain
from guardrails.gate.spool import OpenSpool, Spool
from tests.gate.scene import call


def spool_until_killed(folder: str, url: str) -> None:
    """Reserve and settle while the ledger is away, and tell on the output what was acknowledged."""
    gate = Gate.open(folder, url, clock="caller")
    while True:
        decision = gate.reserve(call(1_000))
        _say(f"{'spooled' if decision.unchecked else 'held'} {decision.id}")
        gate.settle(decision, Usage(input_tokens=1_000, output_tokens=0))
        _say(f"settled {decision.id}")


def spool_some(folder: str, url: str, count: str) -> None:
    """Spool so many calls, each with its settlement."""
    with Gate.open(folder, url, clock="caller") as gate:
        for _ in range(int(count)):
            gate.settle(gate.reserve(call(1_000)), Usage(input_tokens=1_000, output_tokens=0))


def die_before_the_note(folder: str, url: str, path: str) -> None:
    """Book a part of the spool, and die when the ledger has it and the spool does not know."""
    gate = Gate.open(folder, url, clock="caller")
    drain(gate._ledger, _DyingSpool(Path(path)))


def drain_all(folder: str, url: str) -> None:
    """Open a Gate, which empties the spool."""
    _say("opening")
    with Gate.open(folder, url, clock="caller") as gate:
        gate.drain_spool()


class _DyingOpenSpool(OpenSpool):
    @override
    def note_booked(self, names: Iterable[str], renamed: Mapping[str, str]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class _DyingSpool(Spool):
    open_as = _DyingOpenSpool


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

"""Where the ledger cannot be reached: what the policy's `unavailable` says, and the way back.

`deny` lets the error through. `allow` decides without balances and spools; for a while after a failure the ledger is not even tried,
so that no caller waits for it. The first transaction that succeeds again comes after everything that was spooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from guardrails.core import clock
from guardrails.core.errors import GuardrailsError, LedgerError
from guardrails.gate.booking import Ledger, carry_out
from guardrails.gate.drain import Drained, drain
from guardrails.gate.operations import Context, Operation
from guardrails.gate.reserve import Reserve
from guardrails.gate.spool import Spool
from guardrails.gate.unchecked import Unchecked

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 30.0


class Drain(Operation[Drained]):
    """Have the spool's events booked now."""

    dry = True

    @override
    def apply(self, context: Context) -> Drained:
        raise AssertionError  # never part of a transaction


class Fallback:
    """Carries out operations in the ledger, or in its place."""

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool
        self._error: LedgerError | None = None
        self._pause_s = FIRST_PAUSE_S
        self._next_try_s = 0.0

    @property
    def has_spooled(self) -> bool:
        """Whether the ledger lacks something that was spooled."""
        return self._spool is not None and not self._spool.is_empty

    def carry_out(self, ledger: Ledger, operations: Sequence[Operation[Any]]) -> None:
        """Carry out operations in one transaction after all that was spooled; without the ledger, as the policy says.

        Raises:
            LedgerError: nothing was booked, and nothing was spooled.
        """
        spool = self._spool
        first = operations[0]
        if spool is None:
            if isinstance(first, Drain):
                first.result = Drained(0, ())
            else:
                carry_out(ledger, operations)
            return
        only_ledger = first.dry and not isinstance(first, Reserve)
        if self._error is not None and ledger.spools and not only_ledger and clock.monotonic_s() < self._next_try_s:
            _spooled(ledger, spool, operations, self._error)
            return
        try:
            if not ledger.active.generation:  # opened without the ledger, which does not have the set yet
                ledger.active = ledger.reload()
            drained = Drained(0, ()) if spool.is_empty else drain(ledger, spool)
            if isinstance(first, Drain):
                first.result = drained
            else:
                carry_out(ledger, operations)
        except LedgerError as error:
            if not error.retryable or not ledger.spools:
                raise
            self._failed(error)
            if only_ledger:
                raise
            _spooled(ledger, spool, operations, error)
        else:
            self._error, self._pause_s = None, FIRST_PAUSE_S

    def _failed(self, error: LedgerError) -> None:
        """Leave the ledger alone for a while, longer each time that it is still away."""
        if self._error is not None:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._error = error
        self._next_try_s = clock.monotonic_s() + self._pause_s


def _spooled(ledger: Ledger, spool: Spool, operations: Sequence[Operation[Any]], error: LedgerError) -> None:
    """Answer operations without the ledger; what they answered is on disk when this returns."""
    try:
        with spool.opened() as opened:
            unchecked = Unchecked(ledger, opened)
            unchecked.answer(operations, error)
            opened.append(unchecked.events)
    except GuardrailsError as broken:
        raise broken from error

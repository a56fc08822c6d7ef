"""Everything that guardrails raises, on one page.

    GuardrailsError                     retry helps?
    ├── Denied                          no    the policy refused the call; carries the decision (in engine/denied.py)
    ├── InvalidCall                     no    a Call, a Usage or a label that cannot be; carries every problem
    ├── InvalidPolicy                   no    a policy set with mistakes; carries every problem with file and line
    ├── PolicyUnreadable                no    the policy folder or file cannot be read, or holds no policy
    ├── FileUnreadable                  no    a file to import cannot be read, or breaks off
    ├── RequestConflict                 no    a request id used before for another call; names the fields that differ
    ├── AlreadyResolved                 no    the hold of this request id was settled, released or has expired
    ├── UnknownDecision                 no    the ledger has no decision of that id
    ├── InstantRefused                  no    the caller's `at` is too far from the ledger's clock
    ├── LedgerError
    │   ├── LedgerUnavailable           yes   cannot be reached, opened or written
    │   ├── LedgerBusy                  yes   locked by others for longer than the time limit
    │   └── LedgerNotAtHead             no    its tables are of another version; names the command that upgrades them
    └── GateClosed                      no    the Gate was closed

A refusal is not an exception until someone asks for one: `Gate.reserve` returns a decision, `Gate.admit` raises `Denied`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

from typing_extensions import override


class Problem(Protocol):
    """A mistake in something that a user wrote: text that says where and what."""

    @override
    def __str__(self) -> str: ...


class GuardrailsError(Exception):
    """Base of everything that guardrails raises."""

    retryable: ClassVar[bool] = False
    """Whether the same request can succeed later without a change."""

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # The message is made from other arguments than itself: another process takes it as it is, with what it carries.
        return _sent, (type(self), self.args, self.__dict__)


class InvalidCall(GuardrailsError, ValueError):
    """A call, a usage or a label that cannot be. `problems` lists all mistakes, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class InvalidPolicy(GuardrailsError):
    """A policy set with mistakes. Nothing of it is in force."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__("\n".join([f"{count} problem{'s' * (count != 1)} in the policy set", *map(str, self.problems)]))


class PolicyUnreadable(GuardrailsError):
    """A policy folder or file that cannot be read, or that holds no policy."""


class FileUnreadable(GuardrailsError):
    """A file to import that cannot be read, or that breaks off."""


class RequestConflict(GuardrailsError):
    """The request id was used before for a call with other facts."""

    def __init__(self, request_id: str, fields: Sequence[str]) -> None:
        self.request_id = request_id
        self.fields = tuple(fields)
        differing = ", ".join(f"`{field}`" for field in self.fields) or "other facts"
        super().__init__(f"request id `{request_id}` was used before for a call that differs in {differing}; use a new id for a new call")


class AlreadyResolved(GuardrailsError):
    """The request id's hold has ended; a new call needs a new id."""

    def __init__(self, request_id: str, outcome: str) -> None:
        self.request_id = request_id
        self.outcome = outcome
        super().__init__(f"request id `{request_id}` was {outcome} before; use a new id for a new call")


class UnknownDecision(GuardrailsError):
    """The ledger has no decision of that id."""

    def __init__(self, decision_id: str) -> None:
        self.decision_id = decision_id
        super().__init__(f"the ledger has no decision `{decision_id}`")


class InstantRefused(GuardrailsError):
    """The caller's instant is too far from the ledger's clock."""

    def __init__(self, at: datetime, ledger_at: datetime) -> None:
        self.at = at
        self.ledger_at = ledger_at
        super().__init__(
            f"`at` {at.isoformat()} is more than five minutes off the ledger's clock ({ledger_at.isoformat()}); "
            'leave it out, or open the Gate with clock="caller" for replays'
        )


class LedgerError(GuardrailsError):
    """The ledger's database did not do what was asked; nothing was booked."""


class LedgerUnavailable(LedgerError):
    """The database cannot be reached, opened or written."""

    retryable = True


class LedgerBusy(LedgerError):
    """The database was locked by others for longer than the time limit."""

    retryable = True


class LedgerNotAtHead(LedgerError):
    """The database's tables are of another version than this release; `newer` where a newer one made them."""

    def __init__(self, url: str, found: str | None, head: str, *, newer: bool = False) -> None:
        self.found = found
        self.head = head
        self.newer = newer
        state = "has no ledger tables" if found is None else f"is at revision {found}"
        if newer:
            remedy = f"which this release does not know (it is for {head}); use the release that upgraded it"
        else:
            remedy = f"this release needs {head}; run `guardrails --database {url} db upgrade`"
        super().__init__(f"the ledger {url} {state}, {remedy}")


class GateClosed(GuardrailsError):
    """The Gate was closed and takes no more calls."""

    def __init__(self) -> None:
        super().__init__("the Gate is closed")


def _sent(kind: type[GuardrailsError], args: tuple[Any, ...], carried: dict[str, Any]) -> GuardrailsError:
    """An exception as it was in the process that raised it."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(carried)
    return error

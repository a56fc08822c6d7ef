"""What callers hand in, checked before it becomes an operation."""

from __future__ import annotations

from collections.abc import Iterable

from guardrails.core.call import Call, check_ttl
from guardrails.core.errors import InvalidCall
from guardrails.engine.decision import Decision
from guardrails.gate.settle import Settle
from guardrails.wire import usage_of

_MAX_ATTEMPTS = 1_000


def settling(decision: object, usage: object, attempt: int, model: str | None) -> Settle:
    """The settlement of a decision by a usage, as callers name them.

    Raises:
        InvalidCall: lists everything that cannot be.
    """
    problems: list[str] = []
    if not isinstance(decision, (Decision, str)):
        problems.append(f"decision must be a Decision or its id, not {type(decision).__name__}")
    _check_attempt(attempt, problems)
    read = usage_of(usage, model=model or (decision.model if isinstance(decision, Decision) else None))
    if read is None:
        problems.append(f"no usage can be read from {type(usage).__name__}; hand in a Usage with the counts")
    if problems or read is None or not isinstance(decision, (Decision, str)):
        raise InvalidCall(problems)
    return Settle(decision, read, attempt, model)


def _check_attempt(attempt: object, problems: list[str]) -> None:
    if isinstance(attempt, bool) or not isinstance(attempt, int) or not 1 <= attempt <= _MAX_ATTEMPTS:
        problems.append(f"attempt must be a whole number from 1 to {_MAX_ATTEMPTS}, not {attempt!r}")


def check_calls(calls: Iterable[object]) -> None:
    """Hold what is to be decided to be calls.

    Raises:
        InvalidCall: names everything that is none.
    """
    problems = [f"a Call is needed, not {type(call).__name__}" for call in calls if not isinstance(call, Call)]
    if problems:
        raise InvalidCall(problems)


def checked_ttl(ttl_s: float) -> float:
    """A time that a hold can live, in seconds.

    Raises:
        InvalidCall: it is none.
    """
    problems: list[str] = []
    check_ttl("ttl_s", ttl_s, problems)
    if problems:
        raise InvalidCall(problems)
    return ttl_s

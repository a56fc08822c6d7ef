"""One admitted call as a context: decided on entry, settled inside, and never left without an outcome."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from guardrails.core.call import Call
from guardrails.engine.decision import Decision
from guardrails.engine.denied import Denied

if TYPE_CHECKING:
    from guardrails.gate.gate import Gate
    from guardrails.gate.settlement import Settlement


class Admission:
    """The life of one call: `with gate.admit(call) as admission`, or `async with`.

    Attributes:
        decision: set on entry.
    """

    decision: Decision

    def __init__(self, gate: Gate, call: Call) -> None:
        self._gate = gate
        self._call = call
        self._ended = False

    @property
    def model(self) -> str:
        """The model to call."""
        model = self.decision.model
        assert model is not None  # noqa: S101 - a denied call never enters the context
        return model

    def settle(self, usage: object, *, attempt: int = 1, model: str | None = None) -> Settlement:
        """Book what was used: a `Usage`, or a provider's usage object as it is.

        Raises:
            InvalidCall: the object carries no usage that could be read. The hold stays, and the end of the context decides on it.
        """
        settlement = self._gate.settle(self.decision, usage, attempt=attempt, model=model)
        self._ended = True
        return settlement

    async def asettle(self, usage: object, *, attempt: int = 1, model: str | None = None) -> Settlement:
        """`settle` for asynchronous code."""
        settlement = await self._gate.asettle(self.decision, usage, attempt=attempt, model=model)
        self._ended = True
        return settlement

    def release(self, reason: str) -> None:
        """End the hold of a call that surely cost nothing."""
        self._gate.release(self.decision, reason)
        self._ended = True

    async def arelease(self, reason: str) -> None:
        """`release` for asynchronous code."""
        await self._gate.arelease(self.decision, reason)
        self._ended = True

    def __enter__(self) -> Self:
        self._enter(self._gate.reserve(self._call))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._ended:
            self._gate.abandon(self.decision)

    async def __aenter__(self) -> Self:
        self._enter(await self._gate.areserve(self._call))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._ended:
            await asyncio.shield(self._gate.aabandon(self.decision))

    def _enter(self, decision: Decision) -> None:
        self.decision = decision
        if not decision.allowed:
            raise Denied(decision)

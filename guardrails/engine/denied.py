"""The refusal as an exception, for those who ask for one: `Gate.admit` raises it, `Gate.reserve` never does."""

from __future__ import annotations

from guardrails.core.errors import GuardrailsError
from guardrails.engine.decision import Decision


class Denied(GuardrailsError):
    """The policy refused the call. `decision` has every reason with its numbers."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        super().__init__(decision.message)

"""Budgets and cost policy for LLM usage that hold: YAML rules, one SQL ledger, decisions that explain themselves."""

import importlib
import typing

from guardrails.core.call import Call
from guardrails.core.errors import (
    AlreadyResolved,
    FileUnreadable,
    GateClosed,
    GuardrailsError,
    InstantRefused,
    InvalidCall,
    InvalidPolicy,
    LedgerBusy,
    LedgerError,
    LedgerNotAtHead,
    LedgerUnavailable,
    PolicyUnreadable,
    RequestConflict,
    UnknownDecision,
)
from guardrails.core.usage import Usage
from guardrails.engine.decision import Decision, Effect, Reason, Verdict
from guardrails.engine.denied import Denied
from guardrails.wire import read_usage

if typing.TYPE_CHECKING:
    from guardrails.gate.admission import Admission
    from guardrails.gate.gate import Gate
    from guardrails.gate.settlement import Settlement

__all__ = [
    "Admission",
    "AlreadyResolved",
    "Call",
    "Decision",
    "Denied",
    "Effect",
    "FileUnreadable",
    "Gate",
    "GateClosed",
    "GuardrailsError",
    "InstantRefused",
    "InvalidCall",
    "InvalidPolicy",
    "LedgerBusy",
    "LedgerError",
    "LedgerNotAtHead",
    "LedgerUnavailable",
    "PolicyUnreadable",
    "Reason",
    "RequestConflict",
    "Settlement",
    "UnknownDecision",
    "Usage",
    "Verdict",
    "read_usage",
]

_WITH_THE_DATABASE = {
    "Admission": "guardrails.gate.admission",
    "Gate": "guardrails.gate.gate",
    "Settlement": "guardrails.gate.settlement",
}
"""What brings SQLAlchemy and pydantic: imported when it is first asked for, so that `import guardrails` costs an app nothing."""


def __getattr__(name: str) -> object:
    if name not in _WITH_THE_DATABASE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(importlib.import_module(_WITH_THE_DATABASE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

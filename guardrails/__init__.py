"""Budgets and cost policy for LLM usage that hold: YAML rules, one SQL ledger, decisions that explain themselves."""

from guardrails.core.call import Call
from guardrails.core.errors import (
    AlreadyResolved,
    Denied,
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
from guardrails.gate.admission import Admission
from guardrails.gate.gate import Gate
from guardrails.gate.settlement import Settlement
from guardrails.wire import read_usage

__all__ = [
    "Admission",
    "AlreadyResolved",
    "Call",
    "Decision",
    "Denied",
    "Effect",
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

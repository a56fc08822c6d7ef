"""What providers send, read into `Usage`: disjoint counters, exact costs, nothing made up.

Owns the shapes of the providers' APIs and the framings that they come in. Knows no prices, no rules and no ledger, and
imports no SDK. Always true: a count that was not reported is None and never zero; a count that cannot be (negative, a
truth value, beyond all bounds) was not reported; a number is taken once, whatever number of times it was sent; nothing
that a provider sends raises.

A provider that nobody has seen yet is one file and one line in `shapes.py`.
"""

from guardrails.wire.objects import usage_of
from guardrails.wire.read import StreamReader, read_usage

__all__ = ["StreamReader", "read_usage", "usage_of"]

"""The one place where the steps meet: policy, prices, decision, ledger and record, in one transaction.

Owns the transaction and the sharing of it between callers. Always true: what a call returned is on disk, and a decision, its hold and
its record are committed together or not at all.
"""

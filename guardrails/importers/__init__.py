"""Exports of budgets' past: usage that consoles, gateways and traces have, as rows for the ledger, one file per format.

Owns how each format is read; knows no tables, no prices and no rules. Always true: a row is yielded as one that can be booked or as
one that cannot, with the reason; nothing is left out.
"""

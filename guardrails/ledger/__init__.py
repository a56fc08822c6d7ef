"""What was promised and spent: entries, holds, balances, and the policy sets that were in force.

Owns the ledger's rows and their sums. Keeps amounts under keys and does not know why. Always true: facts are appended and never
edited, and every balance equals the sum of its entries and its live holds.
"""

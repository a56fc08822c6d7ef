"""Why each answer was given: the record of every decision, and reading it back.

Owns what a record holds. Knows nothing of balances' rows. Always true: a record commits with its decision or neither does, and
it has everything that is needed to recompute it.
"""

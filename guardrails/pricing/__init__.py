"""What a call costs: prices by model and date, the estimate before a call and the cost after it.

Owns prices. Knows nothing of rules, budgets or tables. Always true: a price that is not known is None, never zero.
"""

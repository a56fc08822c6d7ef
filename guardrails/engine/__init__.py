"""The decision, pure: rules, call, quotes, balances and an instant in; one Decision with every reason out.

Owns the combination rule of the policy language. Knows no clock, SQL, YAML, pydantic or logging. Always true: the same
values in give the same decision out, which is what lets a record be replayed.
"""

"""YAML to rules: the document as written, the problems in it, the rules as evaluated, and which of them meet a call.

Owns the policy language. Knows nothing of prices, balances or tables. Always true: a policy set is loaded whole or not at all.
"""

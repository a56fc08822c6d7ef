"""Text that a person wrote: YAML to values with a position each, and the problems in it.

Owns positions, problems and how values are written. Knows no rule, price or table. Always true: what is wrong with a text
is returned as problems, all at once, and no value of it becomes a float.
"""

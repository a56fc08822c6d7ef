"""The words every step speaks: money, usage, window, subject, call, clock, errors.

Owns the plain values of the product. Knows no SQL, YAML, pydantic, click, logging or environment, and only `clock`
reads a clock. Always true: values are frozen, money is whole nano-dollars, instants are aware.
"""

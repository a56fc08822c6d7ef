"""How we talk to a database: where it is, its tables and types, its migrations, and the statements of the hot path.

Owns connections and transactions. Knows nothing of rules or calls. Always true: a transaction that was committed is on disk
(`synchronous=FULL` on SQLite, `synchronous_commit=on` on PostgreSQL).
"""

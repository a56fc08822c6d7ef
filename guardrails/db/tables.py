"""The tables of the ledger.

Facts are append-only: policy sets, publications, quotes, subjects, routes, records, entries, hold events, import files.
Caches can be rebuilt from them: balances and live holds. `org` leads every key, so that a distributed database can shard by it.
Instants are microseconds since 1970 in UTC, money is nano-dollars, keys of 16 bytes are hashes of what they name.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

Key = LargeBinary(16)
Big = BigInteger

policy_set = Table(
    "policy_set",
    metadata,
    Column("org", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("files", Text, nullable=False, comment="JSON: text by path"),
    Column("added_us", Big, nullable=False),
    PrimaryKeyConstraint("org", "hash"),
    comment="every policy set ever used, by content",
)

publication = Table(
    "publication",
    metadata,
    Column("org", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("policy", Text, nullable=False),
    Column("eras", Text, nullable=False, comment="JSON: rule id to [fingerprint, generation since which it is active]"),
    Column("prices", Text, nullable=False, comment="version of the price book that published"),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_us", Big, nullable=False),
    PrimaryKeyConstraint("org", "generation"),
    ForeignKeyConstraint(["org", "policy"], ["policy_set.org", "policy_set.hash"]),
    comment="which set became the active one, when, by whom and why",
)

active = Table(
    "active",
    metadata,
    Column("org", Text, primary_key=True),
    Column("generation", Integer, nullable=False),
    comment="the generation in force; each booking transaction shares a lock on it, a publication takes it alone",
)

quote = Table(
    "quote",
    metadata,
    Column("org", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("org", "id"),
    comment="what the price book said of a model, by content",
)

subject = Table(
    "subject",
    metadata,
    Column("org", Text, nullable=False),
    Column("key", Key, nullable=False),
    Column("labels", Text, nullable=False, comment="JSON, as first written"),
    PrimaryKeyConstraint("org", "key"),
    comment="label sets, by their folded content",
)

balance = Table(
    "balance",
    metadata,
    Column("org", Text, nullable=False),
    Column("key", Key, nullable=False),
    Column("rule", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("era", Integer, nullable=False),
    Column("measure", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="JSON, as first written"),
    Column("start_us", Big),
    Column("end_us", Big),
    Column("spent", Big, nullable=False),
    Column("assumed", Big, nullable=False),
    Column("held", Big, nullable=False),
    Column("seed_spent", Big, nullable=False, comment="what the ledger's entries gave when the balance was opened"),
    Column("seed_assumed", Big, nullable=False),
    PrimaryKeyConstraint("org", "key"),
    comment="cache: amounts under one rule, scope and window",
)

opening = Table(
    "opening",
    metadata,
    Column("org", Text, nullable=False),
    Column("key", Key, nullable=False, comment="hash of rule, fingerprint, era and start of the window"),
    Column("rule", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("era", Integer, nullable=False),
    Column("start_us", Big),
    Column("end_us", Big),
    Column("policy", Text, nullable=False),
    Column("last_seq", Big, nullable=False, comment="the last entry that the seeds include"),
    Column("at_us", Big, nullable=False),
    PrimaryKeyConstraint("org", "key"),
    comment="a rule's window was opened: the balances of all its scopes were seeded from the facts of before",
)

route = Table(
    "route",
    metadata,
    Column("org", Text, nullable=False),
    Column("key", Key, nullable=False, comment="hash of the sorted balance keys"),
    Column("balance", Key, nullable=False),
    PrimaryKeyConstraint("org", "key", "balance"),
    comment="the balances that a fact counts under; facts alike share a route",
)

record = Table(
    "record",
    metadata,
    Column("org", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("request", Text, comment="the caller's request id"),
    Column("facts", Key, nullable=False, comment="hash of the call's fields but `at`"),
    Column("at_us", Big, nullable=False),
    Column("recorded_us", Big, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("subject", Key, nullable=False),
    Column("requested_model", Text, nullable=False),
    Column("model", Text),
    Column("provider", Text),
    Column("tier", Text, comment="of the model that was chosen, else asked for"),
    Column("operation", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("route", Key),
    Column("held_nano_usd", Big, nullable=False),
    Column("held_input_tokens", Big, nullable=False),
    Column("held_output_tokens", Big, nullable=False),
    Column("expires_us", Big),
    Column("saved_nano_usd", Big, comment="estimate asked for less estimate that runs; null where a price is unknown"),
    Column("body", Text, nullable=False, comment="JSON: the call, and every rule with its numbers"),
    PrimaryKeyConstraint("org", "id"),
    comment="every decision with what made it",
)
Index("ix_record_at", record.c.org, record.c.at_us)

live_hold = Table(
    "live_hold",
    metadata,
    Column("org", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("expires_us", Big, nullable=False),
    PrimaryKeyConstraint("org", "id"),
    comment="cache: holds that were neither settled, released nor seen to expire",
)
Index("ix_live_hold_expires", live_hold.c.org, live_hold.c.expires_us)

seeded_hold = Table(
    "seeded_hold",
    metadata,
    Column("org", Text, nullable=False),
    Column("hold", Text, nullable=False),
    Column("balance", Key, nullable=False),
    PrimaryKeyConstraint("org", "hold", "balance"),
    comment="a hold that was live when a balance was opened counts under it too",
)

hold_event = Table(
    "hold_event",
    metadata,
    Column("org", Text, nullable=False),
    Column("hold", Text, nullable=False),
    Column("n", Big, nullable=False),
    Column("kind", Text, nullable=False, comment="extended, released, expired"),
    Column("at_us", Big, nullable=False),
    Column("expires_us", Big),
    Column("reason", Text),
    PrimaryKeyConstraint("org", "hold", "n"),
    comment="what happened to a hold other than its settlement",
)

entry = Table(
    "entry",
    metadata,
    # On PostgreSQL the migration makes the primary key (org, seq), so that the table can be distributed by org.
    Column("seq", Big().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("org", Text, nullable=False),
    Column("key", Key, nullable=False, comment="hash of the source's own identity of the row"),
    Column("content", Key, nullable=False, comment="hash of the row's content: same key and other content is a conflict"),
    Column("source", Text, nullable=False, comment="gate, or the import format"),
    Column("at_us", Big, nullable=False, comment="decides the window"),
    Column("recorded_us", Big, nullable=False),
    Column("decision", Text),
    Column("attempt", Integer),
    Column("part", Integer, comment="0 for the attempt itself, 1… for usage of other models inside its answer"),
    Column("import_id", Text),
    Column("corrects", Key, comment="key of the entry that this one corrects"),
    Column("subject", Key, nullable=False),
    Column("model", Text),
    Column("provider", Text),
    Column("tier", Text),
    Column("operation", Text),
    Column("input_tokens", Big),
    Column("cache_read_tokens", Big, nullable=False),
    Column("cache_write_short_tokens", Big, nullable=False),
    Column("cache_write_long_tokens", Big, nullable=False),
    Column("cache_write_unknown_tokens", Big, nullable=False),
    Column("output_tokens", Big),
    Column("requests", Big, nullable=False),
    Column("cost_nano_usd", Big, comment="what the source states, else ours; null: unknown"),
    Column("stated_nano_usd", Big, comment="what the source states"),
    Column("priced_nano_usd", Big, comment="ours"),
    Column("assumed_nano_usd", Big, nullable=False),
    Column("assumed_input_tokens", Big, nullable=False),
    Column("assumed_output_tokens", Big, nullable=False),
    Column("quote", Text),
    Column("route", Key),
    Column("response", Text, comment="the provider's own id of the answer"),
    Column("marks", Text, comment="comma separated: overrun, late, partial, assumed, difference, …"),
    Column("detail", Text, comment="JSON: reasoning, modality parts and units, where there are any"),
    comment="usage, as it was booked",
)
Index("uq_entry_key", entry.c.org, entry.c.key, unique=True)
Index("ix_entry_at", entry.c.org, entry.c.at_us)
Index(
    "ix_entry_decision",
    entry.c.org,
    entry.c.decision,
    postgresql_where=text("decision IS NOT NULL"),
    sqlite_where=text("decision IS NOT NULL"),
)
Index(
    "ix_entry_response",
    entry.c.org,
    entry.c.response,
    postgresql_where=text("response IS NOT NULL"),
    sqlite_where=text("response IS NOT NULL"),
)

import_file = Table(
    "import_file",
    metadata,
    Column("org", Text, nullable=False),
    Column("id", Text, nullable=False, comment="hash of format, options and bytes"),
    Column("path", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("started_us", Big, nullable=False),
    Column("position", Big, nullable=False, comment="rows already booked or quarantined"),
    Column("done", Integer, nullable=False),
    Column("read", Big, nullable=False),
    Column("new", Big, nullable=False),
    Column("duplicate", Big, nullable=False),
    Column("conflict", Big, nullable=False),
    Column("quarantined", Big, nullable=False),
    Column("skipped", Big, nullable=False),
    Column("cost_nano_usd", Big, nullable=False),
    PrimaryKeyConstraint("org", "id"),
    comment="files imported, how far and with what result",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("org", Text, nullable=False),
    Column("import_id", Text, nullable=False),
    Column("line", Big, nullable=False),
    Column("kind", Text, nullable=False, comment="quarantined or conflict"),
    Column("reason", Text, nullable=False),
    Column("row", Text, nullable=False, comment="the row as it was read, cut where it is very long"),
    PrimaryKeyConstraint("org", "import_id", "line", "kind"),
    comment="rows that were not booked, and why",
)

"""The ledger: facts that are appended, and the caches that follow from them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of the first version."""
    op.create_table(
        "active",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("org", name=op.f("pk_active")),
        comment="the generation in force; each booking transaction shares a lock on it, a publication takes it alone",
    )
    op.create_table(
        "balance",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("era", sa.Integer(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False, comment="JSON, as first written"),
        sa.Column("start_us", sa.BigInteger(), nullable=True),
        sa.Column("end_us", sa.BigInteger(), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("assumed", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("seed_spent", sa.BigInteger(), nullable=False, comment="what the ledger's entries gave when the balance was opened"),
        sa.Column("seed_assumed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "key", name=op.f("pk_balance")),
        comment="cache: amounts under one rule, scope and window",
    )
    op.create_table(
        "entry",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False, comment="hash of the source's own identity of the row"),
        sa.Column(
            "content",
            sa.LargeBinary(length=16),
            nullable=False,
            comment="hash of the row's content: same key and other content is a conflict",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="gate, or the import format"),
        sa.Column("at_us", sa.BigInteger(), nullable=False, comment="decides the window"),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("part", sa.Integer(), nullable=True, comment="0 for the attempt itself, 1… for usage of other models inside its answer"),
        sa.Column("import_id", sa.Text(), nullable=True),
        sa.Column("corrects", sa.LargeBinary(length=16), nullable=True, comment="key of the entry that this one corrects"),
        sa.Column("subject", sa.LargeBinary(length=16), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_short_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_long_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_unknown_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True, comment="what the source states, else ours; null: unknown"),
        sa.Column("stated_nano_usd", sa.BigInteger(), nullable=True, comment="what the source states"),
        sa.Column("priced_nano_usd", sa.BigInteger(), nullable=True, comment="ours"),
        sa.Column("assumed_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("assumed_input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("assumed_output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=True),
        sa.Column("route", sa.LargeBinary(length=16), nullable=True),
        sa.Column("response", sa.Text(), nullable=True, comment="the provider's own id of the answer"),
        sa.Column("marks", sa.Text(), nullable=True, comment="comma separated: overrun, late, partial, assumed, difference, …"),
        sa.Column("detail", sa.Text(), nullable=True, comment="JSON: reasoning, modality parts and units, where there are any"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_entry")),
        comment="usage, as it was booked",
    )
    op.create_index("ix_entry_at", "entry", ["org", "at_us"], unique=False)
    op.create_index(
        "ix_entry_decision",
        "entry",
        ["org", "decision"],
        unique=False,
        postgresql_where=sa.text("decision IS NOT NULL"),
        sqlite_where=sa.text("decision IS NOT NULL"),
    )
    op.create_index(
        "ix_entry_response",
        "entry",
        ["org", "response"],
        unique=False,
        postgresql_where=sa.text("response IS NOT NULL"),
        sqlite_where=sa.text("response IS NOT NULL"),
    )
    op.create_index("uq_entry_key", "entry", ["org", "key"], unique=True)
    op.create_table(
        "hold_event",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="extended, released, expired"),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("org", "hold", "n", name=op.f("pk_hold_event")),
        comment="what happened to a hold other than its settlement",
    )
    op.create_table(
        "import_file",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="hash of format, options and bytes"),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="rows already booked or quarantined"),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("new", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("conflict", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_import_file")),
        comment="files imported, how far and with what result",
    )
    op.create_table(
        "live_hold",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_live_hold")),
        comment="cache: holds that were neither settled, released nor seen to expire",
    )
    op.create_index("ix_live_hold_expires", "live_hold", ["org", "expires_us"], unique=False)
    op.create_table(
        "opening",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False, comment="hash of rule, fingerprint, era and start of the window"),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("era", sa.Integer(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=True),
        sa.Column("end_us", sa.BigInteger(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False, comment="the last entry that the seeds include"),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "key", name=op.f("pk_opening")),
        comment="a rule's window was opened: the balances of all its scopes were seeded from the facts of before",
    )
    op.create_table(
        "policy_set",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False, comment="JSON: text by path"),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "hash", name=op.f("pk_policy_set")),
        comment="every policy set ever used, by content",
    )
    op.create_table(
        "quarantine",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="quarantined or conflict"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False, comment="the row as it was read, cut where it is very long"),
        sa.PrimaryKeyConstraint("org", "import_id", "line", "kind", name=op.f("pk_quarantine")),
        comment="rows that were not booked, and why",
    )
    op.create_table(
        "quote",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_quote")),
        comment="what the price book said of a model, by content",
    )
    op.create_table(
        "record",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True, comment="the caller's request id"),
        sa.Column("facts", sa.LargeBinary(length=16), nullable=False, comment="hash of the call's fields but `at`"),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=16), nullable=False),
        sa.Column("requested_model", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=True, comment="of the model that was chosen, else asked for"),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column("route", sa.LargeBinary(length=16), nullable=True),
        sa.Column("held_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("held_input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("held_output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column(
            "saved_nano_usd",
            sa.BigInteger(),
            nullable=True,
            comment="estimate asked for less estimate that runs; null where a price is unknown",
        ),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON: the call, and every rule with its numbers"),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_record")),
        comment="every decision with what made it",
    )
    op.create_index("ix_record_at", "record", ["org", "at_us"], unique=False)
    op.create_table(
        "route",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False, comment="hash of the sorted balance keys"),
        sa.Column("balance", sa.LargeBinary(length=16), nullable=False),
        sa.PrimaryKeyConstraint("org", "key", "balance", name=op.f("pk_route")),
        comment="the balances that a fact counts under; facts alike share a route",
    )
    op.create_table(
        "seeded_hold",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("balance", sa.LargeBinary(length=16), nullable=False),
        sa.PrimaryKeyConstraint("org", "hold", "balance", name=op.f("pk_seeded_hold")),
        comment="a hold that was live when a balance was opened counts under it too",
    )
    op.create_table(
        "subject",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False, comment="JSON, as first written"),
        sa.PrimaryKeyConstraint("org", "key", name=op.f("pk_subject")),
        comment="label sets, by their folded content",
    )
    op.create_table(
        "publication",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("eras", sa.Text(), nullable=False, comment="JSON: rule id to [fingerprint, generation since which it is active]"),
        sa.Column("prices", sa.Text(), nullable=False, comment="version of the price book that published"),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org", "policy"], ["policy_set.org", "policy_set.hash"], name=op.f("fk_publication_policy_set")),
        sa.PrimaryKeyConstraint("org", "generation", name=op.f("pk_publication")),
        comment="which set became the active one, when, by whom and why",
    )
    if op.get_bind().dialect.name == "postgresql":
        # A distributed table's keys lead with the column that it is distributed by.
        op.execute("ALTER TABLE entry DROP CONSTRAINT pk_entry, ADD CONSTRAINT pk_entry PRIMARY KEY (org, seq)")
        # Balances are updated in place all day and live holds come and go: room on their pages, and vacuum that keeps up.
        op.execute("ALTER TABLE balance SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500)")
        op.execute("ALTER TABLE live_hold SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500)")


def downgrade() -> None:
    """Drop them all."""
    op.drop_table("publication")
    op.drop_table("subject")
    op.drop_table("seeded_hold")
    op.drop_table("route")
    op.drop_index("ix_record_at", table_name="record")
    op.drop_table("record")
    op.drop_table("quote")
    op.drop_table("quarantine")
    op.drop_table("policy_set")
    op.drop_table("opening")
    op.drop_index("ix_live_hold_expires", table_name="live_hold")
    op.drop_table("live_hold")
    op.drop_table("import_file")
    op.drop_table("hold_event")
    op.drop_index("uq_entry_key", table_name="entry")
    op.drop_index(
        "ix_entry_response",
        table_name="entry",
        postgresql_where=sa.text("response IS NOT NULL"),
        sqlite_where=sa.text("response IS NOT NULL"),
    )
    op.drop_index(
        "ix_entry_decision",
        table_name="entry",
        postgresql_where=sa.text("decision IS NOT NULL"),
        sqlite_where=sa.text("decision IS NOT NULL"),
    )
    op.drop_index("ix_entry_at", table_name="entry")
    op.drop_table("entry")
    op.drop_table("balance")
    op.drop_table("active")

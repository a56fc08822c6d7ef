"""Alembic's entry: migrations run on the connection that `guardrails.db.migrate` hands in."""

from alembic import context

from guardrails.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="guardrails_version",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Past usage into a ledger, under the policy set that is in force there, or under none."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from guardrails.db import migrate
from guardrails.db.connect import connect, is_sqlite, reading, sqlite_path, translated
from guardrails.gate.active import ActiveSet, active_set, from_publication, open_prices
from guardrails.gate.booking import Ledger, carry_out
from guardrails.gate.gate import ORG, Gate
from guardrails.gate.import_chunk import Booked, Chunk, ImportChunk, Memory
from guardrails.ledger.imported import ImportState
from guardrails.ledger.imports import read_state, start_without_policy
from guardrails.ledger.publications import active_publication
from guardrails.policy.load import load_policies
from guardrails.policy.rules import Defaults, PolicySet
from guardrails.pricing.book import PriceBook


class Importer:
    """Books chunks of rows in one ledger, each in a transaction of its own. A context manager.

    Attributes:
        dry: nothing is written; what would be is told.
    """

    def __init__(self, database: str, active: ActiveSet, *, dry: bool, org: str, resources: ExitStack) -> None:
        """Use `Importer.open`."""
        self.dry = dry
        self._database = database
        self._org = org
        self._engine = connect(database)
        self._resources = resources
        self._ledger = Ledger(self._engine, database, org, active, self._in_force)
        self._memory = Memory(active)

    @classmethod
    def open(cls, policies: str | Path | None, database: str, *, dry: bool = False, org: str = ORG) -> Importer:
        """Open a ledger for an import.

        Args:
            policies: a policy folder or file, published where it differs from the set in force (but not by a dry run); None goes by
                the set of the ledger. A ledger without any takes rows all the same: rules that come later count them.
            database: as for `Gate.open`. A dry run leaves a SQLite ledger that does not exist yet uncreated.
            dry: tell what would be booked, and book nothing.

        Raises:
            InvalidPolicy, PolicyUnreadable: as `Gate.open`.
            LedgerError: the database cannot be used, or is not at head.
        """
        with ExitStack() as stack:
            if policies is not None and not dry:
                Gate.open(policies, database, org=org).close()
            if dry and is_sqlite(database) and not ((path := sqlite_path(database)) is not None and path.exists()):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                database = f"sqlite:///{Path(folder) / 'dry-run.db'}"
            if is_sqlite(database):
                migrate.upgrade_if_behind(database)
            importer = cls(database, _no_policy(), dry=dry, org=org, resources=stack.pop_all())
        try:
            importer._begin(policies)
        except BaseException:
            importer.close()
            raise
        return importer

    def state(self, import_id: str) -> ImportState | None:
        """How far the import of a file has come; None where it never began."""
        with translated(self._database), reading(self._engine) as connection:
            return read_state(connection, self._org, import_id)

    def book(self, chunk: Chunk) -> Booked:
        """Book a chunk of rows, exactly once.

        Raises:
            LedgerError: nothing of the chunk was booked.
        """
        operation = ImportChunk(chunk, self._memory, dry=self.dry)
        carry_out(self._ledger, [operation])
        if operation.error is not None:
            raise operation.error
        return operation.result

    def close(self) -> None:
        """Release the connections."""
        self._ledger.close()
        self._engine.dispose()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _begin(self, policies: str | Path | None) -> None:
        with translated(self._database):
            migrate.check(self._engine, self._database)
            with self._engine.connect() as connection, connection.begin():
                start_without_policy(connection, self._org)
        self._ledger.active = self._in_force()
        if self.dry and policies is not None:
            # Nothing is booked by it, so that it need not be the ledger's.
            loaded = load_policies(policies)
            self._ledger.active = active_set(loaded, open_prices(loaded), self._ledger.active.generation, {})
            self._ledger.reload = lambda: replace(self._ledger.active, generation=self._in_force().generation)
        self._memory.follow(self._ledger.active)

    def _in_force(self) -> ActiveSet:
        with translated(self._database), reading(self._engine) as connection:
            publication = active_publication(connection, self._org)
        return _no_policy() if publication is None else from_publication(publication)


def _no_policy() -> ActiveSet:
    """Generation 0: no rules, and the shipped prices."""
    return active_set(PolicySet("", {}, (), (), (), Defaults()), PriceBook.open(), 0, {})

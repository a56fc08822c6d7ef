"""What the global options say, for every command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATABASE = "sqlite:///guardrails.db"
DEFAULT_POLICIES = "policies"


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options; commands get them with `click.pass_obj`.

    Attributes:
        database: URL of the ledger.
        policies: folder or file of the policy set.
        asked: whether `policies` was named by option or environment, and is not only the default.
        terminal: whether standard output is a terminal.
    """

    database: str = DEFAULT_DATABASE
    policies: str = DEFAULT_POLICIES
    asked: bool = False
    terminal: bool = False

    @property
    def folder(self) -> str | None:
        """Where the policy set is; None where nobody named a place and the default one is not there: then the ledger's set decides."""
        return self.policies if self.asked or Path(self.policies).exists() else None

"""The labels of rows: checked once for all rows that say the same, with those that the import sets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from guardrails.core.errors import InvalidCall
from guardrails.core.subject import checked_subject

_REMEMBERED = 100_000


class Subjects:
    """Labels as the ledger takes them.

    Attributes:
        added: set on every row that lacks them.
    """

    def __init__(self, added: Mapping[str, str] | None = None) -> None:
        """Check what is to be set.

        Raises:
            InvalidCall: lists every label that cannot be.
        """
        problems: list[str] = []
        self.added = checked_subject(added or {}, problems)
        if problems:
            raise InvalidCall(problems)
        self._remembered: dict[tuple[tuple[str, object], ...], Mapping[str, str]] = {}

    def of(self, labels: Mapping[str, Any], problems: list[str]) -> Mapping[str, str]:
        """The checked labels of a row; mistakes are added to `problems`."""
        name = tuple(labels.items())
        try:
            found = self._remembered.get(name)
        except TypeError:  # a list or an object as a value
            found = None
        if found is None:
            before = len(problems)
            checked = checked_subject(labels, problems)
            found = MappingProxyType(dict(sorted({**self.added, **checked}.items())))
            if len(problems) > before:
                return found
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[name] = found
        return found

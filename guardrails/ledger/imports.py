"""What imports read and write of the ledger beside entries: which rows are there already, how far files have come, what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from guardrails.db import tables
from guardrails.db.session import Row, Statement, insert
from guardrails.ledger.book import Book
from guardrails.ledger.imported import MAX_SHOWN_CHARACTERS, ImportState

_STATE_COLUMNS = tuple(column.name for column in tables.import_file.columns if column.name != "org")
_NAMES = ", ".join(f'"{name}"' for name in _STATE_COLUMNS)
_ROWS = Statement("SELECT key, content FROM entry WHERE org = ? AND key IN ?*")
# A correction may name the answer that it corrects; it is not that answer.
_ANSWERS = Statement("SELECT response, provider FROM entry WHERE org = ? AND response IN ?* AND corrects IS NULL")
_STATE = Statement(f"SELECT {_NAMES} FROM import_file WHERE org = ? AND id = ? FOR UPDATE")  # noqa: S608 - columns
_CHANGES = ", ".join(f'"{name}" = excluded."{name}"' for name in _STATE_COLUMNS if name != "id")
_SET_STATE = Statement(f"{insert(tables.import_file).text} ON CONFLICT (org, id) DO UPDATE SET {_CHANGES}")
_QUARANTINE = insert(tables.quarantine, ignore=True)
_FORGET = Statement("DELETE FROM quarantine WHERE org = ? AND import_id = ?")
_CORRECTABLE = (
    "SELECT key, decision, response, subject, model, provider, tier, operation, quote FROM entry WHERE org = ? AND corrects IS NULL AND"
)
_BY_KEY = Statement(f"{_CORRECTABLE} key IN ?*")
_BY_DECISION = Statement(f"{_CORRECTABLE} decision IN ?* ORDER BY seq DESC")
_BY_RESPONSE = Statement(f"{_CORRECTABLE} response IN ?* ORDER BY seq DESC")


@dataclass(frozen=True, slots=True)
class Corrected:
    """The facts of an entry that another one corrects."""

    key: bytes
    subject: bytes
    model: str | None
    provider: str | None
    tier: str | None
    operation: str | None
    quote: str | None


def booked_rows(book: Book, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Of the rows with these keys those that the ledger has, each with the hash of its content."""
    if not keys:
        return {}
    (rows,) = book.session.read((_ROWS, (book.org, list(keys))))
    return {bytes(key): bytes(content) for key, content in rows}


def answers(book: Book, responses: Sequence[str]) -> dict[str, list[str | None]]:
    """Of the answers with these ids those that the ledger has, by whatever way they came, each with its providers."""
    found: dict[str, list[str | None]] = {}
    if responses:
        (rows,) = book.session.read((_ANSWERS, (book.org, list(responses))))
        for response, provider in rows:
            found.setdefault(response, []).append(provider)
    return found


def corrected(book: Book, ids: Mapping[str, bytes]) -> dict[str, Corrected]:
    """The entries that corrections name: by the key of their row, else by their decision, else by the provider's answer.

    Args:
        ids: what corrections name, each with the key that a row of their own source would have.
    """
    if not ids:
        return {}
    names = list(ids)
    by_key, by_decision, by_response = book.session.read(
        (_BY_KEY, (book.org, list(ids.values()))), (_BY_DECISION, (book.org, names)), (_BY_RESPONSE, (book.org, names))
    )
    # Later ones win: the surest name last, and of several entries of one call the first.
    found = {row[2]: _corrected(row) for row in by_response}
    found.update({row[1]: _corrected(row) for row in by_decision})
    names_by_key = {key: name for name, key in ids.items()}
    found.update({names_by_key[bytes(row[0])]: _corrected(row) for row in by_key})
    return found


def locked_state(book: Book, import_id: str) -> ImportState | None:
    """How far an import has come, locked against any other process that imports the same file."""
    (rows,) = book.session.read((_STATE, (book.org, import_id)))
    return _state(rows[0]) if rows else None


def read_state(connection: Connection, org: str, import_id: str) -> ImportState | None:
    """How far an import has come; None where it never began."""
    table = tables.import_file
    columns = [table.c[name] for name in _STATE_COLUMNS]
    row = connection.execute(select(*columns).where(table.c.org == org, table.c.id == import_id)).one_or_none()
    return None if row is None else _state(tuple(row))


def set_state(book: Book, state: ImportState) -> None:
    """Note how far an import has come, with the transaction."""
    book.write_too(_SET_STATE, [state.row(book.org)])


def forget_refused(book: Book, import_id: str) -> None:
    """Empty the list of rows that an import refused: it begins again."""
    book.write_too(_FORGET, [(book.org, import_id)])


def refuse(book: Book, import_id: str, refused: Iterable[tuple[int, str, str, str]]) -> None:
    """List rows that were not booked: line, kind (`quarantined`, `conflict`), reason, and the row as it was read."""
    rows = [(book.org, import_id, line, kind, _storable(reason), _storable(raw)) for line, kind, reason, raw in refused]
    book.write_too(_QUARANTINE, rows)


def start_without_policy(connection: Connection, org: str) -> None:
    """Have generation 0, no policy set at all, in force where nothing was ever published: what bookings and publications lock."""
    if connection.execute(select(tables.active.c.org).where(tables.active.c.org == org)).first() is None:
        connection.execute(tables.active.insert().values(org=org, generation=0))


def _corrected(row: Row) -> Corrected:
    key, _, _, subject, model, provider, tier, operation, quote = row
    return Corrected(bytes(key), bytes(subject), model, provider, tier, operation, quote)


def _state(row: Row) -> ImportState:
    values = dict(zip(_STATE_COLUMNS, row, strict=True))
    values["done"] = bool(values["done"])
    return ImportState(**values)


def _storable(text: str) -> str:
    """Text as any database takes it: no NUL, no half of a surrogate pair, not longer than a person would read."""
    cut = text[:MAX_SHOWN_CHARACTERS].replace("\x00", "\ufffd")
    return cut.encode("utf-8", "replace").decode("utf-8")

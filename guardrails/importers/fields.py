"""What formats share in reading a row: JSON whose numbers stay exact, and instants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from guardrails.core.instant import EPOCH
from guardrails.ledger.imported import MAX_SHOWN_CHARACTERS

_LAST_YEAR = 9000


def parsed_object(text: bytes | str, problems: list[str]) -> dict[str, object] | None:
    """The object of a JSON text; None where it is none, and why is added to `problems`."""
    try:
        value = _DECODER.decode(text.decode("utf-8") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        problems.append(f"is not UTF-8 text (byte {error.start + 1})")
    except json.JSONDecodeError as error:
        problems.append(f"is not JSON: {error.msg} at column {error.colno}")
    except ValueError as error:
        problems.append(f"is not JSON: {error}")
    except ArithmeticError:
        problems.append("has a number beyond any amount")
    except RecursionError:
        problems.append("is JSON nested too deep")
    else:
        if isinstance(value, dict):
            return value
        problems.append("is not a JSON object")
    return None


def instant(fields: Mapping[str, object], name: str, problems: list[str], *, zoneless_is_utc: bool = False) -> datetime | None:
    """The UTC instant in a field; None where it is none, and why is added to `problems`."""
    value = fields.get(name)
    if value is None:
        problems.append(f"{name}: is missing")
        return None
    try:
        at = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        problems.append(f"{name}: `{value!s:.60}` is not an instant, write it as 2026-03-10T12:00:00Z")
        return None
    if at.tzinfo is None:
        if not zoneless_is_utc:
            problems.append(f"{name}: `{value}` has no time zone, write it as 2026-03-10T12:00:00Z")
            return None
        at = at.replace(tzinfo=UTC)
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        problems.append(f"{name}: `{value}` is outside the years 1970 to {_LAST_YEAR}")
        return None
    if at < EPOCH:
        problems.append(f"{name}: `{value}` is before 1970")
        return None
    return at


def shown(text: bytes) -> str:
    """A row as it was read, cut where it is very long."""
    return text[: 4 * MAX_SHOWN_CHARACTERS].decode("utf-8", "replace")[:MAX_SHOWN_CHARACTERS]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"`{twice}` stands in it twice"
        raise ValueError(message)
    return found


def _not_a_number(text: str) -> float:
    message = f"{text} is not a number"
    raise ValueError(message)


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_not_a_number, object_pairs_hook=_once)

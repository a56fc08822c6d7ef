"""Looking into what a provider sent, parsed JSON or an object of its SDK, without believing any of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal, InvalidOperation
from functools import lru_cache

from guardrails.core.call import MAX_TOKENS, MAX_UNITS, check_text

_LEAVES = (str, bytes, int, float, Decimal, list, tuple, type(None))
_NANO = Decimal("1e-9")
_MAX_COST_USD = Decimal(10) ** 9


def field(node: object, *names: str) -> object:
    """What stands under the names, one inside the other, each in snake_case or camelCase; None where anything is missing."""
    for name in names:
        if isinstance(node, _LEAVES):
            return None
        node = _held(node, name)
    return node


def items(node: object, *names: str) -> tuple[object, ...]:
    """The elements of the list under the names; empty where there is none."""
    found = field(node, *names)
    return tuple(found) if isinstance(found, (list, tuple)) else ()


def text(node: object, *names: str) -> str | None:
    """The text under the names; None where it is missing, empty or cannot be stored."""
    found = field(node, *names)
    problems: list[str] = []
    check_text(names[-1] if names else "text", found, problems)
    return None if problems else str(found)


def count(node: object, *names: str) -> int | None:
    """The whole number under the names; None where it is missing or cannot be a count, which is not zero."""
    found = field(node, *names)
    if isinstance(found, bool):
        return None
    if isinstance(found, int):
        return found if 0 <= found <= MAX_TOKENS else None
    number = _decimal(found)  # Bedrock's Titan writes its counts as `28.0`
    if number is None or not 0 <= number <= MAX_TOKENS or number != int(number):
        return None
    return int(number)


def first_count(node: object, *paths: tuple[str, ...]) -> int | None:
    """The first count that is there under one of the paths: spellings of one thing."""
    for path in paths:
        found = count(node, *path)
        if found is not None:
            return found
    return None


def largest_count(node: object, *paths: tuple[str, ...]) -> int | None:
    """The largest of the counts under the paths: one thing in several spellings, of which a 0 must not hide another."""
    return max((found for path in paths if (found := count(node, *path)) is not None), default=None)


def quantity(node: object, *names: str) -> Decimal | None:
    """A count of units that may have decimals (seconds), exact or rounded up to nine of them; None where it cannot be one."""
    number = _decimal(field(node, *names))
    if number is None or not 0 <= number <= MAX_UNITS:
        return None
    return number.quantize(_NANO, ROUND_UP).normalize() + 0


def dollars(node: object, *names: str) -> Decimal | None:
    """An amount of USD that a provider states, exact as it is written; None where it cannot be one."""
    number = _decimal(field(node, *names))
    return number if number is not None and 0 <= number <= _MAX_COST_USD else None


def added(*counts: int | None) -> int | None:
    """The sum of counts; None where none is known, or where it is more than can be."""
    known = [found for found in counts if found is not None]
    return sum(known) if known and sum(known) <= MAX_TOKENS else None


def _held(node: object, name: str) -> object:
    if isinstance(node, Mapping):
        found = node.get(name)
        return node.get(_camel(name)) if found is None else found
    try:
        found = getattr(node, name, None)
        return getattr(node, _camel(name), None) if found is None else found
    except Exception:  # noqa: BLE001 - a foreign object's property may raise anything, and a settlement must not fail for it
        return None


def _decimal(value: object) -> Decimal | None:
    """A finite number. SDKs hold floats: the shortest text of one is the text that was on the wire."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


@lru_cache(maxsize=1_024)
def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)

"""How values are written on the command line: labels, counts, instants, durations, units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import click
from typing_extensions import override

from guardrails.core.call import check_text
from guardrails.core.instant import parse_instant
from guardrails.source.written import count_of, decimal_of, duration_s_of

T = TypeVar("T")
Pair = tuple[str, str]


class Written(click.ParamType, Generic[T]):  # type: ignore[type-arg]  # generic only in newer releases of click
    """A value read from text by a function that raises ValueError with a sentence."""

    def __init__(self, name: str, read: Callable[[str], T]) -> None:
        self.name = name
        self._read = read

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        try:
            return self._read(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _pair(text: str) -> Pair:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        msg = f"`{text}` is not written as name=value"
        raise ValueError(msg)
    return name.strip(), value


def _unit(text: str) -> tuple[str, Decimal]:
    name, count = _pair(text)
    return name, decimal_of(count.strip())


def _seconds(text: str) -> float:
    return float(decimal_of(text)) if text[-1:].isdigit() else float(duration_s_of(text))


def _line(text: str) -> str:
    problems: list[str] = []
    check_text("it", text, problems)
    if problems:
        raise ValueError(problems[0])
    return text.strip()


COUNT: Written[int] = Written("count", count_of)
INSTANT: Written[datetime] = Written("instant", parse_instant)
SECONDS: Written[float] = Written("duration", _seconds)
LABEL: Written[Pair] = Written("name=value", _pair)
UNIT: Written[tuple[str, Decimal]] = Written("name=count", _unit)
LINE: Written[str] = Written("text", _line)
"""Short text for a record: who, why."""


def once_each(ctx: click.Context, param: click.Parameter, pairs: Sequence[tuple[str, T]]) -> Mapping[str, T]:
    """Names to values of an option that may be repeated, but not for the same name; a callback."""
    values: dict[str, T] = {}
    for name, value in pairs:
        if name in values and values[name] != value:
            msg = f"`{name}` is given twice"
            raise click.BadParameter(msg, ctx, param)
        values[name] = value
    return values

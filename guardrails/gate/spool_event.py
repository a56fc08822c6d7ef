"""Events of the spool as values: a decision with everything that its record needs, and the usage of a settlement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

from guardrails.audit.record import call_facts, facts_key, record_row, restored
from guardrails.core.instant import to_us
from guardrails.core.usage import Usage
from guardrails.db import tables
from guardrails.engine.decision import Decision
from guardrails.gate.spool import Event
from guardrails.pricing.price import quote_from_text, quote_to_text

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError)
"""What a line with a right checksum and a wrong content raises; `InvalidCall` is a ValueError."""

_RECORD_COLUMNS = tuple(column.name for column in tables.record.columns if column.autoincrement is not True)
_USAGE_DEFAULTS = {each.name: getattr(Usage(), each.name) for each in fields(Usage)}


def decision_event(decision: Decision, org: str, clock: str) -> dict[str, object]:
    """A decision as JSON values: its record, and the quotes that the record names."""
    facts = call_facts(decision.call)
    row = record_row(
        decision,
        facts,
        facts_key(facts),
        org=org,
        generation=decision.generation,
        recorded_us=to_us(decision.at),
        clock=clock,
        route=None,
    )
    record = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in zip(_RECORD_COLUMNS, row, strict=True) if name != "org"
    }
    quotes = {quote.id: quote_to_text(quote) for quote in (decision.quote, *decision.quotes)}
    return {"record": record, "quotes": quotes, "clock": clock}


def decision_of(event: Event) -> Decision:
    """The decision of an event that carries one.

    Raises:
        ValueError, KeyError, TypeError: it is not one.
    """
    record, quotes = event["record"], {quote_id: quote_from_text(text) for quote_id, text in event["quotes"].items()}
    if any(quote.id != quote_id for quote_id, quote in quotes.items()):
        msg = "a quote does not have the id that its content gives"
        raise ValueError(msg)
    decision = restored(record, quotes[record["quote"]])
    return replace(decision, quotes=tuple(quotes.values()))


def usage_values(usage: Usage) -> dict[str, object]:
    """Usage as JSON values; what says nothing is left out."""
    values: dict[str, object] = {name: value for name, default in _USAGE_DEFAULTS.items() if (value := getattr(usage, name)) != default}
    if usage.units:
        values["units"] = {name: str(count) for name, count in usage.units.items()}
    if usage.cost_usd is not None:
        values["cost_usd"] = str(usage.cost_usd)
    if usage.parts:
        values["parts"] = [usage_values(part) for part in usage.parts]
    return values


def usage_of_values(values: Mapping[str, Any]) -> Usage:
    """The usage of such values.

    Raises:
        ValueError, TypeError, AttributeError, ArithmeticError: they are none.
    """
    read = dict(values)
    if "units" in read:
        read["units"] = {name: Decimal(count) for name, count in read["units"].items()}
    if "cost_usd" in read:
        read["cost_usd"] = Decimal(read["cost_usd"])
    if "parts" in read:
        read["parts"] = tuple(usage_of_values(part) for part in read["parts"])
    return Usage(**read)

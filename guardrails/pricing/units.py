"""What counts of units cost: everything that is paid otherwise than by token."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from guardrails.pricing.tariff import Tariff

UNCHARGED_UNITS = frozenset({"requests", "web_fetches"})
"""Units that cost nothing where the price does not name them: the request itself, and fetches, which Anthropic bills by the
tokens that they bring. Of every other unit without a rate the cost is unknown."""

_WHOLE_OF = {
    "input_audio_seconds": "audio_seconds",
    "output_audio_seconds": "audio_seconds",
    "input_annotated_document_pages": "input_document_pages",
}
"""Units that are a part of another one where both are counted, and are charged like it where they have no rate."""


def units_pico_usd(units: Mapping[str, Decimal | int], tariff: Tariff, request_input_tokens: int | None) -> Fraction | None:
    """Pico-dollars of all units and of the request itself; None where a unit has no rate or a tier cannot be told."""
    counts = _disjoint(units)
    if "requests" in tariff.units:
        counts.setdefault("requests", Decimal(1))
    total = Fraction(0)
    for unit, count in counts.items():
        rate = tariff.units.get(unit) or tariff.units.get(_WHOLE_OF.get(unit, unit))
        if not count or (rate is None and unit in UNCHARGED_UNITS):
            continue
        if rate is None or (rate.tiers and request_input_tokens is None):
            return None
        total += Fraction(max(count, Decimal(rate.minimum))) * rate.at(request_input_tokens or 0) / rate.per
    return total


def states_a_paid_unit(units: Mapping[str, Decimal | int], tariff: Tariff) -> bool:
    """Whether one of the units that the model is paid by is counted, be it as 0."""
    return any(unit in tariff.needs or _WHOLE_OF.get(unit) in tariff.needs for unit in units) or tariff.needs == {"requests"}


def _disjoint(units: Mapping[str, Decimal | int]) -> dict[str, Decimal]:
    counts = {unit: Decimal(count) for unit, count in units.items()}
    for part, whole in _WHOLE_OF.items():
        if part in counts and whole in counts:
            counts[part] = min(counts[part], counts[whole])
            counts[whole] -= counts[part]
    return counts

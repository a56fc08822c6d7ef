"""What limits count: an amount of one measure, written as in the policy language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from guardrails.core.money import usd_for_people, usd_text


class Measure(StrEnum):
    """What a rule adds up. USD is kept in whole nano-dollars, everything else in whole counts."""

    USD = "USD"
    TOKENS = "tokens"
    INPUT_TOKENS = "input tokens"
    OUTPUT_TOKENS = "output tokens"
    REQUESTS = "requests"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Amount:
    """A whole number of one measure: nano-dollars for `Measure.USD`, else a count."""

    value: int
    measure: Measure

    @override
    def __str__(self) -> str:
        """Stable text as in the policy language: `500 USD`, `2000000 tokens`."""
        return amount_text(self.value, self.measure)


def amount_text(value: int, measure: Measure) -> str:
    """Stable, exact text of a value in its measure: `449.8 USD`, `32000 input tokens`."""
    return f"{usd_text(value) if measure is Measure.USD else value} {measure.value}"


def amount_for_people(value: int, measure: Measure) -> str:
    """Text for sentences: `1,449.80 USD`, `32,000 input tokens`."""
    if measure is Measure.USD:
        whole, _, decimals = usd_for_people(value).partition(".")
        return f"{int(whole):,}.{decimals} USD" if whole != "-0" else f"-0.{decimals} USD"
    unit = measure.value.removesuffix("s") if value == 1 else measure.value
    return f"{value:,} {unit}"

"""The most that a call can cost, within reason: what a hold keeps back."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from guardrails.core.call import Call
from guardrails.core.model_name import fold
from guardrails.core.money import MAX_NANO_USD, Rounding, to_nano
from guardrails.pricing.price import Price, Quote
from guardrails.pricing.tariff import TokenRates
from guardrails.pricing.units import states_a_paid_unit, units_pico_usd

WRITES_NOTHING = frozenset({"embedding", "embeddings", "rerank", "moderation"})
"""Operations that answer with numbers, not with tokens."""

_MODALITIES = frozenset({"audio", "image", "video"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """The bounds of a call before it runs.

    Attributes:
        input_tokens: as the call states them.
        output_tokens: the output bound.
        cost_nano_usd: rounded upwards; None where no price is known for what this call needs.
    """

    input_tokens: int
    output_tokens: int
    cost_nano_usd: int | None


def estimate(call: Call, quote: Quote, assume_output_tokens: int) -> Estimate:
    """What a hold for the call keeps back.

    The output bound is what the call may write; where it does not say, nothing for an operation or a price that sells no
    output, else `assume_output_tokens`; and never more than the model's own maximum where that is known. All input is
    taken at the input rate of its long-context tier (at the cached rate, should that be dearer), all output at the output
    rate (at the reasoning rate, should that be dearer). An `audio`, `image` or `video` operation takes the rates of its
    modality where they are dearer. Cache writes, and parts of another modality than the operation's, can cost more.

    The cost is unknown, never 0, where there is no price; where input, or output that the operation writes, has no rate
    while other tokens have one; where a unit has no rate; and where a model that is paid by other units gets none of them.
    """
    output_tokens = _output_bound(call, quote, assume_output_tokens)
    price = quote.price
    cost = None if price is None else _cost_nano_usd(call, output_tokens, price)
    return Estimate(call.input_tokens, output_tokens, cost)


def _output_bound(call: Call, quote: Quote, assume_output_tokens: int) -> int:
    bound = call.max_output_tokens
    if bound is None:
        # A guess must not make a known price unknown: what sells no output is not assumed to write.
        sells_none = quote.price is not None and quote.price.tariff.base.output is None
        bound = 0 if sells_none or _folded(call.operation) in WRITES_NOTHING else assume_output_tokens
    maximum = quote.max_output_tokens
    return bound if maximum is None or bound <= maximum else maximum


def _cost_nano_usd(call: Call, output_tokens: int, price: Price) -> int | None:
    tariff = price.tariff
    pico_usd = 0
    if tariff.sells_tokens:
        rates = tariff.at(call.input_tokens) if tariff.steps else tariff.base
        input_rate, output_rate = rates.hold_input, rates.hold_output
        if call.operation != "chat":
            operation = _folded(call.operation)
            if operation in _MODALITIES and rates.has_parts:
                input_rate, output_rate = _of_modality(rates, operation)
            elif operation in WRITES_NOTHING:
                output_rate = output_rate or 0
        if (input_rate is None and call.input_tokens) or (output_rate is None and output_tokens):
            return None
        pico_usd = call.input_tokens * (input_rate or 0) + output_tokens * (output_rate or 0)
    if not call.units and not tariff.needs and "requests" not in tariff.units:
        nano_usd = to_nano(pico_usd, Rounding.UP, tariff.divisor)
    else:
        others_pico_usd = units_pico_usd(call.units, tariff, call.input_tokens)
        if others_pico_usd is None or (tariff.needs and not states_a_paid_unit(call.units, tariff)):
            return None
        nano_usd = to_nano(Fraction(pico_usd, tariff.divisor) + others_pico_usd, Rounding.UP)
    return nano_usd if nano_usd <= MAX_NANO_USD else None


def _of_modality(rates: TokenRates, modality: str) -> tuple[int | None, int | None]:
    """The input and output rate for a call of that modality: the part's where it is dearer than the whole's."""
    input_rate = _dearest(rates.hold_input, rates.input, rates.input_parts, modality)
    input_rate = _dearest(input_rate, rates.cache_read, rates.cache_read_parts, modality)
    return input_rate, _dearest(rates.hold_output, rates.output, rates.output_parts, modality)


def _dearest(rate: int | None, whole: int | None, parts: tuple[tuple[str, int], ...], modality: str) -> int | None:
    if rate is None or whole is None:
        return rate
    return max([rate, *(whole + surcharge for part, surcharge in parts if modality in part)])


def _folded(operation: str) -> str:
    return operation if operation == "chat" else fold(operation)

"""What a call has cost, by its usage and its price."""

from __future__ import annotations

from fractions import Fraction

from guardrails.core.money import MAX_NANO_USD, Rounding, to_nano
from guardrails.core.usage import Usage
from guardrails.pricing.price import Price
from guardrails.pricing.tariff import Tariff, TokenRates
from guardrails.pricing.units import states_a_paid_unit, units_pico_usd

_WHOLES = {
    "input_tokens": ("input_audio_tokens", "input_image_tokens", "input_video_tokens"),
    "cache_read_tokens": ("cache_read_audio_tokens", "cache_read_image_tokens"),
    "output_tokens": ("output_audio_tokens", "output_image_tokens", "output_video_tokens", "reasoning_tokens"),
}


def cost(usage: Usage, price: Price | None) -> int | None:
    """Nano-dollars of one entry of usage, rounded once, half-even. `usage.parts` ran on other models and are not in it.

    None, never 0, where the cost is not known: there is no price; a count that a rate needs was not reported; tokens or
    units were used that the price has no rate for; or the amount is beyond what the ledger can hold.

    - Cached input without a rate of its own is input. A write whose retention was not reported is charged as the
      provider's default.
    - The long-context tier is chosen by all input: uncached, read and written.
    - Audio, image, video and reasoning tokens are charged at their own rate where the price has one, else with the whole
      that contains them, and never beyond that whole (see `clamped_parts`).
    - A model that is paid by other units charges no tokens, but then the usage must state one of its units.
    - A fee per request is charged once, or as often as the units say (`requests`).
    """
    if price is None:
        return None
    tariff = price.tariff
    tokens_pico_usd = _tokens_pico_usd(usage, tariff)
    if tokens_pico_usd is None:
        return None
    if not usage.units and not tariff.needs and "requests" not in tariff.units:
        nano_usd = to_nano(tokens_pico_usd, Rounding.HALF_EVEN, tariff.divisor)
    else:
        others_pico_usd = units_pico_usd(usage.units, tariff, usage.all_input_tokens)
        if others_pico_usd is None or (tariff.needs and not states_a_paid_unit(usage.units, tariff)):
            return None
        nano_usd = to_nano(Fraction(tokens_pico_usd, tariff.divisor) + others_pico_usd, Rounding.HALF_EVEN)
    return nano_usd if nano_usd <= MAX_NANO_USD else None


def clamped_parts(usage: Usage) -> tuple[str, ...]:
    """The parts that are larger than what is left of the whole that contains them, and so are charged only up to it."""
    clamped: list[str] = []
    for whole, parts in _WHOLES.items():
        left = getattr(usage, whole)
        if left is not None:
            for part in parts:
                count = getattr(usage, part)
                clamped += [part] if count > left else []
                left -= min(count, left)
    return tuple(clamped)


def _tokens_pico_usd(usage: Usage, tariff: Tariff) -> int | None:
    """Pico-dollars of the tokens, times `tariff.divisor`."""
    if not tariff.sells_tokens:
        return 0
    rates = _rates(usage, tariff)
    if rates is None:
        return None
    total = 0
    for count, rate in (
        (usage.input_tokens, rates.input),
        (usage.output_tokens, rates.output),
        (usage.cache_read_tokens, rates.cache_read),
        (usage.cache_write_short_tokens, rates.write_short),
        (usage.cache_write_long_tokens, rates.write_long),
        (usage.cache_write_unknown_tokens, rates.write_unknown),
    ):
        if count and rate is not None:
            total += count * rate
        elif count or (count is None and rate):
            return None
    if rates.has_parts:
        total += _surcharge(usage, usage.input_tokens, rates.input_parts)
        total += _surcharge(usage, usage.cache_read_tokens, rates.cache_read_parts)
        total += _surcharge(usage, usage.output_tokens, rates.output_parts)
    return total


def _rates(usage: Usage, tariff: Tariff) -> TokenRates | None:
    """The rates of a request of this size; None where its size was not reported and matters."""
    if not tariff.steps:
        return tariff.base
    all_input = usage.all_input_tokens
    return None if all_input is None else tariff.at(all_input)


def _surcharge(usage: Usage, whole: int | None, parts: tuple[tuple[str, int], ...]) -> int:
    total = 0
    left = whole or 0
    for part, surcharge in parts:
        count = min(getattr(usage, part), left)
        left -= count
        total += count * surcharge
    return total

"""Exact money: whole nano-dollars for amounts, whole pico-dollars for prices, Decimal at the edges.

`cost_nano = to_nano(sum(count x price_pico))`: one rounding per entry, half-even for what was spent and upwards for
what is held, so that a hold never lacks the last nano-dollar of its own settlement.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import Enum
from fractions import Fraction

NANO_PER_USD = 10**9
PICO_PER_USD = 10**12
PICO_PER_NANO = 1_000
_WIDEST, _FINEST = 20, -40
"""Powers of ten of the first digit outside which a number is no amount of money; they bound hostile exponents."""
MAX_NANO_USD = 2**63 - 1
"""The largest amount that fits a 64-bit column: about 9.2 thousand million USD."""


class Rounding(Enum):
    """How a fraction of a nano-dollar is rounded."""

    HALF_EVEN = "half-even"
    UP = "up"


def to_nano(amount_pico_usd: int | Fraction, rounding: Rounding, per: int = 1) -> int:
    """Round pico-dollars, divided by `per` units, to whole nano-dollars; the only place where money is rounded."""
    step = PICO_PER_NANO * per
    if rounding is Rounding.UP:
        return -((-amount_pico_usd) // step)
    whole, rest = divmod(amount_pico_usd, step)
    twice = rest * 2
    if twice > step or (twice == step and whole % 2):
        whole += 1
    return int(whole)


def usd_to_nano(amount_usd: Decimal) -> int:
    """Exact nano-dollars of a decimal amount.

    Raises:
        ValueError: not finite, finer than a nano-dollar, or beyond 64 bits.
    """
    nano = _scaled(amount_usd, 9)
    if nano is None:
        msg = f"{amount_usd} USD is finer than a nano-dollar (0.000000001 USD)"
        raise ValueError(msg)
    if abs(nano) > MAX_NANO_USD:
        msg = f"{amount_usd} USD is more than the ledger can hold ({MAX_NANO_USD // NANO_PER_USD} USD)"
        raise ValueError(msg)
    return nano


def usd_to_nano_rounded(amount_usd: Decimal) -> int:
    """Nano-dollars of an amount that a provider states, rounded half-even where it is finer than a nano-dollar.

    Raises:
        ValueError: not finite, or beyond 64 bits.
    """
    if not amount_usd.is_finite():
        msg = f"{amount_usd} is not an amount of money"
        raise ValueError(msg)
    if amount_usd.adjusted() < _FINEST:
        return 0  # a hostile 1E-999999999 never becomes a fraction
    nano = to_nano(Fraction(amount_usd) * PICO_PER_USD, Rounding.HALF_EVEN) if amount_usd.adjusted() < _WIDEST else None
    if nano is None or abs(nano) > MAX_NANO_USD:
        msg = f"{amount_usd} USD is more than the ledger can hold ({MAX_NANO_USD // NANO_PER_USD} USD)"
        raise ValueError(msg)
    return nano


def usd_to_pico(price_usd: Decimal) -> int:
    """Exact pico-dollars of a price per single unit.

    Raises:
        ValueError: not finite, or finer than a pico-dollar.
    """
    pico = _scaled(price_usd, 12)
    if pico is None:
        msg = f"{price_usd} USD is finer than a pico-dollar"
        raise ValueError(msg)
    return pico


def _scaled(amount: Decimal, places: int) -> int | None:
    if not amount.is_finite():
        msg = f"{amount} is not an amount of money"
        raise ValueError(msg)
    # abs(exponent) is bounded first, so that a hostile 1E+999999999 never becomes a huge integer.
    if amount.adjusted() > _WIDEST:
        msg = f"{amount} USD is more than the ledger can hold ({MAX_NANO_USD // NANO_PER_USD} USD)"
        raise ValueError(msg)
    numerator, denominator = amount.as_integer_ratio() if amount.adjusted() > _FINEST else (0, 1)
    if not numerator and amount:
        return None
    scaled, rest = divmod(numerator * 10**places, denominator)
    return None if rest else scaled


def parse_usd(text: str) -> Decimal:
    """A decimal amount from text, underscores allowed between digits as in the policy language.

    Raises:
        ValueError: the text is not a finite decimal number.
    """
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        msg = f"`{text}` is not a decimal number"
        raise ValueError(msg) from None
    if not amount.is_finite():
        msg = f"`{text}` is not a finite number"
        raise ValueError(msg)
    return amount


def nano_to_usd(amount_nano_usd: int) -> Decimal:
    """The exact decimal amount in USD, without trailing zeros or exponent."""
    return Decimal(usd_text(amount_nano_usd))


def usd_text(amount_nano_usd: int) -> str:
    """Exact decimal text in USD as it stands in stable JSON: `0.0123`, `-5`, `0`."""
    sign = "-" if amount_nano_usd < 0 else ""
    whole, nano = divmod(abs(amount_nano_usd), NANO_PER_USD)
    if not nano:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{nano:09d}".rstrip("0")


def usd_for_people(amount_nano_usd: int) -> str:
    """Text for sentences and tables: cents for whole cents (`449.80`), more digits only where they say something."""
    text = usd_text(amount_nano_usd)
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"

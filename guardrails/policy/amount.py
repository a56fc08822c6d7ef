"""Amounts and actions as they are written in a rule: `500 USD`, `2M tokens`, `80%`, `downgrade to economy`."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from guardrails.core.model_name import is_pattern
from guardrails.core.money import MAX_NANO_USD, NANO_PER_USD
from guardrails.core.quantity import Amount, Measure
from guardrails.policy.rules import Action, Deny, Downgrade, RuleKind, Warn
from guardrails.source.problem import nearest, quoted
from guardrails.source.written import Mistake, scaled_count

MEASURES = {
    RuleKind.SPEND_LIMIT: (Measure.USD,),
    RuleKind.TOKEN_CAP: (Measure.TOKENS, Measure.INPUT_TOKENS, Measure.OUTPUT_TOKENS),
    RuleKind.REQUEST_CAP: (Measure.REQUESTS,),
    RuleKind.CONCURRENCY_CAP: (Measure.CONCURRENT,),
}
"""What each kind of rule adds up."""

_EXAMPLES = {
    RuleKind.SPEND_LIMIT: "500 USD",
    RuleKind.TOKEN_CAP: "2M tokens",
    RuleKind.REQUEST_CAP: "60 requests",
    RuleKind.CONCURRENCY_CAP: "8 concurrent",
}
_MAX_CHARACTERS = 64
_MAX_TARGET_CHARACTERS = 512
_NANO_DIGITS = 9
_UNITS = {
    **{measure.value: measure for measure in Measure},
    "token": Measure.TOKENS,
    "input token": Measure.INPUT_TOKENS,
    "output token": Measure.OUTPUT_TOKENS,
    "request": Measure.REQUESTS,
}
_AMOUNT = re.compile(r"([0-9]+(?:_[0-9]+)*)(\.[0-9]+)?([kKMGB])? ([a-z ]+|USD)")
_LOOSE = re.compile(
    r"([-+\u2212]?)\s*([$€£¥]?)\s*([0-9][0-9_,]*+(?:\.[0-9_]*+)?|\.[0-9]++)\s*(?:([kKmMgGbB])(?![A-Za-z]))?\s*([A-Za-z ]*|[$€£¥])"
)
_NO_NUMBER = re.compile(r"[-+]?\.?(nan|inf|infinity|unlimited|none)\b", re.IGNORECASE)
_SHARE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%")
_DOWNGRADE = re.compile(r"downgrade to (\S.*)")
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}

DENY = Deny()
WARN = Warn()


def amount_of(text: str, kind: RuleKind) -> Amount:
    """An amount that a kind of rule can add up.

    Raises:
        Mistake: says which of number and unit is wrong.
    """
    written = _AMOUNT.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if written is None:
        raise _unreadable(text, kind)
    whole, fraction, suffix, unit = written.groups()
    measure = _UNITS.get(unit)
    if measure is None:
        raise _unreadable(text, kind)
    if measure not in MEASURES[kind]:
        raise _wrong_unit(text, text.removesuffix(unit), unit, kind)
    if measure is not Measure.USD:
        return Amount(scaled_count(text, whole, fraction, suffix), measure)
    if suffix is not None:
        raise Mistake(code="bad-amount", message=f"money takes no suffix, {quoted(text)} must be written out", hint=_expanded(text))
    return Amount(nano_usd_of(text, whole, fraction), measure)


def nano_usd_of(text: str, whole: str, fraction: str | None) -> int:
    """Nano-dollars of digits and `.digits`."""
    nano = int(whole) * NANO_PER_USD
    if fraction is not None:
        digits = fraction[1:].rstrip("0")
        if len(digits) > _NANO_DIGITS:
            raise Mistake(code="too-fine", message=f"{quoted(text)} is finer than a nano-dollar (0.000000001 USD)")
        nano += int(digits.ljust(_NANO_DIGITS, "0"))
    if nano > MAX_NANO_USD:
        raise Mistake(code="too-large", message=f"{quoted(text)} is more than the ledger can hold ({MAX_NANO_USD // NANO_PER_USD:_} USD)")
    return nano


def _unreadable(text: str, kind: RuleKind) -> Mistake:
    """What is wrong with a text that is no amount, with the amount that it probably means."""
    example = _EXAMPLES[kind]
    loose = _LOOSE.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if loose is None:
        why = "; a limit is always a number" if _NO_NUMBER.match(text) else ""
        return Mistake(code="bad-amount", message=f"{quoted(text)} is not an amount such as `{example}`{why}")
    sign, currency, number, suffix, unit = loose.groups()
    if sign in {"-", "\u2212"} and any(digit in number for digit in "123456789"):
        return Mistake(code="negative", message=f"{quoted(text)} is negative")
    number = ("0" if number.startswith(".") else "") + number.replace(",", "_")
    suffix = suffix.upper() if suffix in {"m", "g", "b"} else suffix or ""
    unit = _SIGNS.get(unit or currency, " ".join(unit.split()))
    if not unit:
        return Mistake(code="no-unit", message=f"{quoted(text)} has no unit", hint=f"{number}{suffix} {MEASURES[kind][0].value}")
    unit = "USD" if unit.casefold() == "usd" else unit.casefold() if unit.casefold() in _UNITS else unit
    if _UNITS.get(unit) not in MEASURES[kind]:
        return _wrong_unit(text, f"{number}{suffix} ", unit, kind)
    return Mistake(code="bad-amount", message=f"{quoted(text)} is not an amount such as `{example}`", hint=f"{number}{suffix} {unit}")


def _wrong_unit(text: str, number: str, unit: str, kind: RuleKind) -> Mistake:
    legal = [measure.value for measure in MEASURES[kind]]
    if kind is RuleKind.SPEND_LIMIT and unit not in _UNITS and re.fullmatch("[A-Za-z]{3}", unit) and unit.casefold() != "usd":
        return Mistake(code="other-currency", message=f"{quoted(text)} is not in USD, and nothing is converted")
    close = nearest(unit, legal)
    counted = f"{', '.join(f'`{each}`' for each in legal[:-1])} or `{legal[-1]}`" if len(legal) > 1 else f"`{legal[0]}`"
    message = f"a `{kind.value}` is in {counted}, not {quoted(unit)}"
    return Mistake(code="wrong-unit", message=message, hint=f"{number.strip()} {close}" if close and number else None)


def _expanded(text: str) -> str | None:
    digits, _, unit = text.partition(" ")
    try:
        return f"{scaled_count(text, digits[:-1], None, digits[-1]):_} {unit}"
    except ValueError:
        return None


@lru_cache(maxsize=1_024)
def share_of(text: str) -> Fraction:
    """A share of a limit: `80%`, `99.5%`, `120%`."""
    written = _SHARE.fullmatch(text)
    if written is not None:
        share = Fraction(written[1]) / 100
        if share:
            return share
        raise Mistake(code="bad-share", message=f"{quoted(text)} of a limit is nothing, a share is more than 0%")
    hint = None
    if _SHARE.fullmatch(f"{text}%"):
        share = Fraction(text)
        hint = f"{float(share * 100):g}%" if 0 < share <= 2 and "." in text else f"{text}%"  # noqa: PLR2004 - 0.8 means 80%, 80 means 80%
    raise Mistake(code="bad-share", message=f"{quoted(text)} is not a share of the limit such as `80%`", hint=hint)


@lru_cache(maxsize=1_024)
def action_of(text: str) -> Action:
    """`warn`, `deny` or `downgrade to TIER-OR-MODEL`."""
    if text == "deny":
        return DENY
    if text == "warn":
        return WARN
    return _downgrade_of(text, ("warn", "deny"))


@lru_cache(maxsize=1_024)
def otherwise_of(text: str) -> Deny | Downgrade:
    """`deny` or `downgrade to TIER-OR-MODEL`."""
    return DENY if text == "deny" else _downgrade_of(text, ("deny",))


def _downgrade_of(text: str, others: tuple[str, ...]) -> Downgrade:
    written = _DOWNGRADE.fullmatch(text)
    if written is None:
        words = text.split()
        hint = nearest(text, others)
        if len(words) > 1 and (nearest(words[0], ["downgrade"]) or words[0].casefold() == "use"):
            hint = f"downgrade to {words[-1]}"
        legal = ", ".join(f"`{each}`" for each in others)
        raise Mistake(code="bad-action", message=f"{quoted(text)} is no action, which is {legal} or `downgrade to …`", hint=hint)
    target = written[1].strip()
    if is_pattern(target):
        raise Mistake(code="bad-action", message=f"{quoted(target)} has a wildcard, a downgrade goes to one tier or one model")
    if len(target) > _MAX_TARGET_CHARACTERS:
        raise Mistake(code="bad-action", message=f"{quoted(target)} is too long for a tier or a model")
    return Downgrade(target)

"""A call: one use of an LLM, or another paid job, that someone wants to make."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from guardrails.core.errors import InvalidCall
from guardrails.core.frozen import Frozen
from guardrails.core.subject import checked_subject

MAX_TOKENS = 10**12
MAX_UNITS = Decimal(10) ** 12
_MAX_TEXT = 512
_MAX_DECIMALS = 9
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_EMPTY: Mapping[str, Decimal] = Frozen()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What someone wants to run, as far as it is known before it runs.

    Attributes:
        model: the model asked for, as the caller names it.
        input_tokens: exact count or an upper bound, cached input included.
        max_output_tokens: the most that the call may write; None where it does not say.
        subject: who pays, label by label.
        provider: the provider that the call goes to, where the caller knows it.
        operation: `chat`, `embedding`, `image`, `audio`, `batch`, `training`, …
        units: what is paid otherwise than by token (`{"gpu_hour": 2}`), counts that may have decimals.
        service_tier: the provider's tier (`flex`, `priority`, `batch`), where it changes the price.
        providers: the providers that the caller can reach; None for any. Only their models are offered as downgrades.
        request_id: the caller's own id of this call: the same id again is the same call, held once.
        hold_ttl_s: seconds until the hold ends by itself; the policy's `hold_ttl` where None.
        at: the instant of the call; the ledger's clock where None.

    Raises:
        InvalidCall: lists everything that cannot be.
    """

    model: str
    input_tokens: int = 0
    max_output_tokens: int | None = None
    subject: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    operation: str = "chat"
    units: Mapping[str, Decimal | int] = field(default_factory=dict)
    service_tier: str | None = None
    providers: Collection[str] | None = None
    request_id: str | None = None
    hold_ttl_s: float | None = None
    at: datetime | None = None

    def __post_init__(self) -> None:
        problems: list[str] = []
        check_text("model", self.model, problems)
        check_text("operation", self.operation, problems)
        for name in ("provider", "service_tier", "request_id"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), problems)
        check_count("input_tokens", self.input_tokens, problems)
        if self.max_output_tokens is not None:
            check_count("max_output_tokens", self.max_output_tokens, problems)
        if self.hold_ttl_s is not None:
            check_ttl("hold_ttl_s", self.hold_ttl_s, problems)
        if self.at is not None:
            check_instant("at", self.at, problems)
        _set = object.__setattr__
        _set(self, "subject", Frozen(checked_subject(self.subject, problems)))
        _set(self, "units", checked_units(self.units, problems))
        if self.providers is not None:
            _set(self, "providers", _checked_providers(self.providers, problems))
        if problems:
            raise InvalidCall(problems)


def check_text(name: str, value: object, problems: list[str]) -> None:
    """Name, in `problems`, what keeps a value from being a short printable text."""
    if not isinstance(value, str):
        problems.append(f"{name} must be text, not {type(value).__name__}")
    elif not value.strip():
        problems.append(f"{name} is empty")
    elif len(value) > _MAX_TEXT:
        problems.append(f"{name} is longer than {_MAX_TEXT} characters")
    elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        problems.append(f"{name} has half of a surrogate pair, which cannot be stored")
    elif not value.isprintable() and any(character < " " or character == "\x7f" for character in value):
        problems.append(f"{name} has a control character, which cannot be stored")


def check_count(name: str, value: object, problems: list[str]) -> None:
    """Name, in `problems`, what keeps a value from being a count."""
    if isinstance(value, bool) or not isinstance(value, int):
        problems.append(f"{name} must be a whole number, not {type(value).__name__}")
    elif value < 0:
        problems.append(f"{name} is negative ({value})")
    elif value > MAX_TOKENS:
        problems.append(f"{name} is more than {MAX_TOKENS:,}")


def check_instant(name: str, value: object, problems: list[str]) -> None:
    """Name, in `problems`, what keeps a value from being an instant that the ledger can hold."""
    if not isinstance(value, datetime):
        problems.append(f"{name} must be a datetime, not {type(value).__name__}")
    elif value.tzinfo is None or value.utcoffset() is None:
        problems.append(f"{name} {value.isoformat()} has no time zone")
    elif not _FIRST_YEAR < value.year < _LAST_YEAR and not _FIRST_YEAR <= value.astimezone(UTC).year < _LAST_YEAR:
        problems.append(f"{name} {value.isoformat()} is outside the years {_FIRST_YEAR} to {_LAST_YEAR}")


def checked_units(units: object, problems: list[str]) -> Mapping[str, Decimal]:
    """Counts of units as exact decimals; mistakes are added to `problems`."""
    if not isinstance(units, Mapping):
        problems.append(f"units must be a mapping, not {type(units).__name__}")
        return _EMPTY
    if not units:
        return _EMPTY
    checked: dict[str, Decimal] = {}
    for name, count in units.items():
        check_text("a unit's name", name, problems)
        if isinstance(count, bool) or not isinstance(count, (int, Decimal)):
            problems.append(f"units.{name} must be a whole number or a Decimal, not {type(count).__name__}")
        elif not Decimal(count).is_finite() or not 0 <= count <= MAX_UNITS:
            problems.append(f"units.{name} must be between 0 and {MAX_UNITS}, not {count}")
        elif Decimal(count).normalize().as_tuple().exponent < -_MAX_DECIMALS:  # type: ignore[operator]  # finite: the exponent is an int
            problems.append(f"units.{name} has more than nine decimals ({count})")
        else:
            checked[str(name)] = Decimal(count)
    return Frozen(checked)


def check_ttl(name: str, value: object, problems: list[str]) -> None:
    """Name, in `problems`, what keeps a value from being the time that a hold lives."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:  # noqa: PLR0124 - NaN
        problems.append(f"{name} must be a number of seconds, not {type(value).__name__}")
    elif not 0 < value <= 366 * 86_400:
        problems.append(f"{name} must be more than 0 and at most a year, not {value}")


def _checked_providers(providers: object, problems: list[str]) -> tuple[str, ...]:
    if isinstance(providers, str) or not isinstance(providers, (tuple, list, set, frozenset)):
        problems.append("providers must be a collection of provider names")
        return ()
    for provider in providers:
        check_text("providers", provider, problems)
    return tuple(sorted(str(provider) for provider in providers))

"""What a call used, in counters that never overlap, so that every total is a sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from guardrails.core.call import check_count, check_text, checked_units
from guardrails.core.errors import InvalidCall

PART_COUNTERS = (
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "cache_read_image_tokens",
    "output_image_tokens",
    "input_video_tokens",
    "output_video_tokens",
)
"""Parts by modality: each is contained in `input_tokens`, `cache_read_tokens` or `output_tokens`, and never added."""

COUNTERS = (
    "cache_read_tokens",
    "cache_write_short_tokens",
    "cache_write_long_tokens",
    "cache_write_unknown_tokens",
    "reasoning_tokens",
    *PART_COUNTERS,
)
_MAX_COST_USD = Decimal(10) ** 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used, as the provider reported it.

    Attributes:
        input_tokens: input billed at the full rate; None where it was not reported, which is not zero.
        cache_read_tokens: input served from a prompt cache.
        cache_write_short_tokens: input written to a cache that lasts minutes (5 m, 30 m).
        cache_write_long_tokens: input written to a cache that lasts hours.
        cache_write_unknown_tokens: input written to a cache, how long for was not reported.
        output_tokens: all that was written, reasoning included; None where it was not reported.
        reasoning_tokens: the part of the output that was reasoning.
        units: what is paid otherwise than by token: searches, images, seconds, GPU hours.
        cost_usd: the price of the call where the provider states it.
        parts: usage that ran on other models inside the same answer, each with its own `model`.
        partial: the stream was cut; these are the last counts seen.
        model: the model that ran, where the provider names it.
        response_id: the provider's own id of the answer, by which an imported row is known to be the same.
        service_tier: the tier that served the answer, where the provider names it and it may change the price.
        clamped: counters that the provider reported larger than what contains them, and that were cut down to it (or to 0).

    Raises:
        InvalidCall: lists everything that cannot be.
    """

    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_short_tokens: int = 0
    cache_write_long_tokens: int = 0
    cache_write_unknown_tokens: int = 0
    output_tokens: int | None = None
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    cache_read_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    cache_read_image_tokens: int = 0
    output_image_tokens: int = 0
    input_video_tokens: int = 0
    output_video_tokens: int = 0
    units: Mapping[str, Decimal | int] = field(default_factory=dict)
    cost_usd: Decimal | None = None
    parts: tuple[Usage, ...] = ()
    partial: bool = False
    model: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    clamped: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name in ("input_tokens", "output_tokens"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), problems)
        for name in COUNTERS:
            check_count(name, getattr(self, name), problems)
        for name in ("model", "response_id", "service_tier"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), problems)
        if self.cost_usd is not None:
            _check_cost(self.cost_usd, problems)
        _check_flag("partial", self.partial, problems)
        object.__setattr__(self, "units", checked_units(self.units, problems))
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "clamped", tuple(self.clamped))
        _check_parts(self.parts, problems)
        if problems:
            raise InvalidCall(problems)

    @property
    def cache_write_tokens(self) -> int:
        """All input written to a cache."""
        return self.cache_write_short_tokens + self.cache_write_long_tokens + self.cache_write_unknown_tokens

    @property
    def all_input_tokens(self) -> int | None:
        """All input, cached and written included; None where the uncached part was not reported."""
        if self.input_tokens is None:
            return None
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


def _check_flag(name: str, value: object, problems: list[str]) -> None:
    if not isinstance(value, bool):
        problems.append(f"{name} must be True or False, not {type(value).__name__}")


def _check_parts(parts: Iterable[object], problems: list[str]) -> None:
    problems += [f"parts[{index}] must be a Usage" for index, part in enumerate(parts) if not isinstance(part, Usage)]


def _check_cost(cost_usd: object, problems: list[str]) -> None:
    if not isinstance(cost_usd, Decimal):
        problems.append(f"cost_usd must be a Decimal, not {type(cost_usd).__name__}: money never touches a float")
    elif not cost_usd.is_finite():
        problems.append(f"cost_usd must be finite, not {cost_usd}")
    elif not 0 <= cost_usd <= _MAX_COST_USD:
        problems.append(f"cost_usd must be between 0 and {_MAX_COST_USD:,}, not {cost_usd}")

"""Counts on their way to a `Usage`: parts clamped to what contains them, and what was clamped named."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal

from guardrails.core.errors import InvalidCall
from guardrails.core.usage import Usage

_WHOLES = {
    "reasoning_tokens": "output_tokens",
    "input_audio_tokens": "input_tokens",
    "input_image_tokens": "input_tokens",
    "input_video_tokens": "input_tokens",
    "cache_read_audio_tokens": "cache_read_tokens",
    "cache_read_image_tokens": "cache_read_tokens",
    "output_audio_tokens": "output_tokens",
    "output_image_tokens": "output_tokens",
    "output_video_tokens": "output_tokens",
}
"""The counter that contains each part."""


@dataclass(slots=True, kw_only=True)
class Reading:
    """What one answer reports, before it is checked; the names are those of `Usage`."""

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
    units: dict[str, Decimal | int] = field(default_factory=dict)
    cost_usd: Decimal | None = None
    parts: tuple[Usage, ...] = ()
    model: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    partial: bool = False
    clamped: list[str] = field(default_factory=list)

    def take_input(self, whole: int | None, *, cache_write_tokens: int = 0) -> None:
        """Set the uncached input from an input that includes what was read from a cache and written to one.

        Where more was cached than the whole, the remainder is 0, not negative: the classes overlap, and the cached counts
        are what is charged by.
        """
        if whole is not None:
            self.input_tokens = whole - self.cache_read_tokens - cache_write_tokens
            if self.input_tokens < 0:
                self.input_tokens = 0
                self.clamped.append("input_tokens")

    def share(self, modality: str, whole: int, cached: int | None = None) -> None:
        """Share the tokens of one modality out between uncached and cached input.

        Where the provider does not say how many of them were cached, as many as fit are uncached, the dearer kind.
        """
        uncached = min(whole, self.input_tokens or 0) if cached is None else max(0, whole - cached)
        setattr(self, f"input_{modality}_tokens", uncached)
        if modality != "video":  # a cached video token is a cached token: no provider prices it apart
            setattr(self, f"cache_read_{modality}_tokens", max(0, whole - uncached) if cached is None else cached)

    def usage(self) -> Usage | None:
        """The usage; None where nothing at all was reported."""
        if self.input_tokens is None and self.output_tokens is None and not self.units and self.cost_usd is None:
            return None
        for part, whole in _WHOLES.items():
            limit = getattr(self, whole)
            if limit is not None and getattr(self, part) > limit:
                setattr(self, part, limit)
                self.clamped.append(part)
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        try:
            return Usage(**values)
        except InvalidCall:  # every count alone can be, but a sum of some is beyond all bounds
            return None

"""One row of usage in the ledger, and the hold that may have come before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from guardrails.core.balance import Amounts

GATE = "gate"
"""The source of entries that settle a hold; imports have the name of their format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Usage as it is booked. Counts and costs that are not known are None, what is assumed in their place stands apart.

    Attributes:
        key: the hash of the source's own identity of the row; the same key is the same usage.
        content: the hash of its content; the same key with other content is a conflict.
        at_us: the instant that decides its windows.
        cost_nano_usd: what the source states, else ours.
        route: the balances that it counts under, by the hash of their keys; None where it counts nowhere.
        marks: what was out of the ordinary: `overrun`, `late`, `partial`, `assumed`, `difference`, …
        detail: JSON text of what has no column: reasoning, modality parts, units.
    """

    key: bytes
    content: bytes
    source: str
    at_us: int
    recorded_us: int
    subject: bytes
    decision: str | None = None
    attempt: int | None = None
    part: int | None = None
    import_id: str | None = None
    corrects: bytes | None = None
    model: str | None = None
    provider: str | None = None
    tier: str | None = None
    operation: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_short_tokens: int = 0
    cache_write_long_tokens: int = 0
    cache_write_unknown_tokens: int = 0
    output_tokens: int | None = None
    requests: int = 0
    cost_nano_usd: int | None = None
    stated_nano_usd: int | None = None
    priced_nano_usd: int | None = None
    assumed_nano_usd: int = 0
    assumed_input_tokens: int = 0
    assumed_output_tokens: int = 0
    quote: str | None = None
    route: bytes | None = None
    response: str | None = None
    marks: tuple[str, ...] = ()
    detail: str | None = None

    @property
    def spent(self) -> Amounts:
        """What is known to be used, cached input included."""
        cached = self.cache_read_tokens + self.cache_write_short_tokens + self.cache_write_long_tokens + self.cache_write_unknown_tokens
        return Amounts(self.cost_nano_usd or 0, (self.input_tokens or 0) + cached, self.output_tokens or 0, self.requests)

    @property
    def assumed(self) -> Amounts:
        """What stands in for what is not known."""
        return Amounts(self.assumed_nano_usd, self.assumed_input_tokens, self.assumed_output_tokens)

    def under(self, route: bytes | None) -> Entry:
        """The same entry, counted under a route."""
        return replace(self, route=route)

    def row(self, org: str) -> tuple[object, ...]:
        """The values of table `entry`, in its order, without the generated `seq`."""
        return (
            org,
            self.key,
            self.content,
            self.source,
            self.at_us,
            self.recorded_us,
            self.decision,
            self.attempt,
            self.part,
            self.import_id,
            self.corrects,
            self.subject,
            self.model,
            self.provider,
            self.tier,
            self.operation,
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_short_tokens,
            self.cache_write_long_tokens,
            self.cache_write_unknown_tokens,
            self.output_tokens,
            self.requests,
            self.cost_nano_usd,
            self.stated_nano_usd,
            self.priced_nano_usd,
            self.assumed_nano_usd,
            self.assumed_input_tokens,
            self.assumed_output_tokens,
            self.quote,
            self.route,
            self.response,
            ",".join(self.marks) or None,
            self.detail,
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as its record has it, and whether it still lives.

    Attributes:
        route: the balances that it was frozen to count under.
        expires_us: None once it has ended.
    """

    id: str
    at_us: int
    generation: int
    verdict: str
    subject: bytes
    model: str | None
    provider: str | None
    tier: str | None
    operation: str
    quote: str
    route: bytes | None
    holds: Amounts
    expires_us: int | None

    @property
    def live(self) -> bool:
        """Whether it was neither settled, released nor seen to expire."""
        return self.expires_us is not None


def route_key(balances: Iterable[bytes]) -> bytes:
    """The hash of a set of balance keys."""
    return hashlib.blake2b(b"".join(sorted(balances)), digest_size=16).digest()

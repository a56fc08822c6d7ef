"""What is counted under one rule, one scope, one window: its name, its amounts, and what a fact adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guardrails.core.quantity import Measure
from guardrails.core.window import Period


@dataclass(frozen=True, slots=True)
class BalanceRef:
    """The name of a balance. Two refs with the same key are the same balance, on every process.

    Attributes:
        key: 16 bytes, the hash of rule, fingerprint, era, folded scope and start of the window.
        rule: id of the rule.
        fingerprint: of what the rule selects and how it buckets.
        era: the generation since which the rule has been active without a break, with this fingerprint.
        scope: label to value as shown; the key has the folded values.
        period: the window's bounds; both None for a lifetime and for what has no window.
    """

    key: bytes
    rule: str = field(compare=False)
    fingerprint: str = field(compare=False)
    era: int = field(compare=False)
    measure: Measure = field(compare=False)
    scope: Mapping[str, str] = field(compare=False)
    period: Period = field(compare=False)


@dataclass(slots=True)
class Balance:
    """Amounts under one key, in the measure of the rule.

    Attributes:
        spent: settled or imported.
        assumed: spent by calls whose cost or end nobody saw, counted in full until it is known.
        held: kept back for calls that run now.
    """

    spent: int = 0
    assumed: int = 0
    held: int = 0

    @property
    def total(self) -> int:
        """All that counts against the limit."""
        return self.spent + self.assumed + self.held


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one fact (a hold or an entry) counts, by measure."""

    nano_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0

    def of(self, measure: Measure) -> int:
        """The part that a balance of that measure counts; `concurrent` counts holds, one each, and is not a part."""
        match measure:
            case Measure.USD:
                return self.nano_usd
            case Measure.TOKENS:
                return self.input_tokens + self.output_tokens
            case Measure.INPUT_TOKENS:
                return self.input_tokens
            case Measure.OUTPUT_TOKENS:
                return self.output_tokens
            case Measure.REQUESTS:
                return self.requests
            case Measure.CONCURRENT:
                return 0

    def held_of(self, measure: Measure) -> int:
        """The part that a live hold keeps back in a balance of that measure."""
        return 1 if measure is Measure.CONCURRENT else self.of(measure)


NOTHING = Amounts()

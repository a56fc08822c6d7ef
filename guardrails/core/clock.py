"""The only module that reads a clock. Everything else is told the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The host's present instant, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the one place


def monotonic_s() -> float:
    """Seconds on a clock that never steps; for durations only."""
    return time.monotonic()

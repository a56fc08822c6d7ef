from __future__ import annotations

import pytest

from guardrails.pricing.book import PriceBook


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """The book without prices of its own; it only remembers, so that all tests may share it."""
    return PriceBook.open()

"""The ledger that each test of the Gate has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.gate.scene import Scene


@pytest.fixture
def scene(database_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Iterator[Scene]:
    """A fresh ledger; the test runs once on each database, and what it leaves must add up."""
    scene = Scene(database_url, policy_folder)
    try:
        yield scene
    finally:
        scene.close()
    scene.prove()

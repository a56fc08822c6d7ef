"""`guardrails ledger verify` and `rebuild`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from guardrails import Usage
from tests.cli.test_audit import run
from tests.gate.scene import Scene, call, limit, policy
from tests.ledger.test_verify import change


@pytest.fixture
def kept(sqlite_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> Iterator[Scene]:
    scene = Scene(sqlite_url, policy_folder)
    gate = scene.open(policy(limit()))
    gate.settle(gate.reserve(call()), Usage(input_tokens=900, output_tokens=0))
    scene.close()
    yield scene
    scene.close()


def test_a_ledger_that_adds_up_says_what_was_checked(kept: Scene) -> None:
    """Acceptance 27."""
    result = run(kept.url, "ledger", "verify", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "ok": True,
        "checked": {"balances": 1, "entries": 1, "records": 1, "live_holds": 0, "openings": 1},
        "findings": [],
    }
    page = run(kept.url, "ledger", "verify", "--format", "table").stdout
    assert page == "The ledger adds up: 1 balance, 1 entry, 1 record, 0 live holds, 1 opened window.\n"


def test_findings_are_named_with_exit_1_until_a_rebuild(kept: Scene) -> None:
    change(kept, "UPDATE balance SET spent = 0")
    result = run(kept.url, "ledger", "verify", "--format", "json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding == {
        "code": "balance-spent",
        "subject": "month from 2026-03-01T00:00:00Z",
        "message": "spent is 0 USD, its facts add up to 0.9 USD",
    }
    page = run(kept.url, "ledger", "verify", "--format", "table")
    assert page.exit_code == 1
    assert "The ledger does not add up: 1 finding" in page.stdout
    rebuilt = run(kept.url, "ledger", "rebuild", "--format", "json")
    assert json.loads(rebuilt.stdout) == {"balances": 1, "opened": 0, "seeds": 0, "holds": 0}
    assert run(kept.url, "ledger", "verify").exit_code == 0
    again = run(kept.url, "ledger", "rebuild", "--format", "table")
    assert again.stdout == "Nothing to rebuild: balances and live holds are what the facts say.\n"

"""The program as a test runs it: in this process, and as a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from guardrails.cli.main import cli

POLICY = """\
version: 1
tiers:
  top: [big]
  low: [small]
rules:
  - id: month
    kind: spend_limit
    per: team
    limit: 5 USD
    window: month
    at: {80%: downgrade to low, 100%: deny}
"""
PRICES = """\
version: 1
prices:
  - {model: big, from: 2020-01-01, input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}
  - {model: small, from: 2020-01-01, input_usd_per_mtok: 100, output_usd_per_mtok: 100}
"""
"""A token of `big` costs 0.001 USD, of `small` a tenth of that."""


def folder_with(folder: Path, policy: str = POLICY) -> Path:
    """A policy folder with these rules and prices that are easy to add up."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    (folder / "prices.yaml").write_text(PRICES, encoding="utf-8")
    return folder


def guardrails(*args: str | Path, env: Mapping[str, str] | None = None) -> Result:
    """Run the program in this process; its output is a pipe."""
    # What the environment of the tests says must not decide.
    clean = {"GUARDRAILS_DATABASE": None, "GUARDRAILS_POLICIES": None, **(env or {})}
    return CliRunner().invoke(cli, [str(arg) for arg in args], env=clean)


def answer(*args: str | Path, code: int = 0) -> Any:
    """The JSON that the program printed, and nothing else."""
    result = guardrails(*args)
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def failure(*args: str | Path, code: int) -> str:
    """What the program said on standard error: one or two lines, and nothing on standard output."""
    result = guardrails(*args)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return checked_failure(result.stderr)


def checked_failure(text: str) -> str:
    """One or two lines, printable, no traceback."""
    assert 1 <= len(text.splitlines()) <= 2, text
    assert text.replace("\n", "").isprintable()
    assert "Traceback" not in text
    assert "this is a mistake in guardrails" not in text
    return text


def process(*args: str | Path, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAILS_")}
    return subprocess.run(
        [sys.executable, "-m", "guardrails", *map(str, args)],
        cwd=cwd,
        input=stdin,
        env={**environment, **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )

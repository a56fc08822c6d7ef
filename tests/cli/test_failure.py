"""What went wrong, as an exit code and a line or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from guardrails import GuardrailsError, InvalidCall, InvalidPolicy, LedgerBusy, LedgerNotAtHead, LedgerUnavailable, PolicyUnreadable
from guardrails.cli.failure import answer, exit_code
from guardrails.core.errors import AlreadyResolved, FileUnreadable, GateClosed, RequestConflict, UnknownDecision


def _raising(error: BaseException) -> Callable[[], object]:
    def run() -> object:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidPolicy([]), 1),
        (RequestConflict("r", []), 1),
        (AlreadyResolved("r", "settled"), 1),
        (UnknownDecision("d"), 1),
        (GateClosed(), 1),
        (InvalidCall(["model is empty"]), 2),
        (click.UsageError("no"), 2),
        (click.BadParameter("no"), 2),
        (LedgerUnavailable("gone"), 3),
        (LedgerBusy("busy"), 3),
        (LedgerNotAtHead("url", None, "0001"), 3),
        (PolicyUnreadable("none"), 3),
        (FileUnreadable("none"), 3),
        (FileNotFoundError(2, "No such file", "x.yaml"), 3),
        (click.FileError("x.yaml"), 3),
        (KeyError("x"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def _below(kind: type[GuardrailsError]) -> set[type[GuardrailsError]]:
    return {kind}.union(*(_below(each) for each in kind.__subclasses__()))


def test_no_error_of_ours_is_called_a_mistake_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in _below(GuardrailsError):
        error = kind.__new__(kind)
        Exception.__init__(error, "what happened")
        error.__dict__["problems"] = ("what happened",)
        assert answer(_raising(error)) in {1, 2, 3}
        said = capsys.readouterr().err
        assert "what happened" in said
        assert "please report" not in said


def test_an_interruption_is_130_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(_raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "guardrails: interrupted\n"


def test_the_unforeseen_names_its_place_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(_raising(ZeroDivisionError("by \x1b[31mzero"))) == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"guardrails: unexpected ZeroDivisionError in {Path(__file__).name}:")
    assert first.endswith(r"by \x1b[31mzero")
    assert second == "this is a mistake in guardrails, please report it"


def test_a_long_message_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(_raising(LedgerUnavailable("x" * 10_000))) == 3
    assert len(capsys.readouterr().err) < 1_000

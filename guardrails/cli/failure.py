"""What went wrong as an exit code and one or two lines on standard error, never a traceback.

0: done. 1: the answer is no. 2: wrong usage. 3: could not. 130: interrupted. 141: the reader of a pipe has gone, as shells say it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from guardrails.cli.output import shown
from guardrails.core.errors import FileUnreadable, GuardrailsError, InvalidCall, InvalidPolicy, LedgerError, PolicyUnreadable

NO, USAGE, COULD_NOT, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 130, 141
_MAX_CHARACTERS = 800


def answer(run: Callable[[], object]) -> int:
    """Run a command; its exit code, after anything that went wrong has been said."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character still gets its line
    try:
        returned = run()
    except (click.Abort, KeyboardInterrupt):
        click.echo("guardrails: interrupted", err=True)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place that can turn an error into a line
        for line in lines_of(error):
            click.echo(shown(line)[:_MAX_CHARACTERS], err=True)
        return exit_code(error)
    return returned if isinstance(returned, int) else 0


def exit_code(error: Exception) -> int:
    """What an error means to a script."""
    match error:
        case click.FileError() | LedgerError() | PolicyUnreadable() | FileUnreadable() | OSError():
            return COULD_NOT
        case click.ClickException():
            return error.exit_code
        case InvalidCall():
            return USAGE
        case GuardrailsError():
            return NO
        case _:
            return COULD_NOT


def lines_of(error: Exception) -> list[str]:
    """One or two lines that say what went wrong and what to do."""
    match error:
        case click.UsageError():
            program = "guardrails" if error.ctx is None else error.ctx.command_path
            message = error.format_message()
            if "\n" in message:  # all of the help, where a group was called without a command
                message = "a command is missing"
            return [f"{program}: {message[:1].lower()}{message[1:].rstrip('.')}", f"`{program} --help` shows how it is used"]
        case click.ClickException():
            return [f"guardrails: {error.format_message()}"]
        case InvalidPolicy():
            first, *others = map(str, error.problems)
            more = f"{len(others)} more problem{'s' * (len(others) != 1)}; " if others else ""
            return [f"guardrails: {first}", f"{more}`guardrails policy validate` shows every problem with its line"]
        case GuardrailsError():
            return [f"guardrails: {' '.join(str(error).split())}"]
        case OSError():
            place = "" if error.filename is None else f"{error.filename}: "
            return [f"guardrails: {place}{error.strerror or error}"]
        case _:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return [
                f"guardrails: unexpected {type(error).__name__} in {place}: {error}",
                "this is a mistake in guardrails, please report it",
            ]


def forget_stdout() -> None:
    """Whatever is still buffered goes nowhere, so that closing it at exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

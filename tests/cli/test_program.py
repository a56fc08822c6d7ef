"""The program as a whole: help, global options, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from guardrails.cli.main import COMMANDS, cli
from tests.cli.run import answer, failure, folder_with, guardrails, process


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


EVERY = dict(_commands(cli, ()))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    result = guardrails(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: guardrails")
    assert result.stderr == ""


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_option_has_help(path: tuple[str, ...]) -> None:
    options = [parameter for parameter in EVERY[path].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_help_lists_every_command_with_what_it_does() -> None:
    result = guardrails("--help")
    for name, lazy in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert lazy.summary in result.stdout


def test_version() -> None:
    result = guardrails("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("guardrails 0.")


def test_without_a_command_help_is_shown_and_nothing_is_done() -> None:
    result = guardrails()
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: guardrails")
    assert "guardrails db: a command is missing" in failure("db", code=2)


def test_unknown_command_names_the_nearest() -> None:
    assert "there is no command `polcy`, did you mean `policy`?" in failure("polcy", code=2)
    assert "there is no command `chek`, did you mean `check`?" in failure("db", "chek", code=2)


@pytest.mark.parametrize(
    "args",
    [
        ("decide",),
        ("decide", "--model"),
        ("decide", "--modle", "x"),
        ("decide", "--model", "x", "--format", "xml"),
        ("decide", "--model", "x", "surplus"),
        ("db", "check", "surplus"),
        ("policy", "publish", "policies"),
        ("--nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2_with_a_line_and_where_help_is(args: tuple[str, ...]) -> None:
    assert failure(*args, code=2).splitlines()[1].endswith("--help` shows how it is used")


def test_global_options_come_from_the_environment(tmp_path: Path) -> None:
    folder_with(tmp_path / "rules")
    env = {"GUARDRAILS_POLICIES": str(tmp_path / "rules"), "GUARDRAILS_DATABASE": f"sqlite:///{tmp_path}/env.db"}
    assert guardrails("decide", "--model", "big", "--reserve", env=env).exit_code == 0
    assert (tmp_path / "env.db").exists()
    # An option goes before the environment.
    assert guardrails("--policies", str(tmp_path / "none"), "decide", "--model", "big", env=env).exit_code == 3


def test_a_database_url_in_words_of_its_own_is_refused_without_its_password() -> None:
    said = failure("--database", "postgresql://me:hunter2@host:port/x", "db", "check", code=3)
    assert "is not a database URL" in said
    assert "hunter2" not in said
    assert "mysql" in failure("--database", "mysql://host/x", "db", "check", code=3)


def test_module_and_script_are_the_same_program(tmp_path: Path) -> None:
    script = subprocess.run([Path(sys.executable).with_name("guardrails"), "--version"], capture_output=True, text=True, check=True)
    assert process("--version", cwd=tmp_path).stdout == script.stdout


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "guardrails", "policy", "schema"]
    with os.fdopen(writing, "wb") as gone:
        result = subprocess.run(program, cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (141, "")


def test_a_terminal_without_unicode_gets_its_answer(tmp_path: Path) -> None:
    folder_with(tmp_path / "policies")
    result = process(
        "decide",
        "--model",
        "big",
        "-l",
        "team=köln",
        "--format",
        "table",
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "team=k\\xf6ln" in result.stdout


def test_json_without_unicode_is_json_all_the_same(tmp_path: Path) -> None:
    folder_with(tmp_path / "policies")
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    result = process("decide", "--model", "big", "-l", "team=köln", cwd=tmp_path, env=env)
    assert '"team": "k\\u00f6ln"' in result.stdout


def test_json_is_what_a_pipe_gets(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "policies")
    decision = answer("--policies", folder, "decide", "--model", "big")
    assert decision["verdict"] == "allow"

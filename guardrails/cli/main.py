"""The command line: global options, and the commands by name. What a command does is in its own module."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

import click
from click.core import ParameterSource
from typing_extensions import override

from guardrails.cli.failure import PIPE_CLOSED, USAGE, answer, forget_stdout
from guardrails.cli.lazy import Lazy, LazyGroup
from guardrails.cli.settings import DEFAULT_DATABASE, DEFAULT_POLICIES, Settings

COMMANDS: Mapping[str, Lazy] = MappingProxyType(
    {
        "demo": Lazy("guardrails.cli.demo", "demo", "The whole story in a fresh folder, offline."),
        "init": Lazy("guardrails.cli.init", "init", "A starter policy set with schema and a first test."),
        "policy": Lazy("guardrails.cli.policy", "policy", "Check policies, publish them."),
        "decide": Lazy("guardrails.cli.decide", "decide", "Decide one call and say why."),
        "budgets": Lazy("guardrails.cli.budgets", "budgets", "Every balance: limit, spent, held, left."),
        "audit": Lazy("guardrails.cli.audit", "audit", "Who spent what; what was refused, and why."),
        "import": Lazy("guardrails.cli.imports", "import_", "Past usage from exports and logs."),
        "ledger": Lazy("guardrails.cli.ledger", "ledger", "Prove, rebuild and correct the ledger."),
        "db": Lazy("guardrails.cli.db", "db", "Create, upgrade and check the ledger's tables."),
    }
)


class Guardrails(LazyGroup):
    """The program: whatever goes wrong in it becomes an exit code and a line or two."""

    lazy: ClassVar[Mapping[str, Lazy]] = COMMANDS

    @override
    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and exit with 0 (done), 1 (the answer is no), 2 (wrong usage) or 3 (could not)."""
        run = super().main
        sys.exit(answer(lambda: run(args, prog_name or "guardrails", complete_var, standalone_mode=False, **extra)))

    @override
    def invoke(self, ctx: click.Context) -> object:
        try:
            returned = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # before click makes it a 1, which is an answer
            forget_stdout()
            ctx.exit(PIPE_CLOSED)
        return returned


@click.group(
    "guardrails",
    cls=Guardrails,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--database",
    metavar="URL",
    envvar="GUARDRAILS_DATABASE",
    default=DEFAULT_DATABASE,
    show_default=True,
    show_envvar=True,
    help="The ledger.",
)
@click.option(
    "--policies",
    metavar="PATH",
    envvar="GUARDRAILS_POLICIES",
    default=DEFAULT_POLICIES,
    show_default=True,
    show_envvar=True,
    help="Folder or file of the policy set; without one, commands go by the set that the ledger has.",
)
@click.version_option(package_name="guardrails-budget", prog_name="guardrails", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, database: str, policies: str) -> None:
    """Budgets and cost policy for LLM usage that hold: YAML rules, one SQL ledger, decisions that explain themselves.

    Start with `guardrails demo`.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)
    asked = ctx.get_parameter_source("policies") is not ParameterSource.DEFAULT
    ctx.obj = Settings(database, policies, asked, sys.stdout.isatty())


def main() -> NoReturn:
    """The entry point of the installed program."""
    cli.main()

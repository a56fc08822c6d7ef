"""`guardrails policy`: sets checked before they are in force, and put in force."""

from __future__ import annotations

import click
from rich.console import Console
from rich.text import Text

from guardrails.cli.failure import NO
from guardrails.cli.lazy import Group
from guardrails.cli.output import Format, emit, format_option_with, shown
from guardrails.cli.publishing import publish_policies
from guardrails.cli.settings import Settings
from guardrails.cli.values import LINE
from guardrails.core.instant import rfc3339
from guardrails.policy.folder import PRICES, read_folder
from guardrails.policy.folder import shown as shown_path
from guardrails.policy.load import check_policies
from guardrails.policy.rules import PolicySet
from guardrails.policy.schema import schema_text
from guardrails.pricing.prices_file import read_prices
from guardrails.source.problem import Problem, rendered

_COLUMNS = ("path", "line", "column", "code", "message", "hint")


@click.group(cls=Group)
def policy() -> None:
    """Check policies, publish them."""


@policy.command()
@click.argument("path", required=False)
@format_option_with("table")
@click.pass_context
def validate(ctx: click.Context, path: str | None, format_: Format) -> None:
    """Tell every problem of a policy set at once, with file, line and column; exit 1 where there is one.

    PATH is a folder or a file, else what --policies says. prices.yaml is checked, too.
    """
    settings: Settings = ctx.obj
    place = path or settings.policies
    policies, found = check_policies(place)
    problems = sorted({*found, *_price_problems(place)})
    data = [{name: getattr(problem, name) for name in _COLUMNS} for problem in problems]
    emit(format_, data, table=lambda console: _print(console, place, policies, problems), columns=_COLUMNS)
    if problems:
        ctx.exit(NO)


@policy.command()
def schema() -> None:
    """Print the JSON Schema of the policy language, for editors."""
    click.echo(schema_text(), nl=False)


@policy.command()
@click.argument("path")
@click.option("--by", required=True, type=LINE, help="Who publishes it.")
@click.option("--reason", required=True, type=LINE, help="Why; kept with the set.")
@format_option_with("table")
@click.pass_obj
def publish(settings: Settings, path: str, by: str, reason: str, format_: Format) -> None:
    """Make a policy set the active one of the ledger; every process that decides by it goes over to it with its next booking.

    The set in force already is left as it is, and says by whom and why it came.
    """
    done = publish_policies(settings.database, path, by=by, reason=reason)
    state = "is in force now" if done.changed else "was in force already"
    sentence = f"generation {done.generation}: {path} {state} ({done.policy[:19]}), published by {done.by}: {done.reason}"
    data = {
        "generation": done.generation,
        "changed": done.changed,
        "policy": done.policy,
        "by": done.by,
        "reason": done.reason,
        "at": rfc3339(done.at),
    }
    emit(format_, data, table=lambda console: console.print(Text(shown(sentence)), soft_wrap=True))


def _price_problems(path: str) -> tuple[Problem, ...]:
    folder = read_folder(path)
    text = folder.files.get(PRICES)
    return () if text is None else read_prices(text, shown_path(folder.shown_as, PRICES))[1]


def _print(console: Console, path: str, policies: PolicySet | None, problems: list[Problem]) -> None:
    if policies is not None and not problems:
        files = len(policies.files)
        counts = [_counted(len(policies.rules), "rule"), _counted(len(policies.tiers), "tier")]
        console.print(Text(shown(f"{path} is valid: {', '.join(counts)} in {_counted(files, 'file')}")), soft_wrap=True)
        return
    for problem in problems:
        place, *snippet = rendered(problem).split("\n")
        console.print(Text(shown(place), style="bold"), soft_wrap=True)
        for line in snippet if problem.snippet else ():
            console.print(Text(shown(line), style="dim"), soft_wrap=True)
    files = len({problem.path for problem in problems})
    console.print(Text(f"{_counted(len(problems), 'problem')} in {_counted(files, 'file')}", style="red"))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"

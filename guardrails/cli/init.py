"""`guardrails init`: a policy set to start from."""

from __future__ import annotations

from pathlib import Path

import click

from guardrails.cli.output import shown
from guardrails.cli.sets import copy_set, shipped_sets
from guardrails.source.problem import nearest

_DEFAULT = "startup"


@click.command()
@click.argument("folder", metavar="[DIR]", default="policies")
@click.option(
    "--from", "name", metavar="NAME", default=_DEFAULT, show_default=True, help="The set to start from: startup, departments, agents."
)
def init(folder: str, name: str) -> None:
    """Write a starter policy set into DIR (policies): its files, schema.json for editors, and a first test.

    A folder that holds anything is left alone.
    """
    sets = shipped_sets()
    if name not in sets:
        close = nearest(name, sets)
        hint = "" if close is None else f", did you mean `{close}`?"
        msg = f"there is no set `{name}`{hint or ';'} {'T' if hint else 't'}here are {', '.join(sets)}"
        raise click.BadParameter(msg, param_hint="--from")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        msg = f"{folder} is there and not an empty folder; name another one, nothing was written"
        raise click.UsageError(msg)
    written = copy_set(sets[name], target)
    for path in written:
        click.echo(f"wrote {shown(str(path))}")
    click.echo(f"next: edit the limits, then `guardrails policy validate {shown(folder)}`")

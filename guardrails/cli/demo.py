"""`guardrails demo`: policy, past usage, live decisions, the report, in a fresh folder and offline."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress
from rich.text import Text

from guardrails.cli.audit import audit
from guardrails.cli.budgets import budgets
from guardrails.cli.decision_page import print_short
from guardrails.cli.demo_replay import replay, traced_calls, write_usage
from guardrails.cli.imports import import_
from guardrails.cli.output import console, shown
from guardrails.cli.sets import copy_set, shipped_sets
from guardrails.cli.settings import DEFAULT_DATABASE, DEFAULT_POLICIES, Settings
from guardrails.core import clock
from guardrails.engine.decision import Decision, Verdict
from guardrails.gate.gate import Gate

_FOLDER = "guardrails-demo"
_SET = "departments"
_DEMO_FILE = "demo.yaml"
_DEMO_RULES = """\
# yaml-language-server: $schema=schema.json
#
# Budgets of cents, so that a few hundred calls reach them. The other files have those of a real company.
version: 1

rules:
  - id: demo-team
    kind: spend_limit
    description: What a team may spend on this demo
    per: team
    limit:
      search: 0.45 USD
      ads: 2 USD
      research: 1 USD
    window: month
    at:
      60%: warn
      80%: downgrade to economy
      100%: deny

  - id: demo-interns
    kind: spend_limit
    match: {team: interns}
    limit: 0.01 USD
    window: month
"""


@click.command()
@click.option("--dir", "folder", metavar="DIR", help=f"The folder to make.  [default: {_FOLDER}, or the next one that is free]")
@click.pass_obj
def demo(settings: Settings, folder: str | None) -> None:
    """The whole story in a fresh folder: a policy, real usage, live decisions, the report. Offline, in seconds."""
    target = _fresh(folder)
    target.mkdir(parents=True, exist_ok=True)
    out = console()
    with chdir(target):
        _tell(out, target, Settings(DEFAULT_DATABASE, DEFAULT_POLICIES, asked=True, terminal=settings.terminal))


def write_policies(folder: Path) -> list[Path]:
    """Write a shipped set, and the budgets that the demo reaches; the files, those last."""
    written = copy_set(shipped_sets()[_SET], folder)
    (folder / _DEMO_FILE).write_text(_DEMO_RULES, encoding="utf-8")
    return [*written, folder / _DEMO_FILE]


def _tell(out: Console, folder: Path, settings: Settings) -> None:
    now = clock.now()
    out.print(Text.assemble(("guardrails demo", "bold"), f": budgets and cost policy for LLM usage, in the folder {shown(str(folder))}/"))

    _chapter(out, "1  A policy: budgets and rules in files that are reviewed like code")
    for path in write_policies(Path(DEFAULT_POLICIES)):
        said = "   budgets of cents, so that this demo reaches them:" if path.name == _DEMO_FILE else ""
        out.print(Text.assemble((f"  {path}", "dim"), said))
    out.print(Padding(Text(_DEMO_RULES.split("rules:\n")[1].rstrip(), style="cyan"), (1, 0, 0, 2)))

    _chapter(out, "2  Past usage: what a LiteLLM proxy has logged already counts")
    usage = Path("litellm_spendlogs.jsonl")
    write_usage(usage, now - timedelta(hours=2))
    _run(out, import_, ["litellm", str(usage), "--set", "environment=prod"], settings)

    _chapter(out, "3  Live calls: decided, held at their worst case, settled at what they used")
    _replay(out, settings)

    _chapter(out, "4  The report: the same rows that decided")
    _run(out, audit, ["--by", "team"], settings)

    _chapter(out, "5  The budgets as they stand")
    _run(out, budgets, [], settings)

    _chapter(out, "What to try next")
    for line in _next_steps(folder):
        out.print(Text(f"  {line}"), soft_wrap=True)


def _replay(out: Console, settings: Settings) -> None:
    traced = traced_calls(clock.now())
    first: dict[Verdict, Decision] = {}
    verdicts: Counter[Verdict] = Counter()
    started_s = clock.monotonic_s()
    with Gate.open(settings.policies, settings.database, clock="caller") as gate, _progress(len(traced)) as progress:
        for decision in replay(gate, traced, progress):
            verdicts[decision.verdict] += 1
            first.setdefault(decision.verdict, decision)
    took_s = clock.monotonic_s() - started_s
    minutes = (traced[-1].call.at - traced[0].call.at) / timedelta(minutes=1) if traced[-1].call.at and traced[0].call.at else 0
    out.print(
        f"{len(traced)} requests of an Azure LLM service ({minutes:.0f} minutes of it, real sizes and spacing; who called is made up), "
        f"decided and settled one by one in {took_s:.1f} s:"
    )
    out.print(
        f"{verdicts[Verdict.ALLOW]} allowed as asked for, {verdicts[Verdict.DOWNGRADE]} downgraded to a cheaper model, "
        f"{verdicts[Verdict.DENY]} denied. The first of each, with its reasons:"
    )
    for verdict in (Verdict.ALLOW, Verdict.DOWNGRADE, Verdict.DENY):
        if verdict in first:
            out.print()
            print_short(out, first[verdict])


def _run(out: Console, command: click.Command, args: Sequence[str], settings: Settings) -> None:
    """Run a command as a user would, its line first."""
    out.print(Text(f"$ guardrails {command.name} {' '.join(args)}".rstrip(), style="bold cyan"), soft_wrap=True)
    command.main([*args, "--format", "table"], prog_name=f"guardrails {command.name}", standalone_mode=False, obj=settings)


def _chapter(out: Console, title: str) -> None:
    out.print()
    out.print(Text(title, style="bold"))
    out.print(Text("=" * len(title), style="dim"))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where somebody looks at it."""
    err = console(stderr=True)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("deciding", total=total)
        yield lambda done: bar.update(task, completed=done)


def _fresh(folder: str | None) -> Path:
    """The folder that was named, if nothing is in it, or the first one that is free."""
    if folder is None:
        names = (Path(_FOLDER if number == 1 else f"{_FOLDER}-{number}") for number in count(1))
        return next(path for path in names if not path.exists())
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        msg = f"{folder} is there and not an empty folder; name another one"
        raise click.UsageError(msg)
    return path


def _next_steps(folder: Path) -> Sequence[str]:
    who = "-l team=search -l user=you -l environment=prod"
    return (
        f"cd {shlex.quote(shown(str(folder)))}",
        "guardrails audit log --verdict deny         every refusal, newest first",
        "guardrails audit --by team,model            the same spend, cut another way",
        f"guardrails decide --model gpt-5.2 --input-tokens 2000 {who}",
        "$EDITOR policies/demo.yaml                  change a limit: 1 USD for search, then decide again",
        "guardrails policy validate                  what is wrong with an edit, with line and column",
        "guardrails ledger verify                    every balance, recomputed from its entries",
    )

"""`guardrails audit`: the report, the log of decisions, and one decision with what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import islice

import click

from guardrails.audit.log import Wanted
from guardrails.cli.audit_page import Page, print_page
from guardrails.cli.output import Format, emit, format_option
from guardrails.cli.records_page import print_log, print_story
from guardrails.cli.settings import Settings
from guardrails.core.errors import UnknownDecision
from guardrails.core.instant import parse_instant
from guardrails.core.money import usd_text
from guardrails.core.subject import label_name_problem
from guardrails.core.window import LIFETIME, Period, start_of_day, zone_of
from guardrails.engine.decision import Decision, Verdict
from guardrails.gate.budgets import Budget
from guardrails.gate.gate import Gate
from guardrails.gate.view import View, open_view
from guardrails.ledger.breakdown import COLUMNS, TIMES

_SINCE = click.option("--since", metavar="WHEN", help="From this instant or local date on: 2026-03-01, 2026-03-01T12:00:00Z.")
_UNTIL = click.option("--until", metavar="WHEN", help="Up to this instant or the start of this local date, which are not included.")
_TIMEZONE = click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="IANA zone of dates and of the calendar.")


@click.group(invoke_without_command=True)
@click.option(
    "--by",
    metavar="NAMES",
    default="team,model",
    show_default=True,
    help=f"Labels, and {', '.join((*COLUMNS, *TIMES))}; separated by commas.",
)
@_SINCE
@_UNTIL
@_TIMEZONE
@click.option(
    "--top", metavar="N", type=click.IntRange(0), default=30, show_default=True, help="Rows of the table, 0 for all; json and csv have all."
)
@format_option
@click.pass_context
def audit(ctx: click.Context, by: str, since: str | None, until: str | None, timezone: str, top: int, format_: Format) -> None:
    """Who spent what, what was refused or downgraded, and what that saved.

    Without --since and --until the report is over all that the ledger has. Decisions count at their own instant: a refusal under the
    model that was asked for, a downgrade under the one that ran.
    """
    if ctx.invoked_subcommand is not None:
        return
    settings = ctx.ensure_object(Settings)
    names = _breakdown(by)
    period = _period(since, until, timezone)
    with open_view(settings.database) as view:
        report = view.report(period, names, timezone)
        decided = view.decided_by(period)
        whole = view.report(LIFETIME) if report.first is None else None
        governed = view.has_policy()
    data = {**report.as_json(), "rules": [each.as_json() for each in decided]}
    if format_ == "csv" and not report.rows:
        click.echo(",".join((*names, *report.total.as_json())))
        return
    rows = [{**dict(zip(names, row.values, strict=True)), **row.sums.as_json()} for row in report.rows]
    emit(
        format_,
        data,
        rows=rows,
        table=lambda console: print_page(console, Page(report, decided, _budgets(settings) if governed else None, whole), top=top),
    )


@audit.command()
@_SINCE
@_UNTIL
@_TIMEZONE
@click.option("--verdict", type=click.Choice([each.value for each in Verdict]), help="Only decisions of this verdict.")
@click.option(
    "-l",
    "--label",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    callback=lambda _ctx, _parameter, given: _labels(given),
    help="Only decisions whose subject has this label; `NAME=` for those that lack it. Several must all hold.",
)
@click.option("--rule", metavar="ID", help="Only decisions that this rule refused, downgraded or warned of, in force or in shadow.")
@click.option("--limit", metavar="N", type=click.IntRange(0), default=50, show_default=True, help="How many, 0 for all.")
@format_option
@click.pass_obj
def log(  # noqa: PLR0913, PLR0917 - one argument per option
    settings: Settings,
    since: str | None,
    until: str | None,
    timezone: str,
    verdict: str | None,
    labels: Mapping[str, str],
    rule: str | None,
    limit: int,
    format_: Format,
) -> None:
    """Decisions, newest first."""
    wanted = Wanted(_period(since, until, timezone), None if verdict is None else Verdict(verdict), labels, rule)
    with open_view(settings.database) as view:
        found, more = _some(view, wanted, limit)
    emit(
        format_,
        [_logged(decision) for decision in found],
        rows=[_log_row(decision) for decision in found],
        table=lambda console: print_log(console, found, timezone),
    )
    if more:
        click.echo(f"cut after the newest {limit}; `--limit 0` lists all", err=True)


@audit.command()
@click.argument("decision", metavar="ID")
@_TIMEZONE
@format_option
@click.pass_obj
def show(settings: Settings, decision: str, timezone: str, format_: Format) -> None:
    """One decision in full: the call, every rule with its numbers, the price, and what became of the hold.

    ID is the decision's, or the request id of its caller.
    """
    _checked_zone(timezone)
    with open_view(settings.database) as view:
        story = view.story(decision)
    if story is None:
        raise UnknownDecision(decision)
    emit(format_, story.as_json(), table=lambda console: print_story(console, story, timezone))


def _labels(given: Sequence[str]) -> dict[str, str]:
    """Wanted values by label; empty for labels that must be absent."""
    labels = {}
    for text in given:
        name, equals, value = text.partition("=")
        problem = label_name_problem(name) if equals else f"`{text}` is not NAME=VALUE"
        if problem is not None:
            raise click.BadParameter(problem, param_hint="-l")
        labels[name] = value
    return labels


def _some(view: View, wanted: Wanted, limit: int) -> tuple[list[Decision], bool]:
    """The first decisions, and whether there are more."""
    decisions = view.decisions(wanted)
    found = list(islice(decisions, limit)) if limit else list(decisions)
    return found, next(decisions, None) is not None


def _logged(decision: Decision) -> dict[str, object]:
    return {**decision.as_json(), "subject": dict(decision.call.subject), "rule": decision.rule}


def _log_row(decision: Decision) -> dict[str, object]:
    logged = _logged(decision)
    held = {"held_usd": usd_text(decision.holds.nano_usd), "held_tokens": decision.holds.input_tokens + decision.holds.output_tokens}
    return {
        **{name: logged[name] for name in ("at", "id", "verdict", "requested_model", "model", "subject", "rule")},
        **held,
        "message": logged["message"],
    }


def _budgets(settings: Settings) -> list[Budget]:
    with Gate.open(None, settings.database) as gate:
        return gate.budgets()


def _breakdown(text: str) -> tuple[str, ...]:
    """The names of a breakdown; none in an empty text."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in TIMES and name not in COLUMNS and (problem := label_name_problem(name)) is not None:
            raise click.BadParameter(problem, param_hint="--by")
    if len(set(names)) < len(names):
        msg = f"a name stands twice in `{text}`"
        raise click.BadParameter(msg, param_hint="--by")
    return names


def _period(since: str | None, until: str | None, timezone: str) -> Period:
    _checked_zone(timezone)
    period = Period(_instant("--since", since, timezone), _instant("--until", until, timezone))
    if period.start is not None and period.end is not None and period.start >= period.end:
        msg = f"{until} is not after --since {since}"
        raise click.BadParameter(msg, param_hint="--until")
    return period


def _instant(option: str, text: str | None, timezone: str) -> datetime | None:
    """An instant, or the start of a local date."""
    if text is None:
        return None
    try:
        return start_of_day(date.fromisoformat(text.strip()), timezone)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError as error:
        msg = f"{error}, or a date as 2026-03-10"
        raise click.BadParameter(msg, param_hint=option) from None
    except OverflowError:
        msg = f"`{text}` is beyond the calendar"
        raise click.BadParameter(msg, param_hint=option) from None


def _checked_zone(timezone: str) -> None:
    try:
        zone_of(timezone)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timezone") from None

"""`guardrails decide`: one call decided, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import click

from guardrails.cli.decision_page import print_decision
from guardrails.cli.failure import NO
from guardrails.cli.output import Format, emit, format_option
from guardrails.cli.preview import preview
from guardrails.cli.settings import Settings
from guardrails.cli.values import COUNT, INSTANT, LABEL, SECONDS, UNIT, once_each
from guardrails.core.call import Call
from guardrails.gate.gate import Gate


@click.command()
@click.option("--model", required=True, help="The model asked for.")
@click.option("--input-tokens", type=COUNT, default="0", show_default=True, help="Input tokens, cached input included.")
@click.option("--max-output-tokens", type=COUNT, help="The most that the call may write.  [default: as the policy assumes]")
@click.option("-l", "--label", "subject", type=LABEL, multiple=True, callback=once_each, help="A label of who pays; may be repeated.")
@click.option("--provider", help="The provider that the call goes to.")
@click.option("--operation", default="chat", show_default=True, help="chat, embedding, image, audio, batch, training, …")
@click.option(
    "--unit",
    "units",
    type=UNIT,
    multiple=True,
    callback=once_each,
    help="What is paid otherwise than by token: gpu_hour=2; may be repeated.",
)
@click.option("--service-tier", help="The provider's tier, where it changes the price: flex, priority, batch, …")
@click.option("--providers", metavar="NAME,…", multiple=True, help="Providers that can be reached; only their models are offered instead.")
@click.option("--request-id", help="The caller's own id of the call: the same id again is the same call, held once.")
@click.option(
    "--hold-ttl", "hold_ttl_s", type=SECONDS, help="How long the hold lives: seconds, or `10 minutes`.  [default: as the policy says]"
)
@click.option(
    "--at", type=INSTANT, help="The instant of the decision, 2026-03-10T12:00:00Z; a hold is only made at present.  [default: now]"
)
@click.option("--reserve", is_flag=True, help="Hold it in the ledger and record it; without, nothing is changed.")
@format_option
@click.pass_context
def decide(  # noqa: PLR0913 - every field of a call is an option
    ctx: click.Context,
    *,
    model: str,
    input_tokens: int,
    max_output_tokens: int | None,
    subject: Mapping[str, str],
    provider: str | None,
    operation: str,
    units: Mapping[str, Decimal],
    service_tier: str | None,
    providers: Sequence[str],
    request_id: str | None,
    hold_ttl_s: float | None,
    at: datetime | None,
    reserve: bool,
    format_: Format,
) -> None:
    """Decide one call and say why: exit 0 where it may run, 1 where it is denied.

    Previews by default: nothing is held, recorded, published or created. With --reserve the policy folder becomes the active set of the
    ledger where it differs, and the hold counts until it is settled, released or expired.
    """
    settings: Settings = ctx.obj
    call = Call(
        model=model,
        input_tokens=input_tokens,
        max_output_tokens=max_output_tokens,
        subject=subject,
        provider=provider,
        operation=operation,
        units=units,
        service_tier=service_tier,
        providers=tuple(name.strip() for text in providers for name in text.split(",")) or None,
        request_id=request_id,
        hold_ttl_s=hold_ttl_s,
        at=at,
    )
    if reserve:
        with Gate.open(settings.folder, settings.database) as gate:
            decision = gate.reserve(call)
    else:
        decision = preview(settings, call)
    emit(format_, decision.as_json(), table=lambda console: print_decision(console, decision, reserved=reserve))
    if not decision.allowed:
        ctx.exit(NO)

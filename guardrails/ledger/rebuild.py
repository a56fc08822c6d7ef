"""Caches made anew from facts: live holds from records and what ended them, balances from entries and live holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from guardrails.core.balance import Balance, BalanceRef
from guardrails.core.instant import to_us
from guardrails.db.tables import active, balance, hold_event, live_hold, record
from guardrails.ledger.verify import lost_holds, superfluous_holds, truths, unfounded_holds


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many rows were not as their facts have them.

    Attributes:
        balances: amounts set to what the facts add up to.
        opened: balances that had gone.
        seeds: balances whose start was wrong.
        holds: live holds that had gone, or that should not have been.
    """

    balances: int
    opened: int
    seeds: int
    holds: int

    def as_json(self) -> dict[str, object]:
        """Stable keys."""
        return {"balances": self.balances, "opened": self.opened, "seeds": self.seeds, "holds": self.holds}


def lock_out_bookings(connection: Connection, org: str) -> None:
    """Hold back every booking until the transaction ends: each shares a lock on the active generation."""
    connection.execute(select(active.c.generation).where(active.c.org == org).with_for_update())


def rebuild_holds(connection: Connection, org: str) -> int:
    """Bring live holds to what the facts say: a decision without a fate lives, one with a fate does not."""
    superfluous = [*connection.execute(superfluous_holds(org)).scalars(), *connection.execute(unfounded_holds(org)).scalars()]
    if superfluous:
        connection.execute(
            delete(live_hold).where(live_hold.c.org == org, live_hold.c.id == bindparam("gone")), [{"gone": id_} for id_ in superfluous]
        )
    lost = list(connection.execute(lost_holds(org)).scalars())
    for hold_id in lost:
        extended = select(func.max(hold_event.c.expires_us)).where(hold_event.c.org == org, hold_event.c.hold == hold_id)
        expires_us = connection.execute(select(record.c.expires_us).where(record.c.org == org, record.c.id == hold_id)).scalar_one()
        ends = [at_us for at_us in (expires_us, connection.execute(extended).scalar()) if at_us is not None]
        connection.execute(insert(live_hold).values(org=org, id=hold_id, expires_us=max(ends)))
    return len(superfluous) + len(lost)


def open_again(connection: Connection, org: str, missing: Iterable[BalanceRef]) -> int:
    """Add balances that had gone, with nothing in them yet."""
    rows = [
        {
            "org": org,
            "key": ref.key,
            "rule": ref.rule,
            "fingerprint": ref.fingerprint,
            "era": ref.era,
            "measure": ref.measure.value,
            "scope": json.dumps(dict(ref.scope), ensure_ascii=False),
            "start_us": None if ref.period.start is None else to_us(ref.period.start),
            "end_us": None if ref.period.end is None else to_us(ref.period.end),
            "spent": 0,
            "assumed": 0,
            "held": 0,
            "seed_spent": 0,
            "seed_assumed": 0,
        }
        for ref in missing
    ]
    if rows:
        connection.execute(insert(balance), rows)
    return len(rows)


def set_seeds(connection: Connection, org: str, seeds: Mapping[bytes, Balance]) -> int:
    """Let balances start from what is proven; those without a proven seed start from nothing."""
    rows = connection.execute(select(balance.c.key, balance.c.seed_spent, balance.c.seed_assumed).where(balance.c.org == org))
    wrong = []
    for key, spent, assumed in rows:
        seed = seeds.get(bytes(key), Balance())
        if (spent, assumed) != (seed.spent, seed.assumed):
            wrong.append({"of": bytes(key), "spent_before": seed.spent, "assumed_before": seed.assumed})
    if wrong:
        of = update(balance).where(balance.c.org == org, balance.c.key == bindparam("of"))
        connection.execute(of.values(seed_spent=bindparam("spent_before"), seed_assumed=bindparam("assumed_before")), wrong)
    return len(wrong)


def rebuild_amounts(connection: Connection, org: str) -> int:
    """Set every balance to what its facts add up to."""
    wrong = [
        {"of": truth.key, **{f"proven_{name}": proven for name, _, proven in truth.amounts}}
        for truth in truths(connection, org)
        if any(seen != proven for _, seen, proven in truth.amounts)
    ]
    if wrong:
        of = update(balance).where(balance.c.org == org, balance.c.key == bindparam("of"))
        values: dict[str, Any] = {name: bindparam(f"proven_{name}") for name in ("spent", "assumed", "held")}
        connection.execute(of.values(**values), wrong)
    return len(wrong)

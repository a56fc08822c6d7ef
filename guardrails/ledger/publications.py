"""The active policy set: every set by content, which one is in force since when, by whom and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from guardrails.db.tables import active, policy_set, publication


@dataclass(frozen=True, slots=True)
class Publication:
    """A policy set that became the active one.

    Attributes:
        files: text by path, enough to load the set again.
        eras: rule id to its fingerprint and the generation since which it has been active with it, without a break.
    """

    generation: int
    policy: str
    files: Mapping[str, str]
    eras: Mapping[str, tuple[str, int]]
    by: str
    reason: str
    at_us: int


def active_publication(connection: Connection, org: str) -> Publication | None:
    """The publication in force; None where the ledger has no policy set yet."""
    row = connection.execute(
        select(publication, policy_set.c.files)
        .join(active, (active.c.org == publication.c.org) & (active.c.generation == publication.c.generation))
        .join(policy_set, (policy_set.c.org == publication.c.org) & (policy_set.c.hash == publication.c.policy))
        .where(publication.c.org == org)
    ).one_or_none()
    if row is None:
        return None
    return Publication(row.generation, row.policy, json.loads(row.files), _eras(row.eras), row.by, row.reason, row.at_us)


def lock_publications(connection: Connection, org: str) -> None:
    """Wait for a publication that is under way, also where the ledger has none to lock yet."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"guardrails publication {org}"))))


def publish(  # noqa: PLR0913 - a publication is these facts
    connection: Connection,
    org: str,
    *,
    policy: str,
    files: Mapping[str, str],
    fingerprints: Mapping[str, str],
    prices: str,
    by: str,
    reason: str,
    at_us: int,
) -> int:
    """Make a set the active one, alone against all bookings; the same set again changes nothing.

    Returns:
        The generation in force.
    """
    current_generation = connection.execute(select(active.c.generation).where(active.c.org == org).with_for_update()).scalar()
    current = active_publication(connection, org)
    if current is not None and current.policy == policy:
        return current.generation
    generation = (current_generation or 0) + 1
    eras = {
        rule: (
            fingerprint,
            current.eras[rule][1] if current is not None and current.eras.get(rule, ("", 0))[0] == fingerprint else generation,
        )
        for rule, fingerprint in fingerprints.items()
    }
    known = connection.execute(select(policy_set.c.hash).where(policy_set.c.org == org, policy_set.c.hash == policy)).scalar()
    if known is None:
        connection.execute(
            insert(policy_set).values(org=org, hash=policy, files=json.dumps(dict(files), ensure_ascii=False), added_us=at_us)
        )
    connection.execute(
        insert(publication).values(
            org=org, generation=generation, policy=policy, eras=json.dumps(eras), prices=prices, by=by, reason=reason, at_us=at_us
        )
    )
    if current_generation is None:
        connection.execute(insert(active).values(org=org, generation=generation))
    else:
        connection.execute(update(active).where(active.c.org == org).values(generation=generation))
    return generation


def stored_files(connection: Connection, org: str, policy: str) -> Mapping[str, str] | None:
    """The files of a policy set by its hash; None where the ledger never used it."""
    text = connection.execute(select(policy_set.c.files).where(policy_set.c.org == org, policy_set.c.hash == policy)).scalar()
    return None if text is None else json.loads(text)


def _eras(text: str) -> dict[str, tuple[str, int]]:
    return {rule: (fingerprint, generation) for rule, (fingerprint, generation) in json.loads(text).items()}

import pytest

from guardrails.policy.load import load_files

BASE = {"id": "r", "kind": "spend_limit", "limit": "5 USD", "window": "month", "match": "{team: a}", "per": "user"}
TOP = "tiers: {frontier: [gpt-5.2], economy: [gpt-5-nano]}\n"


def fingerprint(top: str = TOP, **keys: str) -> str:
    written = {**BASE, **{key.rstrip("_"): value for key, value in keys.items()}}
    lines = "\n".join(f"    {key}: {value}" for key, value in written.items())
    return load_files({"a.yaml": f"version: 1\n{top}rules:\n  -\n{lines}\n"}).rules[0].fingerprint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "other"),
        ("limit", "6 USD"),
        ("at", "{50%: warn}"),
        ("mode", "shadow"),
        ("from", "2026-01-01"),
        ("until", "2026-01-01"),
        ("description", "other"),
        ("per", "[user]"),
        ("match", "{team: ' A '}"),
        ("match", "{team: [A]}"),
        ("timezone", "UTC"),
    ],
)
def test_stays_where_an_edit_keeps_the_balance(key: str, value: str) -> None:
    assert fingerprint(**{key: value}) == fingerprint()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("match", "{team: b}"),
        ("match", "{team: {not: a}}"),
        ("match", "{team: [a, b]}"),
        ("match", "{team: 'a*'}"),
        ("match", "{team: {exists: true}}"),
        ("match", "{project: a}"),
        ("match", "{team: a, input_tokens: {over: 5}}"),
        ("except", "[{team: b}]"),
        ("per", "team"),
        ("per", "[user, team]"),
        ("window", "day"),
        ("timezone", "Europe/Berlin"),
    ],
)
def test_changes_with_what_selects_and_buckets(key: str, value: str) -> None:
    assert fingerprint(**{key: value}) != fingerprint()


def test_does_not_depend_on_the_order_in_which_conditions_are_written() -> None:
    assert fingerprint(match="{team: [a, b], project: p}") == fingerprint(match="{project: p, team: [b, a]}")
    assert fingerprint(except_="[{team: a}, {team: b}]") == fingerprint(except_="[{team: b}, {team: a}]")


def test_tells_conditions_apart_whose_texts_run_together() -> None:
    assert fingerprint(match="{team: [a, b]}") != fingerprint(match="{team: 'a, b'}")
    assert fingerprint(match="{team: a, x: b}") != fingerprint(match="{team: a}", except_="[{x: b}]")


def test_depends_on_the_week_start_only_where_weeks_are_counted() -> None:
    sunday = "defaults: {week_starts: sunday}\n"
    assert fingerprint(TOP + sunday) == fingerprint()
    assert fingerprint(TOP + sunday, window="week") != fingerprint(window="week")


@pytest.mark.parametrize("window", ["call", "lifetime"])
def test_depends_on_the_zone_only_where_time_is_cut(window: str) -> None:
    assert fingerprint(window=window, timezone="Asia/Tokyo") == fingerprint(window=window)


def test_depends_on_tiers_only_where_a_condition_names_one() -> None:
    other = "tiers: {frontier: [gpt-5.2, o1], economy: [gpt-5-nano]}\n"
    assert fingerprint(other) == fingerprint()
    assert fingerprint(other, at="{50%: downgrade to economy}") == fingerprint(at="{50%: downgrade to economy}")
    assert fingerprint(other, match="{tier: frontier}") != fingerprint(match="{tier: frontier}")
    # A model that the dearer tier takes is no longer in the cheaper one.
    assert fingerprint(other, match="{tier: economy}") != fingerprint(match="{tier: economy}")
    assert fingerprint(other, except_="[{tier: frontier}]") != fingerprint(except_="[{tier: frontier}]")


def test_is_the_same_on_every_machine() -> None:
    assert fingerprint() == "335b96420dd3bca011d4dc9e878842e1"

"""Policies change in mid-window: what goes on, what starts anew, and from what."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from guardrails import Gate, GuardrailsError, PolicyUnreadable, Usage, Verdict
from tests.gate.scene import T0, USD, Scene, after, amounts, budget, call, limit, pass_time, policy

USED = Usage(input_tokens=1_000, output_tokens=0)


@pytest.mark.parametrize("new", ["2", "50"])
def test_a_new_limit_keeps_what_was_used_and_moves_no_boundary(scene: Scene, new: str) -> None:
    """Acceptance 43."""
    gate = scene.open(policy(limit("5")))
    gate.settle(gate.reserve(call(1_000)), USED)
    gate.reserve(call(2_000))
    before = budget(gate, "month")
    gate = scene.open(policy(limit(new, at="{90%: warn, 100%: deny}", mode="enforce", description="edited")))
    edited = budget(gate, "month")
    assert (edited.spent, edited.held, edited.window) == (before.spent, before.held, before.window)
    assert gate.reserve(call(1_000)).verdict is (Verdict.DENY if new == "2" else Verdict.ALLOW)


def test_a_rule_that_is_new_in_mid_window_starts_from_entries_and_live_holds_of_that_window(scene: Scene) -> None:
    """Acceptance 36."""
    gate = scene.open(policy(limit("500", id="old", window="lifetime")))
    gate.settle(gate.reserve(call(7_000, at=T0 - timedelta(days=20))), Usage(input_tokens=7_000, output_tokens=0))  # in February
    gate.settle(gate.reserve(call(1_000)), USED)
    gate.abandon(gate.reserve(call(500)))
    live = gate.reserve(call(2_000, subject={"team": "ads"}))
    released = gate.reserve(call(2_000))
    gate.release(released, reason="not sent")
    gate = scene.open(policy(limit("500", id="old", window="lifetime") + limit("5") + limit("5", id="teams", per="team")))
    assert amounts(gate) == (USD, USD // 2, 2 * USD)
    assert amounts(gate, "teams", team="ads") == (0, 0, 2 * USD)
    assert amounts(gate, "teams", team="(none)") == (USD, USD // 2, 0)
    # 1 + 0.5 + 2 = 3.5 of 5 USD
    assert gate.reserve(call(1_501)).rules == ("month",)
    gate.settle(live, USED)
    assert amounts(gate) == (2 * USD, USD // 2, 0)
    assert amounts(gate, "teams", team="ads") == (USD, 0, 0)
    assert amounts(gate, "old") == (9 * USD, USD // 2, 0)


@pytest.mark.parametrize("end", ["settle", "release", "abandon", "expire"])
def test_a_hold_from_before_a_rule_ends_right_under_it(scene: Scene, end: str) -> None:
    gate = scene.open(policy(limit("50", id="old")))
    decision = gate.reserve(call(2_000))
    gate = scene.open(policy(limit("5")))
    assert amounts(gate) == (0, 0, 2 * USD)
    gate.reserve(call(1))  # opens the new rule for good
    match end:
        case "settle":
            gate.settle(decision, USED)
        case "release":
            gate.release(decision, reason="not sent")
        case "abandon":
            gate.abandon(decision)
        case _:
            pass_time(gate, after(minutes=11))
    milli = USD // 1_000
    expected = {"settle": (USD, 0, milli), "release": (0, 0, milli), "abandon": (0, 2 * USD, milli), "expire": (0, 2 * USD + milli, 0)}
    assert amounts(gate) == expected[end]


def test_a_hold_settled_before_the_new_rule_looked_is_counted_once(scene: Scene) -> None:
    gate = scene.open(policy(limit("50", id="old")))
    decision = gate.reserve(call(2_000))
    gate = scene.open(policy(limit("5") + limit("50", id="old")))
    gate.settle(decision, USED)
    assert amounts(gate) == (USD, 0, 0)
    gate.settle(decision, Usage(input_tokens=1_500, output_tokens=0))
    assert amounts(gate) == (3 * USD // 2, 0, 0)
    assert amounts(gate, "old") == (3 * USD // 2, 0, 0)


def test_another_fingerprint_starts_anew_from_the_facts_and_its_revert_too(scene: Scene) -> None:
    by_team, by_user = limit("5", per="team"), limit("5", per="user")
    subject = {"team": "ads", "user": "ana"}
    gate = scene.open(policy(by_team))
    gate.settle(gate.reserve(call(1_000, subject=subject)), USED)
    gate = scene.open(policy(by_user))
    assert amounts(gate, user="ana") == (USD, 0, 0)
    live = gate.reserve(call(1_000, subject=subject))
    gate = scene.open(policy(by_team))
    assert amounts(gate, team="ads") == (USD, 0, USD)
    gate.reserve(call(0, subject=subject))
    gate.settle(live, USED)
    assert amounts(gate, team="ads") == (2 * USD, 0, 0)
    gate = scene.open(policy(by_user))
    assert amounts(gate, user="ana") == (2 * USD, 0, 0)


def test_a_rule_removed_and_put_back_knows_what_happened_in_between(scene: Scene) -> None:
    gate = scene.open(policy(limit("9") + limit("9", id="other")))
    early = gate.reserve(call(1_000))
    gate = scene.open(policy(limit("9", id="other")))
    gate.settle(early, USED)
    gate.settle(gate.reserve(call(3_000)), Usage(input_tokens=3_000, output_tokens=0))
    gate = scene.open(policy(limit("9") + limit("9", id="other")))
    assert amounts(gate) == (4 * USD, 0, 0)
    assert gate.reserve(call(5_001)).rules == ("month", "other")


def test_gates_with_different_folders_end_on_one_set(scene: Scene) -> None:
    """Acceptance 46."""
    first = scene.open(policy(limit("5")))
    second = scene.open(policy(limit("1")))
    one, two = first.reserve(call(2_000)), second.reserve(call(2_000))
    assert (one.verdict, two.verdict) == (Verdict.DENY, Verdict.DENY)
    assert one.policy == two.policy
    assert one.generation == two.generation == 2
    assert scene.open().reserve(call(2_000)).policy == two.policy


def test_the_same_folder_again_publishes_nothing(scene: Scene) -> None:
    folder = scene.folder(policy(limit("5")))
    for _ in range(3):
        scene.open(folder)
    assert scene.count("publication") == 1
    (row,) = scene.rows('SELECT "by", reason FROM publication')
    assert all(row.values())


def test_a_decision_and_its_record_name_one_set(scene: Scene) -> None:
    """Acceptance 46."""
    gate = scene.open(policy(limit("5")))
    scene.open(policy(limit("1")))
    decision = gate.reserve(call(2_000))
    (row,) = scene.rows(
        "SELECT r.body, p.policy FROM record r JOIN publication p ON p.org = r.org AND p.generation = r.generation WHERE r.id = :id",
        id=decision.id,
    )
    assert json.loads(row["body"])["policy"] == row["policy"] == decision.policy
    assert decision.reasons[0].limit_units == USD


def test_a_ledger_without_a_set_says_so(scene: Scene) -> None:
    with pytest.raises(PolicyUnreadable, match="policy publish"):
        Gate.open(None, scene.url)


def test_a_folder_that_cannot_be_read_leaves_the_set_in_force(scene: Scene, tmp_path: Path) -> None:
    gate = scene.open(policy(limit("5")))
    broken = scene.folder("version: 1\nrules: [")
    for path in (broken, tmp_path / "nowhere"):
        with pytest.raises(GuardrailsError):
            Gate.open(path, scene.url)
    assert gate.reserve(call(2_000)).generation == 1


# -- windows ----------------------------------------------------------------------------------------------------------


def test_a_window_ends_by_the_calendar_and_nothing_is_reset(scene: Scene) -> None:
    """Acceptance 34. Acceptance 35. Acceptance 37. Acceptance 38."""
    gate = scene.open(policy(limit("5")))
    last = datetime.fromisoformat("2026-03-31T23:59:59.999999+00:00")
    gate.settle(gate.reserve(call(5_000, at=last)), Usage(input_tokens=5_000, output_tokens=0))
    assert gate.reserve(call(1, at=last)).verdict is Verdict.DENY
    april = last + timedelta(microseconds=1)
    assert gate.reserve(call(5_000, at=april)).verdict is Verdict.ALLOW
    assert amounts(gate, at=last) == (5 * USD, 0, 0)
    assert amounts(gate, at=april) == (0, 0, 5 * USD)
    assert gate.reserve(call(1, at=last)).verdict is Verdict.DENY  # going back in time clears nothing
    assert budget(gate, "month", april).window != budget(gate, "month", last).window


def test_a_hold_counts_in_the_window_of_its_admission_to_its_end(scene: Scene) -> None:
    gate = scene.open(policy(limit("5", id="day", window="day")))
    evening = datetime.fromisoformat("2026-03-10T23:58:00+00:00")
    decision = gate.reserve(call(5_000, at=evening))
    tomorrow = evening + timedelta(minutes=5)
    assert gate.reserve(call(5_000, at=tomorrow)).allowed
    gate.settle(decision, Usage(input_tokens=4_000, output_tokens=0))
    assert amounts(gate, "day", at=evening) == (4 * USD, 0, 0)
    assert amounts(gate, "day", at=tomorrow) == (0, 0, 5 * USD)


def test_a_day_of_daylight_saving_is_one_window(scene: Scene) -> None:
    """Acceptance 39."""
    gate = scene.open(policy(limit("5", id="day", window="day", timezone="Europe/Berlin")))
    midnight, next_midnight = (datetime.fromisoformat(f"2026-03-{text}:00:00+00:00") for text in ("28T23", "29T22"))  # 23 hours
    assert gate.reserve(call(5_000, at=midnight)).allowed
    assert not gate.reserve(call(1, at=next_midnight - timedelta(microseconds=1))).allowed
    assert gate.reserve(call(5_000, at=next_midnight)).allowed


# -- one book ---------------------------------------------------------------------------------------------------------


def test_the_numbers_of_a_decision_are_those_of_the_report_and_of_the_rows(scene: Scene) -> None:
    """Acceptance 26. Acceptance 27. Acceptance 28. Acceptance 33."""
    gate = scene.open(policy(limit("5", per="team")))
    ads = {"team": "ads"}
    gate.settle(gate.reserve(call(1_200, subject=ads)), Usage(input_tokens=1_100, output_tokens=0))
    gate.abandon(gate.reserve(call(300, subject=ads)))
    live = [gate.reserve(call(tokens, subject=ads)) for tokens in (800, 700)]
    shown = budget(gate, "month", team="ads")
    reason = gate.reserve(call(4_000, subject=ads)).reasons[0]
    assert (reason.spent_units, reason.assumed_units, reason.held_units) == (shown.spent, shown.assumed, shown.held)
    assert (reason.limit_units, reason.left_units, reason.window) == (shown.limit, shown.left, shown.window)
    entries = scene.entries()
    assert reason.spent_units == sum(row["cost_nano_usd"] or 0 for row in entries) == 1_100 * USD // 1_000
    assert reason.assumed_units == sum(row["assumed_nano_usd"] for row in entries) == 300 * USD // 1_000
    assert reason.held_units == sum(decision.holds.nano_usd for decision in live) == 1_500 * USD // 1_000


def test_each_decision_has_a_record_with_everything_that_made_it(scene: Scene) -> None:
    gate = scene.open(policy(limit("5", per="team") + limit("9", id="quiet", mode="shadow") + limit("9", id="loud", mode="warn")))
    decisions = gate.reserve_many([call(1_000, subject={"team": "ads"}, request_id="r-1"), call(9_000, subject={"team": "ads"})])
    rows = {row["id"]: row for row in scene.rows("SELECT * FROM record")}
    assert set(rows) == {decision.id for decision in decisions}
    for decision in decisions:
        row, body = rows[decision.id], json.loads(rows[decision.id]["body"])
        assert row["verdict"] == decision.verdict.value
        assert row["request"] == decision.call.request_id
        assert body["policy"] == decision.policy
        assert body["call"]["subject"] == {"team": "ads"}
        said = {reason["rule"]: reason for reason in [*body["reasons"], *body.get("shadow", ())]}
        assert set(said) == {"month", "quiet", "loud"}
        assert "quiet" not in {reason.rule for reason in decision.reasons}
        for reason in said.values():
            assert {"limit", "spent", "held", "requested", "window", "effect", "source"} <= set(reason)
    assert scene.rows("SELECT count(*) AS n FROM quote")[0]["n"] == 1

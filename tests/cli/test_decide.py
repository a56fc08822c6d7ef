"""`guardrails decide`: one call, decided and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guardrails import Call, Gate
from tests.cli.run import POLICY, answer, failure, folder_with, guardrails


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, ...]:
    """Global options: a policy folder, and a ledger that is not there yet."""
    return ("--database", f"sqlite:///{tmp_path}/ledger.db", "--policies", str(folder_with(tmp_path / "policies")))


def _decide(place: tuple[str, ...], *args: str, code: int = 0) -> Any:
    return answer(*place, "decide", "--model", "big", *args, code=code)


def test_json_has_the_stable_keys(place: tuple[str, ...], tmp_path: Path) -> None:
    decision = _decide(place, "--input-tokens", "1_000", "--max-output-tokens", "500", "-l", "team=search", "--at", "2026-03-10T12:00:00Z")
    assert {"id", "verdict", "requested_model", "model", "held", "reasons", "policy", "price", "at"} <= decision.keys()
    # 1,000 in and 500 out at 0.001 USD each.
    assert decision["held"] == {"usd": "1.5", "tokens": 1_500}
    assert (decision["verdict"], decision["requested_model"], decision["model"]) == ("allow", "big", "big")
    assert decision["at"] == "2026-03-10T12:00:00Z"
    (reason,) = decision["reasons"]
    assert {"rule": "month", "effect": "allow", "mode": "enforce", "share": None, "limit": "5 USD"}.items() <= reason.items()
    assert {
        "spent": "0 USD",
        "held": "0 USD",
        "requested": "1.5 USD",
        "left": "5 USD",
        "scope": {"team": "search"},
    }.items() <= reason.items()
    assert reason["window"] == {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
    assert reason["source"] == f"{tmp_path}/policies/policy.yaml:6"
    assert reason["message"]


def test_a_preview_leaves_nothing_behind(place: tuple[str, ...], tmp_path: Path) -> None:
    _decide(place)
    assert [path.name for path in tmp_path.iterdir()] == ["policies"]


def test_a_downgrade_is_exit_0_and_a_refusal_exit_1(place: tuple[str, ...]) -> None:
    # 80 % of 5 USD are 4: 4,001 tokens of `big` are above, of `small` they cost 0.40.
    assert _decide(place, "--input-tokens", "4_001", "--max-output-tokens", "0")["model"] == "small"
    # 50,001 tokens of `small` are 5.0001 USD.
    denied = _decide(place, "--input-tokens", "50_001", "--max-output-tokens", "0", code=1)
    assert (denied["verdict"], denied["model"]) == ("deny", None)
    assert {reason["effect"] for reason in denied["reasons"]} >= {"deny"}


def test_every_field_of_a_call_is_an_option(tmp_path: Path) -> None:
    place = ("--database", f"sqlite:///{tmp_path}/ledger.db", "--policies", str(folder_with(tmp_path / "policies")))
    (tmp_path / "policies" / "prices.yaml").write_text(
        "version: 1\nprices: [{model: big, provider: own, from: 2020-01-01, usd_per_unit: {gpu_hour: 0.5}}]\n", encoding="utf-8"
    )
    call = ["--provider", "own", "--operation", "training", "--unit", "gpu_hour=2.5", "--max-output-tokens", "0", "--service-tier", "flex"]
    more = ["--providers", "own,openai", "--providers", "azure", "--request-id", "r1", "--hold-ttl", "90", "-l", "team=a", "-l", "user=b"]
    decision = _decide(place, *call, *more, "--reserve")
    assert decision["held"]["usd"] == "1.25"  # 2.5 hours at 0.50 USD
    with Gate.open(None, place[1]) as gate:
        same = Call(
            model="big",
            max_output_tokens=0,
            provider="own",
            operation="training",
            units={"gpu_hour": 2},
            service_tier="flex",
            providers=("own", "openai", "azure"),
            request_id="r1",
            hold_ttl_s=90,
            subject={"team": "a", "user": "b"},
        )
        with pytest.raises(Exception, match=r"differs in `units`;"):
            gate.reserve(same)
    said = failure(*place, "decide", "--model", "big", "--request-id", "r1", "--reserve", code=1)
    assert "request id `r1` was used before" in said


def test_reserve_holds_and_the_next_decision_sees_it(place: tuple[str, ...]) -> None:
    held = _decide(place, "--input-tokens", "3_000", "--max-output-tokens", "0", "--reserve")
    assert held["held"]["usd"] == "3"
    (reason,) = _decide(place, "--input-tokens", "1_000", "--max-output-tokens", "0")["reasons"]
    assert (reason["held"], reason["left"]) == ("3 USD", "2 USD")


def test_a_preview_decides_by_the_folder_and_does_not_publish_it(place: tuple[str, ...], tmp_path: Path) -> None:
    _decide(place, "--input-tokens", "3_000", "--max-output-tokens", "0", "--reserve")
    edited = folder_with(tmp_path / "edited", POLICY.replace("5 USD", "3.5 USD"))
    elsewhere = (*place[:2], "--policies", str(edited))
    # 3 USD held and 1 more are above 3.5; what is left of the 5 USD of the active set would do for `small`.
    seen = _decide(elsewhere, "--input-tokens", "1_000", "--max-output-tokens", "0")
    assert (seen["verdict"], seen["reasons"][0]["limit"], seen["reasons"][0]["held"]) == ("downgrade", "3.5 USD", "3 USD")
    assert "generation 1" in guardrails(*place, "policy", "publish", place[3], "--by", "a", "--reason", "b", "--format", "table").stdout


def test_a_rule_that_is_new_counts_from_the_ledger_in_a_preview(place: tuple[str, ...], tmp_path: Path) -> None:
    _decide(place, "--input-tokens", "3_000", "--max-output-tokens", "0", "--reserve")
    rule = "  - {id: year, kind: spend_limit, limit: 3 USD, window: year}\n"
    edited = folder_with(tmp_path / "edited", POLICY + rule)
    seen = _decide((*place[:2], "--policies", str(edited)), "--max-output-tokens", "10", code=1)
    assert {reason["rule"]: reason["held"] for reason in seen["reasons"]} == {"year": "3 USD", "month": "3 USD"}


def test_without_a_folder_the_set_of_the_ledger_decides(place: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _decide(place, "--reserve")
    monkeypatch.chdir(tmp_path / "policies")
    decision = answer(*place[:2], "decide", "--model", "big")
    assert decision["reasons"][0]["source"] == "policies/policy.yaml:6"


def test_without_folder_and_ledger_it_says_how_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "guardrails init" in failure("decide", "--model", "big", code=3)
    assert list(tmp_path.iterdir()) == []


def test_at_pins_a_preview_and_cannot_move_a_hold(place: tuple[str, ...]) -> None:
    assert _decide(place, "--at", "2031-01-01T00:00:00+01:00")["at"] == "2030-12-31T23:00:00Z"
    assert "five minutes" in failure(*place, "decide", "--model", "big", "--at", "2031-01-01T00:00:00Z", "--reserve", code=1)


def test_the_table_explains(place: tuple[str, ...]) -> None:
    args = ("-l", "team=search", "--input-tokens", "4001", "--max-output-tokens", "0", "--at", "2026-03-10T12:00:00Z", "--format", "table")
    text = guardrails(*place, "decide", "--model", "big", *args).stdout
    assert text.startswith("DOWNGRADE  big → small\n")
    for part in (
        "team=search",
        "0.4001 USD, 4,001 tokens",
        "prices.yaml small 2020-01-01",
        "policy.yaml:6",
        "5.00 USD left",
        "80 % with this call",
    ):
        assert part in text
    assert "above 80 % low is used" in " ".join(text.split())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--input-tokens", "many"), "`many` is not a number"),
        (("--input-tokens", "-1"), "`-1` is negative"),
        (("-l", "team"), "`team` is not written as name=value"),
        (("-l", "team=a", "-l", "team=b"), "`team` is given twice"),
        (("-l", "model=x"), "label `model` has the name of a call attribute"),
        (("-l", "team=default"), "which the policy language keeps for itself"),
        (("--unit", "gpu_hour=lots"), "`lots` is not a number"),
        (("--at", "yesterday"), "`yesterday` is not an instant"),
        (("--at", "2026-03-10T12:00:00"), "has no time zone"),
        (("--hold-ttl", "soon"), "is not a duration such as"),
        (("--hold-ttl", "0"), "hold_ttl_s must be more than 0"),
        (("--operation", ""), "operation is empty"),
        (("--request-id", "a\nb"), "has a control character"),
    ],
)
def test_what_cannot_be_a_call_is_wrong_usage(place: tuple[str, ...], args: tuple[str, ...], said: str) -> None:
    assert said in failure(*place, "decide", "--model", "big", *args, code=2)


def test_a_label_cannot_draw_on_the_terminal(place: tuple[str, ...]) -> None:
    hostile = "team=\u202esearch\t\nx"
    for format_ in ("table", "csv", "json"):
        result = guardrails(*place, "decide", "--model", "big", "-l", hostile, "--format", format_)
        assert result.exit_code == 0
        assert "\u202e" not in result.stdout
        assert "\\u202e" in result.stdout

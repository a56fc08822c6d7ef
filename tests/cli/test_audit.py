"""`guardrails audit`, `audit log` and `audit show`, as finance and operations use them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from guardrails import Usage
from guardrails.cli.main import cli
from tests.gate.scene import Scene, after, call, limit, policy
from tests.ledger.hand import NOON, USD, writing

RULES = policy(limit("5", per="team", at="{50%: downgrade to low, 100%: deny}"))


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--database", url, *arguments])


def told(url: str, *arguments: str) -> Any:
    result = run(url, *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def spent(sqlite_url: str) -> str:
    """Three days of two teams, worked out by hand."""
    with writing(sqlite_url) as hand:
        hand.entry(NOON, 3 * USD, {"team": "search"}, model="big", input_tokens=1_000)
        hand.entry(NOON + timedelta(days=1), USD, {"team": "ads"}, model="big", output_tokens=5)
        hand.entry(NOON + timedelta(days=2), USD // 2, {}, model="small", marks="overrun")
        hand.entry(NOON + timedelta(days=2), None, {"team": "ads"}, model="small", assumed_nano_usd=USD)
        hand.decision(NOON, "allow", {"team": "search"}, asked="big", ran="big")
        hand.decision(NOON, "deny", {"team": "ads"}, asked="big", saved_nano_usd=2 * USD, rule="month")
    return sqlite_url


@pytest.fixture
def decided(sqlite_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path]) -> str:
    scene = Scene(sqlite_url, policy_folder)
    gate = scene.open(RULES)
    first = gate.reserve(call(at=after(), subject={"team": "search"}, request_id="first"))
    gate.settle(first, Usage(input_tokens=900, output_tokens=0))
    gate.reserve(call(2_000, at=after(minutes=1), subject={"team": "search"}))
    gate.reserve(call(90_000, at=after(minutes=2), subject={"team": "ads"}))
    scene.close()
    return sqlite_url


def test_the_report_has_the_keys_of_the_contract(spent: str) -> None:
    report = told(spent, "audit", "--by", "team")
    sums = {"cost_usd", "entries", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "assumed_usd"}
    sums |= {"unpriced", "allowed", "denied", "downgraded", "saved_usd"}
    assert {"since", "until", "by", "total", "rows"} <= report.keys()
    assert sums <= report["total"].keys()
    assert all({"team", *sums} <= row.keys() for row in report["rows"])
    assert [(row["team"], row["cost_usd"]) for row in report["rows"]] == [("search", "3"), ("ads", "1"), (None, "0.5")]
    assert report["total"]["cost_usd"] == "4.5"
    assert report["rules"] == [{"rule": "month", "denied": 1, "downgraded": 0, "saved_usd": "2", "saved_unknown": 0}]


@pytest.mark.parametrize("by", ["", "team", "team,model", "model,day", "hour", "week,month,provider,tier"])
def test_every_breakdown_has_the_same_total(spent: str, by: str) -> None:
    """Acceptance 79, 81."""
    report = told(spent, "audit", "--by", by)
    assert report["total"] == told(spent, "audit")["total"]
    assert sum(row["entries"] for row in report["rows"]) == report["total"]["entries"] == 4


def test_dates_are_those_of_the_time_zone_and_until_is_not_included(spent: str) -> None:
    """Acceptance 41. NOON is 17:45 in Kathmandu, where 12 March begins at 18:15 UTC of the 11th."""
    report = told(spent, "audit", "--since", "2026-03-10", "--until", "2026-03-12", "--timezone", "Asia/Kathmandu", "--by", "day")
    assert (report["since"], report["until"], report["timezone"]) == ("2026-03-09T18:15:00Z", "2026-03-11T18:15:00Z", "Asia/Kathmandu")
    assert [(row["day"], row["cost_usd"]) for row in report["rows"]] == [("2026-03-10", "3"), ("2026-03-11", "1")]
    exactly = told(spent, "audit", "--since", "2026-03-10T13:00:00+01:00", "--until", "2026-03-11T12:00:00Z")
    assert exactly["total"]["cost_usd"] == "3"


def test_csv_has_a_header_and_all_rows_whatever_the_table_would_cut(spent: str) -> None:
    result = run(spent, "audit", "--by", "team", "--top", "1", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["team"], row["cost_usd"], row["unpriced"]) for row in rows] == [("search", "3", "0"), ("ads", "1", "1"), ("", "0.5", "0")]
    nothing = run(spent, "audit", "--by", "team", "--since", "2027-01-01", "--format", "csv")
    assert nothing.stdout.startswith("team,cost_usd,entries,")


def test_the_page_answers_what_was_spent_what_was_saved_and_what_to_mind(spent: str) -> None:
    page = run(spent, "audit", "--by", "team", "--format", "table").stdout
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert lines[:2] == ["Spend by team", "all that the ledger has: 2026-03-10 12:00 to 2026-03-12 12:00 UTC"]
    # Shares of 4.50 USD: 67 %, 22 %, 11 %.
    assert [line.replace("█", "").replace("▋", "").replace("▍", "").split() for line in lines[4:8]] == [
        ["search", "3.0000", "67", "%", "0", "1,000", "0", "0", "0"],
        ["ads", "1.0000", "22", "%", "1.0000", "5", "1", "0", "2.0000"],
        ["(none)", "0.5000", "11", "%", "0", "0", "0", "0", "0"],
        ["total", "4.5000", "1.0000", "1,005", "1", "0", "2.0000"],
    ]
    assert "month 1 0 2.0000" in lines
    assert "1 entry without a known cost, which the costs leave out" in lines
    assert "1 entry used more than was held (overrun)" in lines
    assert "0.5000 USD in 1 entry without a label of this breakdown" in lines


def test_rows_that_the_table_cuts_are_said_and_added_up(spent: str) -> None:
    page = run(spent, "audit", "--by", "team", "--top", "1", "--format", "table").stdout
    (rest,) = [line.split() for line in page.splitlines() if "… 2 more" in line]
    assert rest[3] == "1.5000"


def test_the_real_boundaries_are_printed_with_their_zone(spent: str) -> None:
    """Acceptance 41."""
    page = run(spent, "audit", "--since", "2026-03-10", "--until", "2026-04-01", "--timezone", "Europe/Berlin", "--format", "table").stdout
    assert "from 2026-03-10 00:00 up to, not including, 2026-04-01 00:00 Europe/Berlin" in page


def test_an_empty_ledger_gets_a_sentence(sqlite_url: str) -> None:
    assert run(sqlite_url, "audit", "--format", "table").stdout.startswith("The ledger is empty")


def test_an_empty_stretch_says_what_the_ledger_has(spent: str) -> None:
    page = run(spent, "audit", "--since", "2027-01-01", "--format", "table").stdout
    assert page.splitlines() == [
        "Nothing was booked or decided: from 2027-01-01 00:00 UTC on.",
        "The ledger has facts from 2026-03-10 12:00 to 2026-03-12 12:00 UTC.",
    ]


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = run(f"sqlite:///{tmp_path}/none.db", "audit")
    assert result.exit_code == 3
    assert "there is no ledger at" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "team,team"), "a name stands twice"),
        (("--by", "input_tokens"), "`input_tokens` has the name of a call attribute"),
        (("--since", "yesterday"), "`yesterday` is not an instant"),
        (("--since", "2026-03-01T12:00:00"), "has no time zone"),
        (("--timezone", "Mars/Base"), "`Mars/Base` is not an IANA time zone"),
        (("--since", "2026-03-02", "--until", "2026-03-02"), "is not after --since"),
    ],
)
def test_wrong_usage_is_said_in_a_line_with_exit_2(spent: str, arguments: tuple[str, ...], said: str) -> None:
    result = run(spent, "audit", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_the_log_lists_decisions_newest_first_and_says_when_it_was_cut(decided: str) -> None:
    result = run(decided, "audit", "log", "--limit", "2", "--format", "json")
    assert [(each["verdict"], each["rule"], each["subject"]) for each in json.loads(result.stdout)] == [
        ("deny", "month", {"team": "ads"}),
        ("downgrade", "month", {"team": "search"}),
    ]
    assert result.stderr == "cut after the newest 2; `--limit 0` lists all\n"
    assert len(told(decided, "audit", "log", "--limit", "3")) == 3
    assert [each["model"] for each in told(decided, "audit", "log", "-l", "team=SEARCH", "--verdict", "allow")] == ["big"]


def test_the_log_for_people_has_a_line_each(decided: str) -> None:
    page = run(decided, "audit", "log", "--format", "table").stdout
    assert "2026-03-10 12:02:00" in page
    assert "team=ads" in page
    assert run(decided, "audit", "log", "--rule", "none", "--format", "table").stdout == "No such decisions.\n"


def test_a_decision_is_shown_in_full_by_its_id_and_by_its_request(decided: str) -> None:
    shown = told(decided, "audit", "show", "first")
    assert shown == told(decided, "audit", "show", shown["id"])
    assert (shown["verdict"], shown["outcome"], shown["entries"][0]["cost_usd"]) == ("allow", "settled", "0.9")
    assert {"shadow", "call", "entries", "events", "record"} <= shown.keys()
    page = run(decided, "audit", "show", "first", "--timezone", "Europe/Berlin", "--format", "table").stdout
    assert "2026-03-10 13:00 Europe/Berlin" in page
    assert "settled in 1 entry" in page
    assert "2026-03-01 01:00 to 2026-04-01 02:00 Europe/Berlin" in page


def test_an_unknown_decision_is_a_no(decided: str) -> None:
    result = run(decided, "audit", "show", "d-0")
    assert (result.exit_code, result.stderr) == (1, "guardrails: the ledger has no decision `d-0`\n")

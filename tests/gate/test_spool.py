"""What holds while the ledger cannot be reached: `unavailable: deny` refuses, `allow` decides unchecked and books once afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from guardrails import (
    AlreadyResolved,
    Call,
    Decision,
    Gate,
    GuardrailsError,
    LedgerError,
    LedgerUnavailable,
    RequestConflict,
    Usage,
    Verdict,
)
from guardrails.audit.replay import replay
from guardrails.core import clock
from guardrails.core.instant import to_us
from guardrails.gate.spool import Spool, spool_path
from guardrails.pricing.price import quote_from_text
from tests.gate import spool_workers
from tests.gate.outage import CutLine, LockedFile, Outage
from tests.gate.scene import T0, USD, Scene, after, amounts, call, limit, policy

ALLOW = policy(limit("5"), defaults="{unavailable: allow}")
THOUSAND = Usage(input_tokens=1_000, output_tokens=0)


class Away(Scene):
    """A scene whose Gates reach the ledger over something that fails."""

    def __init__(self, direct_url: str, outage: Outage, write: Callable[[str | Mapping[str, str]], Path]) -> None:
        super().__init__(outage.url, write)
        self._direct_url = direct_url
        self.outage = outage

    @property
    def spool(self) -> Path:
        path = spool_path(self.outage.url, "default", "default")
        assert path is not None
        return path

    def events(self) -> list[dict[str, Any]]:
        """What the spool says, line by line."""
        return [json.loads(line.partition(b" ")[2]) for line in self.spool.read_bytes().splitlines()]

    @override
    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        self.url, url = self._direct_url, self.url
        try:
            return super().rows(query, **values)
        finally:
            self.url = url

    @override
    def prove(self) -> None:
        self.url = self._direct_url
        super().prove()

    def run(self, worker: str, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A process of tests/gate/spool_workers.py."""
        command = [sys.executable, spool_workers.__file__, worker, *arguments]
        root = str(Path(__file__).parents[2])
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root, **(env or {})})


@pytest.fixture
def away(
    database_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Away]:
    """A ledger that can be taken away; the test runs once on each database, and what it leaves must add up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    outage = LockedFile(database_url) if database_url.startswith("sqlite") else CutLine(database_url)
    scene = Away(database_url, outage, policy_folder)
    try:
        yield scene
    finally:
        outage.end()
        scene.close()
        outage.close()
    scene.prove()


def back(away: Away, gate: Gate) -> None:
    """The outage ends, and everything spooled is booked."""
    away.outage.end()
    drained = gate.drain_spool()
    assert drained.refused == ()
    assert away.spool.stat().st_size == 0


def test_a_call_runs_unchecked_and_is_booked_when_the_ledger_is_back(away: Away) -> None:
    gate = away.open(ALLOW)
    gate.settle(gate.reserve(call(3_000)), Usage(input_tokens=3_000, output_tokens=0))
    away.outage.begin()
    decision = gate.reserve(call(4_000))
    # 3 spent of 5 USD: with its balance at hand the rule would have refused 4 more
    assert (decision.verdict, decision.model, decision.unchecked) == (Verdict.ALLOW, "big", True)
    assert decision.as_json()["unchecked"] is True
    assert [(reason.rule, reason.effect, reason.limit_units) for reason in decision.reasons] == [
        ("defaults.unavailable", "allow", None),
        ("month", "allow", None),
    ]
    (event,) = away.events()
    assert (event["kind"], event["decision"], event["clock"]) == ("reserved", decision.id, "caller")
    away.outage.end()
    # The circuit is still open for this Gate; another one books at once.
    other = away.open()
    assert amounts(other) == (3 * USD, 0, 4 * USD)
    record = away.rows("SELECT * FROM record WHERE id = :id", id=decision.id)[0]
    body = json.loads(record["body"])
    assert (body["unchecked"], body["clock"], record["verdict"]) == (True, "caller", "allow")
    assert other.reserve(call(1)).verdict is Verdict.DENY
    other.settle(decision, Usage(input_tokens=1_500, output_tokens=0))
    assert amounts(other) == (4_500_000_000, 0, 0)
    assert [entry["marks"] for entry in away.entries(decision)] == ["unchecked"]
    assert other.reserve(call(500)).verdict is Verdict.ALLOW


def test_the_next_operation_books_what_was_spooled(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    gate.settle(gate.reserve(call(2_000)), Usage(input_tokens=2_000, output_tokens=0))
    away.outage.end()
    # A look at the budgets has no answer but the ledger's, and so tries it at once.
    assert amounts(gate) == (2 * USD, 0, 0)
    assert away.spool.stat().st_size == 0
    assert not gate.reserve(call(10)).unchecked


def test_settle_release_and_the_end_of_an_admission_are_kept_while_the_ledger_is_away(away: Away) -> None:
    gate = away.open(ALLOW)
    settled, released, unseen, late = (gate.reserve(call(1_000)) for _ in range(4))
    away.outage.begin()
    settlement = gate.settle(settled, Usage(input_tokens=700, output_tokens=0))
    assert (settlement.cost_nano_usd, settlement.marks) == (700_000_000, ("spooled",))
    gate.release(released, "not sent")
    gate.abandon(unseen)
    assert gate.extend(late, 3_600) == after(hours=1)
    spooled = gate.reserve_many([call(100), call(200), call(300), call(400)])
    gate.settle(spooled[0], Usage(input_tokens=100, output_tokens=0))
    gate.release(spooled[1], "not sent")
    gate.abandon(spooled[2])
    with pytest.raises(AlreadyResolved):
        gate.release(spooled[0], "too late")
    back(away, gate)
    # spent 0.7 + 0.1, assumed 1 + 0.3 (ends that nobody saw), held 1 (extended) + 0.4
    assert amounts(gate) == (800_000_000, 1_300_000_000, 1_400_000_000)
    marks = {entry["decision"]: entry["marks"] for entry in away.entries()}
    assert marks == {settled.id: None, unseen.id: "assumed,unseen", spooled[0].id: "unchecked", spooled[2].id: "assumed,unseen"}
    (hold,) = away.rows("SELECT expires_us FROM live_hold WHERE id = :id", id=late.id)
    assert hold["expires_us"] == to_us(after(hours=1))


def test_a_settlement_by_id_alone_is_kept(away: Away) -> None:
    gate = away.open(ALLOW)
    held = gate.reserve(call(1_000))
    away.outage.begin()
    spooled = gate.reserve(call(500))
    assert gate.settle(held.id, THOUSAND).cost_nano_usd is None
    assert gate.settle(spooled.id, Usage(input_tokens=500, output_tokens=0)).cost_nano_usd == 500_000_000
    back(away, gate)
    assert amounts(gate) == (1_500_000_000, 0, 0)
    assert [entry["marks"] for entry in away.entries(spooled)] == ["unchecked"]


def test_an_admission_goes_on_without_the_ledger(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    with gate.admit(call(1_000)) as admission:
        assert admission.model == "big"
        admission.settle(THOUSAND)
    with gate.admit(call(1_000)):
        pass
    back(away, gate)
    assert amounts(gate) == (USD, USD, 0)


async def _asynchronous(gate: Gate) -> Decision:
    one, other = await gate.areserve_many([call(1_000), call(2_000)])
    await gate.asettle(one, THOUSAND)
    async with gate.admit(call(500)) as admission:
        await admission.arelease("not sent")
    return other


def test_tasks_go_on_without_the_ledger(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    other = asyncio.run(_asynchronous(gate))
    assert other.unchecked
    back(away, gate)
    assert amounts(gate) == (USD, 0, 2 * USD)


def test_deny_refuses_and_spools_nothing(away: Away) -> None:
    gate = away.open(policy(limit("5")))
    held = gate.reserve(call(1_000))
    away.outage.begin()
    for refused in (
        lambda: gate.reserve(call(1)),
        lambda: gate.settle(held, THOUSAND),
        lambda: gate.release(held, "not sent"),
        lambda: gate.preview(call(1)),
    ):
        with pytest.raises(LedgerError) as error:
            refused()
        assert error.value.retryable
    assert not away.spool.exists()
    away.outage.end()
    gate.settle(held, THOUSAND)
    assert amounts(gate) == (USD, 0, 0)


def test_rules_that_need_no_balance_decide_all_the_same(away: Away) -> None:
    gate = away.open(
        "version: 1\ntiers: {top: [big], low: [small]}\nlabels: {team: {required: true}}\ndefaults: {unavailable: allow}\nrules:\n"
        "  - {id: interns, kind: tier_restriction, match: {team: interns}, allow: [low], otherwise: downgrade to low}\n"
        "  - {id: size, kind: token_cap, limit: 2_000 input tokens, window: call}\n"
        "  - {id: nothing, kind: spend_limit, match: {team: closed}, limit: 0 USD, window: day}\n"
        "  - {id: rate, kind: request_cap, per: team, limit: 1 requests, window: day}\n"
        "  - {id: at-once, kind: concurrency_cap, limit: 1 concurrent}\n"
    )
    away.outage.begin()

    def decided(tokens: int, **facts: Any) -> tuple[str, str | None, tuple[str, ...]]:
        decision = gate.reserve(call(tokens, **facts))
        assert decision.unchecked
        return decision.verdict.value, decision.model, decision.rules

    assert decided(1_000) == ("deny", None, ("labels.team",))
    assert decided(1_000, subject={"team": "interns"}) == ("downgrade", "small", ("interns",))
    assert decided(2_001, subject={"team": "search"}) == ("deny", None, ("size",))
    assert decided(1_000, subject={"team": "closed"}) == ("deny", None, ("nothing",))
    assert decided(1_000, subject={"team": "search"}, model="no-such-model") == ("allow", "no-such-model", ())
    assert [decided(1_000, subject={"team": "search"})[0] for _ in range(3)] == ["allow"] * 3
    assert decided(0, subject={"team": "closed"}, model="gratis")[0] == "allow"
    back(away, gate)
    assert away.count("record") == 9
    assert away.count("live_hold") == 6  # 9 less the three refusals


def test_an_unmatched_call_is_one_that_no_rule_matches_not_one_that_none_could_check(away: Away) -> None:
    gate = away.open(policy(limit("5", match="{team: search}"), defaults="{unavailable: allow, unmatched: deny, unknown_price: deny}"))
    away.outage.begin()
    assert gate.reserve(call(1, subject={"team": "search"})).verdict is Verdict.ALLOW
    assert gate.reserve(call(1)).rules == ("defaults.unmatched",)
    assert gate.reserve(call(1, subject={"team": "search"}, model="no-such-model")).rules == ("month",)


def test_a_preview_without_the_ledger_leaves_nothing_behind(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    assert gate.preview(call(1_000)).unchecked
    assert not away.spool.exists() or away.spool.stat().st_size == 0


def test_a_request_id_is_one_decision_before_in_and_after_an_outage(away: Away) -> None:
    gate = away.open(ALLOW)
    before = gate.reserve(call(1_000, request_id="before"))
    away.outage.begin()
    assert gate.reserve(call(1_000, request_id="before")).id == before.id
    first = gate.reserve(call(500, request_id="in"))
    assert gate.reserve(call(500, request_id="in")) == first
    assert away.open(ALLOW).reserve(call(500, request_id="in")) == first
    with pytest.raises(RequestConflict, match="input_tokens"):
        gate.reserve(call(501, request_id="in"))
    with pytest.raises(RequestConflict):
        gate.reserve_many([call(9), call(7, request_id="new"), call(8, request_id="new")])
    done = gate.reserve(call(200, request_id="done"))
    gate.settle(done, Usage(input_tokens=200, output_tokens=0))
    gate.settle(done, Usage(input_tokens=200, output_tokens=0))
    with pytest.raises(AlreadyResolved):
        gate.reserve(call(200, request_id="done"))
    back(away, gate)
    assert amounts(gate) == (200_000_000, 0, 1_500_000_000)
    assert gate.reserve(call(500, request_id="in")) == first
    with pytest.raises(AlreadyResolved):
        gate.reserve(call(200, request_id="done"))
    assert (away.count("record"), len(away.entries())) == (3, 1)


def test_a_call_under_an_id_that_the_ledger_has_for_another_call_is_booked_apart(away: Away) -> None:
    gate = away.open(ALLOW)
    gate.settle(gate.reserve(call(1_000, request_id="used")), THOUSAND)
    assert gate.reserve(call(6_000, request_id="refused")).verdict is Verdict.DENY
    away.outage.begin()
    used = gate.reserve(call(2_000, request_id="used"))
    gate.settle(used, Usage(input_tokens=2_000, output_tokens=0))
    assert gate.reserve(call(6_000, request_id="refused")).verdict is Verdict.ALLOW
    back(away, gate)
    # 1 of before, 2 under an id of its own; 6 held although the same call was refused before the outage
    assert amounts(gate) == (3 * USD, 0, 6 * USD)
    assert away.count("record") == 4


def test_an_outage_is_found_once_and_then_left_alone(
    postgres_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path], tmp_path: Path
) -> None:
    line = CutLine(postgres_url)
    scene = Scene(line.url, policy_folder)
    with Gate.open(scene.folder(ALLOW), line.url, spool=tmp_path) as gate:
        line.begin()
        gate.reserve(call(1, at=None))
        tries = line.tries
        assert all(gate.reserve(call(1, at=None)).unchecked for _ in range(20))
        assert line.tries == tries
        line.end()
        assert gate.drain_spool().booked == 21
        assert not gate.reserve(call(1, at=None)).unchecked
    line.close()


def test_a_server_that_does_not_answer_is_not_waited_for_long(
    postgres_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path], tmp_path: Path
) -> None:
    line = CutLine(postgres_url)
    port = int(line.url.rpartition(":")[2].partition("/")[0])
    with Gate.open(Scene(line.url, policy_folder).folder(ALLOW), line.url, spool=tmp_path) as gate:
        line.begin()
        line.close()
        with socket.create_server(("127.0.0.1", port), reuse_port=False):  # takes connections, and never says a word
            start_s = clock.monotonic_s()
            assert gate.reserve(call(1, at=None)).unchecked
            assert 1 < clock.monotonic_s() - start_s < 6
            start_s = clock.monotonic_s()
            assert gate.reserve(call(1, at=None)).unchecked
            assert clock.monotonic_s() - start_s < 1


def test_a_server_that_falls_silent_is_given_up(
    postgres_url: str, policy_folder: Callable[[str | Mapping[str, str]], Path], tmp_path: Path
) -> None:
    line = CutLine(postgres_url)
    with Gate.open(Scene(line.url, policy_folder).folder(ALLOW), line.url, spool=tmp_path) as gate:
        gate.reserve(call(1, at=None))
        gate._ledger.patience_s = 3.5
        line.freeze()
        start_s = clock.monotonic_s()
        decision = gate.reserve(call(1, at=None))
        assert decision.unchecked
        assert 3 < clock.monotonic_s() - start_s < 6
        line.close()


def test_a_gate_opens_while_the_ledger_is_away_where_its_folder_allows_that(away: Away) -> None:
    folder = away.folder(ALLOW)
    away.outage.begin()
    with pytest.raises(LedgerError):
        away.open(policy(limit("5")))
    with pytest.raises(LedgerError):
        away.open()
    gate = away.open(folder)
    decision = gate.reserve(call(2_000))
    assert decision.unchecked
    back(away, gate)
    assert amounts(gate) == (0, 0, 2 * USD)
    assert gate.reserve(call(3_001)).verdict is Verdict.DENY
    assert away.rows("SELECT generation FROM record WHERE id = :id", id=decision.id) == [{"generation": 1}]


def test_where_nothing_can_be_kept_nothing_is_allowed(away: Away) -> None:
    gate = away.open(ALLOW)
    away.spool.parent.mkdir(parents=True, exist_ok=True)
    away.spool.mkdir()
    away.outage.begin()
    with pytest.raises(LedgerUnavailable, match="the spool"):
        gate.reserve(call(1))
    away.spool.rmdir()
    assert gate.reserve(call(1)).unchecked


def test_the_record_of_an_unchecked_decision_explains_it(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    decision = gate.reserve(call(6_000, subject={"team": "Sørch"}))
    back(away, gate)
    (row,) = away.rows("SELECT * FROM record WHERE id = :id", id=decision.id)
    texts = {each["id"]: each["body"] for each in away.rows("SELECT id, body FROM quote")}
    again = replay(row, gate._ledger.active.ruleset, lambda id_: quote_from_text(texts[id_]))
    assert again.recorded == decision
    assert again.differences == ()


def test_a_torn_line_is_passed_over_and_what_cannot_be_booked_is_put_aside(away: Away, caplog: pytest.LogCaptureFixture) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    decision = gate.reserve(call(1_000))
    whole = away.spool.read_bytes()
    with away.spool.open("ab") as file:
        file.write(whole[: len(whole) // 2])  # a writer was killed in the middle of a line
    gate.settle(decision, THOUSAND)
    with Spool(away.spool).opened() as opened:
        opened.append(
            [
                {"kind": "settled", "decision": "d-nobody", "usage": {"input_tokens": 1}, "attempt": 1, "model": None},
                {"kind": "settled", "decision": "d-hostile", "usage": {"input_tokens": -1}, "attempt": 1, "model": None},
                {"kind": "reserved", "decision": "d-bare", "record": [], "quotes": {}, "clock": "host"},
                {"kind": "dance", "decision": "d-odd"},
                {"kind": "released", "decision": decision.id, "reason": "after it was settled"},
            ]
        )
    with away.spool.open("ab") as file:
        file.write(b"00000000 {}\n\xff\xfe\x00\n\n")
    gate.reserve(call(200))
    away.outage.end()
    drained = gate.drain_spool()
    assert amounts(gate) == (USD, 0, 200_000_000)
    assert (drained.booked, len(drained.refused)) == (3, 8)  # 5 events, the torn line, and two that were never lines
    aside = away.spool.with_name(f"{away.spool.name}.refused").read_text().splitlines()
    assert len(aside) == 8
    assert sum('"decision":"d-nobody"' in line and "no decision" in line for line in aside) == 1
    assert len(caplog.records) == 8
    assert away.spool.stat().st_size == 0


def test_what_was_acknowledged_survives_the_death_of_its_process(away: Away) -> None:
    folder = away.folder(ALLOW)
    away.open(folder).close()
    away.outage.begin()
    with away.run("spool_until_killed", str(folder), away.url) as worker:
        assert worker.stdout is not None
        said = [worker.stdout.readline().split() for _ in range(25)]
        worker.send_signal(signal.SIGKILL)
        said += [line.split() for line in worker.stdout]
    gate = away.open(folder)  # its spool has events: it tries to book them, and lets them be
    back(away, gate)
    records = {row["id"] for row in away.rows("SELECT id FROM record")}
    settled = {entry["decision"] for entry in away.entries()}
    assert {id_ for what, id_ in said if what == "spooled"} <= records
    assert {id_ for what, id_ in said if what == "settled"} <= settled
    # what was on disk and not yet told may be there as well: at most one decision and one settlement
    spent, _, held = amounts(gate)[0], 0, amounts(gate)[2]
    assert (spent, held) == (len(settled) * USD, (len(records) - len(settled)) * USD)
    assert len(records) <= sum(what == "spooled" for what, _ in said) + 1


def test_a_death_between_booking_and_noting_books_nothing_twice(away: Away, tmp_path: Path) -> None:
    folder = away.folder(ALLOW)
    gate = away.open(folder)
    held = gate.reserve(call(100))
    away.outage.begin()
    decisions = gate.reserve_many([call(1_000), call(1_000), call(1_000)])
    gate.settle(decisions[0], Usage(input_tokens=900, output_tokens=0, partial=True))
    gate.settle(decisions[0], THOUSAND)
    gate.release(decisions[1], "not sent")
    gate.extend(held, 3_600)
    away.outage.end()
    for _ in range(3):
        # A place of its own for its Gate's spool: it must meet this one only where it dies.
        worker = away.run("die_before_the_note", str(folder), away.url, str(away.spool), env={"GUARDRAILS_SPOOL": str(tmp_path / "none")})
        with worker:
            assert worker.wait(timeout=60) == -signal.SIGKILL
    back(away, gate)
    # of three calls one is settled with 1 USD, one released, one still held beside the 0.1 of before
    assert amounts(gate) == (USD, 0, 1_100_000_000)
    assert [(entry["cost_nano_usd"], entry["marks"]) for entry in away.entries()] == [
        (900_000_000, "partial,unchecked"),
        (100_000_000, "difference,unchecked"),
    ]
    assert [row["kind"] for row in away.rows("SELECT kind FROM hold_event ORDER BY kind")] == ["extended", "released"]
    assert away.count("record") == 4


def test_deaths_at_any_instant_of_the_way_back_end_in_the_same_book(away: Away) -> None:
    folder = away.folder(ALLOW)
    gate = away.open(folder)
    away.outage.begin()
    decisions = gate.reserve_many([call(1_000)] * 300)
    for decision in decisions[:200]:
        gate.settle(decision, Usage(input_tokens=700, output_tokens=0))
    away.outage.end()
    for n in range(6):
        with away.run("drain_all", str(folder), away.url) as worker:
            assert worker.stdout is not None
            worker.stdout.readline()  # it has started, and now opens its Gate and books
            time.sleep(0.02 + 0.07 * n)  # later each time, so that each gets further
            worker.send_signal(signal.SIGKILL)
    back(away, gate)
    # 200 calls of 0.7 spent, 100 of 1 held
    assert amounts(gate) == (140 * USD, 0, 100 * USD)
    assert (away.count("record"), len(away.entries()), away.count("live_hold")) == (300, 200, 100)


def test_processes_share_one_spool(away: Away) -> None:
    folder = away.folder(ALLOW)
    gate = away.open(folder)
    away.outage.begin()
    workers = [away.run("spool_some", str(folder), away.url, "10") for _ in range(2)]
    for _ in range(10):
        gate.settle(gate.reserve(call(1_000)), THOUSAND)
    for worker in workers:
        with worker:
            assert worker.wait(timeout=60) == 0
    back(away, gate)
    assert amounts(gate) == (30 * USD, 0, 0)
    assert len(away.entries()) == 30


def test_usage_of_every_kind_comes_back_from_the_spool(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    decision = gate.reserve(Call(model="hours", units={"gpu_hour": Decimal("0.5")}, at=T0, subject={"team": "a"}))
    usage = Usage(
        units={"gpu_hour": Decimal("0.25")},
        input_tokens=0,
        output_tokens=0,
        cost_usd=Decimal("0.123456789"),
        response_id="answer-1",
        parts=(Usage(model="small", input_tokens=10, cache_read_tokens=3, output_tokens=5, reasoning_tokens=2),),
    )
    gate.settle(decision, usage, attempt=2)
    back(away, gate)
    own, part = away.entries(decision)
    assert (own["attempt"], own["cost_nano_usd"], own["response"], own["detail"]) == (
        2,
        123_456_789,
        "answer-1",
        '{"units":{"gpu_hour":"0.25"}}',
    )
    # small: a token costs 0.0001 USD
    assert (part["model"], part["input_tokens"], part["output_tokens"]) == ("small", 10, 5)


def test_a_set_that_was_changed_in_the_outage_counts_what_was_spooled(away: Away) -> None:
    gate = away.open(ALLOW)
    away.outage.begin()
    gate.settle(gate.reserve(call(1_000)), THOUSAND)
    gate.reserve(call(500))
    away.outage.end()
    rules = limit("9", id="new-rule") + limit("7")
    with Gate.open(away.folder(policy(rules)), away._direct_url, clock="caller", spool=away.spool.parent) as other:
        if away.sqlite:
            assert other.drain_spool().booked == 0  # its Gate has booked it at the opening
    gate.drain_spool()
    assert amounts(gate, "new-rule") == (USD, 0, 500_000_000)
    assert amounts(gate) == (USD, 0, 500_000_000)


@given(cut=st.integers(0, 10_000), torn=st.binary(max_size=40))
def test_reading_never_loses_a_whole_line(cut: int, torn: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("spool") / "a.spool"
    with Spool(path).opened() as opened:
        opened.append({"kind": "unseen", "decision": f"d-{n}"} for n in range(12))
    whole = path.read_bytes()
    left = whole[: cut % (len(whole) + 1)]
    path.write_bytes(left + torn.replace(b"\n", b""))
    with Spool(path).opened() as opened:
        before = [event["decision"] for event in opened.contents.pending.values()]
        opened.append([{"kind": "unseen", "decision": "d-after"}])
    with Spool(path).opened() as opened:
        after_it = [event["decision"] for event in opened.contents.pending.values()]
    assert before == [f"d-{n}" for n in range(left.count(b"\n"))]
    assert after_it == [*before, "d-after"]


def test_a_server_has_its_spool_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def place(url: str, org: str = "default", folder: Path | None = None) -> Path | None:
        return spool_path(url, org, "default", folder)

    server = "postgresql+psycopg://ana:secret@db.example/ledger"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GUARDRAILS_SPOOL", raising=False)
    usual = place(server)
    assert usual is not None
    assert usual.parent == tmp_path / "state" / "guardrails"
    assert place(server.replace("secret", "changed")) == usual
    assert place(server, "other") != usual
    assert place(server.replace("ledger", "elsewhere")) != usual
    assert place(server, folder=tmp_path / "given") == tmp_path / "given" / usual.name
    assert place("sqlite:///a/b.db") == Path("a/b.db.spool").absolute()
    assert place("sqlite:///a/b.db", "other") != place("sqlite:///a/b.db")
    assert place("sqlite://") is None
    monkeypatch.setenv("GUARDRAILS_SPOOL", str(tmp_path / "named"))
    assert place(server, folder=tmp_path / "given") == tmp_path / "named" / usual.name
    sqlite = place("sqlite:///a/b.db")
    assert sqlite is not None
    assert sqlite.parent == tmp_path / "named"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("GUARDRAILS_SPOOL")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place(server) == tmp_path / ".local" / "state" / "guardrails" / usual.name


def test_an_error_that_waiting_does_not_mend_is_raised(away: Away) -> None:
    gate = away.open(ALLOW)
    with pytest.raises(GuardrailsError, match="no decision"):
        gate.settle("d-nobody", THOUSAND)
    assert not away.spool.exists()

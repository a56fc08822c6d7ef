"""A dict beside the real Gate: whatever happens in whatever order, the two have the same amounts."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from guardrails import AlreadyResolved, Decision, Gate, Usage, Verdict
from guardrails.db.connect import connect, reading
from guardrails.ledger.verify import verify
from tests.gate.scene import PRICES, T0, call, limit, policy

MILLI = 10**6
"""A token of `big`, in nano-dollars."""
TEAMS = st.sampled_from(["ads", "search"])
TOKENS = st.integers(0, 4_000)


@dataclass
class Hold:
    """What the model knows of one admitted call; amounts in tokens."""

    decision: Decision
    team: str
    tokens: int
    expires_s: float
    state: str = "live"
    settled: dict[int, tuple[int, bool]] = field(default_factory=dict)
    """By attempt: tokens, and whether they are partial."""

    @property
    def spent(self) -> int:
        return sum(tokens for tokens, _ in self.settled.values())

    @property
    def assumed(self) -> int:
        return self.tokens if self.state == "charged" and not self.settled else 0

    @property
    def held(self) -> int:
        return self.tokens if self.state == "live" and not self.settled else 0


class Ledgers(RuleBasedStateMachine):
    """Time only passes when a step lets it; the limits are 6,000 tokens for all and 4,000 for a team."""

    template: ClassVar[Path]
    holds = Bundle("holds")

    @initialize(charge=st.booleans())
    def open(self, charge: bool) -> None:  # noqa: FBT001 - drawn by name
        self.folder = Path(tempfile.mkdtemp(prefix="guardrails-machine-"))
        shutil.copyfile(Ledgers.template, self.folder / "guardrails.db")
        self.url = f"sqlite:///{self.folder / 'guardrails.db'}"
        self.engine = connect(self.url)
        self.charge = charge
        self.limits = {"all": 6_000, "teams": 4_000}
        self.now_s = 0.0
        self.requests = 0
        self.model: list[Hold] = []
        self.gate = self.opened()

    def opened(self) -> Gate:
        """A Gate on the present policy."""
        policies = self.folder / "policies"
        policies.mkdir(exist_ok=True)
        usd = {name: f"{tokens // 1_000}.{tokens % 1_000:03d}" for name, tokens in self.limits.items()}
        rules = limit(usd["all"], id="all") + limit(usd["teams"], id="teams", per="team")
        outcome = "charge" if self.charge else "release"
        (policies / "policy.yaml").write_text(policy(rules, defaults=f"{{hold_ttl: 60 seconds, unknown_outcome: {outcome}}}"))
        (policies / "prices.yaml").write_text(PRICES)
        return Gate.open(policies, self.url, clock="caller")

    @override
    def teardown(self) -> None:
        if hasattr(self, "gate"):
            self.gate.close()
            self.engine.dispose()
            shutil.rmtree(self.folder)

    # -- what the model says ---------------------------------------------------------------------------------------------

    def sums(self, team: str | None) -> tuple[int, int, int]:
        """(spent, assumed, held) of one balance, in tokens."""
        mine = [hold for hold in self.model if team in (None, hold.team)]
        return sum(hold.spent for hold in mine), sum(hold.assumed for hold in mine), sum(hold.held for hold in mine)

    def see_expired(self) -> None:
        for hold in self.model:
            if hold.state == "live" and not hold.settled and hold.expires_s <= self.now_s:
                hold.state = "charged" if self.charge else "gone"

    def fits(self, team: str, tokens: int) -> bool:
        return not tokens or (sum(self.sums(None)) + tokens <= self.limits["all"] and sum(self.sums(team)) + tokens <= self.limits["teams"])

    # -- steps -----------------------------------------------------------------------------------------------------------

    @rule(target=holds, team=TEAMS, tokens=TOKENS, request=st.sampled_from([None, None, "r"]))
    def reserve(self, team: str, tokens: int, request: str | None) -> object:
        """Admitted exactly where it fits."""
        self.see_expired()
        at = T0 + timedelta(seconds=self.now_s)
        self.requests += 1
        request_id = None if request is None else f"{request}-{self.requests}"
        wanted = call(tokens, at=at, subject={"team": team}, request_id=request_id)
        decision = self.gate.reserve(wanted)
        assert decision.allowed is self.fits(team, tokens), decision.message
        if request_id is not None:
            assert self.gate.reserve(replace(wanted, at=at)) == decision
        if not decision.allowed:
            return multiple()
        self.model.append(Hold(decision, team, tokens, self.now_s + 60))
        return self.model[-1]

    @rule(hold=holds, tokens=TOKENS, attempt=st.integers(1, 2), partial=st.booleans())
    def settle(self, hold: Hold, tokens: int, attempt: int, partial: bool) -> None:  # noqa: FBT001 - drawn by name
        """Never refused; upwards always, downwards only where it was partial."""
        before = hold.settled.get(attempt)
        charged = hold.state == "charged" and not hold.settled
        self.gate.settle(hold.decision, Usage(input_tokens=tokens, output_tokens=0, partial=partial), attempt=attempt)
        if before is None or before[1] or tokens > before[0]:
            hold.settled[attempt] = (tokens, partial)
        assert not charged or hold.settled
        if hold.state == "live":
            hold.state = "ended"

    @rule(hold=holds)
    def settle_again(self, hold: Hold) -> None:
        """The same usage changes nothing."""
        for attempt, (tokens, partial) in hold.settled.items():
            assert not self.gate.settle(
                hold.decision.id, Usage(input_tokens=tokens, output_tokens=0, partial=partial), attempt=attempt
            ).booked

    @rule(hold=holds)
    def release(self, hold: Hold) -> None:
        """Refused once something was settled."""
        try:
            self.gate.release(hold.decision, reason="not sent")
        except AlreadyResolved:
            assert hold.settled
        else:
            assert not hold.settled
            hold.state = "released"

    @rule(hold=holds)
    def abandon(self, hold: Hold) -> None:
        """As if its time had passed."""
        self.gate.abandon(hold.decision)
        if hold.state == "live" and not hold.settled:
            hold.state = "charged" if self.charge else "gone"

    @rule(hold=holds, ttl_s=st.integers(1, 300))
    def extend(self, hold: Hold, ttl_s: int) -> None:
        """From the instant of the decision, which is the only one that the caller gave."""
        since_s = (hold.decision.at - T0).total_seconds()
        try:
            self.gate.extend(hold.decision, ttl_s=ttl_s)
        except AlreadyResolved:
            assert hold.state != "live" or hold.settled
        else:
            hold.expires_s = max(hold.expires_s, since_s + ttl_s)

    @rule(hold=consumes(holds))
    def forget(self, hold: Hold) -> None:
        """A caller that dies says nothing."""

    @rule(seconds=st.sampled_from([1, 30, 60, 200]))
    def pass_time(self, seconds: int) -> None:
        self.now_s += seconds
        self.gate.release(self.gate.reserve(call(0, at=T0 + timedelta(seconds=self.now_s), model="gratis")), reason="only a look")
        self.see_expired()

    @rule(name=st.sampled_from(["all", "teams"]), tokens=st.sampled_from([1_000, 3_000, 5_000, 9_000]))
    @precondition(lambda self: self.model)
    def edit(self, name: str, tokens: int) -> None:
        """Another limit; what was used stays."""
        self.limits[name] = tokens
        self.gate.close()
        self.gate = self.opened()

    # -- always ------------------------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_has_what_the_model_has(self) -> None:
        if not hasattr(self, "gate"):
            return
        with reading(self.engine) as connection:
            rows = connection.exec_driver_sql("SELECT rule, scope, spent, assumed, held FROM balance").all()
            assert verify(connection, "default").findings == []
        seen = {(row[0], row[1]): tuple(row[2:]) for row in rows}
        for rule_id, scope, team in (("all", "{}", None), ("teams", '{"team": "ads"}', "ads"), ("teams", '{"team": "search"}', "search")):
            expected = tuple(tokens * MILLI for tokens in self.sums(team))
            assert seen.get((rule_id, scope), (0, 0, 0)) == expected, (rule_id, scope)

    @invariant()
    def no_decision_was_changed(self) -> None:
        for hold in getattr(self, "model", []):
            assert hold.decision.verdict is Verdict.ALLOW


def test_the_ledger_and_a_dict_agree_whatever_happens(sqlite_template: Path) -> None:
    Ledgers.template = sqlite_template
    run_state_machine_as_test(
        Ledgers,
        settings=settings(
            max_examples=14, stateful_step_count=30, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

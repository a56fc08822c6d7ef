"""Runs a case on a real ledger: every decision as expected, every record the decision, every balance the sum of its facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, select

import guardrails
from guardrails import Call, Decision, Gate, GuardrailsError, Reason, Settlement, Usage
from guardrails.audit.record import restored
from guardrails.audit.replay import replay
from guardrails.core import clock
from guardrails.core.instant import rfc3339
from guardrails.core.money import nano_to_usd
from guardrails.db.connect import connect, reading
from guardrails.db.tables import quote, record
from guardrails.gate.budgets import Budget
from guardrails.gate.gate import ORG
from guardrails.gate.importing import Importer
from guardrails.gate.view import View
from guardrails.importers.formats import FORMATS
from guardrails.importers.rows import import_file
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.pricing.price import Quote, quote_from_text
from tests.casework.document import (
    BudgetDocument,
    Case,
    EntryDocument,
    ExpectDocument,
    ReasonDocument,
    SettlementDocument,
    StepDocument,
    UsageDocument,
    WindowDocument,
)

Write = Callable[[Mapping[str, str]], Path]


def run_case(case: Case, database: str, write: Write) -> None:
    """Run the steps of a case in order, on one ledger."""
    engine = connect(database)
    run = _Run(case, database, engine, write)
    try:
        run.all_steps()
    finally:
        run.close()
        engine.dispose()


class _Run:
    """A case under way: its ledger, its clock and the decisions so far."""

    def __init__(self, case: Case, database: str, engine: Engine, write: Write) -> None:
        self._case = case
        self._database = database
        self._engine = engine
        self._write = write
        self._at = case.document.at
        self._decisions: dict[int, Decision] = {}
        self._imports = 0
        self._gate = self._open(case.files(case.document.policies, None))

    def all_steps(self) -> None:
        self._import(self._case.document.given)
        for number, step in enumerate(self._case.document.steps, 1):
            try:
                self._step(number, step)
            except AssertionError as error:
                error.add_note(f"step {number} of {self._case.id}")
                raise
            with reading(self._engine) as connection:
                assert View(connection, ORG, self._at).verify().findings == [], f"step {number}: the ledger does not add up"

    def close(self) -> None:
        self._gate.close()

    def _open(self, files: Mapping[str, str]) -> Gate:
        return Gate.open(self._write(files), self._database, clock="caller")

    def _step(self, number: int, step: StepDocument) -> None:
        self._at = step.at or self._at
        self._import(step.given)
        error: GuardrailsError | None = None
        try:
            self._act(number, step)
        except GuardrailsError as raised:
            error = raised
        if step.raises is None and error is not None:
            raise error
        assert step.raises == (None if error is None else type(error).__name__)
        assert step.raises is None or issubclass(getattr(guardrails, step.raises), GuardrailsError)
        if step.budgets is not None:
            _same_budgets(self._gate.budgets(self._at), step.budgets)

    def _act(self, number: int, step: StepDocument) -> None:
        if step.policies is not None:
            before, self._gate = self._gate, self._open(self._case.files(step.policies, step.prices))
            before.close()
        if step.call is not None:
            decision = self._gate.reserve(Call(at=self._at, **dict(step.call)))
            self._decisions[number] = decision
            assert step.expect is not None, "a call without an expectation tests nothing"
            _same_decision(decision, step.expect)
            self._check_record(decision)
        if step.settle is not None:
            _same_settlement(self._settle(self._of(number, step), step.settle), step.settlement)
        if step.release:
            self._gate.release(self._of(number, step), "not sent")
        if step.extend_s is not None:
            self._gate.extend(self._of(number, step), step.extend_s)

    def _of(self, number: int, step: StepDocument) -> Decision:
        return self._decisions[step.of or number]

    def _settle(self, decision: Decision, document: UsageDocument) -> Settlement:
        usage = dict(document)
        attempt, model = usage.pop("attempt"), usage.pop("model")
        return self._gate.settle(decision, Usage(**usage), attempt=attempt, model=model)

    def _import(self, entries: Sequence[EntryDocument]) -> None:
        """Usage of before, as `import jsonl` takes it; rows without an id get one."""
        if not entries:
            return
        rows = [entry.model_dump(mode="json", exclude_defaults=True) for entry in entries]
        lines = [json.dumps({"id": f"{self._imports}-{number}", **row}) for number, row in enumerate(rows)]
        folder = self._write({"given.jsonl": "\n".join(lines)})
        self._imports += 1
        with Importer.open(None, self._database) as importer, SourceFile(str(folder / "given.jsonl")) as source:
            result = import_file(importer, source, FORMATS["jsonl"], Subjects(), clock.now())
        assert result.state.new == len(entries), [refused.reason for refused in result.refused]

    def _check_record(self, decision: Decision) -> None:
        """The record is the decision, and is enough to make it again."""
        with reading(self._engine) as connection:
            row = dict(connection.execute(select(record).where(record.c.org == ORG, record.c.id == decision.id)).mappings().one())
            texts = connection.execute(select(quote.c.id, quote.c.body).where(quote.c.org == ORG)).all()
        quotes: dict[str, Quote] = {key: quote_from_text(text) for key, text in texts}
        assert restored(row, quotes[row["quote"]]) == decision, "the record is not the decision"
        assert replay(row, self._gate._ledger.active.ruleset, quotes.__getitem__).differences == (), (
            "the record does not explain the decision"
        )


def _same_decision(decision: Decision, expected: ExpectDocument) -> None:
    told = [reason.message for reason in decision.reasons]
    assert decision.verdict.value == expected.verdict, told
    if "model" in expected.model_fields_set:
        assert decision.model == expected.model, told
    elif expected.verdict == "allow":
        assert decision.model == decision.requested_model
    if expected.rules is not None:
        assert list(decision.rules) == expected.rules, told
    if expected.held is not None:
        assert nano_to_usd(decision.holds.nano_usd) == expected.held.usd
        assert decision.holds.input_tokens + decision.holds.output_tokens == expected.held.tokens
    if "price" in expected.model_fields_set:
        assert decision.price == expected.price
    _same_reasons(decision.reasons, expected.reasons)
    _same_reasons(decision.shadow, expected.shadow)


def _same_reasons(reasons: Sequence[Reason], expected: Sequence[ReasonDocument] | None) -> None:
    if expected is None:
        return
    assert [(reason.rule, reason.effect.value) for reason in reasons] == [(each.rule, each.effect) for each in expected], [
        reason.message for reason in reasons
    ]
    for reason, each in zip(reasons, expected, strict=True):
        facts = reason.as_json()
        share = facts["share"]
        facts["share"] = None if share is None else Decimal(str(share))
        _same(facts, each)


def _same_budgets(budgets: Sequence[Budget], expected: Sequence[BudgetDocument]) -> None:
    facts = [budget.as_json() for budget in budgets]
    assert [(each["rule"], each["scope"]) for each in facts] == [(each.rule, each.scope or {}) for each in expected]
    for seen, each in zip(facts, expected, strict=True):
        _same(seen, each)


def _same_settlement(settlement: Settlement, expected: SettlementDocument | None) -> None:
    if expected is None:
        return
    named = expected.model_fields_set
    if "cost_usd" in named:
        assert (None if settlement.cost_nano_usd is None else nano_to_usd(settlement.cost_nano_usd)) == expected.cost_usd
    if "assumed_usd" in named:
        assert nano_to_usd(settlement.assumed_nano_usd) == expected.assumed_usd
    if "marks" in named:
        assert list(settlement.marks) == expected.marks
    if "booked" in named:
        assert settlement.booked is expected.booked


_AMOUNTS = frozenset({"limit", "spent", "assumed", "held", "requested", "left"})


def _same(facts: Mapping[str, object], expected: ReasonDocument | BudgetDocument) -> None:
    """Every key that the case names; amounts by value and unit, so that `449.80 USD` may be written as people write it."""
    for name in expected.model_fields_set - {"rule", "effect"}:
        wanted, seen = getattr(expected, name), facts[name]
        if name in _AMOUNTS:
            assert (None if seen is None else _amount(str(seen))) == (None if wanted is None else _amount(wanted)), f"{name} of {facts}"
        elif isinstance(wanted, WindowDocument):
            assert seen == {"start": _instant(wanted.start), "end": _instant(wanted.end)}, f"{name} of {facts}"
        elif name == "source":
            assert str(seen).endswith(f"/{wanted}"), f"{name} of {facts}"
        else:
            assert seen == wanted, f"{name} of {facts}"


def _amount(text: str) -> tuple[Decimal, str]:
    number, _, unit = text.partition(" ")
    return Decimal(number), unit


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)

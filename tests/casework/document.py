"""A case as it is written: strict keys, so that a slip in a case is an error and not a case that tests nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import override

Files = Annotated[dict[str, str], BeforeValidator(lambda files: {"policy.yaml": files} if isinstance(files, str) else files)]
"""Policy files: one text, or text by path."""


def _written_amount(text: str) -> str:
    number, _, unit = text.partition(" ")
    Decimal(number)
    assert unit, f"{text} has no unit"
    return text


Written = Annotated[str, AfterValidator(_written_amount)]
"""An amount as in the policy language: `449.80 USD`, `2_000 tokens`."""


def _share(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text.removesuffix("%")) / 100


Share = Annotated[Decimal | None, BeforeValidator(_share)]
"""A share of a limit: `90%`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CallDocument(_Strict):
    """The call that someone wants to make: fields of `guardrails.Call`."""

    model: str
    input_tokens: int = 0
    max_output_tokens: int | None = None
    subject: dict[str, str] = Field(default_factory=dict)
    provider: str | None = None
    operation: str = "chat"
    units: dict[str, Decimal] = Field(default_factory=dict)
    service_tier: str | None = None
    providers: tuple[str, ...] | None = None
    request_id: str | None = None
    hold_ttl_s: float | None = None


class UsageDocument(_Strict):
    """What a call used: fields of `guardrails.Usage`, and the attempt and model that `Gate.settle` takes."""

    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_short_tokens: int = 0
    output_tokens: int | None = None
    units: dict[str, Decimal] = Field(default_factory=dict)
    cost_usd: Decimal | None = None
    partial: bool = False
    attempt: int = 1
    model: str | None = None


class EntryDocument(_Strict):
    """Usage that is in the ledger before, as `import jsonl` takes it; `id` may be left out."""

    id: str | None = None
    at: datetime
    model: str
    provider: str | None = None
    subject: dict[str, str] = Field(default_factory=dict)
    input_tokens: int | None = None
    cache_read_tokens: int = 0
    output_tokens: int | None = None
    units: dict[str, Decimal] = Field(default_factory=dict)
    cost_usd: Decimal | None = None
    requests: int | None = None
    corrects: str | None = None


class HeldDocument(_Strict):
    """What the decision holds."""

    usd: Decimal
    tokens: int


class WindowDocument(_Strict):
    """Bounds of a window; `null` where it has none."""

    start: datetime | None
    end: datetime | None


class ReasonDocument(_Strict):
    """What one rule said. Keys that are not named are not asserted."""

    rule: str
    effect: Literal["deny", "downgrade", "warn", "allow"]
    mode: Literal["enforce", "warn", "shadow"] | None = None
    model: str | None = None
    share: Share = None
    limit: Written | None = None
    spent: Written | None = None
    assumed: Written | None = None
    held: Written | None = None
    requested: Written | None = None
    left: Written | None = None
    scope: dict[str, str] | None = None
    window: WindowDocument | None = None
    source: str | None = None
    target: str | None = None
    detail: str | None = None


class ExpectDocument(_Strict):
    """The decision. A list of reasons is the whole list, in order; what is not named is not asserted."""

    verdict: Literal["allow", "deny", "downgrade"]
    model: str | None = None
    rules: list[str] | None = None
    held: HeldDocument | None = None
    price: str | None = None
    reasons: list[ReasonDocument] | None = None
    shadow: list[ReasonDocument] | None = None


class SettlementDocument(_Strict):
    """What a settlement booked."""

    cost_usd: Decimal | None = None
    assumed_usd: Decimal | None = None
    marks: list[str] | None = None
    booked: bool | None = None


class BudgetDocument(_Strict):
    """One balance. Keys that are not named are not asserted."""

    rule: str
    scope: dict[str, str] | None = None
    limit: Written | None = None
    spent: Written | None = None
    assumed: Written | None = None
    held: Written | None = None
    left: Written | None = None
    window: WindowDocument | None = None


class StepDocument(_Strict):
    """One step; what it names happens in this order."""

    at: datetime | None = None
    """Moves the clock."""
    given: list[EntryDocument] = Field(default_factory=list)
    """Usage that turns up now."""
    policies: Files | None = None
    """Makes another set the active one: the same ledger, another folder."""
    prices: str | None = None
    """Other prices, together with `policies`."""
    call: CallDocument | None = None
    expect: ExpectDocument | None = None
    of: int | None = None
    """The step, from 1, whose call is settled, released or extended; this one's when absent."""
    settle: UsageDocument | None = None
    settlement: SettlementDocument | None = None
    release: bool = False
    extend_s: float | None = None
    raises: str | None = None
    """The error of this step's set, call, settlement, release or extension."""
    budgets: list[BudgetDocument] | None = None
    """All balances of the windows that run now."""


class CaseDocument(_Strict):
    """A policy, prices, what is in the ledger, an instant, and steps with what is expected of them."""

    name: str
    description: str = ""
    policies: Files
    prices: str | None = None
    given: list[EntryDocument] = Field(default_factory=list)
    at: datetime
    steps: list[StepDocument] = Field(min_length=1)


class TestDocument(_Strict):
    """A test of a policy set, as `*.test.yaml` has it: a case without a policy of its own."""

    name: str
    at: datetime
    given: list[EntryDocument] = Field(default_factory=list)
    steps: list[StepDocument] = Field(min_length=1)


class TestFile(_Strict):
    """Tests of the set in whose folder they stand."""

    version: Literal["1"]
    tests: list[TestDocument] = Field(min_length=1)


class CaseFile(_Strict):
    """Cases on one subject; `prices` hold for those that bring none of their own."""

    about: str
    prices: str | None = None
    cases: list[CaseDocument] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Case:
    """A case and where it stands."""

    file: str
    document: CaseDocument
    prices: str | None

    @property
    def id(self) -> str:
        """As a person would look for it."""
        return f"{self.file}: {self.document.name}"

    def files(self, policies: dict[str, str], prices: str | None) -> dict[str, str]:
        """The policy folder with its prices."""
        prices = prices or self.prices
        return policies if prices is None else {**policies, "prices.yaml": prices}


def read_cases(path: Path) -> Iterator[Case]:
    """The cases of a file."""
    plain = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a loader that makes text alone
    file = CaseFile.model_validate(plain)
    for document in file.cases:
        yield Case(path.stem, document, document.prices or file.prices)


def read_tests(folder: Path) -> Iterator[Case]:
    """The tests of a policy folder, each with the whole folder as its policy."""
    files = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.yaml"))}
    for name, text in files.items():
        if name.endswith(".test.yaml"):
            for test in TestFile.model_validate(yaml.load(text, _Loader)).tests:  # noqa: S506 - a loader that makes text alone
                document = CaseDocument(policies=files, **{key: getattr(test, key) for key in TestDocument.model_fields})
                yield Case(f"{folder.name}/{name}", document, None)


class _Loader(yaml.BaseLoader):
    """Every scalar as its text, so that no amount is ever a float; `null` stays null, and of two equal keys none wins."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = {key for key in keys if keys.count(key) > 1}
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"the key {sorted(repeated)} stands here twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _null(_loader: _Loader, node: yaml.ScalarNode) -> str | None:
    return None if node.value == "null" and node.style is None else node.value


_Loader.add_constructor("tag:yaml.org,2002:str", _null)

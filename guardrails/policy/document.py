"""The policy file as it is written: which keys there are, what they take, and how their values are read.

Types only say what one key takes; what one key says of another is checked in `resolve.py`. Descriptions and patterns are for
editors: `schema.py` makes JSON Schema of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, PlainValidator, Tag, WithJsonSchema
from pydantic_core import CoreSchema, PydanticKnownError

from guardrails.core.quantity import Amount
from guardrails.core.window import WindowKind, zone_of
from guardrails.policy.amount import action_of, amount_of, nano_usd_of, otherwise_of
from guardrails.policy.rules import Action, Answer, Deny, Downgrade, Mode, RuleKind, UnknownOutcome
from guardrails.policy.zones import zone_hint
from guardrails.source.complaint import LIST, MAPPING, TEXT, shape_of
from guardrails.source.problem import nearest, quoted
from guardrails.source.written import Mistake, count_of, date_or_instant_of, duration_s_of, flag_of

_T = TypeVar("_T")


class _Absent:
    """Takes the null out of an optional type, so that only the default is None."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's own
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


IfGiven = Annotated[_T | None, _Absent()]
"""A key that may be left out, and is then None; a null that is written is no value of it."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ID = re.compile(r"[a-z0-9][a-z0-9-]*")
_MAX_ID_CHARACTERS = 128
_HOLD = re.compile(r"hold ([0-9]+(?:_[0-9]+)*)(\.[0-9]+)? USD")


def _read_by(read: Callable[[str], _T]) -> PlainValidator:
    """A field whose text is read by a function that raises `Mistake`."""

    def validate(value: object) -> _T:
        if type(value) is not str:
            raise PydanticKnownError("string_type")  # noqa: EM101 - the name of an error, not a message
        return read(value)

    return PlainValidator(validate)


def _version_of(text: str) -> int:
    if text != "1":
        raise Mistake(code="other-version", message=f"version {quoted(text)} is not known to this release, which reads version 1", hint="1")
    return 1


def _rule_id_of(text: str) -> str:
    if _ID.fullmatch(text) and len(text) <= _MAX_ID_CHARACTERS:
        return text
    hint = re.sub("[^a-z0-9-]+", "-", text.strip().casefold())[:_MAX_ID_CHARACTERS].strip("-") or None
    raise Mistake(code="bad-id", message=f"{quoted(text)} is no id: lower-case letters, digits and `-`, a letter or digit first", hint=hint)


def _zone_name_of(text: str) -> str:
    try:
        zone_of(text)
    except ValueError as error:
        raise Mistake(code="bad-timezone", message=str(error), hint=zone_hint(text)) from None
    return text


def _unknown_price_of(text: str) -> Answer | int:
    if text in {"allow", "deny"}:
        return Answer(text)
    if (written := _HOLD.fullmatch(text)) is not None and len(text) <= 64:  # noqa: PLR2004 - as an amount
        return nano_usd_of(text, written[1], written[2])
    hint = f"hold {text}" if _HOLD.fullmatch(f"hold {text}") else nearest(text, ("allow", "deny"))
    raise Mistake(code="bad-value", message=f"{quoted(text)} is none of `deny`, `allow` or `hold 0.50 USD`", hint=hint)


_COUNT_SCHEMA: dict[str, Any] = {"type": ["integer", "string"], "minimum": 0, "pattern": r"^[0-9]+(_[0-9]+)*(\.[0-9]+)?[kKMGB]?$"}
_TIME_SCHEMA = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2}))?$",
}
_TEXT_SCHEMA = {"type": ["string", "number", "boolean"]}
_NUMBER = r"^[0-9]+(_[0-9]+)*(\.[0-9]+)?"

Text = Annotated[str, WithJsonSchema(_TEXT_SCHEMA)]
Count = Annotated[int, _read_by(count_of), WithJsonSchema(_COUNT_SCHEMA)]
Flag = Annotated[bool, _read_by(flag_of), WithJsonSchema({"type": "boolean"})]
Time = Annotated[date | datetime, _read_by(date_or_instant_of), WithJsonSchema(_TIME_SCHEMA)]
ZoneName = Annotated[
    str, _read_by(_zone_name_of), WithJsonSchema({"type": "string", "examples": ["UTC", "Europe/Berlin", "America/New_York"]})
]
Version = Annotated[int, _read_by(_version_of), WithJsonSchema({"enum": [1, "1"]})]
RuleId = Annotated[str, _read_by(_rule_id_of), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$", "maxLength": 128})]
Share = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"})]
_ActionText = WithJsonSchema(
    {"anyOf": [{"enum": ["warn", "deny"]}, {"type": "string", "pattern": "^downgrade to \\S.*$"}], "examples": ["downgrade to economy"]}
)
_OtherwiseText = WithJsonSchema(
    {"anyOf": [{"enum": ["deny"]}, {"type": "string", "pattern": "^downgrade to \\S.*$"}], "examples": ["downgrade to economy"]}
)
ActionText = Annotated[Action, _read_by(action_of), _ActionText]

Money = Annotated[
    Amount, _read_by(partial(amount_of, kind=RuleKind.SPEND_LIMIT)), WithJsonSchema({"type": "string", "pattern": f"{_NUMBER} USD$"})
]
Tokens = Annotated[
    Amount,
    _read_by(partial(amount_of, kind=RuleKind.TOKEN_CAP)),
    WithJsonSchema({"type": "string", "pattern": f"{_NUMBER}[kKMGB]? ((input|output) )?tokens?$"}),
]
Requests = Annotated[
    Amount,
    _read_by(partial(amount_of, kind=RuleKind.REQUEST_CAP)),
    WithJsonSchema({"type": "string", "pattern": f"{_NUMBER}[kKMGB]? requests?$"}),
]
Concurrent = Annotated[
    Amount,
    _read_by(partial(amount_of, kind=RuleKind.CONCURRENCY_CAP)),
    WithJsonSchema({"type": "string", "pattern": f"{_NUMBER}[kKMGB]? concurrent$"}),
]

_by_shape = Discriminator(shape_of)
Words = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[list[Text], Field(min_length=1), Tag(LIST)], _by_shape]
_MoneyByValue = Annotated[dict[str, Money], Field(min_length=1), Tag(MAPPING)]
_TokensByValue = Annotated[dict[str, Tokens], Field(min_length=1), Tag(MAPPING)]
_RequestsByValue = Annotated[dict[str, Requests], Field(min_length=1), Tag(MAPPING)]
_ConcurrentByValue = Annotated[dict[str, Concurrent], Field(min_length=1), Tag(MAPPING)]


class Document(BaseModel):
    """Something written in a policy file."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class TestDocument(Document):
    """One test of an attribute; exactly one of the keys."""

    not_: IfGiven[Words] = Field(default=None, alias="not")
    """None of these values; also holds where the call has no such attribute."""
    over: IfGiven[Count] = None
    """More than this many tokens."""
    under: IfGiven[Count] = None
    """Fewer than this many tokens."""
    between: IfGiven[Annotated[list[Count], Field(min_length=2, max_length=2)]] = None
    """From the first to the second number of tokens, both included."""
    exists: IfGiven[Flag] = None
    """Whether the call has the attribute at all."""


ConditionDocument = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[list[Text], Field(min_length=1), Tag(LIST)] | Annotated[TestDocument, Tag(MAPPING)], _by_shape
]
MatchDocument = dict[str, ConditionDocument]


class AnyRuleDocument(Document):
    """What every rule takes."""

    id: RuleId
    """Unique in the policy set: lower-case letters, digits and `-`."""
    description: Text = ""
    """What the rule is for, shown in reports and explanations."""
    match: IfGiven[MatchDocument] = None
    """Which calls the rule concerns, by label or by model, provider, tier, operation, input_tokens, output_tokens; all must hold."""
    except_: IfGiven[list[MatchDocument]] = Field(default=None, alias="except")
    """Calls that the rule leaves alone: a list of matches, any of which excludes."""
    mode: Mode = Mode.ENFORCE
    """`enforce`, `warn` (reported in the decision without changing it) or `shadow` (reported in the record alone)."""
    from_: IfGiven[Time] = Field(default=None, alias="from")
    """In force from this instant, or from the start of this day in the rule's time zone."""
    until: IfGiven[Time] = None
    """No longer in force at this instant, or at the start of this day in the rule's time zone."""
    timezone: IfGiven[ZoneName] = None
    """IANA name of the zone in which windows and dates are read; that of `defaults` when absent."""


class LimitRuleDocument(AnyRuleDocument):
    """What every rule with a limit takes."""

    per: IfGiven[Words] = None
    """A label or a list of labels: each value, or combination of values, has a balance of its own; absent: one for all."""
    at: IfGiven[dict[Share, ActionText]] = Field(default=None, json_schema_extra={"additionalProperties": False})
    """Shares of the limit, which may pass 100%, to `warn`, `deny` or `downgrade to TIER` (or a model). `{100%: deny}` when absent."""


class SpendLimitDocument(LimitRuleDocument):
    """A limit in USD over a window."""

    kind: Literal["spend_limit"]
    """`spend_limit`: USD over a window."""
    limit: Annotated[Annotated[Money, Tag(TEXT)] | _MoneyByValue, _by_shape]
    """`500 USD`, or with a single `per` a mapping from its values (and `(none)`, and `default`) to such limits. 0 denies."""
    window: WindowKind
    """The calendar window that is added up, in the rule's time zone; `call` looks at each call alone."""


class TokenCapDocument(LimitRuleDocument):
    """A limit in tokens over a window."""

    kind: Literal["token_cap"]
    """`token_cap`: tokens over a window."""
    limit: Annotated[Annotated[Tokens, Tag(TEXT)] | _TokensByValue, _by_shape]
    """`2M tokens`, `32_000 input tokens`, `8k output tokens`; or with a single `per` a mapping from its values to such limits."""
    window: WindowKind
    """The calendar window that is added up, in the rule's time zone; `call` looks at each call alone."""


class RequestCapDocument(LimitRuleDocument):
    """A limit in requests over a window."""

    kind: Literal["request_cap"]
    """`request_cap`: admitted requests over a window."""
    limit: Annotated[Annotated[Requests, Tag(TEXT)] | _RequestsByValue, _by_shape]
    """`60 requests`, or with a single `per` a mapping from its values to such limits. 0 denies."""
    window: WindowKind
    """The calendar window that is added up, in the rule's time zone; `call` looks at each call alone."""


class ConcurrencyCapDocument(LimitRuleDocument):
    """A limit of calls that run at once; no window."""

    kind: Literal["concurrency_cap"]
    """`concurrency_cap`: calls that run at once."""
    limit: Annotated[Annotated[Concurrent, Tag(TEXT)] | _ConcurrentByValue, _by_shape]
    """`8 concurrent`, or with a single `per` a mapping from its values to such limits. 0 denies."""


class TierRestrictionDocument(AnyRuleDocument):
    """Which models the calls may run on."""

    kind: Literal["tier_restriction"]
    """`tier_restriction`: which models may run."""
    allow: IfGiven[Words] = None
    """Tiers, or model names with wildcards, that may run; every other model is refused. Either this or `deny`."""
    deny: IfGiven[Words] = None
    """Tiers, or model names with wildcards, that may not run. Either this or `allow`."""
    otherwise: IfGiven[Annotated[Deny | Downgrade, _read_by(otherwise_of), _OtherwiseText]] = None
    """What a refused model gets: `deny`, the default, or `downgrade to TIER` (or a model)."""


RuleDocument = Annotated[
    SpendLimitDocument | TokenCapDocument | RequestCapDocument | ConcurrencyCapDocument | TierRestrictionDocument,
    Field(discriminator="kind"),
]
LimitedDocument = SpendLimitDocument | TokenCapDocument | RequestCapDocument | ConcurrencyCapDocument


class LabelDocument(Document):
    """What a subject must and may say under one label."""

    required: Flag = False
    """Whether a call without this label is denied."""
    values: IfGiven[Annotated[list[Text], Field(min_length=1)]] = None
    """The values that the label may have; any when absent. Compared without case."""


class DefaultsDocument(Document):
    """What holds where nothing else is said."""

    timezone: ZoneName = "UTC"
    """IANA name of the zone in which windows and dates are read; UTC when absent."""
    assume_output_tokens: Count = 1_024
    """The output of a call that does not say how much it may write."""
    hold_ttl: Annotated[
        int,
        _read_by(duration_s_of),
        WithJsonSchema({"type": "string", "pattern": "^[0-9]+(_[0-9]+)* (seconds?|minutes?|hours?)$", "examples": ["10 minutes"]}),
    ] = 600
    """How long a hold lasts that nobody settles: `N seconds`, `N minutes` or `N hours`; `10 minutes` when absent."""
    unknown_price: Annotated[
        Answer | int,
        _read_by(_unknown_price_of),
        WithJsonSchema({"anyOf": [{"enum": ["deny", "allow"]}, {"type": "string", "pattern": f"^hold {_NUMBER[1:]} USD$"}]}),
    ] = Answer.DENY
    """A call whose price is not known under a money limit: `deny` (the default), `allow`, or `hold 0.50 USD`."""
    unknown_outcome: UnknownOutcome = UnknownOutcome.CHARGE
    """A call whose end nobody saw: `charge` (the default) counts its hold as assumed spend, `release` drops it."""
    unavailable: Answer = Answer.DENY
    """When the ledger cannot be reached: `deny` (the default), or `allow` and book later."""
    unmatched: Answer = Answer.ALLOW
    """A call that no rule matches: `allow` (the default) or `deny`."""
    week_starts: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    """The first day of a `week` window; `monday` when absent."""


class PolicyDocument(Document):
    """One file of a policy set: budgets and cost policy for LLM usage."""

    version: Version
    """Version of the policy language."""
    tiers: IfGiven[dict[str, Annotated[list[Text], Field(min_length=1)]]] = None
    """Classes of models, dearest first: a tier's name to its model names, in which `*` and `?` are wildcards. In one file of a set."""
    labels: IfGiven[dict[str, LabelDocument]] = None
    """What a subject must and may say, label by label. In one file of a set."""
    defaults: IfGiven[DefaultsDocument] = None
    """What holds where nothing else is said. In one file of a set."""
    rules: IfGiven[list[RuleDocument]] = None
    """Every matching rule counts; none is first."""

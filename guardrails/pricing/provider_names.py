"""What the names of models and providers say before any list is asked: prefixes, gateways, Bedrock and Vertex spellings."""

from __future__ import annotations

import re

from guardrails.core.model_name import fold, forms_as_given
from guardrails.core.provider_name import BEFORE_COLON, provider_id

GATEWAYS = frozenset({"litellm", "litellm_proxy", "models", "publishers"})
"""Prefixes that say how a call travels, or nothing, but not who serves it."""

_VENDORS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|stability|writer|zai"
)
_BEDROCK = re.compile(rf"(?:[a-z-]+\.)?(?P<listed>(?:{_VENDORS})\.(?P<bare>.+))")
_BEDROCK_VERSION = re.compile(r"-(?:v\d+(?::\w+)*|\d+(?::\w+)+)$")
_BEDROCK_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:.*")


def prefix_provider(prefix: str) -> str:
    """The id under which genai-prices would list a provider that is named by the prefix of a model's name."""
    return "aws" if _BEDROCK_ARN.fullmatch(prefix) else provider_id(prefix)


def is_bedrock(form: str) -> bool:
    """Whether a name is spelled as Bedrock spells them: `us.anthropic.claude-sonnet-4-6-v1:0`."""
    return _BEDROCK.fullmatch(form) is not None


def stripped_forms(form: str) -> tuple[str, ...]:
    """What is left of a folded name without Bedrock's region, vendor and version, or without Vertex's `@version`."""
    last = form.rpartition("/")[2]
    if bedrock := _BEDROCK.fullmatch(last):
        return (bedrock["listed"], bedrock["bare"], _BEDROCK_VERSION.sub("", bedrock["bare"]))
    name, at, _ = last.rpartition("@")
    return (name,) if at and name else ()


def all_forms(*names: str, providers: frozenset[str] = BEFORE_COLON) -> tuple[str, ...]:
    """Every folded form of all names, in order and once each: as given, then stripped; `providers` as for `forms_as_given`."""
    as_given = [form for name in names for form in forms_as_given(name, providers)]
    return tuple(dict.fromkeys([*as_given, *(stripped for form in as_given for stripped in stripped_forms(form))]))


def without_gateways(name: str) -> str:
    """A folded name from its first prefix on that says more than how the call travels."""
    forms = forms_as_given(name)
    return next((form for form in forms if form.partition("/")[0] not in GATEWAYS), "".join(forms[-1:]))


def folded_provider(provider: str | None) -> str | None:
    """A provider's name as it is compared; None for a gateway, which serves nothing itself."""
    folded = None if provider is None else fold(provider)
    return None if folded in GATEWAYS else folded

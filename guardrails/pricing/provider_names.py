"""What the names of models and providers say before any list is asked: prefixes, gateways, Bedrock and Vertex spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from guardrails.core.model_name import fold, forms_as_given

GATEWAYS = frozenset({"litellm", "litellm_proxy", "models", "publishers"})
"""Prefixes that say how a call travels, or nothing, but not who serves it."""

PROVIDER_IDS: Mapping[str, str] = MappingProxyType(
    {
        "az.ai.inference": "azure",
        "az.ai.openai": "azure",
        "azure.ai.inference": "azure",
        "azure.ai.openai": "azure",
        "azure_ai": "azure",
        "azure_openai": "azure",
        "aws.bedrock": "aws",
        "bedrock": "aws",
        "bedrock_converse": "aws",
        "cohere_chat": "cohere",
        "codestral": "mistral",
        "fireworks_ai": "fireworks",
        "gemini": "google",
        "github_copilot": "github-copilot",
        "mistralai": "mistral",
        "moonshot": "moonshotai",
        "together_ai": "together",
        "together-ai": "together",
        "vertex_ai": "google",
        "vertex_ai_beta": "google",
        "voyage": "voyageai",
        "x_ai": "x-ai",
        "xai": "x-ai",
        "z-ai": "zai",
    }
)
"""Ids of genai-prices by the other spellings that LiteLLM, OpenRouter and OpenTelemetry use; exact, as prefixes are guessed from."""

_VENDORS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|stability|writer|zai"
)
_BEDROCK = re.compile(rf"(?:[a-z-]+\.)?(?P<listed>(?:{_VENDORS})\.(?P<bare>.+))")
_BEDROCK_VERSION = re.compile(r"-(?:v\d+(?::\w+)*|\d+(?::\w+)+)$")
_BEDROCK_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:.*")


def provider_id(provider: str) -> str:
    """The one id of a folded provider's name that has several spellings; a name without others stays as it is."""
    return PROVIDER_IDS.get(provider, provider)


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


def all_forms(*names: str) -> tuple[str, ...]:
    """Every folded form of all names, in order and once each: as given, then stripped."""
    as_given = [form for name in names for form in forms_as_given(name)]
    return tuple(dict.fromkeys([*as_given, *(stripped for form in as_given for stripped in stripped_forms(form))]))


def folded_provider(provider: str | None) -> str | None:
    """A provider's name as it is compared; None for a gateway, which serves nothing itself."""
    folded = None if provider is None else fold(provider)
    return None if folded in GATEWAYS else folded

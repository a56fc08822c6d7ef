"""The names of providers: their spellings, and the prefixes of models' names that name one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

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
        "google-gla": "google",
        "google-vertex": "google",
        "google_genai": "google",
        "google_vertexai": "google",
        "mistralai": "mistral",
        "moonshot": "moonshotai",
        "openai-chat": "openai",
        "openai-responses": "openai",
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
"""Ids of genai-prices by the other spellings that LiteLLM, OpenRouter, LangChain, Pydantic AI and OpenTelemetry use; exact, as
prefixes are guessed from."""

_LISTED = (
    "anthropic arcee avian aws azure baseten cerebras cloudflare cohere cursor databricks deepseek doubleword elevenlabs fireworks"
    " github-copilot google groq huggingface_cerebras huggingface_fireworks-ai huggingface_groq huggingface_hyperbolic"
    " huggingface_nebius huggingface_novita huggingface_nscale huggingface_ovhcloud huggingface_publicai huggingface_sambanova"
    " huggingface_together meta minimax mistral modal moonshotai novita openai openai-decisions openrouter ovhcloud perplexity"
    " quicksilverpro together typesafe voyageai x-ai zai zhipuai"
)
"""The ids of genai-prices, whose data takes too long to load for this."""

BEFORE_COLON = frozenset({*_LISTED.split(), *PROVIDER_IDS, "huggingface", "ollama"})
"""What is a provider before a colon (`anthropic:claude-opus-4-6`); elsewhere colons are versions, tags and parts of ARNs."""

_TAG = re.compile(r"latest|instruct|text|v?\d[^/]*")
"""What Ollama writes after the colon of a model that is named like its maker: `mistral:7b-instruct`."""


def provider_id(provider: str) -> str:
    """The one id of a folded provider's name that has several spellings; a name without others stays as it is."""
    return PROVIDER_IDS.get(provider, provider)


def split_prefix(name: str, providers: frozenset[str] = BEFORE_COLON) -> tuple[str, str]:
    """The first prefix of a folded name and the rest; both are empty where it has none.

    Args:
        providers: the names that are prefixes before a colon too; before a slash, any is.
    """
    first, _, rest = name.partition("/")
    if ":" in first:
        provider, _, model = name.partition(":")
        if provider in providers and not _TAG.fullmatch(model):
            return provider, model
    return (first, rest) if rest else ("", "")

"""Usage objects as SDKs hand them out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from guardrails.core.usage import Usage
from guardrails.wire import read_usage, usage_of
from tests.wire.recorded import body_of, read, rows


class Details(BaseModel):
    """A detail of the usage, as the openai SDK types it."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class CompletionUsage(BaseModel):
    """The usage of a chat completion, as the openai SDK types it: what it does not know it keeps."""

    model_config = ConfigDict(extra="allow")
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


class ChatCompletion(BaseModel):
    """A chat completion."""

    id: str
    object: str = "chat.completion"
    model: str
    choices: list[Any]
    usage: CompletionUsage | None = None


@dataclass
class Message:
    """An Anthropic message as a dataclass."""

    id: str
    model: str
    type: str
    usage: object


class Modality(Enum):
    """The google-genai SDK has modalities as an enum."""

    TEXT = "TEXT"
    AUDIO = "AUDIO"


def test_a_usage_passes_through() -> None:
    usage = Usage(input_tokens=1)
    assert usage_of(usage) is usage


@pytest.mark.parametrize("nothing", [None, {}, [], "usage", 3, object(), SimpleNamespace(), {"usage": None}, SimpleNamespace(usage=None)])
def test_an_object_without_counts_carries_no_usage(nothing: object) -> None:
    assert usage_of(nothing) is None


def test_an_openai_usage_model_is_read() -> None:
    usage = CompletionUsage(
        prompt_tokens=100,
        completion_tokens=20,
        total_tokens=120,
        prompt_tokens_details=Details(cached_tokens=60),
        completion_tokens_details=Details(reasoning_tokens=7),
    )
    # 100 - 60 = 40
    expected = Usage(input_tokens=40, cache_read_tokens=60, output_tokens=20, reasoning_tokens=7)
    assert usage_of(usage) == expected
    response = ChatCompletion(id="chatcmpl-1", model="gpt-5.2", choices=[], usage=usage)
    named = usage_of(response)
    assert named is not None
    assert (named.input_tokens, named.model, named.response_id) == (40, "gpt-5.2", "chatcmpl-1")


def test_a_cost_that_an_sdk_holds_as_a_float_is_the_text_of_the_wire() -> None:
    usage = CompletionUsage.model_validate({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.0145476})
    assert usage_of(usage) == Usage(input_tokens=1, output_tokens=1, cost_usd=Decimal("0.0145476"))


def test_gemini_thinking_is_found_by_the_models_name() -> None:
    usage = CompletionUsage(prompt_tokens=35, completion_tokens=12, total_tokens=109)
    # 109 - 35 = 74, 74 - 12 = 62
    expected = Usage(input_tokens=35, output_tokens=74, reasoning_tokens=62, model="gemini-2.5-pro")
    assert usage_of(usage, model="gemini-2.5-pro") == expected
    assert usage_of(usage, model="gpt-5.2") == Usage(input_tokens=35, output_tokens=12, model="gpt-5.2")
    # Nobody says which model it was: what the total has beyond the two was written by someone.
    assert usage_of(usage) == Usage(input_tokens=35, output_tokens=74, reasoning_tokens=62)


def test_an_openai_responses_usage_is_read() -> None:
    usage = SimpleNamespace(
        input_tokens=1_000,
        input_tokens_details=SimpleNamespace(
            cached_tokens=600, cache_write_tokens=150, cache_write_tokens_details=SimpleNamespace(ttl_30m_tokens=100, ttl_12h_tokens=30)
        ),
        output_tokens=40,
        output_tokens_details=SimpleNamespace(reasoning_tokens=30),
        total_tokens=1_040,
    )
    # 1,000 - 600 - 150 = 250; 150 - 100 - 30 = 20 without a retention
    assert usage_of(usage) == Usage(
        input_tokens=250,
        cache_read_tokens=600,
        cache_write_short_tokens=100,
        cache_write_long_tokens=30,
        cache_write_unknown_tokens=20,
        output_tokens=40,
        reasoning_tokens=30,
    )


def test_an_anthropic_message_is_read() -> None:
    usage = SimpleNamespace(
        input_tokens=10,
        cache_read_input_tokens=2_000,
        cache_creation_input_tokens=300,
        cache_creation=SimpleNamespace(ephemeral_5m_input_tokens=100, ephemeral_1h_input_tokens=200),
        output_tokens=50,
        server_tool_use=SimpleNamespace(web_search_requests=2, web_fetch_requests=None),
        service_tier="priority",
    )
    expected = Usage(
        input_tokens=10,
        cache_read_tokens=2_000,
        cache_write_short_tokens=100,
        cache_write_long_tokens=200,
        output_tokens=50,
        units={"web_searches": 2},
        service_tier="priority",
    )
    assert usage_of(usage) == expected
    named = usage_of(Message(id="msg_1", model="claude-opus-4-6", type="message", usage=usage))
    assert named is not None
    assert (named.output_tokens, named.model, named.response_id) == (50, "claude-opus-4-6", "msg_1")


def test_counts_that_name_no_provider_are_read() -> None:
    counts = {"input_tokens": 5, "output_tokens": 2}
    for given in (counts, {"usage": counts}, SimpleNamespace(usage=SimpleNamespace(**counts))):
        assert usage_of(given) == Usage(input_tokens=5, output_tokens=2)


def test_gemini_counts_are_read_in_snake_case_with_enums() -> None:
    usage = SimpleNamespace(
        prompt_token_count=100,
        cached_content_token_count=40,
        candidates_token_count=7,
        thoughts_token_count=3,
        tool_use_prompt_token_count=5,
        total_token_count=115,
        prompt_tokens_details=[
            SimpleNamespace(modality=Modality.TEXT, token_count=20),
            SimpleNamespace(modality=Modality.AUDIO, token_count=80),
        ],
        cache_tokens_details=[SimpleNamespace(modality=Modality.AUDIO, token_count=40)],
    )
    # 100 + 5 - 40 = 65 uncached, of which 80 - 40 = 40 audio; 7 + 3 = 10 out
    expected = Usage(
        input_tokens=65, cache_read_tokens=40, input_audio_tokens=40, cache_read_audio_tokens=40, output_tokens=10, reasoning_tokens=3
    )
    assert usage_of(usage) == expected
    response = SimpleNamespace(usage_metadata=usage, model_version="gemini-2.5-flash", response_id="r1", candidates=[])
    named = usage_of(response)
    assert named is not None
    assert (named.input_tokens, named.model, named.response_id) == (65, "gemini-2.5-flash", "r1")


def test_a_boto3_converse_response_is_read_with_its_request_id() -> None:
    response = {
        "ResponseMetadata": {"RequestId": "r-1", "HTTPHeaders": {"x-amzn-requestid": "r-1"}},
        "usage": {
            "inputTokens": 3,
            "outputTokens": 5,
            "totalTokens": 38,
            "cacheReadInputTokens": 20,
            "cacheWriteInputTokens": 10,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 10}],
        },
        "serviceTier": {"type": "flex"},
    }
    assert usage_of(response, model="amazon.nova-lite-v1:0") == Usage(
        input_tokens=3,
        cache_read_tokens=20,
        cache_write_long_tokens=10,
        output_tokens=5,
        model="amazon.nova-lite-v1:0",
        response_id="r-1",
        service_tier="flex",
    )


def test_a_boto3_invoke_response_has_its_counts_in_the_headers() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "12", "x-amzn-bedrock-output-token-count": "7", "x-amzn-requestid": "r-2"}
    response = {"ResponseMetadata": {"HTTPHeaders": headers}, "body": object(), "contentType": "application/json"}
    assert usage_of(response) == Usage(input_tokens=12, output_tokens=7, response_id="r-2")


def test_a_langchain_message_is_read() -> None:
    message = SimpleNamespace(
        usage_metadata={
            "input_tokens": 1_114,
            "output_tokens": 9,
            "total_tokens": 1_123,
            "input_token_details": {"cache_read": 1_000, "cache_creation": 111},
            "output_token_details": {"reasoning": 4},
        },
        response_metadata={"model_name": "claude-sonnet-4-6", "id": "msg_2"},
    )
    # 1,114 - 1,000 - 111 = 3
    expected = Usage(input_tokens=3, cache_read_tokens=1_000, cache_write_unknown_tokens=111, output_tokens=9, reasoning_tokens=4)
    assert usage_of(message.usage_metadata) == expected
    named = usage_of(message)
    assert named is not None
    assert (named.input_tokens, named.model, named.response_id) == (3, "claude-sonnet-4-6", "msg_2")


def test_litellm_counts_cache_inside_the_prompt_for_anthropic_too() -> None:
    usage = SimpleNamespace(
        prompt_tokens=1_114,
        completion_tokens=9,
        total_tokens=1_123,
        prompt_tokens_details=SimpleNamespace(cached_tokens=1_111),
        cache_read_input_tokens=1_111,
        cache_creation_input_tokens=0,
    )
    assert usage_of(usage) == Usage(input_tokens=3, cache_read_tokens=1_111, output_tokens=9)


def test_a_whole_body_as_a_dict_is_the_same_as_its_bytes() -> None:
    import json  # noqa: PLC0415 - here alone a body is parsed as an SDK would

    for number, row in enumerate(rows()):
        if row["streamed"] or read(number) is None:
            continue
        assert usage_of(json.loads(body_of(row))) == read_usage(body_of(row)), number

"""Whatever a provider, or something that pretends to be one, sends: nothing raises, and nothing is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.core.usage import Usage
from guardrails.wire import StreamReader, read_usage, usage_of
from tests.wire.recorded import body_of, rows

CONTENT_TYPES = st.sampled_from(
    [None, "application/json", "text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson", "?"]
)
HOSTS = st.sampled_from([None, "api.openai.com", "api.anthropic.com", "bedrock-runtime.us-east-1.amazonaws.com", "api.cohere.com", "::"])
PATHS = st.sampled_from(
    [None, "/v1/chat/completions", "/v1/responses", "/v1/messages", "/model/x/invoke", "/v2/chat", "/m:generateContent", "/api/chat", "%zz"]
)
NAMES = st.sampled_from(
    [
        "usage",
        "usageMetadata",
        "usage_metadata",
        "response",
        "message",
        "type",
        "object",
        "model",
        "id",
        "status",
        "choices",
        "candidates",
        "iterations",
        "cache_creation",
        "ephemeral_1h_input_tokens",
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "server_tool_use",
        "web_search_requests",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "cached_tokens",
        "audio_tokens",
        "reasoning_tokens",
        "input_tokens_details",
        "cost",
        "is_byok",
        "seconds",
        "billed_units",
        "search_units",
        "inputTokens",
        "outputTokens",
        "cacheDetails",
        "ttl",
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "cachedContentTokenCount",
        "promptTokensDetails",
        "tokenCount",
        "modality",
        "inputTextTokenCount",
        "results",
        "amazon-bedrock-invocationMetrics",
        "inputTokenCount",
        "custom_id",
        "body",
        "result",
        "data",
        "url",
        "prompt_eval_count",
        "done",
    ]
)
WORDS = st.sampled_from(
    ["message", "message_start", "message_delta", "response", "batch", "thread.run", "AUDIO", "5m", "compaction", "", "\ud800", "\0"]
)
NUMBERS = st.one_of(
    st.integers(-5, 50), st.sampled_from([10**12, 10**12 + 1, 2**63, 10**40, -1]), st.floats(), st.booleans(), st.just(1e308)
)
JSON = st.recursive(
    st.one_of(st.none(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=25,
)
COUNTS = [
    {"prompt_tokens": None, "completion_tokens": None},
    {"input_tokens": None, "output_tokens": None},
    {"inputTokens": None, "outputTokens": None},
    {"promptTokenCount": None, "candidatesTokenCount": None},
    {"billed_units": {"input_tokens": None, "output_tokens": None}},
]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), CONTENT_TYPES, HOSTS, PATHS)
def test_any_bytes_are_read_without_an_exception(body: bytes, content_type: str | None, host: str | None, path: str | None) -> None:
    read_usage(body, content_type=content_type, host=host, path=path)


@settings(max_examples=300, deadline=None)
@given(JSON, CONTENT_TYPES, HOSTS, PATHS)
def test_any_json_is_read_without_an_exception(value: Any, content_type: str | None, host: str | None, path: str | None) -> None:
    text = json.dumps(value).encode()
    for body in (text, b"data: " + text + b"\n\n", b"[" + text + b"," + text, text + b"\n" + text):
        usage = read_usage(body, content_type=content_type, host=host, path=path)
        assert usage is None or isinstance(usage, Usage)
    usage_of(value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_recorded_answer_with_bytes_changed_is_read_without_an_exception(data: st.DataObject) -> None:
    row = rows()[data.draw(st.sampled_from([45, 49, 117, 129, 193, 286, 431, 508, 532, 619]))]
    body = bytearray(body_of(row))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read_usage(bytes(body), content_type=row["content_type"], host=row["host"], path=row["path"])


@pytest.mark.parametrize(
    "number", ["-1", "true", "NaN", "Infinity", "1.5", "1e400", "1" + "0" * 30, '"12"', "null", "[]", "{}", "9" * 5_000]
)
@pytest.mark.parametrize("counts", COUNTS, ids=lambda counts: next(iter(counts)))
def test_what_cannot_be_a_count_was_not_reported(counts: dict[str, Any], number: str) -> None:
    under = "usageMetadata" if "promptTokenCount" in counts else "usage"
    body = json.dumps({under: counts}).replace("null", number).encode()
    assert read_usage(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"null",
        b"[]",
        b'"usage"',
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"usage":' * 100_000 + b"1" + b"}" * 100_000,
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"\xff\xfe\x00",
        b'{"usage": {"prompt_tokens": 1, "completion_tokens": 2}',
        b"data: {\n\n",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_cannot_be_read_carries_no_usage(body: bytes) -> None:
    assert read_usage(body) is None


def test_an_error_carries_no_usage_whatever_it_says() -> None:
    body = b'{"usage": {"prompt_tokens": 1, "completion_tokens": 2}}'
    assert read_usage(body, status=200) == Usage(input_tokens=1, output_tokens=2)
    assert read_usage(body, status=429) is None
    reader = StreamReader(status=500)
    reader.feed(body)
    assert reader.usage() is None


def test_zero_is_reported_and_missing_is_not() -> None:
    """Acceptance 58: an explicit zero stays a zero, a missing count stays unknown."""
    assert read_usage(b'{"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}') == Usage(
        input_tokens=0, output_tokens=0
    )
    assert read_usage(b'{"usage": {"input_tokens": 0}, "type": "message"}') == Usage(input_tokens=0, output_tokens=None)
    assert read_usage(b'{"usage": {"completion_tokens": 3}}') == Usage(input_tokens=None, output_tokens=3)
    assert read_usage(b'{"usage": {}}') is None
    assert read_usage(b'{"usage": null}') is None


def test_reasoning_beyond_the_output_is_clamped_and_the_output_is_not() -> None:
    body = b'{"usage": {"prompt_tokens": 4, "completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 11}}}'
    usage = read_usage(body, host="openrouter.ai")
    assert usage == Usage(input_tokens=4, output_tokens=10, reasoning_tokens=10)
    assert usage is not None
    assert usage.clamped == ("reasoning_tokens",)


def test_sums_beyond_all_bounds_are_no_usage() -> None:
    body = b'{"usageMetadata": {"promptTokenCount": 1000000000000, "toolUsePromptTokenCount": 1000000000000}}'
    assert read_usage(body) is None
    details = b'{"inputTokens": 1000000000000, "ttl": "5m"}'
    assert read_usage(b'{"usage": {"inputTokens": 1, "outputTokens": 1, "cacheDetails": [' + details + b"," + details + b"]}}") is None


def test_an_object_whose_attributes_raise_carries_no_usage() -> None:
    class Broken:
        @property
        def usage(self) -> object:
            raise RuntimeError

    assert usage_of(Broken()) is None

"""API shapes of which no answer was recorded, by the providers' documentation."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from guardrails.core.usage import Usage
from guardrails.wire import StreamReader, read_usage


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def stream(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_generated_images_are_image_tokens() -> None:
    answer = body(
        created=1,
        data=[{"b64_json": "aGk="}],
        usage={
            "input_tokens": 50,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
            "output_tokens": 4_160,
            "total_tokens": 4_210,
        },
    )
    expected = Usage(input_tokens=50, input_image_tokens=40, output_tokens=4_160, output_image_tokens=4_160)
    assert read_usage(answer, host="api.openai.com", path="/v1/images/generations") == expected
    assert read_usage(answer) == expected


def test_images_without_token_counts_are_counted_as_images() -> None:
    answer = body(created=1, data=[{"url": "https://a"}, {"url": "https://b"}])
    assert read_usage(answer, path="/v1/images/generations", model="dall-e-3") == Usage(units={"images": 2}, model="dall-e-3")


def test_a_transcription_is_paid_by_the_second() -> None:
    """Acceptance 67: per-second audio is a unit and not nothing."""
    assert read_usage(body(text="hi", usage={"type": "duration", "seconds": 12})) == Usage(units={"audio_seconds": 12})
    answer = b'{"task": "transcribe", "duration": 8.470000267028809, "text": "hi", "segments": []}'
    # to nine decimals, upwards
    assert read_usage(answer, path="/v1/audio/transcriptions") == Usage(units={"audio_seconds": Decimal("8.470000268")})
    assert read_usage(body(text="", usage={"type": "duration", "seconds": 0})) == Usage(units={"audio_seconds": 0})


def test_a_transcription_is_paid_by_the_token() -> None:
    counts = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    expected = Usage(input_tokens=14, input_audio_tokens=10, output_tokens=45)
    assert read_usage(body(text="hi", usage=counts)) == expected
    events = stream({"type": "transcript.text.delta", "delta": "h"}, {"type": "transcript.text.done", "text": "hi", "usage": counts})
    assert read_usage(events) == expected


def test_streamed_speech_is_audio_tokens() -> None:
    events = stream(
        {"type": "speech.audio.delta", "audio": "aGk="},
        {"type": "speech.audio.done", "usage": {"input_tokens": 5, "output_tokens": 101, "total_tokens": 106}},
    )
    assert read_usage(events) == Usage(input_tokens=5, output_tokens=101, output_audio_tokens=101)


def test_realtime_cached_audio_is_apart_from_cached_text() -> None:
    counts = {
        "total_tokens": 200,
        "input_tokens": 150,
        "output_tokens": 50,
        "input_token_details": {
            "cached_tokens": 64,
            "text_tokens": 50,
            "audio_tokens": 100,
            "cached_tokens_details": {"text_tokens": 24, "audio_tokens": 40},
        },
        "output_token_details": {"text_tokens": 10, "audio_tokens": 40},
    }
    event = body(type="response.done", response={"object": "realtime.response", "id": "resp_1", "usage": counts})
    # 150 - 64 = 86 uncached, of which 100 - 40 = 60 audio
    assert read_usage(event) == Usage(
        input_tokens=86,
        cache_read_tokens=64,
        input_audio_tokens=60,
        cache_read_audio_tokens=40,
        output_tokens=50,
        output_audio_tokens=40,
        response_id="resp_1",
    )


def test_cached_image_tokens_are_not_charged_in_full_as_well() -> None:
    """Acceptance 65: of 900 prompt tokens 600 were images and 800 were cached, so that at most 100 images were not."""
    counts = {
        "prompt_tokens": 900,
        "completion_tokens": 10,
        "total_tokens": 910,
        "prompt_tokens_details": {"text_tokens": 300, "image_tokens": 600, "cached_tokens": 800},
    }
    usage = read_usage(body(choices=[], usage=counts, model="grok-4"), host="api.x.ai", path="/v1/chat/completions")
    # 900 - 800 = 100 uncached; the other 500 images were cached
    assert usage == Usage(
        input_tokens=100, cache_read_tokens=800, input_image_tokens=100, cache_read_image_tokens=500, output_tokens=10, model="grok-4"
    )


def test_xai_reasons_outside_the_completion_and_states_its_cost_in_ticks() -> None:
    counts = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 339,
        "completion_tokens_details": {"reasoning_tokens": 310},
        "cost_in_usd_ticks": 37_756_000,
    }
    # 339 - 20 = 319 = 9 + 310; 37,756,000 ticks of 10^-10 USD
    assert read_usage(body(choices=[], usage=counts, model="grok-4"), host="api.x.ai") == Usage(
        input_tokens=20, output_tokens=319, reasoning_tokens=310, cost_usd=Decimal("0.0037756"), model="grok-4"
    )


def test_perplexity_charges_citations_and_reasoning_beside_the_completion() -> None:
    counts = {
        "prompt_tokens": 33,
        "completion_tokens": 7_163,
        "total_tokens": 7_196,
        "citation_tokens": 19_028,
        "reasoning_tokens": 193,
        "num_search_queries": 28,
        "cost": {"total_cost": 0.5},
    }
    # 7,163 + 19,028 + 193 = 26,384
    assert read_usage(body(choices=[], usage=counts, model="sonar-deep-research")) == Usage(
        input_tokens=33,
        output_tokens=26_384,
        reasoning_tokens=193,
        units={"web_searches": 28},
        cost_usd=Decimal("0.5"),
        model="sonar-deep-research",
    )


def test_deepseek_counts_hits_and_misses_apart() -> None:
    """Acceptance 64."""
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    assert read_usage(body(choices=[], usage=counts), host="api.deepseek.com") == Usage(
        input_tokens=36, cache_read_tokens=64, output_tokens=5
    )


def test_with_a_key_of_ones_own_the_upstream_is_paid_too() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}}
    usage = read_usage(body(choices=[], usage=counts), host="openrouter.ai")
    assert usage == Usage(input_tokens=1, output_tokens=1, cost_usd=Decimal("1.05"))
    counts["cost_details"] = None
    assert read_usage(body(choices=[], usage=counts), host="openrouter.ai") == Usage(input_tokens=1, output_tokens=1)


def test_counts_on_every_chunk_are_cumulative_and_the_last_counts() -> None:
    events = [{"choices": [{}], "usage": {"prompt_tokens": 5, "completion_tokens": number}} for number in (1, 2, 3)]
    assert read_usage(stream(*events)) == Usage(input_tokens=5, output_tokens=3, partial=True)
    assert read_usage(stream(*events) + b"data: [DONE]\n\n") == Usage(input_tokens=5, output_tokens=3)


def test_an_answer_that_ended_early_is_still_charged() -> None:
    for ending in ("incomplete", "failed"):
        answer = {"object": "response", "status": ending, "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}}
        assert read_usage(stream({"type": f"response.{ending}", "response": answer})) == Usage(input_tokens=5, output_tokens=3)


def test_images_made_by_a_tool_are_a_part_on_their_own_model() -> None:
    answer = body(
        object="response",
        model="gpt-5.2",
        status="completed",
        tools=[{"type": "image_generation", "model": "gpt-image-1-mini"}],
        usage={"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
        tool_usage={"image_gen": {"input_tokens": 20, "output_tokens": 272, "output_tokens_details": {"image_tokens": 272}}},
    )
    assert read_usage(answer) == Usage(
        input_tokens=5,
        output_tokens=3,
        model="gpt-5.2",
        parts=(Usage(input_tokens=20, output_tokens=272, output_image_tokens=272, model="gpt-image-1-mini"),),
    )


@pytest.mark.parametrize(("status", "partial"), [("in_progress", True), ("completed", False), ("expired", False)])
def test_a_batch_states_its_usage_and_its_requests(status: str, partial: bool) -> None:  # noqa: FBT001 - a column of the table
    """Acceptance 69: a batch that still runs is partial, so that its end is booked as the difference."""
    answer = body(
        object="batch",
        id="batch_1",
        model="gpt-5-mini",
        status=status,
        request_counts={"total": 3, "completed": 2, "failed": 1},
        usage={
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 109,
        },
    )
    assert read_usage(answer) == Usage(
        input_tokens=40,
        cache_read_tokens=60,
        output_tokens=9,
        units={"requests": 2},
        model="gpt-5-mini",
        response_id="batch_1",
        service_tier="batch",
        partial=partial,
    )


def test_batch_results_are_added_up_once_each_and_by_model() -> None:
    """Acceptance 69."""

    def line(custom_id: str, model: str, prompt: int, cached: int) -> bytes:
        counts = {"prompt_tokens": prompt, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": cached}}
        return body(custom_id=custom_id, response={"status_code": 200, "body": {"choices": [], "model": model, "usage": counts}}) + b"\n"

    failed = body(custom_id="d", response={"status_code": 400, "body": {"error": {}}}) + b"\n"
    results = line("a", "gpt-5-mini", 10, 4) + line("b", "gpt-5-mini", 20, 0) + line("c", "gpt-5-nano", 7, 0) + failed
    # gpt-5-mini: (10 - 4) + 20 = 26, 4 cached, 2 + 2; line a a second time is the same line
    nano = Usage(input_tokens=7, output_tokens=2, units={"requests": 1}, model="gpt-5-nano", service_tier="batch")
    expected = Usage(
        input_tokens=26,
        cache_read_tokens=4,
        output_tokens=4,
        units={"requests": 2},
        parts=(nano,),
        model="gpt-5-mini",
        service_tier="batch",
    )
    assert read_usage(results) == expected
    assert read_usage(results + line("a", "gpt-5-mini", 10, 4)) == expected


def test_anthropic_batch_results_are_added_up() -> None:
    message = {"type": "message", "id": "m", "model": "claude-haiku-4-5", "usage": {"input_tokens": 5, "output_tokens": 2}}
    line = body(custom_id="a", result={"type": "succeeded", "message": message})
    errored = body(custom_id="b", result={"type": "errored", "error": {}})
    assert read_usage(line + b"\n" + errored) == Usage(
        input_tokens=5, output_tokens=2, units={"requests": 1}, model="claude-haiku-4-5", service_tier="batch"
    )


def test_a_newer_cache_total_makes_an_older_split_untrue() -> None:
    split = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0}
    start = {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 4, "cache_creation_input_tokens": 100, "cache_creation": split, "output_tokens": 1}},
    }
    end = {"type": "message_delta", "usage": {"cache_creation_input_tokens": 250, "output_tokens": 9}}
    stop = {"type": "message_stop"}
    assert read_usage(stream(start, end, stop)) == Usage(input_tokens=4, cache_write_unknown_tokens=250, output_tokens=9)
    # The same total says nothing against the split.
    end["usage"] = {"cache_creation_input_tokens": 100, "output_tokens": 9}
    assert read_usage(stream(start, end, stop)) == Usage(input_tokens=4, cache_write_short_tokens=100, output_tokens=9)


def test_with_compaction_the_messages_before_the_last_are_parts_too() -> None:
    iterations = [
        {"type": "message", "input_tokens": 1_000, "output_tokens": 10},
        {"type": "compaction", "input_tokens": 1_010, "output_tokens": 50},
        {"type": "message", "input_tokens": 60, "output_tokens": 5},
    ]

    def answer(output_tokens: int) -> bytes:
        return body(type="message", model="m", usage={"input_tokens": 60, "output_tokens": output_tokens, "iterations": iterations})

    compaction = Usage(input_tokens=1_010, output_tokens=50, model="m")
    first = Usage(input_tokens=1_000, output_tokens=10, model="m")
    assert read_usage(answer(5)) == Usage(input_tokens=60, output_tokens=5, model="m", parts=(first, compaction))
    # A top level with the output of both messages, 10 + 5, leaves the first one's input alone to its part.
    first = Usage(input_tokens=1_000, output_tokens=0, model="m")
    assert read_usage(answer(15)) == Usage(input_tokens=60, output_tokens=15, model="m", parts=(first, compaction))


def test_fast_speed_is_the_tier_that_served() -> None:
    counts = {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "speed": "fast"}
    usage = read_usage(body(type="message", usage=counts))
    assert usage is not None
    assert usage.service_tier == "fast"


@pytest.mark.parametrize(
    "answer",
    [
        {"name": "cachedContents/1", "model": "models/gemini-2.5-flash", "usageMetadata": {"totalTokenCount": 4_000}},
        {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-2.5-flash", "usageMetadata": {"totalTokenCount": 0}},
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]},
        {"input_tokens": 2_095},
    ],
    ids=["cached content", "blocked prompt", "blocked prompt without a usage", "counted tokens", "Anthropic's counted tokens"],
)
@pytest.mark.parametrize("path", [None, "/v1beta/models/gemini-2.5-flash:generateContent", "/v1/messages/count_tokens"])
def test_an_answer_that_used_nothing_carries_no_usage(answer: dict[str, Any], path: str | None) -> None:
    assert read_usage(json.dumps(answer).encode(), path=path) is None


def test_grounding_is_charged_by_the_search_or_by_the_prompt() -> None:
    def answer(model: str) -> bytes:
        return body(
            candidates=[{"groundingMetadata": {"webSearchQueries": ["a", "b"]}, "finishReason": "STOP"}],
            modelVersion=model,
            usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 1},
        )

    by_search, by_prompt = read_usage(answer("gemini-3-pro-preview")), read_usage(answer("gemini-2.5-flash"))
    assert by_search is not None
    assert by_search.units == {"web_searches": 2}
    assert by_prompt is not None
    assert by_prompt.units == {"web_searches": 1}


BEDROCK_HOST = "bedrock-runtime.us-east-1.amazonaws.com"
INVOKE_PATH = "/model/mistral.mistral-7b-instruct-v0%3A2/invoke"


def test_invoke_model_states_its_counts_in_headers() -> None:
    headers = {
        "X-Amzn-Bedrock-Input-Token-Count": "30",
        "X-Amzn-Bedrock-Output-Token-Count": "12",
        "X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "8",
        "X-Amzn-Bedrock-Cache-Write-Input-Token-Count": "4",
        "x-amzn-RequestId": "req-1",
    }
    expected = Usage(
        input_tokens=30,
        cache_read_tokens=8,
        cache_write_unknown_tokens=4,
        output_tokens=12,
        model="mistral.mistral-7b-instruct-v0:2",
        response_id="req-1",
    )
    for sent in (body(outputs=[{"text": "hi"}]), b"", b"\x89PNG not JSON at all"):
        assert read_usage(sent, headers=headers, host=BEDROCK_HOST, path=INVOKE_PATH) == expected


def test_headers_complete_a_body_that_does_not_report_its_output() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "30", "x-amzn-bedrock-output-token-count": "12"}
    usage = read_usage(body(output={}, usage={"inputTokens": 30}), headers=headers)
    assert usage == Usage(input_tokens=30, output_tokens=12)


def test_headers_keep_the_split_of_a_body_that_agrees() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "3", "x-amzn-bedrock-cache-write-input-token-count": "10"}
    counts = {
        "input_tokens": 3,
        "output_tokens": 2,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 10},
    }
    usage = read_usage(body(type="message", usage=counts), headers=headers)
    assert usage == Usage(input_tokens=3, cache_write_long_tokens=10, output_tokens=2)


@pytest.mark.parametrize("count", ["-1", "1.5", "", "NaN", "9" * 40, "12 tokens"])
def test_a_header_that_is_no_count_was_not_reported(count: str) -> None:
    assert read_usage(b"{}", headers={"x-amzn-bedrock-input-token-count": count}, host=BEDROCK_HOST, path=INVOKE_PATH) is None


def test_llama_and_titan_embeddings_have_counts_of_their_own() -> None:
    llama = body(generation="hi", prompt_token_count=9, generation_token_count=4, stop_reason="stop")
    assert read_usage(llama, host=BEDROCK_HOST, path="/model/meta.llama3/invoke", model="llama3") == Usage(
        input_tokens=9, output_tokens=4, model="llama3"
    )
    assert read_usage(body(embedding=[0.1], inputTextTokenCount=5)) == Usage(input_tokens=5, output_tokens=0)


def test_an_application_inference_profile_names_no_model() -> None:
    path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse"
    usage = read_usage(body(usage={"inputTokens": 1, "outputTokens": 1}), host=BEDROCK_HOST, path=path)
    assert usage == Usage(input_tokens=1, output_tokens=1)


def test_openai_shaped_answers_on_other_hosts_are_told_by_their_paths() -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    for host, path in (
        ("bedrock-runtime.us-west-2.amazonaws.com", "/openai/v1/chat/completions"),
        ("api.anthropic.com", "/v1/chat/completions"),
        ("api.cohere.ai", "/compatibility/v1/chat/completions"),
        ("localhost:8000", "/v1/chat/completions"),
    ):
        assert read_usage(body(choices=[], usage=counts), host=host, path=path) == Usage(input_tokens=3, output_tokens=1)


def test_anthropic_on_vertex_is_told_by_its_path() -> None:
    path = "/v1/projects/p/locations/us/publishers/anthropic/models/claude-opus-4-6:rawPredict"
    answer = body(type="message", model="claude-opus-4-6", usage={"input_tokens": 3, "output_tokens": 1})
    assert read_usage(answer, host="us-aiplatform.googleapis.com", path=path) == Usage(
        input_tokens=3, output_tokens=1, model="claude-opus-4-6"
    )


def test_a_path_that_is_not_what_it_looks_like_hides_nothing() -> None:
    answer = body(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 1})
    assert read_usage(answer, path="/v1/messages") == Usage(input_tokens=3, output_tokens=1)


def test_cohere_embeds_and_ranks() -> None:
    embedded = body(id="e", embeddings={}, meta={"billed_units": {"input_tokens": 12}})
    assert read_usage(embedded, host="api.cohere.com", path="/v2/embed") == Usage(input_tokens=12, output_tokens=0, response_id="e")
    ranked = body(id="r", results=[], meta={"billed_units": {"search_units": 1}})
    assert read_usage(ranked, host="api.cohere.com", path="/v2/rerank") == Usage(
        input_tokens=0, output_tokens=0, units={"rerank_searches": 1}, response_id="r"
    )


def test_ollama_counts_on_its_last_line() -> None:
    lines = [
        body(model="llama3.2", message={"content": "hi"}, done=False),
        body(model="llama3.2", done=True, prompt_eval_count=26, eval_count=298),
    ]
    reader = StreamReader(content_type="application/x-ndjson", path="/api/chat")
    reader.feed(lines[0] + b"\n" + lines[1][:20])
    assert reader.usage() is None
    reader.feed(lines[1][20:] + b"\n")
    assert reader.usage() == Usage(input_tokens=26, output_tokens=298, model="llama3.2")
    assert read_usage(b"\n".join(lines)) == Usage(input_tokens=26, output_tokens=298, model="llama3.2")

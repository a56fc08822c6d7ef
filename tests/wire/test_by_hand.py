"""Recorded answers with the usage that follows from their raw numbers, worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from guardrails.core.usage import Usage
from tests.wire.recorded import read, row_name

EXPECTED: dict[int, Usage] = {
    # OpenAI chat: prompt 48 with nothing cached.
    0: Usage(input_tokens=48, output_tokens=14, service_tier="default"),
    # OpenAI chat, Acceptance 64: prompt 4,020 of which 4,012 cached: 4,020 - 4,012 = 8.
    293: Usage(input_tokens=8, cache_read_tokens=4_012, output_tokens=4, service_tier="default"),
    # OpenAI chat: 1,150 - 1,024 = 126.
    600: Usage(input_tokens=126, cache_read_tokens=1_024, output_tokens=307, service_tier="default"),
    # OpenAI chat stream with include_usage.
    286: Usage(input_tokens=53, output_tokens=15, service_tier="default"),
    # OpenAI responses: 1,920 of the 2,211 written tokens are reasoning, which is not added.
    83: Usage(input_tokens=23, output_tokens=2_211, reasoning_tokens=1_920, service_tier="default"),
    # OpenAI responses with six searches, and pages opened, which are none: 115,886 - 92,160 = 23,726.
    327: Usage(
        input_tokens=23_726,
        cache_read_tokens=92_160,
        output_tokens=1_720,
        reasoning_tokens=1_472,
        units={"web_searches": 6},
        service_tier="default",
    ),
    # OpenAI responses with one search of files.
    328: Usage(input_tokens=870, output_tokens=30, units={"storage_searches": 1}, service_tier="default"),
    # OpenAI responses, a background answer fetched again as a stream.
    300: Usage(input_tokens=15, output_tokens=9, service_tier="default"),
    # OpenAI assistants run, streamed: the run's own 381 and 89, not its steps' 154 + 227 and 62 + 27 on top.
    532: Usage(input_tokens=381, output_tokens=89),
    # OpenAI embeddings write nothing: total 8 = prompt 8.
    579: Usage(input_tokens=8, output_tokens=0),
    # Azure.
    536: Usage(input_tokens=15, output_tokens=19),
    # Gemini: total 15 = 14 + 1.
    4: Usage(input_tokens=14, output_tokens=1, service_tier="standard"),
    # Gemini, Acceptance 62: 859 - 594 = 265 uncached.
    431: Usage(input_tokens=265, cache_read_tokens=594, output_tokens=28, service_tier="standard"),
    # Gemini with tools: 32 + 2,395 = 2,427 in, 41 + 47 thoughts = 88 out.
    207: Usage(input_tokens=2_427, output_tokens=88, reasoning_tokens=47),
    # Gemini with audio: 150 of the 159 tokens.
    221: Usage(input_tokens=159, input_audio_tokens=150, output_tokens=22, service_tier="standard"),
    # Gemini with video: 1,560 of the 1,569 tokens.
    223: Usage(input_tokens=1_569, input_video_tokens=1_560, output_tokens=60, service_tier="standard"),
    # Gemini, blocked for safety: a prompt of 14 and a total of 14, so that nothing was written.
    197: Usage(input_tokens=14, output_tokens=0),
    # Gemini stream whose prompt falls from 169 to 79: the last counts.
    193: Usage(input_tokens=79, output_tokens=12),
    # Gemini stream with tools: 427 + 771 = 1,198 in, 122 + 447 = 569 out.
    185: Usage(input_tokens=1_198, output_tokens=569, reasoning_tokens=447, service_tier="standard"),
    # Gemini stream on Vertex at the flex tier: 1 + 100 out.
    228: Usage(input_tokens=5, output_tokens=101, reasoning_tokens=100, service_tier="flex"),
    # Gemini through the OpenAI-compatible endpoint: max(12, 109 - 35) = 74, of which 74 - 12 = 62 thinking.
    251: Usage(input_tokens=35, output_tokens=74, reasoning_tokens=62),
    # And again: max(6, 100 - 66) = 34, 34 - 6 = 28.
    252: Usage(input_tokens=66, output_tokens=34, reasoning_tokens=28),
    # Anthropic with a search.
    42: Usage(input_tokens=8_606, output_tokens=132, units={"web_searches": 1}, service_tier="standard"),
    # Anthropic with an advisor: 1,128 + 1,262 = 2,390 in and 110 + 11 = 121 out are the two messages; the advisor's are apart.
    45: Usage(
        input_tokens=2_390,
        output_tokens=121,
        reasoning_tokens=28,
        parts=(Usage(input_tokens=2_518, output_tokens=22, model="claude-opus-4-8"),),
        service_tier="standard",
    ),
    # Anthropic with compaction: the top level is the last message's; what compacted wrote 55,096 tokens to the 5-minute cache.
    58: Usage(
        input_tokens=229,
        output_tokens=5,
        parts=(Usage(input_tokens=100, cache_write_short_tokens=55_096, output_tokens=131, model="claude-sonnet-4-6"),),
        service_tier="standard",
    ),
    # Anthropic stream with an advisor: 2,411 at the end, not 1,128 at the start, and not both.
    49: Usage(
        input_tokens=2_411,
        output_tokens=145,
        reasoning_tokens=47,
        parts=(Usage(input_tokens=2_543, output_tokens=18, model="claude-opus-4-8"),),
        service_tier="standard",
    ),
    # Anthropic stream with a fetch.
    105: Usage(input_tokens=7_244, output_tokens=153, units={"web_fetches": 1}, service_tier="standard"),
    # Anthropic stream, Acceptance 63: 1,167 written to the cache, for how long it does not say, and not input a second time.
    479: Usage(input_tokens=4, cache_write_unknown_tokens=1_167, output_tokens=289),
    # Bedrock Converse, first to the cache and then from it; total 3 + 1,712 + 227 = 1,942.
    117: Usage(input_tokens=3, cache_write_short_tokens=1_712, output_tokens=227),
    # 3 + 1,712 + 236 + 121 = 2,072, each of the cached counts once though it stands there twice.
    118: Usage(input_tokens=3, cache_read_tokens=1_712, cache_write_short_tokens=236, output_tokens=121),
    # Bedrock Converse without the retention: 14 + 1,503 + 5 = 1,522.
    121: Usage(input_tokens=14, cache_write_unknown_tokens=1_503, output_tokens=5),
    # Bedrock ConverseStream, AWS frames.
    129: Usage(input_tokens=1_002, output_tokens=59),
    # Bedrock ConverseStream whose frames also count policies under the name of usage.
    497: Usage(input_tokens=17, output_tokens=16),
    # Bedrock InvokeModel, Claude's own body.
    50: Usage(input_tokens=3, cache_read_tokens=9_511, output_tokens=1_944),
    # Bedrock InvokeModel, Titan's own body, which writes 28.0 and 197.0.
    498: Usage(input_tokens=28, output_tokens=197),
    # Bedrock InvokeModel, Nova without an output count: not reported, not zero.
    501: Usage(input_tokens=30),
    # Bedrock InvokeModel streams: Titan's totals over three frames, and Claude's events in base64 inside the frames.
    618: Usage(input_tokens=28, output_tokens=188),
    619: Usage(input_tokens=16, output_tokens=21),
    # Groq: 336 - 256 = 80.
    241: Usage(input_tokens=80, cache_read_tokens=256, output_tokens=96, reasoning_tokens=59, service_tier="on_demand"),
    # Groq stream: the same usage twice in one chunk, counted once.
    242: Usage(input_tokens=304, output_tokens=49, reasoning_tokens=23),
    # Mistral: num_cached_tokens, 77 - 76 = 1.
    398: Usage(input_tokens=1, cache_read_tokens=76, output_tokens=12),
    # Mistral stream.
    523: Usage(input_tokens=11, output_tokens=80),
    # Cohere: billed 41 and 25, though 1,441 and 54 were processed and 144 were cached.
    396: Usage(input_tokens=41, output_tokens=25),
    # Cohere stream: billed 7 and 109, not the 69 and 110 processed.
    508: Usage(input_tokens=7, output_tokens=109),
    # DeepSeek stream: 12 missed the cache, 0 hit it.
    610: Usage(input_tokens=12, output_tokens=89),
    # OpenRouter stream: what is charged, tool fees included, and not what the upstream took.
    376: Usage(input_tokens=888, output_tokens=74, cost_usd=Decimal("0.0145476")),
    # OpenRouter: 2,649 - 2,569 - 79 = 1.
    436: Usage(input_tokens=1, cache_read_tokens=2_569, cache_write_unknown_tokens=79, output_tokens=100, cost_usd=Decimal("0.00256995")),
    # OpenRouter, Acceptance 65: 2,168 - 2,161 - 2,161 is less than nothing, and so nothing; the cost is exact to the last digit.
    441: Usage(
        input_tokens=0,
        cache_read_tokens=2_161,
        cache_write_unknown_tokens=2_161,
        output_tokens=100,
        cost_usd=Decimal("0.0004970133333333333"),
    ),
    # OpenRouter's responses, streamed.
    351: Usage(input_tokens=78, output_tokens=37, reasoning_tokens=22, cost_usd=Decimal("0.0000113"), service_tier="auto"),
    # Together.
    617: Usage(input_tokens=10, output_tokens=512),
}


@pytest.mark.parametrize("number", EXPECTED, ids=row_name)
def test_an_answer_is_read_as_worked_out_by_hand(number: int) -> None:
    """Acceptance 62, 63, 64, 65."""
    usage = read(number)
    assert usage is not None
    expected = EXPECTED[number]
    assert {**_without_names(usage), "parts": usage.parts} == {**_without_names(expected), "parts": expected.parts}


def test_a_remainder_below_zero_is_named_as_clamped() -> None:
    usage = read(441)
    assert usage is not None
    assert usage.clamped == ("input_tokens",)


@pytest.mark.parametrize(
    ("number", "model", "response_id"),
    [
        (0, "gpt-4o-2024-08-06", "chatcmpl-Dyln6nXFb07wOIPj5NWCmPOcd3GOs"),
        (300, "gpt-4o-2024-08-06", "resp_0850765c843cca5300699cc47d93c0819089a181f5feeff8eb"),
        (532, "gpt-4o-mini", "run_qI4jt699qmkHzp0Rbs30AseB"),
        (49, "claude-sonnet-5", "msg_011CdD8kd2BCHcbXAHcYxvaf"),
        (193, "gemini-2.0-flash", "11peaI_ZJLq3nvgP0vasuQk"),
        (129, "us.amazon.nova-2-lite-v1:0", None),
        (619, "claude-3-sonnet-20240229", "msg_bdrk_014eJfxWXNnxFKhmuiT8FYf7"),
        (508, None, "6cd6ce61-bb3b-46f6-907e-fcfab45e51b6"),
        (376, "openai/gpt-4o-mini", "gen-1784878121-HxA00pxmV0n2x1hZAuok"),
    ],
)
def test_the_model_and_the_id_are_the_providers_own(number: int, model: str | None, response_id: str | None) -> None:
    usage = read(number)
    assert usage is not None
    assert (usage.model, usage.response_id) == (model, response_id)


def _without_names(usage: Usage) -> dict[str, object]:
    names = [name for name in Usage.__slots__ if name not in ("model", "response_id", "parts", "clamped")]
    return {name: getattr(usage, name) for name in names}

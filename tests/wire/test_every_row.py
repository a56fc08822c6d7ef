"""Every recorded answer is read, or named as carrying no usage, and its counters add up to what the provider calls the total."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from guardrails.wire import read_usage
from tests.wire.recorded import body_of, read, row_name, rows

WITHOUT_USAGE = {
    "a client error carries no usage": {453, 454, 455, 456, 457, 458, 459, 460, 461, 629, 630, 631, 646, 647, 648},
    "a chat stream without include_usage never reports": {*range(623, 629), *range(632, 646)},
}
OVERLAPPING = {441}
"""OpenRouter counts 2,161 of 2,168 prompt tokens as read from the cache and as written to it at once."""

NOT_REPORTED = {501}
"""Nova through InvokeModel: the output's count stands in a header, and headers were not recorded."""


def test_every_row_is_read_or_named_as_carrying_no_usage() -> None:
    named = {number for numbers in WITHOUT_USAGE.values() for number in numbers}
    assert {number for number in range(len(rows())) if read(number) is None} == named


def test_the_rows_without_usage_are_what_they_are_said_to_be() -> None:
    errors, silent = WITHOUT_USAGE.values()
    assert {number for number, row in enumerate(rows()) if row["status"] >= 400} == errors
    assert all(rows()[number]["streamed"] and not rows()[number]["usage_objects"] for number in silent)


def test_no_recorded_answer_is_partial() -> None:
    assert [number for number in range(len(rows())) if (usage := read(number)) is not None and usage.partial] == []


def test_input_and_output_are_known_wherever_they_were_recorded() -> None:
    unknown = {
        number
        for number in range(len(rows()))
        if (usage := read(number)) is not None and (usage.input_tokens is None or usage.output_tokens is None)
    }
    assert unknown == NOT_REPORTED


def test_the_body_alone_says_what_host_and_path_say() -> None:
    """Acceptance 14: an API behind a gateway, of which neither host nor path is known, is metered the same."""
    for number, row in enumerate(rows()):
        told = read(number)
        looks = read_usage(body_of(row), status=row["status"])
        model = None if told is None else told.model
        assert told == (None if looks is None else replace(looks, model=model)), row_name(number)


def test_answers_of_every_api_shape_are_metered() -> None:
    """Acceptance 14."""
    metered = Counter(_shape(row) for number, row in enumerate(rows()) if read(number) is not None)
    assert metered.keys() >= {
        "chat",
        "responses",
        "messages",
        "completions",
        "embeddings",
        "generateContent",
        "converse",
        "converse-stream",
        "invoke",
        "invoke-with-response-stream",
        "cohere",
        "runs",
    }


def _shape(row: dict[str, Any]) -> str:
    path = row["path"].partition("#")[0]
    if row["provider"] == "cohere":
        return "cohere"
    for word in ("/chat/completions", "/responses", "/threads/"):
        if word in path:
            return {"/chat/completions": "chat", "/responses": "responses", "/threads/": "runs"}[word]
    return str(path.rpartition("/")[2].rpartition(":")[2])


@pytest.mark.parametrize("number", [number for number, row in enumerate(rows()) if row["usage_objects"]], ids=row_name)
def test_the_counters_add_up_to_the_providers_total(number: int) -> None:
    """Acceptance 62, 63, 64: no token is counted twice, none is left out."""
    usage = read(number)
    counts = _last(rows()[number])
    total = _total(counts)
    if number in OVERLAPPING | NOT_REPORTED or total is None:
        assert usage is not None
        return
    assert usage is not None
    assert usage.all_input_tokens is not None
    assert usage.output_tokens is not None
    assert usage.all_input_tokens + usage.output_tokens == total
    assert usage.clamped in ((), ("reasoning_tokens",))


def test_the_totals_that_are_checked_are_most_of_the_rows() -> None:
    checked = Counter(
        row["provider"]
        for number, row in enumerate(rows())
        if row["usage_objects"] and _total(_last(row)) is not None and number not in OVERLAPPING
    )
    # Cohere states no total, and of Bedrock's rows those with a vendor's own body do not.
    assert checked == {
        "openai": 211,
        "google": 73,
        "groq": 37,
        "mistral": 17,
        "anthropic": 127,
        "bedrock": 76,
        "azure": 16,
        "openrouter": 38,
        "deepseek": 1,
        "together": 1,
    }


def _last(row: dict[str, Any]) -> dict[str, Any]:
    """The usage object that counts: a body's first (Groq breaks it down in others), a stream's last, Anthropic's over what came before."""
    tokens = [counts for counts in row["usage_objects"] if not any("PolicyUnits" in name for name in counts)]
    if row["provider"] == "anthropic":
        return {name: value for counts in tokens for name, value in counts.items()}
    return next(iter(tokens[::-1] if row["streamed"] else tokens), {})


def _total(counts: dict[str, Any]) -> int | None:
    """What each provider's total is made of, by its own rule."""
    if "totalTokenCount" in counts:  # Gemini: prompt, candidates, tool use and thoughts
        return int(counts["totalTokenCount"])
    if "totalTokens" in counts:  # Bedrock: input, output, cache read and cache write
        return int(counts["totalTokens"])
    if "total_tokens" in counts:  # OpenAI and those like it: prompt and completion
        return int(counts["total_tokens"])
    if "input_tokens" in counts:  # Anthropic states none: the sum of its four
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
        return sum(counts.get(name) or 0 for name in names)
    return None

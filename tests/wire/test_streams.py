"""Streams in chunks of any size, and streams that were cut."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import pytest

from guardrails.core.usage import Usage
from guardrails.wire import StreamReader, read_usage
from tests.wire.recorded import body_of, read, reader_for, row_name, rows

STREAMS = [number for number, row in enumerate(rows()) if row["streamed"]]
TERMINATED = {"anthropic": b"message_stop", "openai": b"[DONE]", "azure": b"[DONE]", "mistral": b"[DONE]"}
# One of every kind: OpenAI chat, responses, runs; Azure; Anthropic; Gemini; Groq; Mistral; Cohere; DeepSeek; OpenRouter; Bedrock.
KINDS = [286, 267, 532, 49, 475, 479, 185, 193, 198, 208, 228, 242, 523, 508, 610, 376, 351, 129, 497, 618, 619, 623]


@pytest.mark.parametrize("number", STREAMS, ids=row_name)
def test_a_stream_reads_the_same_in_chunks_of_any_size(number: int) -> None:
    body = body_of(rows()[number])
    for size in (len(body) // 3 + 1, 4_096, 61):
        reader = reader_for(rows()[number])
        for start in range(0, len(body), size):
            reader.feed(body[start : start + size])
        assert reader.usage() == read(number)


def test_bytes_one_by_one_read_the_same() -> None:
    for number in (286, 193, 129):
        reader = reader_for(rows()[number])
        for byte in body_of(rows()[number]):
            reader.feed(bytes([byte]))
        assert reader.usage() == read(number)


@pytest.mark.parametrize("number", KINDS, ids=row_name)
def test_a_stream_cut_between_events_is_partial_or_whole_and_never_more(number: int) -> None:
    """Acceptance 56: what was delivered before the cut is known, and is known to be partial."""
    row = rows()[number]
    whole = read(number)
    body = body_of(row)
    for end in _boundaries(body, row["body_encoding"])[:-1]:
        reader = reader_for(row)
        reader.feed(body[:end])
        cut = reader.usage()
        if cut is None:
            continue
        assert whole is not None
        if not cut.partial:
            assert cut == whole
        elif row["provider"] != "google":  # Gemini's counts fall within a stream
            assert (cut.output_tokens or 0) <= (whole.output_tokens or 0)
            assert (cut.all_input_tokens or 0) <= (whole.all_input_tokens or 0)


@pytest.mark.parametrize("number", [286, 49, 475, 242, 523], ids=row_name)
def test_a_stream_without_its_last_event_is_partial_with_the_last_counts(number: int) -> None:
    """Acceptance 56."""
    row = rows()[number]
    body = body_of(row)
    last = _boundaries(body, row["body_encoding"])[-2]
    reader = reader_for(row)
    reader.feed(body[:last])
    whole = read(number)
    assert whole is not None
    assert reader.usage() == replace(whole, partial=True)


def test_an_aborted_message_has_its_input_and_the_output_seen_so_far() -> None:
    """Acceptance 56: the start of an Anthropic stream states the input, so that a cut is never booked as nothing."""
    body = body_of(rows()[479])
    start = body.index(b"\n\n") + 2
    reader = reader_for(rows()[479])
    reader.feed(body[:start])
    # message_start: input 4, written 1,167, output 1
    expected = Usage(
        input_tokens=4,
        cache_write_unknown_tokens=1_167,
        output_tokens=1,
        partial=True,
        model="claude-3-5-sonnet-20240620",
        response_id="msg_01KQCu5jXyou55u6YFNk6uqu",
    )
    assert reader.usage() == expected


@pytest.mark.parametrize("number", KINDS, ids=row_name)
def test_a_stream_cut_anywhere_raises_nothing(number: int) -> None:
    body = body_of(rows()[number])
    step = max(1, len(body) // 97)
    for end in range(0, len(body), step):
        reader = reader_for(rows()[number])
        reader.feed(body[:end])
        reader.usage()


def test_asking_in_between_changes_nothing() -> None:
    body = body_of(rows()[49])
    reader = reader_for(rows()[49])
    for start in range(0, len(body), 300):
        reader.feed(body[start : start + 300])
        reader.usage()
        reader.usage()
    assert reader.usage() == read(49)


def test_a_last_event_without_its_blank_line_counts() -> None:
    body = body_of(rows()[193]).rstrip()
    assert read_usage(body) == read(193)


def test_a_gemini_stream_as_a_json_array_is_read_as_it_grows() -> None:
    first = (
        b'[{"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}}'
    )
    second = (
        b',\r\n{"candidates": [{"content": {"parts": [{"text": "a \\"}]} \\\\"}]}, "finishReason": "STOP"}],'
        b' "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 7, "totalTokenCount": 15}}]'
    )
    reader = StreamReader(
        content_type="application/json", host="generativelanguage.googleapis.com", path="/v1beta/models/x:streamGenerateContent"
    )
    reader.feed(first)
    assert reader.usage() == Usage(input_tokens=9, output_tokens=2, partial=True)
    for byte in second:
        reader.feed(bytes([byte]))
    assert reader.usage() == Usage(input_tokens=8, output_tokens=7)


def test_line_ends_of_any_kind_split_events() -> None:
    chunk = '{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
    for end in ("\n", "\r\n", "\r"):
        body = f": comment{end}{end}data: {chunk}{end}{end}data: [DONE]{end}{end}".encode()
        assert read_usage(body, host="api.openai.com") == Usage(input_tokens=3, output_tokens=4)


def test_data_on_several_lines_is_one_event() -> None:
    body = b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 3,\ndata: "completion_tokens": 4}}\n\ndata: [DONE]\n\n'
    assert read_usage(body) == Usage(input_tokens=3, output_tokens=4)


def test_a_frame_with_a_length_that_cannot_be_ends_the_reading() -> None:
    body = body_of(rows()[129])
    for total, headers in ((0, 0), (15, 0), (2**31, 10), (100, 2**31), (100, 97)):
        reader = StreamReader(content_type="application/vnd.amazon.eventstream")
        reader.feed(struct.pack(">II", total, headers) + b"\0" * 8)
        reader.feed(body)
        assert reader.usage() is None


def test_a_later_null_does_not_take_the_usage_away() -> None:
    """With moderation on, one more chunk follows the one with the usage."""
    body = (
        b'data: {"id": "a", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
        b'data: {"id": "a", "choices": [], "usage": null}\n\ndata: [DONE]\n\n'
    )
    assert read_usage(body) == Usage(input_tokens=3, output_tokens=4, response_id="a")


def _boundaries(body: bytes, encoding: str) -> list[int]:
    """Where events end."""
    if encoding == "base64":
        ends = [0]
        while ends[-1] < len(body):
            ends.append(ends[-1] + struct.unpack_from(">I", body, ends[-1])[0])
        return ends[1:]
    ends = [0]
    for separator in (b"\r\n\r\n", b"\n\n"):
        if separator in body:
            position = 0
            while (position := body.find(separator, position)) != -1:
                position += len(separator)
                ends.append(position)
            break
    return [end for _, end in pairwise(sorted({*ends, len(body)}))]

"""Amazon Bedrock: Converse, ConverseStream and InvokeModel with the body of whatever vendor.

Converse's `inputTokens` excludes cache. InvokeModel states its counts in headers, a stream of it in the last chunk's
`amazon-bedrock-invocationMetrics`; what those leave open is taken from the vendor's own body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from guardrails.core.usage import Usage
from guardrails.wire import anthropic, chat, openai
from guardrails.wire.field import added, count, field, first_count, items, largest_count, text
from guardrails.wire.origin import Origin
from guardrails.wire.reading import Reading
from guardrails.wire.shape import DONE, Shape, Tally

_HOST = re.compile(r"(^|\.)bedrock-runtime(-fips)?\.[^/]*amazonaws\.com(\.cn)?$")
_PATH = re.compile(r"/(converse|converse-stream|invoke|invoke-with-response-stream)$")
_MODEL = re.compile(r"/model/([^/]+)/")
_VENDORS = (chat.SHAPE, openai.SHAPE, anthropic.SHAPE)
_METRICS = "amazon-bedrock-invocationMetrics"
_HEADER = "x-amzn-bedrock-"
_REQUEST_ID = "x-amzn-requestid"
_MOST_DIGITS = 13


class BedrockTally:
    """Keeps Converse's usage, or the vendor's own, and lets what Bedrock itself counted win over it."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._headers: Mapping[str, str] = origin.headers
        self._converse: object = None
        self._tier: str | None = None
        self._vendor: Tally | None = None
        self._merged: dict[str, object] = {}
        self._metrics: object = None
        self.complete = False

    def add(self, event: object) -> None:
        """Take a body, a frame of a stream, or what an SDK makes of them."""
        if event is DONE:
            return
        headers = field(event, "ResponseMetadata", "HTTPHeaders")  # boto3
        if isinstance(headers, Mapping):
            self._headers = {str(name).casefold(): str(value) for name, value in headers.items()}
        metadata = field(event, "metadata")
        event = metadata if knows_counts(field(metadata, "usage")) else event  # a ConverseStream event of boto3
        counts = field(event, "usage")
        if knows_counts(counts):
            self._converse = counts
            self._tier = text(event, "service_tier", "type") or (
                "optimized" if text(event, "performance_config", "latency") == "optimized" else None
            )
            self.complete = True
        elif self._vendor is None:
            self._vendor = next((shape.tally(self._origin) for shape in _VENDORS if shape.knows(event)), None)
        if self._vendor is not None:
            self._vendor.add(event)
        for name in _OWN_COUNTS:
            if field(event, name) is not None:
                self._merged[name] = field(event, name)
        if field(event, _METRICS) is not None:
            self._metrics = field(event, _METRICS)
        if field(event, _METRICS) is not None or field(event, "totalOutputTextTokenCount") is not None:
            self.complete = True

    def usage(self) -> Usage | None:
        """What Bedrock counted, with the details that the vendor's body has."""
        vendor = self._vendor.usage() if self._vendor is not None else None
        if vendor is None:
            vendor = _converse(self._converse).usage() if self._converse is not None else _own(self._merged).usage()
        for stated in (_stated_in_metrics(self._metrics), _stated_in_headers(self._headers)):
            vendor = _overruled(vendor, stated)
        if vendor is None:
            return None
        return replace(
            vendor,
            model=vendor.model or self._origin.model or _model_of(self._origin.path),
            response_id=_header_text(self._headers, _REQUEST_ID) or vendor.response_id,
            service_tier=self._tier or vendor.service_tier,
        )


def _converse(counts: object) -> Reading:
    reading = Reading(input_tokens=count(counts, "input_tokens"), output_tokens=count(counts, "output_tokens"))
    # On the wire each of the two stands twice, under two names.
    reading.cache_read_tokens = largest_count(counts, ("cache_read_input_tokens",), ("cache_read_input_token_count",)) or 0
    written = largest_count(counts, ("cache_write_input_tokens",), ("cache_write_input_token_count",)) or 0
    for detail in items(counts, "cache_details"):
        tokens = count(detail, "input_tokens") or 0
        if text(detail, "ttl") == "5m":
            reading.cache_write_short_tokens += tokens
        elif text(detail, "ttl") == "1h":
            reading.cache_write_long_tokens += tokens
    reading.cache_write_unknown_tokens = max(0, written - reading.cache_write_short_tokens - reading.cache_write_long_tokens)
    return reading


_OWN_COUNTS = (
    "inputTextTokenCount",  # Titan, and the three below
    "totalOutputTextTokenCount",
    "results",
    "embedding",
    "prompt_token_count",  # Llama
    "generation_token_count",
)


def _own(body: Mapping[str, object]) -> Reading:
    """The counts of vendors whose bodies have no usage object; a body without one of the output has not reported it."""
    results = [count(result, "tokenCount") for result in items(body, "results")]
    output = first_count(body, ("totalOutputTextTokenCount",), ("generation_token_count",))
    if output is None and results:
        output = None if None in results else added(*results)
    if output is None and "embedding" in body:
        output = 0
    return Reading(input_tokens=first_count(body, ("inputTextTokenCount",), ("prompt_token_count",)), output_tokens=output)


def _stated_in_metrics(metrics: object) -> dict[str, int | None]:
    return {
        "input": count(metrics, "inputTokenCount"),
        "output": count(metrics, "outputTokenCount"),
        "read": count(metrics, "cacheReadInputTokenCount"),
        "write": count(metrics, "cacheWriteInputTokenCount"),
    }


def _stated_in_headers(headers: Mapping[str, str]) -> dict[str, int | None]:
    names = {"input": "input", "output": "output", "read": "cache-read-input", "write": "cache-write-input"}
    return {key: _header_count(headers, f"{_HEADER}{name}-token-count") for key, name in names.items()}


def _header_count(headers: Mapping[str, str], name: str) -> int | None:
    written = headers.get(name, "").strip()
    return count({name: int(written)}, name) if written.isascii() and written.isdigit() and len(written) <= _MOST_DIGITS else None


def _header_text(headers: Mapping[str, str], name: str) -> str | None:
    return text({"value": headers.get(name)}, "value")


def _overruled(usage: Usage | None, stated: Mapping[str, int | None]) -> Usage | None:
    """The usage with the counts that Bedrock states in place of the vendor's own."""
    if all(value is None for value in stated.values()):
        return usage
    known = usage or Usage()
    short, long, unknown = known.cache_write_short_tokens, known.cache_write_long_tokens, known.cache_write_unknown_tokens
    if stated["write"] not in (None, known.cache_write_tokens):
        short, long, unknown = 0, 0, stated["write"] or 0
    reading = Reading(
        input_tokens=known.input_tokens if stated["input"] is None else stated["input"],
        output_tokens=known.output_tokens if stated["output"] is None else stated["output"],
        cache_read_tokens=known.cache_read_tokens if stated["read"] is None else stated["read"],
        cache_write_short_tokens=short,
        cache_write_long_tokens=long,
        cache_write_unknown_tokens=unknown,
        reasoning_tokens=known.reasoning_tokens,
        units=dict(known.units),
        parts=known.parts,
        model=known.model,
        response_id=known.response_id,
        service_tier=known.service_tier,
    )
    return reading.usage()


def _model_of(path: str) -> str | None:
    """The model that the path names. An inference profile's ARN names none, only who called it."""
    found = _MODEL.search(path)
    return None if found is None or found[1].startswith("arn:") else text({"model": found[1]}, "model")


def knows(event: object) -> bool:
    """Whether an event has Converse's usage, metrics of an invocation, or a vendor's counts without a usage object."""
    return (
        knows_counts(field(event, "usage"))
        or knows_counts(field(event, "metadata", "usage"))
        or any(field(event, name) is not None for name in (_METRICS, "inputTextTokenCount", "generation_token_count"))
        or isinstance(field(event, "ResponseMetadata", "HTTPHeaders"), Mapping)
    )


def knows_counts(counts: object) -> bool:
    """Whether a usage object has Converse's names, which only it writes in camelCase."""
    if not isinstance(counts, Mapping):
        return False
    return count({"n": counts.get("inputTokens")}, "n") is not None or count({"n": counts.get("outputTokens")}, "n") is not None


def _told(origin: Origin) -> bool:
    stated = any(name.startswith(_HEADER) and name.endswith("token-count") for name in origin.headers)
    return stated or (_PATH.search(origin.path) is not None and (_HOST.search(origin.host) is not None or "/model/" in origin.path))


SHAPE = Shape("bedrock", BedrockTally, _told, knows, knows_counts, "usage")

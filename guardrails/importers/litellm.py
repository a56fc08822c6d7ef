"""`import litellm`: rows of LiteLLM_SpendLogs as its API and its database export them, one JSON object per line.

- `prompt_tokens` includes cached input for every provider; the cached counts are only in `metadata.usage_object`. `metadata` is JSON
  inside text.
- `spend` is null or 0 where LiteLLM has no price, which is not free: only an answer from its own cache (`cache_hit`) is known to cost
  nothing. A refused or failed call counts as a request without tokens and cost.
- `request_id` is the provider's own id of the answer.
- Labels: `team_id` is `team`, `user` is `user`, `organization_id` is `organization`, `end_user` is `customer`, the hash in `api_key` is
  `api_key`. `request_tags` are many to a row and no label.
- Prompts, answers and addresses are not kept, in a refused row neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from guardrails.core.call import check_text
from guardrails.core.errors import InvalidCall
from guardrails.core.money import parse_usd, usd_to_nano_rounded
from guardrails.core.usage import Usage
from guardrails.importers.fields import instant, parsed_object, shown
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportedRow, Rejected

_LABELS = {
    "team": "team_id",
    "user": "user",
    "organization": "organization_id",
    "customer": "end_user",
    "api_key": "api_key",
}
_PRIVATE = frozenset(
    {"messages", "response", "proxy_server_request", "requester_ip_address", "metadata", "request_tags", "cache_key", "api_base"}
)
_OPERATIONS = {
    "completion": "chat",
    "responses": "chat",
    "text_completion": "chat",
    "anthropic_messages": "chat",
    "embedding": "embedding",
    "image_generation": "image",
    "image_edit": "image",
    "speech": "audio",
    "transcription": "audio",
    "create_batch": "batch",
    "retrieve_batch": "batch",
}
_UNREADABLE_CHARACTERS = 200
"""Shown of a line that is no JSON, whose private parts cannot be told: its first fields are ids."""


def read(source: SourceFile, subjects: Subjects) -> Iterator[ImportedRow | Rejected]:
    """The rows of a file."""
    for line, text in source.lines():
        problems: list[str] = []
        fields = parsed_object(text, problems)
        if fields is None:
            yield Rejected(line, "; ".join(problems), shown(text)[:_UNREADABLE_CHARACTERS])
            continue
        row = _row(fields, subjects, problems, line)
        yield Rejected(line, "; ".join(problems), _without_private(fields)) if row is None or problems else row


def _row(fields: Mapping[str, object], subjects: Subjects, problems: list[str], line: int) -> ImportedRow | None:
    row_id = fields.get("request_id")
    check_text("request_id", row_id, problems)
    at = _started(fields, problems)
    model, provider = _text(fields, "model", problems), _text(fields, "custom_llm_provider", problems)
    call_type = _text(fields, "call_type", problems)
    subject = subjects.of({name: fields.get(column) for name, column in _LABELS.items()}, problems)
    failed = fields.get("status") == "failure"
    stated = _stated(fields, problems, failed=failed)
    marks: list[str] = []
    usage = _usage(fields, row_id, marks, problems, failed=failed)
    if model is None and not failed and stated is None:
        problems.append("model: is missing, and so is a cost")
    if problems or at is None or usage is None:
        return None
    return ImportedRow(
        line=line,
        raw=_without_private(fields),
        id=str(row_id),
        at=at,
        subject=subject,
        usage=usage,
        model=model,
        provider=provider,
        operation=None if call_type is None else _operation(call_type),
        stated_nano_usd=stated,
        marks=(*marks, "failed") if failed else tuple(marks),
    )


def _started(fields: Mapping[str, object], problems: list[str]) -> datetime | None:
    return instant(fields, "startTime", problems, zoneless_is_utc=True)


def _stated(fields: Mapping[str, object], problems: list[str], *, failed: bool) -> int | None:
    """Nano-dollars of `spend`; None where LiteLLM did not know it."""
    spend = fields.get("spend")
    nothing = 0 if failed or str(fields.get("cache_hit")).casefold() == "true" else None
    if spend is None:
        return nothing
    if isinstance(spend, bool) or not isinstance(spend, (int, Decimal, str)):
        problems.append(f"spend: must be a number, not {type(spend).__name__}")
        return None
    try:
        return usd_to_nano_rounded(parse_usd(spend) if isinstance(spend, str) else Decimal(spend)) or nothing
    except ValueError as error:
        problems.append(f"spend: {error}")
        return None


def _usage(fields: Mapping[str, object], row_id: object, marks: list[str], problems: list[str], *, failed: bool) -> Usage | None:
    response_id = str(row_id)
    if failed:
        return _checked({"input_tokens": 0, "output_tokens": 0}, response_id, problems)
    reported = _usage_object(fields, problems)
    prompt_details, completion_details = _object(reported, "prompt_tokens_details"), _object(reported, "completion_tokens_details")
    read = _count(reported, "cache_read_input_tokens") or _count(prompt_details, "cached_tokens")
    written = _count(reported, "cache_creation_input_tokens") or _count(prompt_details, "cache_creation_tokens")
    split = _object(prompt_details, "cache_creation_token_details")
    short, long = _count(split, "ephemeral_5m_input_tokens"), _count(split, "ephemeral_1h_input_tokens")
    if short + long > written:
        short = long = 0
    prompt, completion = fields.get("prompt_tokens"), fields.get("completion_tokens")
    if isinstance(prompt, int) and not isinstance(prompt, bool) and prompt >= 0:
        if prompt < read + written:
            marks.append("clamped")
        prompt = max(prompt - read - written, 0)
    counts = {
        "input_tokens": prompt,
        "output_tokens": completion,
        "cache_read_tokens": read,
        "cache_write_short_tokens": short,
        "cache_write_long_tokens": long,
        "cache_write_unknown_tokens": written - short - long,
        "reasoning_tokens": _count(completion_details, "reasoning_tokens"),
    }
    return _checked(counts, response_id, problems)


def _checked(counts: Mapping[str, object], response_id: str, problems: list[str]) -> Usage | None:
    try:
        return Usage(**counts, response_id=response_id)  # type: ignore[arg-type]  # it checks its values itself
    except InvalidCall as error:
        problems += [problem for problem in error.problems if not problem.startswith("response_id")]
        return None


def _usage_object(fields: Mapping[str, object], problems: list[str]) -> Mapping[str, object]:
    metadata = fields.get("metadata")
    if isinstance(metadata, str) and metadata.strip():
        found: list[str] = []
        metadata = parsed_object(metadata, found)
        problems += [f"metadata: {problem}" for problem in found]
    return _object(metadata, "usage_object") if isinstance(metadata, dict) else {}


def _object(node: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = node.get(name)
    return value if isinstance(value, dict) else {}


def _count(node: Mapping[str, object], name: str) -> int:
    """A count that is 0 when absent, as all cached parts are."""
    value = node.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _text(fields: Mapping[str, object], name: str, problems: list[str]) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    check_text(name, value, problems)
    return str(value)


def _operation(call_type: str) -> str:
    """The operation of a call type; asynchronous calls have the same with an `a` before it."""
    return _OPERATIONS.get(call_type) or _OPERATIONS.get(call_type.removeprefix("a"), call_type)


def _without_private(fields: Mapping[str, object]) -> str:
    kept = {name: value for name, value in fields.items() if name not in _PRIVATE}
    return json.dumps(kept, ensure_ascii=False, default=str)

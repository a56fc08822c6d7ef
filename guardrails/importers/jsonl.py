"""`import jsonl`: our own format, one entry per line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches

from guardrails.core.call import MAX_TOKENS, check_text
from guardrails.core.errors import InvalidCall
from guardrails.core.money import parse_usd, usd_to_nano_rounded
from guardrails.core.usage import Usage
from guardrails.importers.fields import instant, parsed_object, shown
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportedRow, Rejected

_COUNTERS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_short_tokens",
    "cache_write_long_tokens",
    "cache_write_unknown_tokens",
    "output_tokens",
)
_COUNTS = frozenset({*_COUNTERS, "cache_write_tokens", "units"})
_KEYS = frozenset({*_COUNTS, "id", "at", "model", "provider", "subject", "cost_usd", "requests", "operation", "response_id", "corrects"})
_NOTHING: Mapping[str, object] = {}


def read(source: SourceFile, subjects: Subjects) -> Iterator[ImportedRow | Rejected]:
    """The rows of a file."""
    for line, text in source.lines():
        problems: list[str] = []
        fields = parsed_object(text, problems)
        row = None if fields is None else entry_row(fields, subjects, problems, line=line, raw=shown(text))
        yield Rejected(line, "; ".join(problems), shown(text)) if row is None or problems else row


def entry_row(fields: Mapping[str, object], subjects: Subjects, problems: list[str], *, line: int, raw: str) -> ImportedRow | None:
    """The row of one entry's fields; None where it cannot be, and why is added to `problems`."""
    given = {name: value for name, value in fields.items() if value is not None}
    for name in given.keys() - _KEYS:
        close = get_close_matches(name, _KEYS, 1)
        problems.append(
            f"{name}: is not a field" + (f", did you mean `{close[0]}`" if close else f"; there are {', '.join(sorted(_KEYS))}")
        )
    at = instant(given, "at", problems)
    row_id = _id(given, problems)
    for name in ("model", "provider", "operation", "corrects"):
        if name in given:
            check_text(name, given[name], problems)
    labels = given.get("subject", _NOTHING)
    if not isinstance(labels, Mapping):
        problems.append(f"subject: must be an object of labels, not {_kind(labels)}")
        labels = _NOTHING
    subject = subjects.of(labels, problems)
    stated = _cost(given, problems)
    usage = _usage(given, row_id, problems)
    requests = _requests(given, stated, problems)
    if "cost_usd" not in given and not ("units" in given or ("model" in given and not _COUNTS.isdisjoint(given))):
        lacking = "counts" if "model" in given else "model"
        problems.append(f"{lacking}: is missing; a row has a model with counts, units, or a cost")
    if problems or at is None or row_id is None or usage is None:
        return None
    model = given.get("model")
    return ImportedRow(
        line=line,
        raw=raw,
        id=row_id,
        at=at,
        subject=subject,
        usage=usage,
        model=None if model is None else str(model),
        provider=_text(given, "provider"),
        operation=_text(given, "operation") or ("chat" if model is not None else None),
        stated_nano_usd=stated,
        requests=requests,
        corrects=_text(given, "corrects"),
    )


def _id(given: Mapping[str, object], problems: list[str]) -> str | None:
    value = given.get("id")
    if value is None:
        problems.append("id: is missing")
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    check_text("id", value, problems)
    return str(value)


def _cost(given: Mapping[str, object], problems: list[str]) -> int | None:
    """Nano-dollars of `cost_usd`; None where it is not stated."""
    value = given.get("cost_usd")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        problems.append(f"cost_usd: must be a number or its text, not {_kind(value)}")
        return None
    try:
        return usd_to_nano_rounded(parse_usd(value) if isinstance(value, str) else Decimal(value))
    except ValueError as error:
        problems.append(f"cost_usd: {error}")
        return None


def _usage(given: Mapping[str, object], row_id: str | None, problems: list[str]) -> Usage | None:
    counts = {name: given[name] for name in _COUNTERS if name in given}
    writes = given.get("cache_write_tokens")
    if writes is not None:
        split = [name for name in _COUNTERS[2:5] if name in given]
        if split:
            problems.append(f"cache_write_tokens: is stated beside {', '.join(split)}; state all writes, or their parts")
        counts["cache_write_unknown_tokens"] = writes
    try:
        # It checks its values itself.
        return Usage(**counts, units=given.get("units", {}), response_id=given.get("response_id", row_id))  # type: ignore[arg-type]
    except InvalidCall as error:
        problems += [problem for problem in error.problems if "id" in given or not problem.startswith("response_id")]
        return None


def _requests(given: Mapping[str, object], stated: int | None, problems: list[str]) -> int:
    """How many requests a row stands for: one call, unless it says otherwise; a correction and a cost without a model are no call."""
    value = given.get("requests")
    if value is None:
        is_call = "model" in given and "corrects" not in given and (stated is None or stated >= 0)
        return 1 if is_call else 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        problems.append(f"requests: must be a whole number from 0, not {value!r:.40}")
        return 0
    return value


def _text(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    return None if value is None else str(value)


def _kind(value: object) -> str:
    return {bool: "true or false", list: "a list", dict: "an object", str: "text"}.get(type(value), "a number")

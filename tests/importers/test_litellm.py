"""LiteLLM's spend logs: what its rows mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from guardrails.importers import litellm
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportedRow, Rejected
from tests.importers.ledgers import assert_adds_up, counts, entries, rows_of, run, spent_of, write

SAMPLE = Path(__file__).parent.parent / "data" / "exports" / "litellm_spendlogs.jsonl"
POLICY = """\
version: 1
rules:
  - {id: team-month, kind: spend_limit, per: team, limit: 500 USD, window: month}
  - {id: key-day, kind: request_cap, per: api_key, limit: 1_000 requests, window: day}
"""
ROW: dict[str, Any] = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "startTime": "2026-11-23 18:25:15.146528+00:00",
    "model": "claude-sonnet-4-0",
    "custom_llm_provider": "anthropic",
    "user": "u-1",
    "team_id": "team-search",
    "spend": 0.5,
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "status": "success",
    "metadata": "{}",
    "messages": "a secret prompt",
    "requester_ip_address": "192.0.2.7",
}


def raw_rows() -> list[dict[str, Any]]:
    """The sample as plain JSON, read without the importer."""
    return [json.loads(line, parse_float=Decimal) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


def test_the_sample_comes_to_the_sum_of_its_known_spend(database_url: str, policy_folder: Callable[[str], Path]) -> None:
    """Acceptance 58, 66. Where LiteLLM had no price its 0 or null is not free: our own price stands in."""
    result = run(database_url, SAMPLE, policies=policy_folder(POLICY), format_name="litellm")
    assert counts(result.state) == {"new": 120}
    stated = sum(Decimal(row["spend"]).quantize(Decimal("1E-9")) for row in raw_rows() if row["spend"])
    assert stated == Decimal("0.910134200")
    # LiteLLM had no price for 8 rows of claude-sonnet-4-0 and 1 of claude-3-opus-latest. Sonnet costs 3 and 15 USD a million:
    # input 458 + 525 + 377 + 464 + 2674 + 5262 + 1343 + 43 = 11146, output 38 + 73 + 64 + 30 + 373 + 369 + 538 + 282 = 1767;
    # 0.033438 + 0.026505 = 0.059943. Opus costs 15 and 75: 20 x 15/M + 10 x 75/M = 0.0003 + 0.00075 = 0.00105.
    # 0.9101342 + 0.059943 + 0.00105 = 0.9711272.
    assert result.state.cost_nano_usd == 971_127_200
    assert sum(spent_of(database_url, "team-month").values()) == 971_127_200
    assert sum(spent_of(database_url, "key-day").values()) == 120
    assert result.unpriced == 0
    assert_adds_up(database_url)


def test_the_sample_has_the_vendors_tokens(sqlite_url: str) -> None:
    run(sqlite_url, SAMPLE, format_name="litellm")
    booked = entries(sqlite_url).values()
    inputs = ("input_tokens", "cache_read_tokens", "cache_write_short_tokens", "cache_write_long_tokens", "cache_write_unknown_tokens")
    assert sum(row[name] for row in booked for name in inputs) == sum(row["prompt_tokens"] for row in raw_rows())
    assert sum(row["output_tokens"] for row in booked) == sum(row["completion_tokens"] for row in raw_rows())
    cached = sum(json.loads(row["metadata"])["usage_object"].get("cache_read_input_tokens") or 0 for row in raw_rows())
    assert sum(row["cache_read_tokens"] for row in booked) == cached > 0


def read_one(tmp_path: Path, **changes: object) -> ImportedRow | Rejected:
    """The sample row with changes, read."""
    with SourceFile(str(write(tmp_path / "row.jsonl", [{**ROW, **changes}]))) as source:
        (row,) = litellm.read(source, Subjects())
    return row


def read_good(tmp_path: Path, **changes: object) -> ImportedRow:
    row = read_one(tmp_path, **changes)
    assert isinstance(row, ImportedRow), row
    return row


def test_labels_are_ids_of_the_export(tmp_path: Path) -> None:
    row = read_good(tmp_path, organization_id="org-1", end_user="acme", request_tags='["nightly"]')
    assert dict(row.subject) == {
        "team": "team-search",
        "user": "u-1",
        "organization": "org-1",
        "customer": "acme",
        "api_key": ROW["api_key"],
    }
    assert (row.operation, row.provider, row.usage.response_id) == ("chat", "anthropic", "chatcmpl-1")


def test_null_and_zero_spend_are_unknown_unless_the_answer_was_cached(tmp_path: Path) -> None:
    assert read_good(tmp_path, spend=None).stated_nano_usd is None
    assert read_good(tmp_path, spend=0.0).stated_nano_usd is None
    assert read_good(tmp_path, spend=0.0, cache_hit="False").stated_nano_usd is None
    assert read_good(tmp_path, spend=0.0, cache_hit="True").stated_nano_usd == 0
    assert read_good(tmp_path, spend=6.000000000000001e-05).stated_nano_usd == 60_000


def test_cached_counts_are_taken_out_of_the_prompt(tmp_path: Path) -> None:
    details = {"cached_tokens": 60, "cache_creation_token_details": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 7}}
    metadata = {"usage_object": {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 15, "prompt_tokens_details": details}}
    usage = read_good(tmp_path, metadata=json.dumps(metadata)).usage
    # 100 - 60 read - 15 written; of the written 5 are short, 7 long, 3 not said.
    assert (usage.input_tokens, usage.cache_read_tokens) == (25, 60)
    assert (usage.cache_write_short_tokens, usage.cache_write_long_tokens, usage.cache_write_unknown_tokens) == (5, 7, 3)


def test_more_cached_than_prompted_is_clamped_and_marked(tmp_path: Path) -> None:
    row = read_good(tmp_path, metadata={"usage_object": {"cache_read_input_tokens": 130}})
    assert (row.usage.input_tokens, row.usage.cache_read_tokens, row.marks) == (0, 130, ("clamped",))


def test_a_failed_call_is_a_request_without_cost_and_tokens(tmp_path: Path) -> None:
    row = read_good(tmp_path, status="failure", spend=0.0, model="", prompt_tokens=0, completion_tokens=0)
    assert (row.requests, row.stated_nano_usd, row.usage.input_tokens, row.usage.output_tokens) == (1, 0, 0, 0)


def test_the_same_request_with_other_content_is_a_conflict(database_url: str, tmp_path: Path) -> None:
    """Settled reading 7."""
    changes: list[dict[str, Any]] = [{}, {"user": "u-2"}, {"team_id": "team-ads"}, {"prompt_tokens": 101}, {"spend": 0.6}, {}]
    result = run(database_url, write(tmp_path / "rows.jsonl", [{**ROW, **each} for each in changes]), format_name="litellm")
    assert counts(result.state) == {"new": 1, "duplicate": 1, "conflict": 4}


def test_prompts_and_addresses_are_never_kept(sqlite_url: str, tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "spend": 0.6}, {**ROW, "request_id": "2", "prompt_tokens": -5}]
    run(sqlite_url, write(tmp_path / "rows.jsonl", rows), format_name="litellm")
    refused = rows_of(sqlite_url, "quarantine")
    assert [row["kind"] for row in refused] == ["conflict", "quarantined"]
    for table in ("entry", "quarantine", "subject"):
        kept = str(rows_of(sqlite_url, table))
        assert "secret prompt" not in kept
        assert "192.0.2.7" not in kept


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    for changes, reason in (
        ({"request_id": None}, "request_id must be text, not NoneType"),
        ({"startTime": None}, "startTime: is missing"),
        ({"spend": "much"}, "spend: `much` is not a decimal number"),
        ({"model": None, "spend": None}, "model: is missing, and so is a cost"),
        ({"metadata": "{"}, "metadata: is not JSON: Expecting property name enclosed in double quotes at column 2"),
    ):
        row = read_one(tmp_path, **changes)
        assert isinstance(row, Rejected), changes
        assert row.reason == reason

"""Our own format: what is read, what it comes to, what is refused and why."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guardrails.core.errors import FileUnreadable
from guardrails.importers import jsonl
from guardrails.importers.fields import parsed_object
from guardrails.importers.source import SourceFile
from guardrails.importers.subjects import Subjects
from guardrails.ledger.imported import ImportedRow, Rejected
from tests.importers.ledgers import assert_adds_up, counts, entries, rows_of, run, spent_of, write

PRICES = """\
version: 1
prices:
  - model: m-one
    from: 2026-01-01
    input_usd_per_mtok: 2
    output_usd_per_mtok: 10
    cache_read_usd_per_mtok: 0.20
    cache_write_usd_per_mtok: 2.50
  - {model: h200-hour, from: 2026-01-01, usd_per_unit: {gpu_hour: 3.20}}
"""
POLICY = """\
version: 1
rules:
  - {id: team-month, kind: spend_limit, per: team, limit: 500 USD, window: month}
  - {id: company-tokens, kind: token_cap, limit: 5M tokens, window: day}
  - {id: company-requests, kind: request_cap, limit: 1_000 requests, window: year}
"""
TEN: list[dict[str, object]] = [
    {
        "id": "a1",
        "at": "2026-03-02T08:00:00Z",
        "model": "m-one",
        "subject": {"team": "search"},
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_usd": "0.10",
    },
    {
        "id": "a2",
        "at": "2026-03-02T09:00:00+01:00",
        "model": "m-one",
        "subject": {"team": "Search "},
        "input_tokens": 1_000,
        "output_tokens": 100,
    },
    {
        "id": "a3",
        "at": "2026-03-02T08:00:00Z",
        "model": "m-one",
        "subject": {"team": "ads"},
        "input_tokens": 1_000,
        "cache_read_tokens": 500,
        "cache_write_tokens": 200,
        "output_tokens": 0,
    },
    {"id": "a4", "at": "2026-03-02T08:00:00Z", "model": "mystery", "subject": {"team": "ads"}, "input_tokens": 10, "output_tokens": 10},
    {"id": "a5", "at": "2026-03-02T08:00:00Z", "model": "m-one", "input_tokens": 5, "output_tokens": 5, "cost_usd": 0},
    {"id": "a6", "at": "2026-03-02T08:00:00Z", "subject": {"team": "ads"}, "cost_usd": 1.5},
    {"id": "a7", "at": "2026-03-02T08:00:00Z", "model": "h200-hour", "subject": {"team": "ads"}, "units": {"gpu_hour": 2}},
    {
        "id": "a1",
        "at": "2026-03-02T08:00:00Z",
        "model": "m-one",
        "subject": {"team": "search"},
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_usd": 0.1,
    },
    {
        "id": "a2",
        "at": "2026-03-02T09:00:00+01:00",
        "model": "m-one",
        "subject": {"team": "search"},
        "input_tokens": 2_000,
        "output_tokens": 100,
    },
    {"id": "a10", "at": "2026-03-02T08:00:00Z", "model": "m-one", "input_tokens": -1},
]


def test_ten_rows_come_to_the_hand_computed_total(
    database_url: str, tmp_path: Path, policy_folder: Callable[[dict[str, str]], Path]
) -> None:
    """Acceptance 58, 66. A stated zero stays zero, an unknown price stays unknown; neither is an estimate or each other."""
    policies = policy_folder({"policy.yaml": POLICY, "prices.yaml": PRICES})
    result = run(database_url, write(tmp_path / "ten.jsonl", TEN), policies=policies)
    assert result.state.read == 10
    assert counts(result.state) == {"new": 7, "duplicate": 1, "conflict": 1, "quarantined": 1}
    # a1 0.10 stated; a2 1000 x 2/M + 100 x 10/M = 0.002 + 0.001; a3 1000 x 2/M + 500 x 0.20/M + 200 x 2.50/M = 0.002 + 0.0001 + 0.0005;
    # a4 unknown; a5 0 stated; a6 1.50 stated; a7 2 x 3.20 = 6.40. Together 0.10 + 0.003 + 0.0026 + 1.50 + 6.40 = 8.0056.
    assert result.state.cost_nano_usd == 8_005_600_000
    assert result.unpriced == 1
    # search: a1 + a2; ads: a3 + a6 + a7; without a label: a5.
    assert spent_of(database_url, "team-month") == {"search": 103_000_000, "ads": 7_902_600_000}
    # a1 110, a2 1100, a3 1700, a4 20, a5 10.
    assert spent_of(database_url, "company-tokens") == {"all": 2_940}
    # a6 has no model and is no call.
    assert spent_of(database_url, "company-requests") == {"all": 6}
    booked = {row["response"]: row for row in entries(database_url).values()}
    assert (booked["a4"]["cost_nano_usd"], booked["a4"]["marks"]) == (None, "unpriced")
    # 5 x 2/M + 5 x 10/M = 0.00006: both are kept.
    assert [booked["a5"][name] for name in ("cost_nano_usd", "stated_nano_usd", "priced_nano_usd")] == [0, 0, 60_000]
    assert [(row["line"], row["kind"], row["reason"]) for row in rows_of(database_url, "quarantine")] == [
        (9, "conflict", "the id `a2` is in the ledger with other content"),
        (10, "quarantined", "input_tokens is negative (-1)"),
    ]
    assert_adds_up(database_url)


def read_one(text: str) -> ImportedRow | Rejected:
    """The row of one line, without a ledger."""
    problems: list[str] = []
    fields = parsed_object(text.encode(), problems)
    row = None if fields is None else jsonl.entry_row(fields, Subjects(), problems, line=1, raw=text)
    return Rejected(1, "; ".join(problems), text) if row is None or problems else row


GOOD = '"id": "x", "at": "2026-03-02T08:00:00Z", "model": "m-one"'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("[1]", "is not a JSON object"),
        ("{" + GOOD + ', "cost_usd": NaN}', "is not JSON: NaN is not a number"),
        ("{" + GOOD + ', "cost_usd": 1, "cost_usd": 2}', "is not JSON: `cost_usd` stands in it twice"),
        ("{" + GOOD + ', "cost_usd": "nan"}', "cost_usd: `nan` is not a finite number"),
        ("{" + GOOD + ', "cost_usd": true}', "cost_usd: must be a number or its text, not true or false"),
        ("{" + GOOD + ', "cost_usd": 1e999999999}', "cost_usd: 1E+999999999 USD is more than the ledger can hold (9223372036 USD)"),
        ("{" + GOOD + ', "input_tokens": true}', "input_tokens must be a whole number, not bool"),
        ("{" + GOOD + ', "input_tokens": 1.5}', "input_tokens must be a whole number, not Decimal"),
        ("{" + GOOD + ', "output_tokens": -2}', "output_tokens is negative (-2)"),
        ("{" + GOOD + ', "input_token": 5, "output_tokens": 1}', "input_token: is not a field, did you mean `input_tokens`"),
        ("{" + GOOD + "}", "counts: is missing; a row has a model with counts, units, or a cost"),
        (
            '{"id": "x", "at": "2026-03-02T08:00:00Z", "input_tokens": 5}',
            "model: is missing; a row has a model with counts, units, or a cost",
        ),
        ('{"at": "2026-03-02T08:00:00Z", "cost_usd": 1}', "id: is missing"),
        ('{"id": "x", "cost_usd": 1}', "at: is missing"),
        ('{"id": "x", "at": "2026-03-02", "cost_usd": 1}', "at: `2026-03-02` has no time zone, write it as 2026-03-10T12:00:00Z"),
        ('{"id": "x", "at": "soon", "cost_usd": 1}', "at: `soon` is not an instant, write it as 2026-03-10T12:00:00Z"),
        ('{"id": "x", "at": 1772438400, "cost_usd": 1}', "at: `1772438400` is not an instant, write it as 2026-03-10T12:00:00Z"),
        ('{"id": "x", "at": "1969-12-31T23:59:59Z", "cost_usd": 1}', "at: `1969-12-31T23:59:59Z` is before 1970"),
        ("{" + GOOD + ', "cost_usd": 1, "subject": {"team": 5}}', "label `team` must be text, not int"),
        ("{" + GOOD + ', "cost_usd": 1, "subject": ["team"]}', "subject: must be an object of labels, not a list"),
        (
            "{" + GOOD + ', "cost_usd": 1, "subject": {"team": "default"}}',
            "label `team` is `default`, which the policy language keeps for itself",
        ),
        ("{" + GOOD + ', "cost_usd": 1, "requests": -1}', "requests: must be a whole number from 0, not -1"),
        (
            "{" + GOOD + ', "cache_write_tokens": 5, "cache_write_short_tokens": 5}',
            "cache_write_tokens: is stated beside cache_write_short_tokens; state all writes, or their parts",
        ),
        ("{" + GOOD + ', "cost_usd": 1, "provider": "a\\u0000b"}', "provider has a control character, which cannot be stored"),
    ],
)
def test_refuses_with_field_and_reason(text: str, reason: str) -> None:
    row = read_one(text)
    assert isinstance(row, Rejected)
    assert row.reason == reason


def test_tells_every_mistake_of_a_row_at_once() -> None:
    row = read_one('{"id": "", "at": "soon", "model": 5, "input_tokens": -1}')
    assert isinstance(row, Rejected)
    assert len(row.reason.split("; ")) >= 4


def test_refuses_rows_of_the_future(database_url: str, tmp_path: Path) -> None:
    rows = [{"id": "soon", "at": "2026-11-24T00:05:00Z", "cost_usd": 1}, {"id": "late", "at": "2026-11-24T00:05:01Z", "cost_usd": 1}]
    result = run(database_url, write(tmp_path / "rows.jsonl", rows))
    assert [(refused.line, refused.reason) for refused in result.refused] == [(2, "at: 2026-11-24T00:05:01Z is in the future")]
    assert counts(result.state) == {"new": 1, "quarantined": 1}


def test_reads_gzip_marks_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"id": 1, "at": "2026-03-02T08:00:00Z", "cost_usd": 1}\r\n\n  \n{'))
    with SourceFile(str(path)) as source:
        rows = list(jsonl.read(source, Subjects()))
    assert [row.line for row in rows] == [1, 4]
    assert isinstance(rows[0], ImportedRow)
    assert rows[0].id == "1"


def test_tells_where_a_cut_off_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "x", "at": "2026-03-02T08:00:00Z", "cost_usd": 1}\n' * 500)[:-12])
    with SourceFile(str(path)) as source, pytest.raises(FileUnreadable, match="breaks off after line"):
        list(jsonl.read(source, Subjects()))


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_says_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileUnreadable, match="cannot be read"):
        SourceFile(str(tmp_path / name))


def test_reads_standard_input_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = b'{"id": "x", "at": "2026-03-02T08:00:00Z", "cost_usd": 1}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    (tmp_path / "rows.jsonl").write_bytes(data)
    with SourceFile("-") as stdin, SourceFile(str(tmp_path / "rows.jsonl")) as file:
        assert stdin.digest == file.digest
        assert len(list(jsonl.read(stdin, Subjects()))) == 1


def test_sets_labels_where_a_row_lacks_them(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    rows = [
        {"id": "1", "at": "2026-03-02T08:00:00Z", "cost_usd": 1},
        {"id": "2", "at": "2026-03-02T08:00:00Z", "cost_usd": 2, "subject": {"team": "ads", "user": "ana"}},
    ]
    run(database_url, write(tmp_path / "rows.jsonl", rows), policies=policy_folder(POLICY), labels={"team": "search"})
    assert spent_of(database_url, "team-month") == {"search": 1_000_000_000, "ads": 2_000_000_000}


def test_books_and_reports_what_the_label_rules_refuse(database_url: str, tmp_path: Path, policy_folder: Callable[[str], Path]) -> None:
    labels = "labels:\n  team: {required: true, values: [search]}\n"
    rows = [
        {"id": "1", "at": "2026-03-02T08:00:00Z", "cost_usd": 1},
        {"id": "2", "at": "2026-03-02T08:00:00Z", "cost_usd": 2, "subject": {"team": "ads"}},
        {"id": "3", "at": "2026-03-02T08:00:00Z", "cost_usd": 4, "subject": {"team": "ads"}},
    ]
    result = run(database_url, write(tmp_path / "rows.jsonl", rows), policies=policy_folder(POLICY + labels))
    assert counts(result.state) == {"new": 3}
    assert dict(result.findings) == {"label `team` is required": 1, "label `team` is `ads`, which is none of search": 2}


def test_a_dry_run_tells_and_books_nothing(database_url: str, tmp_path: Path, policy_folder: Callable[[dict[str, str]], Path]) -> None:
    policies = policy_folder({"policy.yaml": POLICY, "prices.yaml": PRICES})
    result = run(database_url, write(tmp_path / "ten.jsonl", TEN), policies=policies, dry=True, chunk_rows=3)
    assert counts(result.state) == {"new": 7, "duplicate": 1, "conflict": 1, "quarantined": 1}
    assert result.state.cost_nano_usd == 8_005_600_000
    assert [outcome.kind for outcome in result.shown] == [*["new"] * 7, "duplicate", "conflict", "quarantined"]
    assert not any(rows_of(database_url, table) for table in ("entry", "import_file", "quarantine", "publication", "balance"))


def test_a_dry_run_does_not_create_a_ledger(tmp_path: Path) -> None:
    result = run(f"sqlite:///{tmp_path / 'new.db'}", write(tmp_path / "ten.jsonl", TEN), dry=True)
    assert result.state.new == 7
    assert not (tmp_path / "new.db").exists()

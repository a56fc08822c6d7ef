"""Answers: stable for programs, and nothing from outside that a terminal or a spreadsheet would obey."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from guardrails.cli.output import SafeConsole, csv_text, json_text, shown

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\r\n\u202egnp\u2066\u200b\x7f\x9b\ud800"
TEXTS = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)


def test_shown_writes_out_what_a_terminal_would_obey() -> None:
    assert shown(HOSTILE) == r"a\x1b[31mred\x1b]0;title\x07\r\n\u202egnp\u2066\u200b\x7f\x9b\ud800"


@pytest.mark.parametrize("text", ["Zürich 東京", "naïve €", "👩\u200d🚀", "\u0645\u06cc\u200c\u062e", ""])
def test_shown_leaves_writing_of_all_languages_alone(text: str) -> None:
    assert shown(text) == text


@given(TEXTS)
def test_shown_text_has_nothing_hidden_and_stays_as_it_is(text: str) -> None:
    once = shown(text)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or 0x202A <= ord(character) <= 0x202E for character in once)
    assert shown(once) == once


@given(st.recursive(TEXTS | st.integers() | st.none() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_json_says_the_same_and_hides_nothing(data: Any) -> None:
    text = json_text(data)
    # Two surrogates side by side are one character once they are JSON: that is JSON's own.
    assert json.loads(text) == json.loads(json.dumps(data))
    assert shown(text, keep="\n") == text


def test_json_is_one_indented_document() -> None:
    assert json_text({"team": "Zürich", "left": None}) == '{\n  "team": "Zürich",\n  "left": null\n}'


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("+1+1", "'+1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("-5", "-5"),
        ("+0.25", "+0.25"),
        ("-1e9", "-1e9"),
        ("\t=1", r"\t=1"),
        ("a,b", "a,b"),
        ('say "x"', 'say "x"'),
        ("two\nlines", r"two\nlines"),
        (None, ""),
        (True, "true"),
        (12, "12"),
        ({"team": "search"}, '{"team": "search"}'),
        (["a", 1], '["a", 1]'),
    ],
)
def test_csv_cell(value: object, cell: str) -> None:
    (header, row) = csv.reader(io.StringIO(csv_text([{"value": value}])))
    assert header == ["value"]
    assert row == [cell]


@given(st.lists(st.fixed_dictionaries({"a": TEXTS, "b": TEXTS}), min_size=1, max_size=4))
def test_csv_has_no_formula_and_one_line_per_row(rows: list[dict[str, str]]) -> None:
    text = csv_text(rows)
    read = list(csv.reader(io.StringIO(text)))
    assert len(read) == len(rows) + 1 == len(text.splitlines())
    for cell in (cell for row in read[1:] for cell in row):
        if cell[:1] in "=@" and cell:
            pytest.fail(cell)


def test_csv_has_its_columns_where_there_is_no_row() -> None:
    assert csv_text([], ("path", "line")) == "path,line\n"


def test_a_table_cannot_smuggle_escapes() -> None:
    stream = io.StringIO()
    console: Console = SafeConsole(file=stream, force_terminal=True, width=200, color_system=None)
    table = Table(HOSTILE.replace("\ud800", ""))
    table.add_row("x\x1b]52;c;cGF5bG9hZA==\x07\u202e")
    console.print(table)
    console.print("plain \x1b[2J text", markup=False)
    assert "\x1b" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()
    assert r"\x1b[2J" in stream.getvalue()

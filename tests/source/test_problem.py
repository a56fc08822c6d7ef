import pytest

from guardrails.source.problem import Problem, nearest, quoted, rendered


def test_says_where_what_and_the_nearest_spelling() -> None:
    problem = Problem("policies/a.yaml", 3, 5, "unknown-key", "unknown key `limits`", "limit", "    limits: 5 USD")
    assert str(problem) == "policies/a.yaml:3:5: unknown key `limits`, did you mean `limit`?"


def test_shows_the_line_with_a_caret_under_the_place() -> None:
    problem = Problem("a.yaml", 12, 5, "unknown-key", "unknown key `limits`", None, "    limits: 5 USD")
    assert rendered(problem) == "a.yaml:12:5: unknown key `limits`\n 12 |     limits: 5 USD\n    |     ^"


def test_keeps_the_caret_under_its_place_after_wide_characters_and_tabs() -> None:
    problem = Problem("a.yaml", 1, 4, "x", "m", None, "\t日x!")
    assert rendered(problem).splitlines()[1:] == [" 1 |  日x!", "   |    " + " ^"]


def test_shows_only_a_part_of_a_very_long_line() -> None:
    problem = Problem("a.yaml", 1, 50_001, "x", "m", None, "a" * 50_000 + "!" + "b" * 50_000)
    line, caret = rendered(problem).splitlines()[1:]
    assert len(line) < 130
    assert line[caret.index("^")] == "!"


def test_sorts_by_place_also_where_hints_are_missing() -> None:
    late, early = Problem("a", 2, 1, "x", "m", None), Problem("a", 1, 9, "x", "m", "h")
    assert sorted([late, early]) == [early, late]
    assert sorted([Problem("a", 1, 1, "x", "m", None), Problem("a", 1, 1, "x", "m", "h")])


def test_quotes_input_on_one_line_and_shortens_it() -> None:
    assert quoted("a\nb\x07") == "`a b\ufffd`"
    assert quoted("x" * 200) == f"`{'x' * 80}…`"


def test_finds_the_nearest_spelling_without_regard_to_case_and_dashes() -> None:
    assert nearest("Time-Zone", ["timezone", "tiers"]) == "timezone"
    assert nearest("zzz", ["timezone", "tiers"]) is None


@pytest.mark.parametrize(("written", "meant"), [("pre", "per"), ("ta", "at"), ("limt", "limit"), ("colour", None)])
def test_the_nearest_spelling_of_a_short_word_has_its_letters_in_another_order(written: str, meant: str | None) -> None:
    assert nearest(written, ["per", "at", "limit", "window"]) == meant

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.source.nodes import MAX_ALIASED_NODES, MAX_DEPTH, MappingNode, SequenceNode, compose, lines_of, mark_of


def codes(text: str) -> list[str]:
    return [problem.code for problem in compose(text, "a.yaml").problems]


def test_keeps_scalars_as_they_are_written() -> None:
    text = "[10.10, 1e3, on, 0123, 2026-09-01, 1:30, .nan, true, 5_000, 'null', \"~\"]"
    assert compose(text, "a").plain == ["10.10", "1e3", "on", "0123", "2026-09-01", "1:30", ".nan", "true", "5_000", "null", "~"]


def test_reads_only_a_plain_null_as_none() -> None:
    assert compose("{a: , b: ~, c: null, d: '', e: nul}", "a").plain == {"a": None, "b": None, "c": None, "d": "", "e": "nul"}


def test_knows_comments_block_scalars_anchors_and_merges() -> None:
    text = """\
# a comment
base: &base {a: 1, b: 2}   # another
both:
  <<: *base
  b: 3
several: {<<: [{c: 4}, {c: 5, d: 6}]}
text: |
  one
  two
"""
    composed = compose(text, "a")
    assert composed.problems == ()
    assert composed.plain == {
        "base": {"a": "1", "b": "2"},
        "both": {"b": "3", "a": "1"},
        "several": {"c": "4", "d": "6"},
        "text": "one\ntwo\n",
    }


def test_takes_a_quoted_merge_sign_as_a_key() -> None:
    assert compose("{'<<': a}", "a").plain == {"<<": "a"}


def test_knows_where_keys_and_values_stand() -> None:
    root = compose("a:\n  - b: x\n    ccc: [1, 2]\n", "a").root
    assert isinstance(root, MappingNode)
    key, items = root.places["a"]
    assert (key.line, key.column) == (0, 0)
    assert isinstance(items, SequenceNode)
    inner = items.places[0]
    assert isinstance(inner, MappingNode)
    key, value = inner.places["ccc"]
    assert (key.line, key.column, mark_of(value).line, mark_of(value).column) == (2, 4, 2, 9)


def test_counts_columns_in_characters_and_lines_as_yaml_does() -> None:
    text = "\ufeffä: 1\r\n😀: {x: , x: 2}\u2028b: @\n"
    problems = compose("ä: 1\r\n😀: {x: , x: 2}\n", "a").problems
    assert [(each.line, each.column, each.snippet) for each in problems] == [(2, 10, "😀: {x: , x: 2}")]
    assert lines_of(text) == ["ä: 1", "😀: {x: , x: 2}", "b: @", ""]


def test_reads_nesting_up_to_the_bound_and_refuses_one_level_more() -> None:
    assert codes("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert codes("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == ["too-deep"]


def test_refuses_a_hundred_thousand_levels_without_a_crash() -> None:
    assert codes("[" * 100_000) == ["too-deep"]
    assert codes("- " * 100_000) == ["too-deep"]


def test_allows_aliases_up_to_the_bound_and_refuses_a_bomb() -> None:
    # Each use of the list is 1 + 99 nodes: 2,500 uses are 250,000 nodes more.
    text = "a: &a [" + ",".join("x" * 99) + "]\nb: [" + ",".join(["*a"] * (MAX_ALIASED_NODES // 100)) + "{}]\n"
    assert codes(text.replace("{}", "")) == []
    assert codes(text.replace("{}", ", *a")) == ["alias-bomb"]


def test_refuses_a_bomb_of_merges() -> None:
    bomb = "a: &a {" + ",".join(f"k{number}: x" for number in range(100)) + "}\n"
    bomb += "b: [" + ",".join(["{<<: [*a, *a, *a, *a]}"] * 1_000) + "]\n"
    assert codes(bomb) == ["alias-bomb"]


def test_reports_every_duplicate_and_tag_not_only_the_first() -> None:
    assert codes("{a: 1, a: 2, a: 3, b: !x y, c: !!int 5}") == ["duplicate-key", "duplicate-key", "custom-tag", "custom-tag"]


def test_allows_tags_that_change_nothing() -> None:
    assert compose("{a: !!str null, b: ! x, c: !!map {}, d: !!seq []}", "a").plain == {"a": "null", "b": "x", "c": {}, "d": []}


def test_takes_an_anchor_on_a_key() -> None:
    assert compose("&k a: 1\nb: *k\n", "a").plain == {"a": "1", "b": "a"}


def test_takes_an_alias_of_text_as_a_key_and_refuses_one_of_a_list() -> None:
    assert compose("a: &k x\n*k : 1\n", "a").plain == {"a": "x", "x": "1"}
    assert codes("a: &k [x]\n*k : 1\n") == ["bad-key"]


def test_names_a_tab_wherever_it_indents() -> None:
    assert codes("a:\n\tb: 1") == ["tab"]
    assert codes("\ta: 1") == ["tab"]
    assert codes("a:\n  - b\n\t- c") == ["tab"]


def test_refuses_characters_that_yaml_does_not_know() -> None:
    problem = compose("a: 1\nbc: x\x07y\n", "a").problems[0]
    assert (problem.line, problem.column, problem.message) == (2, 6, "the character U+0007 is not allowed in YAML")
    assert codes("a: \ud800") == ["bad-character"]


def test_places_the_end_of_an_unclosed_text_on_a_line_that_says_something() -> None:
    problem = compose("a: [b\n\n\n", "a").problems[0]
    assert (problem.line, problem.snippet) == (1, "a: [b")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>'\"#,? \n\t%@`~<\ufeff\x00\u2028é😀")), max_size=60))
def test_never_raises_whatever_the_text_is(text: str) -> None:
    composed = compose(text, "a.yaml")
    assert composed.problems or composed.root is not None
    for problem in composed.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert "\n" not in problem.message


_plain = st.recursive(
    st.none() | st.text(alphabet="abc 01.-_é", max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abcé", min_size=1, max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(alphabet="abcé", min_size=1, max_size=4), _plain, min_size=1, max_size=4), st.booleans())
def test_reads_back_what_a_dumper_wrote(value: dict[str, object], flow: bool) -> None:  # noqa: FBT001 - drawn
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow, default_style='"' if flow else None)
    read = compose(text, "a").plain
    assert read == (_without_nulls(value) if flow else value)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>'\"#,? \n\t~<é")), max_size=40))
def test_reads_the_same_without_the_c_library(text: str) -> None:
    fast, slow = compose(text, "a"), compose(text, "a", yaml.SafeLoader)
    if not fast.problems and not slow.problems:  # the parsers differ in some odd texts that one of them refuses
        assert slow.plain == fast.plain


def test_reads_a_policy_like_text_the_same_without_the_c_library() -> None:
    text = "a: &x {b: [1, 'null', ~], <<: {c: 1e3}}\nd: *x\ne: |\n  text\nf: !y z\nf: 2\n"
    fast, slow = compose(text, "a"), compose(text, "a", yaml.SafeLoader)
    assert (fast.plain, fast.problems) == (slow.plain, slow.problems)
    assert [problem.code for problem in slow.problems] == ["custom-tag", "duplicate-key"]


def _without_nulls(value: object) -> object:
    """With every scalar quoted the dumper writes a null as `!!null "null"`, which is no value of this language."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return "null" if value is None else value

"""What a YAML parser complains of, in words that say what to do."""

from __future__ import annotations

import yaml

_SENTENCES = (
    ("mapping values are not allowed", "a `: ` cannot stand here, quote the value or check the indentation"),
    ("could not find expected ':'", "this line has no `: ` after a key, and is not part of the value before"),
    ("did not find expected node content", "a list in `[` or a mapping in `{` is not closed"),
    ("did not find expected ',' or ']'", "a list in `[` is not closed, or a `,` is missing"),
    ("did not find expected ',' or '}'", "a mapping in `{` is not closed, or a `,` is missing"),
    ("did not find expected '-' indicator", "a list item with `- ` is expected here, check the indentation"),
    ("did not find expected key", "a key is expected here, check the indentation and the quotes before"),
    ("did not find expected <document start>", "the document ended before this line, check the indentation"),
    ("block sequence entries are not allowed", "a list item with `- ` cannot stand here, begin it on a line of its own"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("found unknown escape character", "a `\\` in double quotes begins an escape, use single quotes or `\\\\`"),
    ("found unexpected document indicator", "a quote is not closed"),
    ("did not find expected alphabetic or numeric character", "a value cannot begin with `*` or `&`, quote it"),
    ("found undefined tag handle", "custom tags are not allowed, values are read as they are written"),
)


def syntax_place(error: yaml.MarkedYAMLError) -> tuple[int, int]:
    """Line and column, 0-based, of what a parser's error is about."""
    at = error.problem_mark or error.context_mark
    if "could not find expected ':'" in (error.problem or "") and error.context_mark is not None:
        at = error.context_mark
    return (0, 0) if at is None else (at.line, at.column)


def syntax_sentence(error: yaml.MarkedYAMLError, line: str, column: int) -> tuple[str, str]:
    """Code and message for a parser's error at a place in a line."""
    problem = error.problem or "it cannot be read"
    blank = line[: len(line) - len(line.lstrip())]
    if "\t" in blank and ("cannot start any token" in problem or "tab" in problem or "expected" in problem):
        return "tab", "a tab cannot indent, use spaces"
    if "cannot start any token" in problem and column < len(line):
        if line[column] == "\t":
            return "tab", "a tab cannot indent, use spaces"
        return "yaml-syntax", f"a value cannot begin with `{line[column]}`, quote it"
    for part, sentence in _SENTENCES:
        if part in problem:
            return "yaml-syntax", sentence
    return "yaml-syntax", f"YAML cannot be read here: {problem}"

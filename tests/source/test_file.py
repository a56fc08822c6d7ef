import pytest

from guardrails.source.file import decoded
from guardrails.source.problem import Problem


def test_reads_the_same_text_whatever_the_system_wrote() -> None:
    assert decoded(b"a: 1\nb: 2\n", "a") == decoded(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "a") == "a: 1\nb: 2\n"


@pytest.mark.parametrize(("data", "line", "column"), [(b"a: 1\nb: \xff", 2, 4), (b"\x80", 1, 1), ("ä: ".encode() + b"\xc3", 1, 4)])
def test_says_where_a_file_is_not_utf_8(data: bytes, line: int, column: int) -> None:
    problem = decoded(data, "a.yaml")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.column, problem.code) == (line, column, "not-utf-8")


def test_names_utf_16() -> None:
    assert str(decoded("a: 1".encode("utf-16"), "a.yaml")) == "a.yaml:1:1: the file is UTF-16, save it as UTF-8"

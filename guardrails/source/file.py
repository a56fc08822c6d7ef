"""Bytes of a file that a person wrote, as text."""

from __future__ import annotations

from guardrails.source.problem import Problem

_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def decoded(data: bytes, path: str) -> str | Problem:
    """UTF-8 text with line feeds as line ends and without a byte order mark, so that the same content is the same text on every system."""
    for mark, name in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return Problem(path, 1, 1, "not-utf-8", f"the file is {name}, save it as UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        return Problem(path, line, column, "not-utf-8", f"the byte 0x{data[error.start]:02X} is not UTF-8, save the file as UTF-8")
    return text.removeprefix("\ufeff").replace("\r\n", "\n")

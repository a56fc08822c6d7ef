"""Who pays: a mapping of labels.

Values are compared NFC-normalised, trimmed and case-folded (`label_key`), and shown as first written. An empty value is
an absent label. `default` and `(none)` mean something in the policy language and are refused as values.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

NONE = "(none)"
"""The scope value under which calls without a label are counted."""

CALL_ATTRIBUTES = frozenset({"model", "provider", "tier", "operation", "input_tokens", "output_tokens"})
"""Names that `match` reads from the call itself, so that no label may have them."""

MAX_LABELS = 64
MAX_VALUE_CHARACTERS = 1_024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_MAX_NAME_CHARACTERS = 128
_RESERVED = frozenset({"default", NONE})


@lru_cache(maxsize=65_536)
def label_key(value: str) -> str:
    """The form in which two label values are compared."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).strip().casefold())


@lru_cache(maxsize=65_536)
def written_form(value: str) -> str:
    """The form in which a label value is shown and stored: normalised and trimmed, case kept."""
    return unicodedata.normalize("NFC", value).strip()


@lru_cache(maxsize=4_096)
def label_name_problem(name: object) -> str | None:
    """What is wrong with a label's name, or None."""
    if not isinstance(name, str) or not _NAME.match(name) or len(name) > _MAX_NAME_CHARACTERS:
        return f"label name {name!r:.80} is not a name: letters, digits, `_`, `.` and `-`, not starting with a digit"
    if name in CALL_ATTRIBUTES:
        return f"label `{name}` has the name of a call attribute, choose another"
    return None


@lru_cache(maxsize=65_536)
def label_value_problem(value: str) -> str | None:
    """What is wrong with a label's value, or None."""
    if len(value) > MAX_VALUE_CHARACTERS:
        return f"is longer than {MAX_VALUE_CHARACTERS:,} characters"
    for character in "" if value.isprintable() else value:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\t\n\r"):
            return f"has the character U+{ord(character):04X}, which cannot be stored"
    if label_key(value) in _RESERVED:
        return f"is `{label_key(value)}`, which the policy language keeps for itself"
    return None


def checked_subject(labels: object, problems: list[str]) -> dict[str, str]:
    """Labels by name, in their written form, sorted by name, empty values left out; mistakes are added to `problems`."""
    if not isinstance(labels, Mapping):
        problems.append(f"subject must be a mapping of labels, not {type(labels).__name__}")
        return {}
    if len(labels) > MAX_LABELS:
        problems.append(f"subject has {len(labels)} labels, {MAX_LABELS} are possible")
        return {}
    checked: dict[str, str] = {}
    for name in sorted(labels, key=str):
        value: object = labels[name]
        if problem := label_name_problem(name):
            problems.append(problem)
        elif value is None:
            continue
        elif not isinstance(value, str):
            problems.append(f"label `{name}` must be text, not {type(value).__name__}")
        elif problem := label_value_problem(value):
            problems.append(f"label `{name}` {problem}")
        elif written := written_form(value):
            checked[name] = written
    return checked


def subject_key(labels: Mapping[str, str]) -> bytes:
    """16 bytes that name a subject: the hash of its folded labels. Expects labels as `checked_subject` gives them."""
    return _subject_key(tuple(labels.items()))


@lru_cache(maxsize=65_536)
def _subject_key(labels: tuple[tuple[str, str], ...]) -> bytes:
    folded = [(name, label_key(value)) for name, value in sorted(labels)]
    return hashlib.blake2b(json.dumps(folded, ensure_ascii=False).encode(), digest_size=16).digest()

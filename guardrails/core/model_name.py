"""The forms of a model's name under which conditions, tiers and restrictions are tested."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from guardrails.core.provider_name import BEFORE_COLON, split_prefix

_WILDCARDS = re.compile(r"([*?])")


def fold(name: str) -> str:
    """The case-folded form in which model and provider names are compared."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def forms_as_given(name: str, providers: frozenset[str] = BEFORE_COLON) -> tuple[str, ...]:
    """The folded name and what is left of it after each provider prefix: `openrouter/openai/gpt-5.2`, `openai/gpt-5.2`, `gpt-5.2`.

    Args:
        providers: the names that are prefixes before a colon too (`openai:gpt-5.2`).
    """
    forms = []
    rest = fold(name)
    while rest:
        forms.append(rest)
        _, rest = split_prefix(rest, providers)
    return tuple(forms)


def is_pattern(name: str) -> bool:
    """Whether the name has a wildcard, and so names no single model."""
    return "*" in name or "?" in name


@lru_cache(maxsize=65_536)
def pattern(text: str) -> re.Pattern[str]:
    """A compiled, folded pattern in which `*` is any text and `?` any character; test it with `fullmatch`."""
    pieces = _WILDCARDS.split(fold(text))
    return re.compile("".join({"*": ".*", "?": "."}.get(piece) or re.escape(piece) for piece in pieces), re.DOTALL)

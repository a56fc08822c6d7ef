"""Where an answer came from, as far as the caller can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that an answer belongs to. `host` and `path` are folded, `headers` are the answer's, with folded names."""

    host: str = ""
    path: str = ""
    model: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def origin(host: str | None = None, path: str | None = None, model: str | None = None, headers: Mapping[str, str] | None = None) -> Origin:
    """The origin as the caller names it, folded."""
    return Origin(
        host=(host or "").strip().casefold().partition(":")[0],
        path=unquote(path or "").partition("?")[0].partition("#")[0].casefold(),
        model=model,
        headers={str(name).casefold(): str(value) for name, value in (headers or {}).items()},
    )

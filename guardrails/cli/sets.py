"""The policy sets that come with guardrails: where they are, and copying one for a start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guardrails.policy.schema import schema_text

SCHEMA = "schema.json"


def sets_folder() -> Path:
    """Where the sets are: inside the package in an installed wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "policies"
    return inside if inside.is_dir() else package.parent / "policies"


def shipped_sets() -> Mapping[str, Path]:
    """Folder of each set by its name, sorted."""
    return {path.name: path for path in sorted(sets_folder().iterdir()) if path.is_dir() and any(path.glob("*.yaml"))}


def copy_set(source: Path, target: Path) -> list[Path]:
    """Copy a set into a folder, with the schema that its files name for editors beside them; the files written, sorted."""
    target.mkdir(parents=True, exist_ok=True)
    texts = {path.name: path.read_text(encoding="utf-8") for path in source.iterdir() if path.is_file()}
    texts[SCHEMA] = schema_text()
    for name, text in texts.items():
        with (target / name).open("x", encoding="utf-8", newline="\n") as file:  # never over a file that is there
            file.write(text)
    return sorted(target / name for name in texts)

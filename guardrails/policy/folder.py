"""The files of a policy set on disk, as text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from guardrails.core.errors import PolicyUnreadable
from guardrails.source.file import decoded
from guardrails.source.problem import Problem

PRICES = "prices.yaml"
_SUFFIXES = (".yaml", ".yml")
_TEST_SUFFIXES = (".test.yaml", ".test.yml")


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """The texts of a set by path relative to the folder, sorted; `shown_as` is what stands before a path that a person can click."""

    files: dict[str, str]
    shown_as: str
    problems: tuple[Problem, ...]


def is_test(path: str) -> bool:
    """Whether the file has tests of a policy set, and so is no policy."""
    return path.endswith(_TEST_SUFFIXES)


def shown(shown_as: str, path: str) -> str:
    """The path as a person would name it from where the folder was named."""
    return str(PurePosixPath(shown_as) / path)


def read_folder(path: Path | str) -> PolicyFiles:
    """The texts of one policy file, or of a folder with its `prices.yaml`.

    Raises:
        PolicyUnreadable: there is no such file or folder, it cannot be read, or it holds no policy.
    """
    root = Path(path)
    if root.is_dir():
        found = _found_in(root)
        if not any(PurePosixPath(each).name != PRICES for each in found):
            msg = f"the folder {path} holds no policy file (*.yaml, *.yml)"
            raise PolicyUnreadable(msg)
        return _read(root, found, root.as_posix())
    if not root.exists():
        msg = f"there is no policy file or folder {path}"
        raise PolicyUnreadable(msg)
    if is_test(root.name) or root.name == PRICES:
        msg = f"{path} is no policy file, name its folder instead"
        raise PolicyUnreadable(msg)
    return _read(root.parent, [root.name], root.parent.as_posix())


def _found_in(root: Path) -> list[str]:
    """Relative paths of policies and prices, sorted; hidden ones and tests left out, each folder entered once."""

    def unreadable(error: OSError) -> None:  # pragma: no cover - no folder is closed to root, as whom tests may run
        msg = f"the policy folder {error.filename} cannot be read: {error.strerror}"
        raise PolicyUnreadable(msg) from error

    found: list[str] = []
    entered: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        below = Path(folder).relative_to(root)
        found += [
            (below / name).as_posix() for name in names if name.endswith(_SUFFIXES) and not name.startswith(".") and not is_test(name)
        ]
    return sorted(found)


def _read(root: Path, paths: list[str], shown_as: str) -> PolicyFiles:
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            data = (root / path).read_bytes()
        except OSError as error:
            msg = f"the policy file {shown(shown_as, path)} cannot be read: {error.strerror}"
            raise PolicyUnreadable(msg) from error
        text = decoded(data, shown(shown_as, path))
        if isinstance(text, Problem):
            problems.append(text)
        else:
            files[path] = text
    return PolicyFiles(files, shown_as, tuple(problems))

"""Policy files to a policy set, whole or not at all."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from guardrails.core.errors import InvalidPolicy, PolicyUnreadable
from guardrails.policy.document import DefaultsDocument, LabelDocument, PolicyDocument, RuleDocument
from guardrails.policy.folder import PRICES, is_test, read_folder, shown
from guardrails.policy.resolve import Parts, resolve
from guardrails.policy.rules import PolicySet
from guardrails.source.document import Read, read_document
from guardrails.source.problem import Problem


def load_policies(path: Path | str) -> PolicySet:
    """The policy set of a file or folder.

    Raises:
        InvalidPolicy: carries every problem of every file.
        PolicyUnreadable: nothing there that can be read as a policy.
    """
    policies, problems = check_policies(path)
    if policies is None:
        raise InvalidPolicy(problems)
    return policies


def load_files(files: Mapping[str, str], shown_as: str = "policies") -> PolicySet:
    """The policy set of texts by relative path, `prices.yaml` included; problems are shown under `shown_as`.

    Raises:
        InvalidPolicy: carries every problem of every file.
        PolicyUnreadable: there is no policy among the files.
    """
    policies, problems = check_files(files, shown_as)
    if policies is None:
        raise InvalidPolicy(problems)
    return policies


def check_policies(path: Path | str) -> tuple[PolicySet | None, tuple[Problem, ...]]:
    """The policy set of a file or folder, or None and every problem, sorted.

    Raises:
        PolicyUnreadable: nothing there that can be read as a policy.
    """
    read = read_folder(path)
    if not read.problems:
        return check_files(read.files, read.shown_as)
    found = check_files(read.files, read.shown_as)[1] if _policies_in(read.files) else ()
    return None, tuple(sorted((*read.problems, *found)))


def check_files(files: Mapping[str, str], shown_as: str = "policies") -> tuple[PolicySet | None, tuple[Problem, ...]]:
    """The policy set of texts by relative path, or None and every problem, sorted.

    Raises:
        PolicyUnreadable: there is no policy among the files.
    """
    kept = {path: files[path] for path in sorted(files) if not is_test(path)}
    paths = _policies_in(kept)
    if not paths:
        msg = f"there is no policy among the files of {shown_as}"
        raise PolicyUnreadable(msg)
    problems = [_misplaced(shown_as, path) for path in kept if path != PRICES and PurePosixPath(path).stem == PurePosixPath(PRICES).stem]
    with _without_collection():
        policies = _loaded(kept, paths, shown_as, problems)
    return policies, tuple(sorted(problems))


def _loaded(files: dict[str, str], paths: list[str], shown_as: str, problems: list[Problem]) -> PolicySet | None:
    # A function of its own, so that everything read on the way is freed before the collector looks again.
    reads = [read_document(files[path], shown(shown_as, path), PolicyDocument) for path in paths]
    for read in reads:
        problems += read.problems
    resolved = resolve([_parts(read) for read in reads], problems)
    if problems:
        return None
    return PolicySet(content_hash(files), files, resolved.rules, resolved.tiers, resolved.labels, resolved.defaults)


def content_hash(files: Mapping[str, str]) -> str:
    """The name of a set: the same files under the same relative paths have the same hash wherever they lie."""
    digest = hashlib.sha256()
    for path in sorted(files):
        for text in (path, files[path]):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(data), data))
    return f"sha256:{digest.hexdigest()}"


def _policies_in(files: Mapping[str, str]) -> list[str]:
    return [path for path in sorted(files) if not is_test(path) and PurePosixPath(path).stem != PurePosixPath(PRICES).stem]


def _misplaced(shown_as: str, path: str) -> Problem:
    return Problem(shown(shown_as, path), 1, 1, "misplaced-file", f"prices stand in {PRICES} at the top of the policy folder", PRICES)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Loading makes no cycles, and the collector would walk all that was loaded again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parts(read: Read[PolicyDocument]) -> Parts:
    if read.value is not None:
        document = read.value
        return Parts(read, document.tiers, document.labels, document.defaults, list(enumerate(document.rules or ())))
    return _readable_parts(read)


def _readable_parts(read: Read[PolicyDocument]) -> Parts:
    """What can be read of a file with problems, so that problems between rules are found as well."""
    plain = read.plain if isinstance(read.plain, dict) else {}
    tiers = _section("tiers", plain)
    rules = plain.get("rules")
    readable = [
        (place, rule) for place, each in enumerate(rules if isinstance(rules, list) else []) if (rule := _valid("rule", each)) is not None
    ]
    complete = read.root is not None and ("tiers" not in plain or tiers is not None)
    return Parts(read, tiers, _section("labels", plain), _section("defaults", plain), readable, complete)


def _section(name: str, plain: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the section's own type
    return _valid(name, plain[name]) if name in plain else None


def _valid(name: str, plain: object) -> Any:  # noqa: ANN401 - of the section's own type
    try:
        return _adapters()[name].validate_python(plain)
    except ValidationError as error:
        unknown = {each["loc"][-1] for each in error.errors(include_url=False) if each["type"] == "extra_forbidden"}
        if not unknown or not isinstance(plain, dict):
            return None
    # The unknown keys are problems of their own: what else is written can have more, which are told with them.
    return _valid(name, {key: value for key, value in plain.items() if key not in unknown}) if unknown & plain.keys() else None


@lru_cache(maxsize=1)
def _adapters() -> dict[str, TypeAdapter[Any]]:
    return {
        "tiers": TypeAdapter(dict[str, list[str]]),
        "labels": TypeAdapter(dict[str, LabelDocument]),
        "defaults": TypeAdapter(DefaultsDocument),
        "rule": TypeAdapter(RuleDocument),
    }

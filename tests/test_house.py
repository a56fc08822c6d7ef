"""The house keeps its own rules: what is public is listed, modules are small and explained, an import brings only what it needs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

import guardrails
from guardrails.db.migrate import scripts_folder

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for folder in ("guardrails", "migrations") for path in (ROOT / folder).rglob("*.py"))
MAX_LINES = 400
PROMISED = {"Call", "Decision", "Denied", "Gate", "GuardrailsError", "Usage", "Verdict", "read_usage"}
NOT_AT_IMPORT = {
    "openai",
    "anthropic",
    "google",
    "httpx",
    "httpx2",
    "boto3",
    "botocore",
    "litellm",
    "genai_prices",
    "alembic",
    "rich",
    "click",
    "sqlalchemy",
    "pydantic",
    "yaml",
}


def test_every_exported_name_exists() -> None:
    missing = [name for name in guardrails.__all__ if not hasattr(guardrails, name)]
    assert not missing


def test_every_public_name_is_exported() -> None:
    public = {name for name, value in vars(guardrails).items() if not name.startswith("_") and not isinstance(value, ModuleType)}
    assert public - {"annotations"} <= set(guardrails.__all__)


def test_exports_are_sorted_without_repetition() -> None:
    assert list(guardrails.__all__) == sorted(set(guardrails.__all__))


def test_what_the_contract_imports_is_exported() -> None:
    assert set(guardrails.__all__) >= PROMISED


def test_everything_raised_that_is_exported_derives_from_one_base() -> None:
    exported = [getattr(guardrails, name) for name in guardrails.__all__]
    errors = [value for value in exported if isinstance(value, type) and issubclass(value, BaseException)]
    assert [error for error in errors if not issubclass(error, guardrails.GuardrailsError)] == []


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_is_small(path: Path) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES


def test_import_brings_no_client_library_and_nothing_that_only_commands_need() -> None:
    program = "import guardrails, json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    answer = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    assert NOT_AT_IMPORT.isdisjoint(json.loads(answer.stdout))


def test_package_says_that_it_is_typed() -> None:
    assert files("guardrails").joinpath("py.typed").is_file()


def test_migrations_are_found_from_the_package() -> None:
    assert (scripts_folder() / "env.py").is_file()
    assert list((scripts_folder() / "versions").glob("*.py"))


def test_what_the_wheel_includes_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert set(included) == {"migrations", "policies"}
    for folder in included:
        assert any(path.is_file() for path in (ROOT / folder).rglob("*")), f"{folder}/ is empty"


def test_demo_brings_its_data_with_licences() -> None:
    data = files("guardrails").joinpath("cli", "demo_data")
    names = {path.name for path in data.iterdir()}
    licences = data.joinpath("README.md").read_text(encoding="utf-8")
    assert len(names) > 1
    assert [name for name in sorted(names - {"README.md"}) if f"`{name}`" not in licences] == []


def test_every_sample_has_its_source_and_licence() -> None:
    data = ROOT / "tests" / "data"
    licences = (data / "README.md").read_text(encoding="utf-8")
    samples = [path.relative_to(data).as_posix() for path in sorted(data.rglob("*")) if path.is_file() and path.name != "README.md"]
    assert samples
    assert [sample for sample in samples if f"`{sample}`" not in licences] == []

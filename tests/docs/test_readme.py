"""README.md does what it says: its Python runs, its commands succeed, its policy loads, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from guardrails.cli.main import cli
from guardrails.policy.load import check_files
from tests.docs.markdown import blocks

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "policies" / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
README = PAGES[0]


class Client:
    """Stands where an application has its provider's client: answers as OpenAI does."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))

    def _create(self, *, model: str, messages: list[object], max_completion_tokens: int) -> SimpleNamespace:
        assert messages
        assert max_completion_tokens
        self.models.append(model)
        return SimpleNamespace(usage={"prompt_tokens": 1_180, "completion_tokens": 412, "total_tokens": 1_592})


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the policies of a startup, in which one works."""
    shutil.copytree(ROOT / "policies" / "startup", tmp_path / "policies")
    monkeypatch.chdir(tmp_path)
    for name in ("GUARDRAILS_DATABASE", "GUARDRAILS_POLICIES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("workplace")
def test_the_engineers_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    names: dict[str, object] = {"client": client, "messages": [{"role": "user", "content": "Hello"}]}
    examples = list(blocks(README, "python"))
    assert len(examples) == 2
    for example in examples:
        exec(compile(example.text, example.id, "exec"), names)  # noqa: S102 - the page's own code
    assert client.models == ["gpt-5.2"]
    printed = capsys.readouterr().out
    assert printed.startswith("gpt-5-mini\n")
    assert "development-models downgrade policies/budget.yaml:" in printed


def test_the_commands_succeed(workplace: Path) -> None:
    row = '{"id": "1", "at": "2026-03-02T08:00:00Z", "model": "gpt-5.2", "subject": {"team": "search"}, "cost_usd": "449.80"}\n'
    (workplace / "usage.jsonl").write_text(row, encoding="utf-8")
    commands = [line for example in blocks(README, "shell") for line in example.text.splitlines()]
    assert len(commands) >= 8
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "guardrails"
        done = subprocess.run([sys.executable, "-m", "guardrails", *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), f"{command}\n{done.stdout}{done.stderr}"


def test_every_command_is_documented() -> None:
    page = README.read_text(encoding="utf-8")
    with click.Context(cli) as context:
        assert [name for name in _commands(cli, "guardrails", context) if f"`{name}`" not in page] == []


def test_the_admins_policy_loads() -> None:
    (example,) = blocks(README, "yaml")
    policies, problems = check_files({"policy.yaml": example.text})
    assert policies is not None, problems


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_first_line_says_budget_or_cost_policy(page: Path) -> None:
    first = page.read_text(encoding="utf-8").splitlines()[0].casefold()
    assert "budget" in first or "cost policy" in first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def _commands(group: click.Group, path: str, context: click.Context) -> Iterator[str]:
    """Every command that does something, with all of its words."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}", context)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f"{path} {name}"


def _anchor(heading: str) -> str:
    """As forges make it: lower case, without punctuation, words joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.casefold()).replace(" ", "-")

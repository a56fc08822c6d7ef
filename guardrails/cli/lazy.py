"""Commands by name, each imported when it is called: help and completion wait for none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import ClassVar

import click
from typing_extensions import override

from guardrails.source.problem import nearest, quoted


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command is, and its line in the list of commands."""

    module: str
    attribute: str
    summary: str


class Group(click.Group):
    """A group that names the nearest command to one that it does not have."""

    @override
    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            close = nearest(name, self.list_commands(ctx))
            ctx.fail(f"there is no command {quoted(name)}{'' if close is None else f', did you mean `{close}`?'}")
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are imported when they are called."""

    lazy: ClassVar[Mapping[str, Lazy]] = MappingProxyType({})

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *super().list_commands(ctx)]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self.lazy.get(cmd_name)
        if found is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(found.module), found.attribute)
        if not isinstance(command, click.Command):
            msg = f"{found.module}.{found.attribute} is not a command"
            raise TypeError(msg)
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.summary) for name, each in self.lazy.items()])

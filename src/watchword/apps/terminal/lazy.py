"""Import commands only when they are called, so that ``watchword --help`` stays quick."""

import functools
import gc
import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import click
from click.exceptions import NoSuchCommand

from watchword.encoding.collector import collector_at_rest

Registry: TypeAlias = Mapping[str, tuple[str, str]]
"""Name of each command: (the module with a ``command``, or ``module:name``; the line that ``--help`` shows)."""


def body_in(module: str) -> Callable[[Callable[[], None]], Callable[..., Any]]:
    """Return a decorator for a command that is declared here and runs there: the function of the same name in ``module``.

    ``--help`` and a wrong option then need nothing of what the body imports.  The body of a group runs only where no
    subcommand of it does.
    """

    def decorated(declared: Callable[[], None]) -> Callable[..., Any]:
        @functools.wraps(declared)
        def run(*arguments: Any, **options: Any) -> Any:
            context = click.get_current_context(silent=True)
            if context is not None and context.invoked_subcommand is not None:
                return None
            body = getattr(_loaded(module), declared.__name__)
            return body(*arguments, **options)

        return run

    return decorated


def _loaded(module: str) -> ModuleType:
    """Return a module; what it imports stays for good, and no pass of the collector looks through it."""
    if module not in sys.modules:
        with collector_at_rest():
            importlib.import_module(module)
            gc.freeze()
    return sys.modules[module]


class LazyGroup(click.Group):
    """Import a command only when it is called; those of a group's own module are there already."""

    def __init__(self, *arguments: Any, registry: Registry | None = None, **options: Any) -> None:
        """Keep the registry of the commands that are imported when they are called."""
        super().__init__(*arguments, **options)
        self._registry = registry or {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called.

        :raises click.exceptions.NoSuchCommand: with the nearest names: click knows none that wasn't imported.
        """
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            names = self.list_commands(ctx)
            raise NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from None

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the registry, and of the group's own module."""
        return [*self._registry, *self.commands]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, imported if need be."""
        if cmd_name not in self._registry:
            return self.commands.get(cmd_name)
        module, _, name = self._registry[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        lines = [(name, line) for name, (_, line) in self._registry.items()]
        own = [(name, each.short_help or "") for name, each in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*lines, *own])

"""A command of which only the name and the help are known, until somebody asks for it."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand


class NamedCommand(TyperCommand):
    """Stands for the `app` of a module: to import all of them for one takes more than what that one does."""

    def __init__(self, name: str, module: str, *, help: str) -> None:
        super().__init__(name, help=help)
        self._module = module

    def load(self) -> Any:
        """Import the module; returns typer's command or group. A caller finds out by `commands` which it is."""
        return typer.main.get_command(import_module(self._module).app)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand over: whoever parses and runs is the real command, from here on."""
        return self.load().make_context(info_name, args, parent, **extra)

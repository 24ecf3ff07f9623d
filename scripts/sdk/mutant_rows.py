"""Read the tables of mutants: one change each of an SDK's rules."""

import tomllib
from pathlib import Path
from typing import Final, NamedTuple

from scripts.sdk import android, ios

TABLES: Final = {
    "android": android.SOURCES / "mutants.toml",
    "ios": ios.SOURCES / "mutants.toml",
}

_TARGETS: Final = {
    "core": "WatchwordKit",
    "pins": "WatchwordKit",
    "apple": "WatchwordKit",
    "testinstance": "WatchwordTestInstance",
}
"""The target of the Swift package that a table of rows is about."""


class Mutant(NamedTuple):
    """Hold one change: what stands once in a file below a module's sources, and what is put in its place."""

    sdk: str
    module: str
    file: str
    about: str
    old: str
    new: str

    @property
    def target(self) -> str:
        """Return the name that the compiler has for the Swift module."""
        return _TARGETS[self.module]

    @property
    def folder(self) -> Path:
        """Return the directory with the module's sources."""
        if self.sdk == "ios":
            return ios.SOURCES / "Sources" / self.target
        return android.SOURCES / self.module / "src" / "main" / "kotlin"

    @property
    def source(self) -> Path:
        """Return the file that it changes."""
        return self.folder / self.file

    def changed(self) -> str:
        """Return the file's text with the change."""
        text = self.source.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise SystemExit(f"{self.file}: {self.about}: `{self.old}` doesn't stand there once")
        return text.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """Return the rows of all tables."""
    return [
        Mutant(sdk, module, row["file"], row["about"], row["old"], row["new"])
        for sdk, table in TABLES.items()
        for module, rows in tomllib.loads(table.read_text(encoding="utf-8")).items()
        for row in rows
    ]

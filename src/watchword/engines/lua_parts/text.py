"""Read the shared parts, and write as Lua what must be the same here and there.

A script is one file, put together from parts: those of this package and its engine's own.  What a part uses of the
ones before it stands in its first lines.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Final

from watchword.public_classes import Category, PublicClass
from watchword.reasons import Reason

SHARED: Final = "watchword.engines.lua_parts"
"""The package of the shared parts."""


@cache
def part(package: str, name: str) -> str:
    """Return a file of Lua that is data of a package."""
    return resources.files(package).joinpath(f"{name}.lua").read_text("utf-8")


def shared(name: str) -> str:
    """Return a part that several engines run."""
    return part(SHARED, name)


def settings(fields: Mapping[str, str]) -> str:
    """Return the table ``OPTIONS``; every value is written as Lua already."""
    lines = "\n".join(f"  {name} = {value}," for name, value in fields.items())
    return f"local OPTIONS = {{\n{lines}\n}}\n"


def refusals(reasons: Iterable[Reason]) -> str:
    """Return by reason what a refused client is told, as the table ``REFUSALS``."""
    lines = []
    for reason in reasons:
        public = reason.public
        # The members stand in the order of their names, as the other mouths write them.
        rest = (
            f'"status":{public.status},"title":"{public.title}",'
            f'"type":"urn:watchword:problem:{public.slug}"}}'
        )
        more = ""
        if public.status == PublicClass.TOKEN_REQUIRED.status:
            more = ' challenge = "Watchword",'
        elif reason.category is Category.UNAVAILABLE:
            more = ' retry_after = "5",'
        lines.append(
            f'  ["{reason.code}"] = {{ status = "{public.status}",{more} rest = {quoted(rest)} }},'
        )
    body = "\n".join(lines)
    return f"local REFUSALS = {{\n{body}\n}}\n"


def quoted(text: str) -> str:
    """Return a text as a Lua string in single quotes.

    :raises ValueError: for a text that isn't one line.
    """
    if not text.isprintable():
        raise ValueError(f"got {text!r}, expected printable characters")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

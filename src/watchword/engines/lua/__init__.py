"""Read the Lua that engines run, and write as Lua what must be the same here and there.

A script is one file, put together from parts: those of every engine lie here, an engine's own in a folder of its name.
What a part uses of the ones before it stands in its first lines.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from watchword.public_classes import Category, PublicClass
from watchword.reasons import Reason


@cache
def part(name: str) -> str:
    """Return a part: a file of Lua beside this module, named without its suffix."""
    return resources.files(__name__).joinpath(f"{name}.lua").read_text("utf-8")


def settings(fields: Mapping[str, str]) -> str:
    """Return the table ``OPTIONS``; every value is written as Lua already."""
    lines = "\n".join(f"  {name} = {value}," for name, value in fields.items())
    return f"local OPTIONS = {{\n{lines}\n}}\n"


def refusals(reasons: Iterable[Reason]) -> str:
    """Return by reason what a refused client is told, as the table ``REFUSALS``."""
    lines = []
    for reason in reasons:
        public = reason.public
        # The members stand in the order of their names, as the other enforcement points write them.
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

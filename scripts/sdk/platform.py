"""Look up in Android's published list of types what compiled classes ask for, and since which API level a phone has it.

The list gives names and how many parameters each method has, not their types; so much of a mistake it sees and no more.
"""

import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from scripts.sdk import TOOLS

TYPES: Final = TOOLS / "android-types" / "android-platform-37.d.ts"
_OLDEST: Final = 21
"""What the list gives no level for has been there since this one or longer."""

_CLASS: Final = re.compile(r"export (?:abstract )?class (\w+)(?:<.*?>)?\s+extends (.*) \{$")
_MODULE: Final = re.compile(r"(?:declare|export) module ([\w.]+) \{$")
_MEMBER: Final = re.compile(
    r"(?:public|protected) (?:static |abstract )*([\w$]+)(?:<[^(]*>)?([(:].*)"
)
_SINCE: Final = re.compile(r"@since (\d+)")


class Member(NamedTuple):
    """Name a member of a class.

    :param parameters: how many a method takes; -1 for a field.
    """

    name: str
    parameters: int


class Reference(NamedTuple):
    """Hold what compiled code asks for.

    :param owner: the class, with dots.
    :param member: None where it is the class alone.
    """

    owner: str
    member: Member | None

    def __str__(self) -> str:
        """Return it as the tables of exceptions name it."""
        if self.member is None:
            return self.owner
        count = self.member.parameters
        return f"{self.owner}.{self.member.name}{'' if count < 0 else f'/{count}'}"


@dataclass
class _Type:
    since: int
    above: list[str]
    members: dict[Member, int] = field(default_factory=dict)


@cache
def _types() -> dict[str, _Type]:
    """Read the list: by full name each class with what it extends, its members, and since when each is there."""
    found: dict[str, _Type] = {}
    path: list[str] = []
    since = _OLDEST
    for line in TYPES.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if told := _SINCE.search(text):
            since = int(told[1])
        elif module := _MODULE.match(text):
            path.append(module[1])
        elif declared := _CLASS.match(text):
            path.append(declared[1])
            above = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", declared[2]))
            found[".".join(path)] = _Type(since, re.findall(r"[\w.]+", above))
            since = _OLDEST
        elif text == "}":
            path.pop()
        elif text.endswith("{"):
            # A constructor from an implementation: only the list's own language has it.
            path.append("")
        elif text == "});":
            path.pop()
        elif member := _MEMBER.match(text):
            if path[-1]:
                _type = found[".".join(path)]
                named = Member(member[1], _count(member[2]))
                _type.members[named] = min(since, _type.members.get(named, since))
            since = _OLDEST
    return found


def _count(text: str) -> int:
    """Return how many parameters stand behind a name; -1 for a field's type."""
    if text.startswith(":"):
        return -1
    depth, count, seen = 0, 0, False
    for char in re.sub(r"/\*.*?\*/|=>", "", text):
        depth += (char in "(<{[") - (char in ")>}]")
        if depth == 0:
            break
        seen = seen or (char not in "( ")
        count += char == "," and depth == 1
    return count + 1 if seen else 0


def since(asked: Reference) -> int | None:
    """Return the API level that has it first; None where the list doesn't know it."""
    known = _types().get(asked.owner)
    if known is None:
        return None
    if asked.member is None:
        return known.since
    levels = list(_levels(asked.owner, asked.member, set()))
    return max(known.since, min(levels)) if levels else None


def _levels(owner: str, member: Member, seen: set[str]) -> Iterator[int]:
    """Yield since when a class, or one that it extends, has a member."""
    known = _types().get(owner)
    if known is None or owner in seen:
        return
    seen.add(owner)
    if member in known.members:
        yield known.members[member]
    for above in [*known.above, "java.lang.Object"]:
        yield from _levels(above, member, seen)


_POOL: Final = re.compile(
    r"= (Class|Fieldref|Methodref|InterfaceMethodref) +\S+ +// +(?P<owner>[^.:\s]+)(?:\.(?P<name>[^:]+):(?P<type>\S+))?$"
)


def references(jar: Path) -> set[Reference]:
    """Return what the classes of a jar ask of classes that aren't in it, as ``javap`` reads their tables of constants."""
    listed = _javap("-v", "-p", jar=jar)
    own = {name.replace("/", ".").replace("$", ".") for name in _names(jar)}
    found = set()
    for line in listed.splitlines():
        if pool := _POOL.search(line):
            owner = pool["owner"].strip('"').lstrip("[")
            if pool["owner"].startswith('"['):
                owner = owner.removeprefix("L").rstrip(";")
            owner = owner.replace("/", ".").replace("$", ".")
            if owner not in own and "." in owner:
                found.add(Reference(owner, _member(pool["name"], pool["type"])))
    return found


def _member(name: str | None, descriptor: str | None) -> Member | None:
    if name is None or descriptor is None:
        return None
    name = "constructor" if name == '"<init>"' else name
    if not descriptor.startswith("("):
        return Member(name, -1)
    taken = descriptor[1 : descriptor.index(")")]
    return Member(name, len(re.findall(r"\[*(?:L[^;]+;|[A-Z])", taken)))


_DECLARED: Final = re.compile(r"^(?:public )?.*?(?:class|interface) ([\w.$]+)")
_DESCRIPTOR: Final = re.compile(r"^ +descriptor: (\S+)")


def declared(jar: Path) -> set[Reference]:
    """Return the classes of a jar and their public and protected members."""
    found: set[Reference] = set()
    owner = name = ""
    for line in _javap("-protected", "-s", jar=jar).splitlines():
        if told := _DESCRIPTOR.match(line):
            found.add(Reference(owner, _member(name, told[1])))
        elif line.startswith(" ") and (named := re.search(r"([\w.$]+)(?:\(.*\)[^()]*)?;$", line)):
            name = named[1].replace("$", ".")
            name = '"<init>"' if name == owner else name.rpartition(".")[2]
        elif opened := _DECLARED.match(line):
            owner = opened[1].replace("$", ".")
            found.add(Reference(owner, None))
    return found


def _names(jar: Path) -> list[str]:
    with zipfile.ZipFile(jar) as archive:
        return [
            name.removesuffix(".class") for name in archive.namelist() if name.endswith(".class")
        ]


def _javap(*options: str, jar: Path) -> str:
    done = subprocess.run(
        ["javap", *options, "-cp", str(jar), *_names(jar)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout

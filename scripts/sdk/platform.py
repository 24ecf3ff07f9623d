"""Look up in Android's published list of types what compiled classes ask for, and since which API level a phone has it.

The list is written for another language: it says ``number`` for each of Java's, and ``any`` where it has no word. So far it is held to.
"""

import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from scripts.sdk import TOOLS, SdkError

TYPES: Final = TOOLS / "android-types" / "android-platform-37.d.ts"
_OLDEST: Final = 21
"""What the list gives no level for has been there since this one or longer."""


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
    :param descriptor: the member's types, as the JVM writes them; empty where they aren't asked for.
    """

    owner: str
    member: Member | None
    descriptor: str = ""

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
    members: dict[Member, list[tuple[int, str]]] = field(default_factory=dict)
    """Each with since when it is there and its types, once for each overload."""


# The list has the root of all classes in another file, as its own language needs it.
_OBJECT: Final = (
    Member("constructor", 0),
    Member("clone", 0),
    Member("equals", 1),
    Member("getClass", 0),
    Member("hashCode", 0),
    Member("notify", 0),
    Member("notifyAll", 0),
    Member("toString", 0),
    Member("wait", 0),
    Member("wait", 1),
    Member("wait", 2),
)
_CLASS: Final = re.compile(
    r"export (?:abstract )?class (\w+)(?:<.*?>)?(?:\s+extends (?P<above>.*))? \{$"
)
_MODULE: Final = re.compile(r"(?:declare|export) module ([\w.]+) \{$")
_MEMBER: Final = re.compile(
    r"(?:public|protected) (?:static |abstract )*([\w$]+)(?:<[^(]*>)?([(:].*)"
)
_SINCE: Final = re.compile(r"@since (\d+)")


@cache
def _types() -> dict[str, _Type]:
    """Read the list: by full name each class with what it extends, its members, and since when each is there.

    :raises SdkError: where there is no list.
    """
    if not TYPES.is_file():
        raise SdkError(f"{TYPES}: missing: run make sdk-tools")
    found = {"java.lang.Object": _Type(_OLDEST, [], {each: [(_OLDEST, "")] for each in _OBJECT})}
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
            above = _plain(declared["above"] or "java.lang.Enum")
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
                types = _split(member[2])
                named = Member(member[1], len(types) - 1 if member[2].startswith("(") else -1)
                of_it = found[".".join(path)].members.setdefault(named, [])
                of_it.append((since, " ".join(types)))
            since = _OLDEST
    return found


def _split(text: str) -> list[str]:
    """Return the types of what stands behind a name, each as a word, the result's last."""
    text = re.sub(r"/\*.*?\*/| \| null", "", text.rstrip(";"))
    text = _plain(text)
    if text.endswith(")"):
        text += ":void"  # A constructor.
    taken, _, result = text.rpartition("):") if text.startswith("(") else ("", "", text[1:])
    words = [each.partition(":")[2] for each in taken[1:].split(",") if each.strip()]
    return [re.sub(r"\s", "", each) or "any" for each in (*words, result)]


def _plain(text: str) -> str:
    """Return types without what they are made of, but for arrays, which are written in brackets."""
    while (
        shorter := re.sub(
            r"([\w.]*)<([^<>]*)>",
            lambda made: f"[{made[2]}]" if made[1] == "androidNative.Array" else made[1],
            text,
        )
    ) != text:
        text = shorter
    return text


_PRIMITIVES: Final = dict.fromkeys("BDFIJS", "number") | {
    "C": "string",
    "V": "void",
    "Z": "boolean",
}
_WORDS: Final = {
    "java.lang.Object": "any",
    "java.lang.String": "string",
    "java.lang.CharSequence": "string",
}


def _words(descriptor: str) -> list[str]:
    """Return the types of a descriptor as the list writes them."""
    found = []
    for each in re.findall(r"\[*(?:L[^;]+;|[A-Z])", descriptor):
        name = each.lstrip("[")
        dotted = name[1:-1].replace("/", ".").replace("$", ".")
        word = _PRIMITIVES[name] if len(name) == 1 else _WORDS.get(dotted, dotted)
        depth = len(each) - len(name)
        found.append("[" * depth + word + "]" * depth)
    return found


def _fits(listed: str, descriptor: str) -> bool:
    """Tell whether the types of a member can be those of a descriptor; a variable of a type may be anything."""
    if not (listed and descriptor):
        return True
    return all(
        theirs == ours
        or re.fullmatch(r"any|[A-Z][A-Z\d]?|\[[A-Z]\]", theirs)
        or (ours == "number" and re.fullmatch(r"-?[\d.e+]+", theirs))
        or (ours == "string" and theirs.startswith('"'))
        for theirs, ours in zip(listed.split(" "), _words(descriptor), strict=True)
    )


def since(asked: Reference) -> int | None:
    """Return the API level that has it first; None where the list doesn't know it."""
    known = _types().get(asked.owner)
    if known is None:
        return None
    if asked.member is None:
        return known.since
    levels = list(_levels(asked.owner, asked, set()))
    return max(known.since, min(levels)) if levels else None


def _levels(owner: str, asked: Reference, seen: set[str]) -> Iterator[int]:
    """Yield since when a class, or one that it extends, has a member; a constructor is nobody's but its own."""
    known = _types().get(owner)
    if known is None or asked.member is None or owner in seen:
        return
    seen.add(owner)
    for level, types in known.members.get(asked.member, ()):
        if _fits(types, asked.descriptor):
            yield level
    if asked.member.name != "constructor":
        for above in [*known.above, "java.lang.Object"]:
            yield from _levels(above, asked, seen)


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
                member = _member(pool["name"], pool["type"])
                found.add(Reference(owner, member, pool["type"] or ""))
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
            found.add(Reference(owner, _member(name, told[1]), told[1]))
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

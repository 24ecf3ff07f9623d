"""Rebuild from an app the texts that secrets are looked for in, with their names, and find in one pass which patterns may match where."""

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Final

from watchword.encoding.cache import cached_for_last
from watchword.extras import needs
from watchword.scan.app import App, Assembly, Code, Method, StaticField
from watchword.scan.interface import Location
from watchword.scan.libraries import is_own
from watchword.scan.secrets.patterns import GENERIC, Pattern, packaged

with needs("scan"):
    import ahocorasick_rs

WINDOW: Final = 1024 * 1024
"""How many characters are searched at once."""

LONGEST_WORD: Final = 64
"""How many characters a keyword has at most; windows overlap by as many."""


_AT_ONCE: Final = 256
"""How many texts are lowered at once."""


class Joined:
    """Hold many texts as one, and tell which of them a place lies in."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.text = "\n".join(texts)
        self._texts = texts
        self._starts = [0, *accumulate([len(text) + 1 for text in texts])]

    @functools.cached_property
    def lowered(self) -> str:
        """Return it in lower case, each character in its place."""
        # Some at a time: Python lowers ASCII at once, and a few texts of other characters would slow down all.
        parts = (self._texts[at : at + _AT_ONCE] for at in range(0, len(self._texts), _AT_ONCE))
        return "\n".join([_all_lower(part) for part in parts])

    def index(self, at: int) -> int:
        """Return which text a place lies in."""
        return bisect.bisect_right(self._starts, at) - 1

    def bounds(self, index: int) -> tuple[int, int]:
        """Return begin and end of a text."""
        return self._starts[index], self._starts[index + 1] - 1


def _all_lower(texts: Sequence[str]) -> str:
    joined = "\n".join(texts)
    return joined.lower() if joined.isascii() else "\n".join([_lower(text) for text in texts])


def _lower(text: str) -> str:
    lowered = text.lower()
    # The dotted capital I becomes two characters, and is the only one to do so.
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "I").lower()


@functools.cache
def _automaton(
    *, generic: bool
) -> tuple[ahocorasick_rs.AhoCorasick, tuple[tuple[Pattern, ...], ...]]:
    """Return the automaton of all keywords, and by keyword the patterns that have it."""
    by_keyword: dict[str, list[Pattern]] = {}
    for pattern in packaged().patterns:
        if (pattern.kind == GENERIC) is generic:
            for keyword in pattern.keywords:
                by_keyword.setdefault(keyword, []).append(pattern)
    return ahocorasick_rs.AhoCorasick(list(by_keyword)), tuple(map(tuple, by_keyword.values()))


def candidates(joined: Joined, *, generic: bool) -> Iterator[tuple[Pattern, int]]:
    """Yield patterns and places of their keywords.

    :param generic: whether to look for the generic keywords alone, or for all others; the generic ones (``key``, ``access``) stand in
        every tenth string.
    """
    automaton, patterns = _automaton(generic=generic)
    for keyword, at in _hits(automaton, joined.lowered):
        for pattern in patterns[keyword]:
            yield pattern, at


@functools.cache
def unkeyed() -> tuple[Pattern, ...]:
    """Return the patterns without keywords, which are searched for everywhere."""
    return tuple(pattern for pattern in packaged().patterns if not pattern.keywords)


def places_of_words(joined: Joined, words: tuple[str, ...]) -> Iterator[int]:
    """Yield the places of words, given in lower case, in order."""
    for _, at in _hits(_words(words), joined.lowered):
        yield at


def _hits(automaton: ahocorasick_rs.AhoCorasick, text: str) -> Iterator[tuple[int, int]]:
    """Yield which words stand where, window by window: a list of all places of a word may need ten times the text."""
    for start in range(0, len(text), WINDOW):
        window = text[start : start + WINDOW + LONGEST_WORD]
        for word, at, _ in automaton.find_matches_as_indexes(window, overlapping=True):
            if at < WINDOW:
                yield word, start + at


@functools.cache
def _words(words: tuple[str, ...]) -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(list(words))


MOST_METHODS = 4_000
"""How many methods are asked for the constants that they hand over; beyond that an app is read without them."""

SHORTEST = 6
"""How many characters a string has that can hold a secret or a host."""

SHORTEST_RANDOM = 16
"""How many characters a value has that tells itself by its looks."""

LONGEST_NAME = 60
"""How many characters the name of a secret has at most, as code writes it."""

MOST_USERS = 8
"""How many places of one string are told."""

_NAME_WORDS = (
    "api",
    "key",
    "token",
    "secret",
    "passw",
    "pwd",
    "auth",
    "access",
    "cred",
    "bearer",
    "private",
    "signature",
)
_NAME = re.compile(rf"(?i)[\w. -]{{0,40}}(?:{'|'.join(_NAME_WORDS)})[\w. -]{{0,30}}")
_RANDOM = re.compile(
    r"^(?=[^0-9\n]*[0-9])(?=[^A-Za-z\n]*[A-Za-z])(?:[A-Za-z]{5,7} )?[\w+/=.~-]{16,200}$",  # SHORTEST_RANDOM
    re.ASCII | re.MULTILINE,
)
# The rule set takes "author" for a person, and with it the header that carries most tokens.
_HEADERS = {"authorization": "auth header", "proxy-authorization": "proxy auth header"}
_SCHEME = re.compile(r"(?i)^(?:bearer|token|basic|apikey|key)[ =]+")
_KEY = re.compile(r"^\s*<key>([\w. -]{1,80})</key>\s*$")
_TEXT = re.compile(r"^\s*<string>([^<]{1,4000})</string>\s*$")


class Origin(StrEnum):
    """Name where a text is from."""

    STRING = "string"
    FIELD = "field"
    ARGUMENT = "argument"
    RESOURCE = "resource"
    NATIVE = "native"
    ASSEMBLY = "assembly"
    TEXT = "text"
    PLIST = "plist"


@dataclass(frozen=True, slots=True)
class Named:
    """Hold a value and its name, as source code would have them.

    :param context: what stands before the name, such as a class; a vendor is often named there.
    """

    name: str
    value: str = field(repr=False)
    place: Location
    context: str = ""

    @property
    def line(self) -> str:
        """Return it as a line of source code."""
        return f'{self.context}{self.name} = "{self.value}"'


@dataclass(frozen=True, slots=True)
class Group:
    """Hold texts of one origin; ``named`` beside them where they have names.

    :param places: by text, where all of a text is in one place.
    """

    origin: Origin
    texts: Sequence[str] = field(repr=False)
    places: Sequence[Location] = ()
    named: Sequence[Named] = field(default=(), repr=False)


def is_own_class(app: App, cls: str) -> bool:
    """Tell whether a class is the app's own: by its name, or since it lies in the app's package (``com.android.…`` too)."""
    package = app.manifest.package if app.manifest is not None else ""
    return is_own(cls) or ("." in package and cls.startswith(f"{package}."))


@cached_for_last
def groups_of(app: App) -> tuple[Group, ...]:
    """Return all texts of an app, in a stable order; the last app's are remembered for the next rule."""
    return tuple(_groups(app))


def _groups(app: App) -> Iterator[Group]:
    if app.resources:
        yield _named_group(
            Origin.RESOURCE,
            [
                Named(each.name, each.value, Location(f"string/{each.name}"))
                for each in app.resources
            ],
        )
    if app.code is not None:
        yield _named_group(Origin.FIELD, list(_fields(app, app.code)))
        yield _named_group(Origin.ARGUMENT, list(_arguments(app, app.code)))
        yield Group(Origin.STRING, [text for text in app.code.strings if _worth_reading(text)])
    for native in app.natives:
        yield Group(Origin.NATIVE, native.strings, [Location(native.file)] * len(native.strings))
    for assembly in app.assemblies:
        yield from _of_assembly(assembly)
    files = {assembly.file for assembly in app.assemblies}
    for text in app.texts:
        if text.file in files:
            continue
        yield Group(Origin.TEXT, ["\n".join(text.lines)], [Location(text.file)])
        if text.named:
            yield _named_group(Origin.FIELD, list(_named(text.file, text.named)))
        pairs = list(_plist_pairs(text.file, text.lines))
        if pairs:
            yield _named_group(Origin.PLIST, pairs)
    if app.ios is not None:
        yield _named_group(Origin.PLIST, list(_flat(app.ios.info)))


def _of_assembly(assembly: Assembly) -> Iterator[Group]:
    """Yield the texts of an assembly of .NET: those with names, and all; what the platform's hold isn't the app's own."""
    file = assembly.file
    if assembly.constants:
        yield _named_group(
            Origin.FIELD,
            list(_named(file, assembly.constants)),
        )
    yield Group(
        Origin.ASSEMBLY if assembly.own else Origin.NATIVE,
        [use.what for use in assembly.strings],
        [Location(file, use.by.cls, use.by.name) for use in assembly.strings],
    )


def _named(file: str, fields: Iterable[StaticField]) -> Iterator[Named]:
    """Yield strings with the names that compiled code gives them."""
    for each in fields:
        if len(each.name) <= LONGEST_NAME:
            simple = each.cls.rpartition(".")[2].rpartition("+")[2]
            yield Named(
                _HEADERS.get(each.name.lower(), each.name),
                _SCHEME.sub("", each.value),
                Location(file, each.cls, each.name),
                f"{simple}." if simple else "",
            )


def places_of(app: App, string: str) -> tuple[Location, ...]:
    """Return where code loads a string; its own classes first."""
    if app.code is None:
        return ()
    users = sorted(app.code.users(string), key=lambda by: not is_own_class(app, by.cls))
    return tuple(Location("", by.cls, by.name) for by in users[:MOST_USERS])


def _named_group(origin: Origin, named: Sequence[Named]) -> Group:
    return Group(origin, [each.line for each in named], [each.place for each in named], named)


def _fields(app: App, code: Code) -> Iterator[Named]:
    for each in code.static_fields:
        if is_own_class(app, each.cls):
            simple = each.cls.rpartition(".")[2].rpartition("$")[2]
            yield Named(each.name, each.value, Location("", each.cls, each.name), f"{simple}.")


def _arguments(app: App, code: Code) -> Iterator[Named]:
    """Yield pairs that code hands to one call: ``put("api_key", "...")``, ``header("Authorization", "Bearer ...")``."""
    for by in _handing(app, code):
        place = Location("", by.cls, by.name)
        for callee, given in code.arguments(by):
            texts = [text for text in given if isinstance(text, str)]
            for name, value in pairwise(texts):
                if _NAME.fullmatch(name):
                    yield Named(_HEADERS.get(name.lower(), name), _SCHEME.sub("", value), place)
            if len(texts) == 1 and _NAME.fullmatch(callee.name):
                yield Named(callee.name, _SCHEME.sub("", texts[0]), place)


def _handing(app: App, code: Code) -> Sequence[Method]:
    """Return own methods that load a string which looks like the name of a secret, or like its value."""
    found: dict[Method, None] = {}
    for string in _telling(code.strings):
        if len(found) >= MOST_METHODS:
            break
        found.update((by, None) for by in code.users(string) if is_own_class(app, by.cls))
    return sorted(found, key=lambda by: (by.cls, by.name, by.descriptor))


def _telling(strings: Sequence[str]) -> Iterator[str]:
    """Yield strings that look like the name of a secret, or like its value: one search over all of them, not one for each."""
    # Half of a DEX file's strings are names of types, which end in a semicolon; neither pattern takes one.
    others = [text for text in strings if not text.endswith(";")]
    names = Joined([text for text in others if len(text) <= LONGEST_NAME])
    seen = -1
    for at in places_of_words(names, _NAME_WORDS):
        index = names.index(at)
        if index != seen:
            seen = index
            begin, end = names.bounds(index)
            text = names.text[begin:end]
            if _NAME.fullmatch(text):
                yield text
    long = Joined([text for text in others if len(text) >= SHORTEST_RANDOM])
    for match in _RANDOM.finditer(long.text):
        yield match[0]


def _worth_reading(text: str) -> bool:
    """Tell whether a string can hold anything: half of a DEX file's are short, or names of types."""
    if len(text) < SHORTEST or (text[-1] == ";" and text[0] in "L["):
        return False
    # D8 leaves the checksums of all classes in one string of a megabyte.
    return not text.startswith("~~")


def _plist_pairs(file: str, lines: Sequence[str]) -> Iterator[Named]:
    """Yield the pairs of a property list in XML, where key and value stand in two lines."""
    if not file.endswith((".plist", ".xml")):
        return
    for number, (first, second) in enumerate(pairwise(lines), start=2):
        key, value = _KEY.match(first), _TEXT.match(second)
        if key and value:
            yield Named(key[1], value[1], Location(file, line=number))


def _flat(info: Mapping[str, object], depth: int = 0) -> Iterator[Named]:
    for key, value in info.items():
        if isinstance(value, str):
            yield Named(str(key), value, Location("Info.plist", member=str(key)))
        elif isinstance(value, Mapping) and depth < 8:
            yield from _flat(value, depth + 1)

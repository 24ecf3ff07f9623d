"""Find the secrets of an app: keywords, patterns, noise, structure, and each secret once."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from watchword.encoding.cache import cached_for_last
from watchword.scan.app import App
from watchword.scan.interface import Location
from watchword.scan.libraries import of_framework
from watchword.scan.secrets import noise, structure
from watchword.scan.secrets.corpus import (
    Group,
    Joined,
    Named,
    Origin,
    candidates,
    groups_of,
    is_own_class,
    places_of,
    places_of_words,
    unkeyed,
)
from watchword.scan.secrets.noise import COMPARED, PASSWORD, compared_of, made_up, passwords_of
from watchword.scan.secrets.patterns import BY_LOOKS, GENERIC, Pattern, is_public, packaged
from watchword.scan.texts.lexer import Language, Lexed, Lexer, Span

MOST_NAMED: Final = 2_000
"""How many values with a password's name are looked at in one file."""

_LOGINS: Final = frozenset(("basic-auth", "password-in-url"))
_WORDS: Final = ("pass", "pwd", "secret")
_LONGEST_NAME: Final = 60
_LONGEST_VALUE: Final = 200
_NAME_BEFORE: Final = re.compile(r"[\w.$-]{0,60}\Z", re.ASCII)
_IN_QUOTES: Final = re.compile(
    r"""\w{0,16}["'\]]{0,2}[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}(["'`])(?P<value>[^"'`\\\n\x0b]{6,64})\1"""
)
_IN_LINE: Final = re.compile(
    r"""\w{0,16}["']?[ \t]{0,4}[:=][ \t]{0,4}["']?(?P<value>[!-~]{6,64}?)["']?(?=[ \t]{0,4}(?:\n|\Z)|[ \t]{1,40}#)"""
    r"""|\w{0,16}["']\s{0,4}>(?P<text>[^<>\n]{6,64})<"""
)
_LINES: Final = frozenset((Language.SETTINGS, Language.MARKUP, Language.OTHER))


class FileText:
    """Tell of one file what stands where, once something in it has to be judged."""

    def __init__(self, group: Group, lexer: Lexer) -> None:
        """Take the group that holds the file's text."""
        self._text = group.texts[0]
        self._place = group.places[0]
        self._lexer = lexer
        self._known: Lexed | None = None

    @property
    def _lexed(self) -> Lexed:
        if self._known is None:
            self._known = self._lexer.lexed(self._place.file, self._text)
        return self._known

    def rejects(self, kind: str, pattern: Pattern, secret: str, match: re.Match[str]) -> bool:
        """Tell whether what was matched is none by where it stands.

        What has nothing but its name to show for it counts only as a value in code or data: in a comment or in a text that explains
        something it's an example, and in a script what stands in no literal is code itself.  There a login is an example too, unless
        its password looks as if somebody had made it up.
        """
        at = match.start() + max(0, match[0].rfind(secret))
        if kind in _LOGINS:
            return self._explains(at) and not made_up(structure.password_of(kind, secret))
        if kind in BY_LOOKS and self._explains(at):
            return True
        if not pattern.named:
            return False
        return not self._is_value(at, by_name=kind == GENERIC)

    def _explains(self, at: int) -> bool:
        found = self._lexed
        return found.at(at)[0] is Span.COMMENT or found.language is Language.PROSE

    def _is_value(self, at: int, *, by_name: bool) -> bool:
        if by_name and (self._explains(at) or of_framework(self._place.file)):
            return False
        found = self._lexed
        code = found.at(at)[0] is Span.CODE and found.known(at)
        return not (code and found.language is Language.SCRIPT)

    def named(self, joined: Joined) -> Iterator[Named]:
        """Yield the values that have a password's name, with their places."""
        count = 0
        for at in places_of_words(joined, _WORDS):
            if count >= MOST_NAMED:
                return
            match = self._value_at(at)
            if match is None:
                continue
            group = "value" if match["value"] is not None else "text"
            if not self._is_value(match.start(group), by_name=True):
                continue
            count += 1
            before = _NAME_BEFORE.search(self._text, max(0, at - _LONGEST_NAME), at)
            word = re.match(r"\w{0,30}", self._text[at : at + 30], re.ASCII)
            name = (before[0] if before else "") + (word[0] if word else "")
            line = self._text.count("\n", 0, at) + 1
            yield Named(name, match[group], Location(self._place.file, line=line))

    def _value_at(self, at: int) -> re.Match[str] | None:
        end = min(len(self._text), at + _LONGEST_VALUE)
        found = _IN_QUOTES.match(self._text, at, end)
        if found is None and self._lexed.language in _LINES:
            found = _IN_LINE.match(self._text, at, end)
        return found


LONG = 4_096
"""How many characters of a text are searched as a whole; of a longer one only what stands around keywords."""

MOST_HITS = 2_000
"""How many secrets one app is told to hold; more than that are no secrets."""

_BEFORE, _AFTER, _KEY_AFTER = 128, 4_000, 26_000
_NAMED_AFTER = 512
# A value that has only its name to show for it has a digit; code around names seldom has.
_ASSIGNED = re.compile(
    r"[\w. \t-]{0,60}[\s'\"\\]{0,5}(?:=|>|:|\|\||,)[\s'\"=\\`:>]{0,6}(?=[A-Za-z_+/=.%~-]{0,80}[0-9])[\w+/=.%:~-]{8}"
)


@dataclass(frozen=True, slots=True)
class Hit:
    """Hold a secret and where it is.

    :param name: that it has in code or resources, empty for none.
    :param verified: its structure holds.
    :param public: it's made to be in apps.
    """

    kind: str
    secret: str = field(repr=False)
    name: str
    places: tuple[Location, ...]
    verified: bool
    public: bool


@cached_for_last
def detect(app: App) -> tuple[Hit, ...]:
    """Return all secrets of an app, each once, in a stable order; the last app's are remembered for the next rule."""
    lexer = Lexer({each.file: each.kind for each in app.texts})
    found = (hit for group in groups_of(app) for hit in _hits(app, group, lexer))
    compared = (
        Hit(COMPARED, text, "", (place,), verified=False, public=False)
        for text, place in compared_of(app)
    )
    return tuple(_merged(chain(found, compared)))


def _hits(app: App, group: Group, lexer: Lexer) -> Iterator[Hit]:
    if not group.texts:
        return
    joined = Joined(group.texts)
    file = FileText(group, lexer) if group.origin is Origin.TEXT else None
    for pattern, match in _matches(joined, group):
        index = joined.index(match.start())
        hit = _judged(app, group, pattern, match, index)
        if hit is None or (file is not None and file.rejects(hit.kind, pattern, hit.secret, match)):
            continue
        yield replace(hit, places=_placed(app, group, joined, match, index))
    for named, value in passwords_of(file.named(joined) if file is not None else group.named):
        yield Hit(PASSWORD, value, named.name, (named.place,), verified=False, public=False)


def _matches(joined: Joined, group: Group) -> Iterator[tuple[Pattern, re.Match[str]]]:
    """Yield what patterns match near their keywords."""
    done: dict[tuple[str, int], int] = {}
    for pattern, at in _candidates(joined, group):
        index = joined.index(at)
        begin, end = joined.bounds(index)
        searched = done.get((pattern.kind, index), 0)
        if end - begin > LONG:
            reach = _reach(pattern)
            # Half of a stretch behind a keyword is room enough: so nothing is searched more than twice.
            if at + reach // 2 < searched:
                continue
            if pattern.named and not _ASSIGNED.match(joined.text, at, min(end, at + reach)):
                continue
            begin, end = max(begin, at - min(reach, _BEFORE)), min(end, at + reach)
        elif searched:
            continue
        done[pattern.kind, index] = end
        cut = end < joined.bounds(index)[1]
        for match in pattern.finder().finditer(joined.text, begin, end):
            # What ends where the search ends may be the begin of something longer.
            if not (cut and match.end() == end):
                yield pattern, match
    for pattern in unkeyed():
        for match in pattern.finder().finditer(joined.text):
            yield pattern, match


def _reach(pattern: Pattern) -> int:
    """Return how far behind its keyword a secret of a kind may go on, twice."""
    if pattern.named:
        return _NAMED_AFTER
    return _KEY_AFTER if pattern.kind.startswith("private-key") else _AFTER


def _candidates(joined: Joined, group: Group) -> Iterator[tuple[Pattern, int]]:
    yield from candidates(joined, generic=False)
    for pattern, at in candidates(joined, generic=True):
        if group.named and not _in_name(joined, group, at):
            continue
        # Most strings that hold "key" hold nothing else; only a value behind it is worth the regular expression.
        if _ASSIGNED.match(joined.text, at, at + _NAMED_AFTER):
            yield pattern, at


def _in_name(joined: Joined, group: Group, at: int) -> bool:
    """Tell whether a keyword stands in the name of a value, not in the class around it and not in the value."""
    index = joined.index(at)
    begin = joined.bounds(index)[0] + len(group.named[index].context)
    return begin <= at < begin + len(group.named[index].name)


def _judged(
    app: App, group: Group, pattern: Pattern, match: re.Match[str], index: int
) -> Hit | None:
    """Return what was matched, unless it's noise or its structure is broken."""
    secret = pattern.secret_of(match)
    named = group.named[index] if group.named else None
    if pattern.named and not _named_value(secret, named, match[0]):
        return None
    holds = structure.holds(pattern.kind, secret)
    if holds is False:
        return None
    # A structure that holds is no accident, but any word stands in a long enough key by accident.
    if not _sure(pattern, holds=holds) and noise.is_noise(pattern, packaged(), secret, match[0]):
        return None
    # A checksum proves a token to be one; that a key can be parsed doesn't prove it to be the app's.
    proven = holds and not pattern.kind.startswith("private-key")
    if not proven and group.origin is Origin.STRING and _elsewhere(app, group.texts[index]):
        return None
    if noise.is_published(pattern.kind, secret) or noise.is_example(pattern.kind, match):
        return None
    kind = pattern.kind
    if kind == "private-key" and "service_account" in group.texts[index]:
        kind = "gcp-service-account"
    return Hit(
        kind,
        secret,
        named.name if named is not None else "",
        (),
        verified=bool(holds),
        public=is_public(pattern, secret),
    )


def _sure(pattern: Pattern, *, holds: bool | None) -> bool:
    """Tell whether a structure was checked that nothing has by accident: an AWS account stands in any letters."""
    return bool(holds) and not pattern.kind.startswith("aws-")


def _named_value(secret: str, named: Named | None, match: str) -> bool:
    """Tell whether a value can be a secret that has nothing but its name to show for it."""
    name = match.partition(secret)[0]
    if named is not None:
        if secret != named.value:
            return False
        name = named.name
    if noise.is_algorithm(secret):
        return False
    return any(char.isdigit() for char in secret) and not noise.is_identifier(secret, name)


def _elsewhere(app: App, text: str) -> bool:
    """Tell whether only libraries load or hold a string: their constants aren't the app's secrets."""
    users = app.code.users(text) if app.code is not None else ()
    if not users:
        return text in _held_by_libraries(app)
    return not any(is_own_class(app, by.cls) for by in users)


@cached_for_last
def _held_by_libraries(app: App) -> frozenset[str]:
    """Return what only fields of libraries hold, so that no code has to load it."""
    fields = app.code.static_fields if app.code is not None else ()
    own = {each.value for each in fields if is_own_class(app, each.cls)}
    return frozenset(each.value for each in fields) - own


def _placed(
    app: App, group: Group, joined: Joined, match: re.Match[str], index: int
) -> tuple[Location, ...]:
    if group.origin is Origin.STRING:
        return places_of(app, group.texts[index])
    place = group.places[index]
    if group.origin is Origin.TEXT:
        start = joined.bounds(index)[0]
        return (replace(place, line=joined.text.count("\n", start, match.start()) + 1),)
    return (place,)


def _merged(hits: Iterable[Hit]) -> Iterator[Hit]:
    """Yield each secret once, as the most exact kind that matched it, with all its places."""
    by_secret: dict[str, Hit] = {}
    for hit in hits:
        known = by_secret.get(hit.secret)
        if known is None:
            if len(by_secret) < MOST_HITS:
                by_secret[hit.secret] = hit
            continue
        better = max(known, hit, key=_exactness)
        places = tuple(dict.fromkeys((*known.places, *hit.places)))
        by_secret[hit.secret] = replace(better, name=known.name or hit.name, places=places)
    whole = "\0".join(by_secret)
    for hit in sorted(by_secret.values(), key=lambda each: (each.kind, each.secret)):
        # A part of a longer secret is the same secret once more.
        if whole.count(hit.secret) == 1:
            yield hit


def _exactness(hit: Hit) -> tuple[bool, bool, bool]:
    return hit.verified, hit.kind not in BY_LOOKS, hit.kind not in {PASSWORD, COMPARED}

"""Look at what was matched in a file by where it stands there: code, a literal, a comment, a text that explains something."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.interface import Location
from watchword.scan.libraries import of_framework
from watchword.scan.secrets import structure
from watchword.scan.secrets.corpus import Group, Named
from watchword.scan.secrets.kinds import BY_LOOKS
from watchword.scan.secrets.passwords import made_up
from watchword.scan.secrets.patterns import GENERIC, Pattern
from watchword.scan.secrets.prefilter import Joined, places_of_words
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

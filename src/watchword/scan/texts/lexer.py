"""Tell code from comments and literals in the texts of an app, as far as it takes to know what a text that was met there is for.

No parser: JavaScript is read by its tokens, markup by its comments and its scripts, settings by their line comments.  Where it loses its way, a
place counts as code: what isn't known to be a comment is looked at.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from watchword.scan.texts.runs import LONGEST_LINE

MOST_SPANS: Final = 500_000
"""How many comments and literals of one file are told apart; what lies behind them counts as code."""

MOST_OF_APP: Final = 1_000_000
"""How many of all files of one app are."""

MOST_LOOKS: Final = 20_000
"""At how many places of one app is looked for what stands around them."""

LONGEST_COMMENT: Final = 2_000
"""Characters up to which what begins with two slashes in the middle of a line is a comment: in a minified line it would be all the rest."""

_INDENT: Final = 200
"""Characters up to which a comment that has a line for itself may be indented."""

_DEEPEST: Final = 100
"""How many templates may be open at once."""

_LONGEST_SUBSET: Final = 10_000
"""Characters of the definitions within a document's type."""

_AROUND: Final = 1_000
"""Characters of a line of code that are told around a place."""

_SOFT: Final = "\x0b"
"""Stands where a long line was cut, in place of a line's end."""

_SEPARATORS: Final = ";,} "


class Language(StrEnum):
    """Name what a text is written in; of compiled code there are only its strings, a line each."""

    SCRIPT = "script"
    MARKUP = "markup"
    STYLE = "style"
    SETTINGS = "settings"
    PROSE = "prose"
    STRINGS = "strings"
    OTHER = "other"


class Span(StrEnum):
    """Say what a place of a text is in."""

    COMMENT = "comment"
    LITERAL = "literal"
    CODE = "code"


_ENDINGS: Final[Mapping[str, Language]] = {
    **dict.fromkeys(
        ("js", "mjs", "cjs", "jsx", "ts", "tsx", "bundle", "jsbundle", "json"), Language.SCRIPT
    ),
    **dict.fromkeys(("html", "htm", "xml", "svg", "plist", "xhtml"), Language.MARKUP),
    "css": Language.STYLE,
    **dict.fromkeys(
        ("properties", "yaml", "yml", "toml", "ini", "conf", "config", "cfg", "env", "graphql"),
        Language.SETTINGS,
    ),
    **dict.fromkeys(("md", "markdown", "map"), Language.PROSE),
}
_PROSE_NAME: Final = re.compile(
    r"(?i)(?:readme|copying|changelog|changes|history|contributing|contributors|authors|credits|thanks|security|code[_-]of[_-]conduct)"
    r"(?:[._-][\w.-]*)?"
)
_LICENCE_NAME: Final = re.compile(
    r"(?i)(?:[\w-]*[_-])?(?:licen[cs]es?|notices?|third[_-]?party\w*|open[_-]?source\w*|acknowledge?ments?)(?:[._-][\w.-]*)?"
)
_LICENCE_LIST: Final = re.compile(r"(?i).*(?:licen[cs]es|acknowledge?ments)")
_RUN: Final = frozenset(("js", "mjs", "cjs", "jsx", "ts", "tsx", "bundle", "jsbundle", "vue"))
_PAGES: Final = frozenset(("html", "htm", "xhtml"))
_DATA: Final = frozenset(("json", "properties", "yaml", "yml", "xml", "plist", "ini", "env"))
_PACKAGE_NAME: Final = frozenset(
    (
        "package.json",
        "bower.json",
        ".bower.json",
        "component.json",
        "composer.json",
        "package-lock.json",
    )
)
"""Files that describe a package to its tools: its home, its authors, its licence.  Nothing of the app reads them."""


def language_of(file: str, kind: str = "asset") -> Language:
    """Tell by its name, and by what read it, what a text is written in.

    :param kind: of the text part; ``react-native`` is a script whatever its file is called.
    """
    last = file.rpartition("/")[2]
    stem, _, ending = last.lower().rpartition(".")
    if kind in {"hermes", "flutter", "unity", "xamarin", "dotnet"}:
        return Language.STRINGS
    if last.lower() in _PACKAGE_NAME:
        return Language.PROSE
    # Data may be settings, such as those of third parties or of a licence's server, and pages may be the app's own, unless they're
    # called a list of licences.
    listed = ending not in _DATA | _PAGES or _LICENCE_LIST.match(last)
    if _LICENCE_NAME.fullmatch(last) and ending not in _RUN and listed:
        return Language.PROSE
    if _PROSE_NAME.fullmatch(last) and ending not in _RUN | _DATA | _PAGES:
        return Language.PROSE
    if kind == "react-native":
        return Language.SCRIPT
    if not stem or stem.startswith(".env"):
        return Language.SETTINGS
    return _ENDINGS.get(ending, Language.OTHER)


@dataclass(frozen=True, slots=True)
class Lexed:
    """Hold where the comments and the literals of a text are: begins in order, with their ends and what they are.

    :param text: in which long lines are whole again; each character is in its place.
    """

    language: Language
    text: str = field(repr=False)
    begins: Sequence[int] = field(repr=False)
    ends: Sequence[int] = field(repr=False)
    kinds: Sequence[Span] = field(repr=False)
    whole: bool = True

    def known(self, place: int) -> bool:
        """Tell whether a place was reached before there was too much to tell apart."""
        return self.whole or (bool(self.ends) and place < self.ends[-1])

    def at(self, place: int) -> tuple[Span, int, int]:
        """Return what a place is in, with begin and end of that; without quotes; of code what stands around it in its line."""
        index = bisect_right(self.begins, place) - 1
        if index >= 0 and place < self.ends[index] and self.kinds[index] is not Span.CODE:
            return self.kinds[index], self.begins[index], self.ends[index]
        low, high = max(0, place - _AROUND), min(len(self.text), place + _AROUND)
        begin, end = self.text.rfind("\n", low, place) + 1, self.text.find("\n", place, high)
        return Span.CODE, begin or low, high if end < 0 else end


def lexed(language: Language, text: str, most: int = MOST_SPANS) -> Lexed:
    """Return where the comments and literals of a text are; its lines are separated by a line feed, long ones cut as readers cut them.

    :param most: how many are told apart.
    """
    text = _rejoined(text)
    # A list of a million numbers would take ten times the memory.
    begins, ends = array("I"), array("I")
    kinds: list[Span] = []
    for begin, end, kind in islice(_SPANS[language](text), most):
        begins.append(begin)
        ends.append(end)
        kinds.append(kind)
    return Lexed(language, text, begins, ends, kinds, len(begins) < most)


class Lexer:
    """Tell code from comments and literals in the files of one app, as long as there is an allowance for it."""

    def __init__(self, kinds: Mapping[str, str], most: int = MOST_OF_APP) -> None:
        """Take by file what read it.

        :param most: how many comments and literals are told apart.
        """
        self._kinds = kinds
        self._left = most
        self._looks = MOST_LOOKS

    def looks(self) -> bool:
        """Tell whether one more place may be looked at, and count it."""
        self._looks -= 1
        return self._looks >= 0

    def lexed(self, file: str, text: str) -> Lexed:
        """Return where the comments and literals of a file's text are."""
        language = language_of(file, self._kinds.get(file, ""))
        found = lexed(language, text, min(MOST_SPANS, self._left))
        self._left -= len(found.begins)
        return found


_Spans = Iterator[tuple[int, int, Span]]


def _rejoined(text: str) -> str:
    """Mark the ends of lines that only a reader put there, so that a literal over them stays one."""
    if len(text) <= LONGEST_LINE * 3 // 4:
        return text
    lines = text.split("\n")
    parts: list[str] = []
    for line in lines:
        cut = len(line) == LONGEST_LINE or (
            len(line) > LONGEST_LINE * 3 // 4 and line[-1] in _SEPARATORS
        )
        parts += (line, _SOFT if cut else "\n")
    return "".join(parts[:-1])


_STRINGS: Final = r"""|"(?:[^"\\\n]++|\\(?s:.))*+"?|'(?:[^'\\\n]++|\\(?s:.))*+'?"""
# Behind a colon stand the slashes of an address, wherever the walk believes to be.
_TOKEN: Final = re.compile(rf"(?<!:)//|/\*{_STRINGS}|[`/]")
_TOKEN_IN_TEMPLATE: Final = re.compile(rf"(?<!:)//|/\*{_STRINGS}|[`/{{}}]")
_TEMPLATE: Final = re.compile(r"(?:[^`\\$]++|\\(?s:.)|\$(?!\{))*+")
_LINE_END: Final = re.compile(r"[\n\u2028\u2029]")
_REGEX: Final = re.compile(
    r"/(?![*/])(?:[^/\\\[\n]++|\\[^\n]|\[(?:[^\]\\\n]++|\\[^\n])*+\])++/[a-z]{0,8}(?!\w)"
)
_LONGEST_REGEX: Final = 500
_BEFORE_REGEX: Final = frozenset(
    (
        *("return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do"),
        *("instanceof", "yield", "await"),
    )
)
_AFTER_REGEX: Final = re.compile(r"\s{0,9}\.\s{0,9}(?:test|exec)\b")
_WORD_BEFORE: Final = re.compile(r"[A-Za-z_$][\w$]{0,20}\Z")


class _Script:
    """Walk over JavaScript, TypeScript or JSON: comments, strings, and templates in the pieces between their expressions."""

    def __init__(self, text: str, at: int = 0, end: int | None = None) -> None:
        self._text = text
        self._at = at
        self._end = len(text) if end is None else end
        self._closes = True

    def spans(self) -> _Spans:
        """Yield comments and literals; what is neither and was looked at is yielded as code, so that its number is bounded too."""
        text, end = self._text, self._end
        # For each template that is open, how many braces of its expression are.
        braces: list[int] = []
        while True:
            pattern = _TOKEN_IN_TEMPLATE if braces else _TOKEN
            token = pattern.search(text, self._at, end)
            if token is None:
                return
            begin, self._at = token.span()
            first = text[begin]
            if first in "\"'":
                closed = self._at - begin > 1 and text[self._at - 1] == first
                yield begin + 1, self._at - closed, Span.LITERAL
            elif first == "/":
                kind = self._slash(begin, token[0])
                yield begin, self._at, kind
            elif first == "`" or (first == "}" and not braces[-1]):
                if first == "}":
                    braces.pop()
                piece = self._at, self._piece_end()
                if self._opens(piece[1], len(braces)):
                    braces.append(0)
                yield *piece, Span.LITERAL
            else:
                braces[-1] += 1 if first == "{" else -1

    def _piece_end(self) -> int:
        """Return where a piece of a template ends."""
        found = _TEMPLATE.match(self._text, self._at, self._end)
        return self._at if found is None else found.end()

    def _opens(self, at: int, depth: int) -> bool:
        """Go on behind what ends a piece; tell whether an expression follows."""
        opens = self._text.startswith("${", at) and depth < _DEEPEST
        self._at = min(self._end, at + (2 if opens else 1))
        return opens

    def _slash(self, begin: int, mark: str) -> Span:
        """Go on behind what a slash begins, and return what that is."""
        text, end = self._text, self._end
        if mark == "/*":
            close = text.find("*/", begin + 2, end) if self._closes else -1
            # One that nothing closes is no comment: no engine would run the script.
            self._closes = close >= 0
            self._at = begin + 2 if close < 0 else close + 2
            return Span.CODE if close < 0 else Span.COMMENT
        if mark == "//":
            alone = not text[max(0, begin - _INDENT) : begin].rpartition("\n")[2].strip(" \t")
            reach = end if alone else min(end, begin + LONGEST_COMMENT)
            stop = _LINE_END.search(text, begin, reach)
            if stop is None and reach < end:
                return Span.CODE
            self._at = reach if stop is None else stop.start()
            return Span.COMMENT
        found = _REGEX.match(text, begin, min(end, begin + _LONGEST_REGEX))
        if found is not None and _may_be_regex(text, begin, found.end()):
            self._at = found.end()
        return Span.CODE


def _may_be_regex(text: str, begin: int, end: int) -> bool:
    """Tell by what stands before a slash whether it divides: behind a bracket that closes, what follows decides."""
    before = text[max(0, begin - 40) : begin].rstrip()
    # A slash before it ends a comment, or divides.
    if not before or before[-1] in "=(,[!&|?:;{+-*%<>~^/":
        return True
    if before[-1] in ")}":
        return _AFTER_REGEX.match(text, end) is not None
    word = _WORD_BEFORE.search(before)
    return word is not None and word[0] in _BEFORE_REGEX


def _script(text: str, at: int = 0, end: int | None = None) -> _Spans:
    return _Script(text, at, end).spans()


_SCRIPT_END: Final = re.compile(r"(?i)</script")
_STYLE_END: Final = re.compile(r"(?i)</style")
_MARK: Final = re.compile(r"(?i)<!---?>|<!--|<!doctype|<!\[CDATA\[|<[a-z][\w:.-]{0,60}")
_COMMENT_END: Final = re.compile(r"--!?>")
_IN_TAG: Final = re.compile(r"""[<>]|=\s{0,9}(["'])""")
_HOLD_TEXT: Final = {
    "<script": _SCRIPT_END,
    "<style": _STYLE_END,
    "<title": re.compile(r"(?i)</title"),
    "<textarea": re.compile(r"(?i)</textarea"),
}
"""Elements in which nothing but their own end is a tag or a comment."""


def _markup(text: str) -> _Spans:
    """Yield the comments of HTML or XML, and what its scripts and styles hold; a document's type is a comment too."""
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        begin, at = mark.span()
        head = mark[0].lower()
        if head.startswith("<!--"):
            if not head.endswith(">"):
                found = _COMMENT_END.search(text, at)
                at = len(text) if found is None else found.end()
            yield begin, at, Span.COMMENT
        elif head.startswith("<!d"):
            at = _doctype_end(text, at)
            yield begin, at, Span.COMMENT
        elif not head.startswith("<!["):
            at = _tag_end(text, at)
            if head not in _HOLD_TEXT or text[at - 1] != ">":
                continue
            closing = _HOLD_TEXT[head].search(text, at)
            close = len(text) if closing is None else closing.start()
            if head == "<script":
                yield from _script(text, at, close)
            elif head == "<style":
                yield from _style(text, at, close)
            at = close


def _tag_end(text: str, at: int) -> int:
    """Return where a tag ends: what its attributes hold in quotes begins nothing."""
    while (found := _IN_TAG.search(text, at)) is not None:
        at = found.end()
        if found[0] == "<":
            return found.start()
        if found[0] == ">":
            return at
        close = text.find(found[1], at)
        at = at if close < 0 else close + 1
    return len(text)


def _doctype_end(text: str, at: int) -> int:
    """Return where a document type ends, with its internal subset where it has one."""
    close = text.find(">", at)
    subset = text.find("[", at, max(close, at))
    if subset >= 0:
        inner = text.find("]", subset, subset + _LONGEST_SUBSET)
        close = text.find(">", inner) if inner >= 0 else -1
    return len(text) if close < 0 else close + 1


_STYLE_TOKEN: Final = re.compile(rf"/\*|url\([^)\n]*+{_STRINGS}")


def _style(text: str, at: int = 0, end: int | None = None) -> _Spans:
    end = len(text) if end is None else end
    while (token := _STYLE_TOKEN.search(text, at, end)) is not None:
        begin, at = token.span()
        if token[0] == "/*":
            close = text.find("*/", begin + 2, end)
            at = end if close < 0 else close + 2
            yield begin, at, Span.COMMENT


_LINE_COMMENT: Final = re.compile(r"^[ \t]*(?:[#;!]|//)[^\n]*|(?<=[ \t])#[ \t][^\n]*", re.MULTILINE)


def _settings(text: str) -> _Spans:
    """Yield the comments of property files, YAML, TOML and their like: whole lines, and what stands behind a hash with a space around it."""
    for found in _LINE_COMMENT.finditer(text):
        yield found.start(), found.end(), Span.COMMENT


def _nothing(_: str) -> _Spans:
    yield from ()


_SPANS: Final[Mapping[Language, Callable[[str], _Spans]]] = {
    Language.SCRIPT: _script,
    Language.MARKUP: _markup,
    Language.STYLE: _style,
    Language.SETTINGS: _settings,
    Language.PROSE: _nothing,
    Language.STRINGS: _nothing,
    Language.OTHER: _nothing,
}

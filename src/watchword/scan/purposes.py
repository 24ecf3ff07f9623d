"""Tell whether an address that a text names is asked by the app, or only read: by people, or by software as the name of something.

A comment, a licence, a message that says where to read on, a link that a reader may follow, the name of a schema: none of these is ever asked by
the app itself.  Where nothing tells, an address counts as asked.
"""

import re
from collections.abc import Sequence
from typing import Final

from watchword.scan.app import App, Method
from watchword.scan.secrets.corpus import Group, Origin
from watchword.scan.texts.lexer import Language, Lexed, Lexer, Span

_AROUND: Final = 1_000
"""Characters before and behind an address that are looked at."""

_MOST_USERS: Final = 8
"""Methods that load one string and are asked what they do with it."""

_NAMES: Final = re.compile(
    r"(?i)[$@](?:schema|id|ref|context|type|vocab|namespace)|xmlns(?::[\w.-]+)?|(?:xsi:)?(?:nonamespace)?schema_?(?:location|uri)|(?:target)?namespace(?:_?ur[il])?|itemtype|cite"
    r"|licen[cs]e(?:_?url)?|homepage|documentation|rdf:(?:about|resource|datatype)|longdesc"
)
"""Names of attributes, keys and settings whose value names or explains something."""

_NAME_BEFORE: Final = re.compile(r"[\w:.@$-]{1,60}\s{0,9}\Z")
_HELD: Final = re.compile(r"""\s{0,9}\\?["']?[^"'<>]*\Z""")
_TAG: Final = re.compile(r"<([!?\w:.-]{1,60})")
_LINKS: Final = frozenset(("a", "area"))
_RELATION: Final = re.compile(
    r"(?i)\brel\s*=\s*[\"']?(?:canonical|licen[cs]e|author|help|alternate|next|prev|profile|me)\b"
)
_KEY: Final = re.compile(r"""["']?([\w$@:.-]{1,60})["']?\s{0,9}:\s{0,9}["'`]\Z""")
_TOLD: Final = re.compile(
    r"(?:\b(?:\w*Error|\w*Exception|invariant|warning|deprecate\w*)|\bconsole\.\w{1,10}|(?:Element|Attribute|Name)NS|[Nn]amespace\w{0,20})\s{0,9}\(\s{0,9}[\"'`]\Z"
)
_JOINED: Final = re.compile(r"""((?:[^"'`\\\n]|\\.){0,100}\s)["'`]\s{0,60}\+\s{0,60}["'`]\Z""")
_SETTING: Final = re.compile(
    r"""\s*(?:-\s+)?(?:export\s+)?(?:["']?([\w.$@\[\]-]{0,80})["']?\s*[=:]|([^=\n]{1,80}) =)\s*\\?["']?\Z"""
)
_VALUE_BEFORE: Final = re.compile(r"""(?:[=:(,\[{]\s?\\?["']|url\(\\?["']?|=)\Z""")
_MORE_WORDS: Final = re.compile(
    r"""[.,;:!?)'"\\]{0,3}\s+(?!(?:https?|wss?)://|HTTP/\d)[A-Za-z]{2,}"""
)
_ADDRESSES_BEFORE: Final = re.compile(r"(?:(?:https?|wss?)://\S{1,200}\s{1,9})+\Z")
"""Further ones of a list, which make no sentence."""

_ITEM: Final = re.compile(r"""\s*-\s+["']?""")
_METHOD: Final = re.compile(r"\s*(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s+")
_SPACED: Final = re.compile(r"\s|\\[nrt]")
_TAKE_NAMES: Final = re.compile(
    r"[gs]etFeature|getAttributeValue|setPrefix|require|getElementsByTagNameNS|\w+(?:NS|Namespace\w*|PrefixMapping)"
)
"""Methods each argument of which may be the name of a schema or a feature."""

_TAKE_NAME_FIRST: Final = re.compile(r"[gs]et(?:Property|Attribute\w*|NamedItem\w*)")
_XML_CLASSES: Final = (
    "org.w3c.",
    "org.xml.",
    "org.xmlpull.",
    "javax.xml.",
    "org.jdom",
    "org.dom4j.",
    "org.ksoap2.serialization.",
)


class Purposes:
    """Tell of the addresses of one group of texts what they are for."""

    def __init__(self, app: App, group: Group, lexer: Lexer) -> None:
        """Take the group; nothing of it is read before an address of it is asked for."""
        self._app = app
        self._group = group
        self._lexer = lexer
        self._lexed: Lexed | None = None

    def called(self, index: int, start: int, end: int) -> bool:
        """Tell whether the app may ask an address.

        :param index: of the text in the group; ``start`` and ``end`` of the address in the text.
        """
        group = self._group
        text = group.texts[index]
        if group.origin is Origin.TEXT:
            if not self._lexer.looks():
                return True
            if self._lexed is None:
                self._lexed = self._lexer.lexed(group.places[index].file, text)
            return _called_in_file(self._lexed, start, end)
        if group.named:
            value = group.named[index].value
            shift = len(text) - len(value) - 1
            return not _NAMES.fullmatch(group.named[index].name) and _called_in(
                value, start - shift, end - shift
            )
        return _called_in(text, start, end) and not self._names_something(text)

    def _names_something(self, text: str) -> bool:
        """Tell whether code hands a string to nothing but what takes names of schemas or of features."""
        code = self._app.code
        if code is None:
            return False
        users = code.users(text)
        return 0 < len(users) <= _MOST_USERS and all(
            _only_names(code.arguments(by), text, code.strings_of(by).count(text)) for by in users
        )


def _only_names(
    calls: Sequence[tuple[Method, Sequence[str | int | None]]], text: str, loaded: int
) -> bool:
    """Tell whether a method hands a text, which it loads so often, to nothing but what takes names."""
    takers = [(callee, given) for callee, given in calls if text in given]
    return len(takers) >= loaded and all(
        _takes_name(callee, is_first=given[0] == text) for callee, given in takers
    )


def _takes_name(callee: Method, *, is_first: bool) -> bool:
    if callee.name == "<init>":
        return callee.cls.startswith(_XML_CLASSES)
    if _TAKE_NAMES.fullmatch(callee.name):
        return True
    return is_first and _TAKE_NAME_FIRST.fullmatch(callee.name) is not None


def _called_in_file(found: Lexed, start: int, end: int) -> bool:
    if found.language is Language.PROSE:
        return False
    span, begin, close = found.at(start)
    if span is Span.COMMENT:
        return False
    if span is Span.LITERAL:
        before = found.text[max(0, begin - 120) : begin]
        key = _KEY.search(before)
        if (key is not None and _NAMES.fullmatch(key[1])) or _TOLD.search(before):
            return False
        if _ends_a_sentence(before):
            return False
        begin, close = max(begin, start - _AROUND), min(close, end + _AROUND)
    elif found.language is Language.MARKUP and "<" in found.text[max(0, start - _AROUND) : start]:
        low, high = max(0, start - _AROUND), end + _AROUND
        return _called_in_markup(found.text[low:high], start - low, end - low)
    elif found.language is not Language.STRINGS:
        setting = _SETTING.fullmatch(found.text, begin, start)
        if found.language is Language.SETTINGS and _ITEM.fullmatch(found.text, begin, start):
            return True
        if setting is not None:
            return not _NAMES.fullmatch(setting[1] or setting[2])
    return _called_in(found.text[begin:close], start - begin, end - begin)


def _ends_a_sentence(before: str) -> bool:
    """Tell whether a literal continues one that holds words, to which it's added: ``"See here: " + "http://..."``."""
    joined = _JOINED.search(before)
    return joined is not None and bool(joined[1].strip())


def _called_in_markup(text: str, start: int, end: int) -> bool:
    """Tell of an address in an element's attributes or in its text, by the text around it."""
    opened, closed = text.rfind("<", 0, start), text.rfind(">", 0, start)
    if opened > closed:
        return _called_in_tag(text[opened:start], text[start : text.find(">", start)])
    if closed < 0:
        return _called_in(text, start, end)
    tag = _TAG.match(text, opened)
    if tag is not None and tag[1].lower() in _LINKS:
        return False
    stop = text.find("<", end)
    return _called_in(
        text[closed + 1 : stop if stop >= 0 else len(text)], start - closed - 1, end - closed - 1
    )


def _called_in_tag(before: str, behind: str) -> bool:
    tag, equals = _TAG.match(before), before.rfind("=")
    attribute = _NAME_BEFORE.search(before, max(0, equals - 70), equals) if equals > 0 else None
    if tag is None or attribute is None or not _HELD.match(before, equals + 1):
        return True
    name, held = tag[1].lower(), attribute[0].strip().lower()
    if _NAMES.fullmatch(held) or (name in _LINKS and held.endswith("href")):
        return False
    if name == "meta":
        return "refresh" in (before + behind).lower()
    return not (name == "link" and _RELATION.search(before + behind))


def _called_in(text: str, start: int, end: int) -> bool:
    """Tell of a text by itself, such as a literal or a line, whether the address in it is its value, or a part of a sentence."""
    before, behind = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    before = _ADDRESSES_BEFORE.sub("", before)
    if _METHOD.fullmatch(before):
        return True
    opened = before.rfind("<")
    if opened > before.rfind(">") and _TAG.match(before, opened):
        return _called_in_tag(before[opened:], behind.partition(">")[0])
    if _MORE_WORDS.match(behind):
        return False
    if not before.strip():
        return "\n" not in before or not text.isprintable()
    return _VALUE_BEFORE.search(before) is not None or _SPACED.search(before) is None

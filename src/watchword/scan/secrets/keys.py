"""Find constants that reach a cipher as its key: handed over, through a field of the class, from a caller, or by a script.

Names and forms tell nothing here: the key of a crypto class is any text.  What tells is where it goes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Final

from watchword.scan.app import App, Code, Method
from watchword.scan.interface import Confidence, Location
from watchword.scan.secrets import noise
from watchword.scan.secrets.corpus import Joined, Origin, groups_of, is_own_class, places_of_words
from watchword.scan.texts.lexer import Language, Lexed, Lexer, Span

MOST: Final = 500
"""How many calls of one file are looked at."""

_WORDS: Final = (
    *("crypt(", "cipheriv(", "createhmac(", "hmacmd5(", "hmacsha1(", "hmacsha224(", "hmacsha256("),
    *("hmacsha384(", "hmacsha512(", "jwt.sign(", "utf8.parse(", "hex.parse(", "base64.parse("),
)
_LONGEST_WORD: Final = 14
_BEFORE: Final = 120
_REACH: Final = 400
_SCRIPT_SINKS: Final = (
    # CryptoJS, by the README of its package crypto-js; shrinkers leave the names of its members.
    (
        re.compile(
            r"\b(?:AES|DES|TripleDES|Rabbit(?:Legacy)?|RC4(?:Drop)?|Blowfish)\.(?:en|de)crypt\Z"
        ),
        1,
    ),
    (re.compile(r"\bHmac(?:SHA\d{1,3}|MD5)\Z"), 1),
    (
        re.compile(
            r"(?i:key|secret|passphrase)\w{0,20}\s{0,9}[=:]\s{0,9}[\w$.()\[\]]{0,60}\benc\.\w{3,9}\.parse\Z"
        ),
        0,
    ),
    # https://nodejs.org/api/crypto.html, https://github.com/bitwiseshiftleft/sjcl/wiki/Symmetric-Crypto and
    # https://github.com/auth0/node-jsonwebtoken; all looked up on 2026-11-29.
    (re.compile(r"\bcreate(?:C|Dec)ipheriv\Z"), 1),
    (re.compile(r"\bcreateHmac\Z"), 1),
    (re.compile(r"\bsjcl\.(?:en|de)crypt\Z"), 0),
    (re.compile(r"\bjwt\.sign\Z"), 1),
)
_LITERAL: Final = re.compile(r"""\s{0,9}(["'`])([^"'`\\\n\x0b$]{4,200})\1\s{0,9}""")
_OPENS, _CLOSES = "([{", ")]}"


def script_keys(app: App) -> Iterator[tuple[str, str, Location]]:
    """Yield constants that scripts hand to a cipher: the constant, the function that takes it, and the place."""
    lexer = Lexer({each.file: each.kind for each in app.texts})
    for group in groups_of(app):
        if group.origin is not Origin.TEXT:
            continue
        joined, place = Joined(group.texts), group.places[0]
        found: Lexed | None = None
        for number, at in enumerate(places_of_words(joined, _WORDS)):
            if number >= MOST:
                break
            call = _call(joined.text, at)
            if call is None:
                continue
            found = lexer.lexed(place.file, joined.text) if found is None else found
            key, name, start = call
            if found.language in _RUN and found.at(start)[0] is Span.LITERAL:
                line = joined.text.count("\n", 0, start) + 1
                yield key, name, Location(place.file, line=line)


_RUN: Final = frozenset((Language.SCRIPT, Language.MARKUP))


def _call(text: str, at: int) -> tuple[str, str, int] | None:
    """Return the constant key of a call whose name holds the word at a place, with the function's name and where the key begins."""
    opened = text.find("(", at, at + _LONGEST_WORD)
    before = text[max(0, opened - _BEFORE) : max(0, opened)]
    for sink, index in _SCRIPT_SINKS:
        named = sink.search(before)
        if named is not None:
            start, end = _argument(text, opened + 1, index)
            literal = _LITERAL.fullmatch(text, start, end)
            if literal is None or noise.is_algorithm(literal[2]):
                return None
            return literal[2], before.rpartition(".")[2], literal.start(2)
    return None


def _argument(text: str, at: int, index: int) -> tuple[int, int]:
    """Return begin and end of an argument of a call; an empty place where it isn't near, or isn't closed."""
    depth, start, quote = 0, at, ""
    for place in range(at, min(len(text), at + _REACH)):
        char = text[place]
        if quote:
            quote = "" if char == quote and text[place - 1] != "\\" else quote
        elif char in "\"'`":
            quote = char
        elif char in _OPENS:
            depth += 1
        elif depth and char in _CLOSES:
            depth -= 1
        elif not depth and char in ",)":
            if not index:
                return start, place
            if char == ")":
                break
            index, start = index - 1, place + 1
    return at, at


MOST_CALLERS = 50
"""How many callers of one method are asked for constants: what more of them call is no place for a key."""

_METHOD_SINKS = {
    "javax.crypto.spec.SecretKeySpec": "key",
    "javax.crypto.spec.PBEKeySpec": "password",
    "javax.crypto.spec.DESKeySpec": "key",
    "javax.crypto.spec.DESedeKeySpec": "key",
    "java.security.spec.PKCS8EncodedKeySpec": "key",
    "javax.crypto.spec.IvParameterSpec": "vector",
    "javax.crypto.spec.GCMParameterSpec": "vector",
    "org.bouncycastle.crypto.params.KeyParameter": "key",
    "org.spongycastle.crypto.params.KeyParameter": "key",
}
_AT = {"javax.crypto.spec.GCMParameterSpec": 1}
_INITIAL = frozenset(("<init>", "<clinit>"))
_KEY_NAME = re.compile(
    r"(?i).*(?:xor|aes|des|enc(?:rypt(?:ion)?)?|crypto?|cipher|hmac|secret|private|sign(?:ing)?)_?key"
)
# Parsers combine characters by exclusive or too, but theirs are regular expressions and messages.
_PLAIN = re.compile(r"[\w!#$%&*+,./:;<=>@~-]{4,64}", re.ASCII)
_XOR = frozenset(("xor-int", "xor-int/2addr"))
_NARROW = frozenset(("int-to-char", "int-to-byte"))
_GET_STRING = frozenset(("getString", "getText"))
_AS_BYTES = frozenset(("getBytes", "toCharArray"))


class Way(StrEnum):
    """Say how a constant reaches the cipher."""

    HANDED = "handed"
    FIELD = "field"
    CALLER = "caller"
    RESOURCE = "resource"
    OWN_CIPHER = "own-cipher"
    NATIVE = "native"
    NAME = "name"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Hold a constant that serves as a key.

    :param role: ``key``, ``password`` or ``vector``.
    :param value: None where only is known that it's a resource.
    :param into: what takes it.
    """

    role: str
    way: Way
    value: str | None = field(repr=False)
    place: Location
    into: str
    confidence: Confidence


def key_uses(app: App) -> tuple[KeyUse, ...]:
    """Return the constants that serve as keys in an app's own classes and in its scripts, each once, the surest way first."""
    if app.code is None:
        return ()
    found: dict[tuple[str | None, str], KeyUse] = {}
    in_scripts = (
        KeyUse("key", Way.SCRIPT, key, place, into, Confidence.LIKELY)
        for key, into, place in script_keys(app)
    )
    for use in chain(_Search(app, app.code).run(), in_scripts):
        where = "" if use.value is not None else str(use.place)
        found.setdefault((use.value, where), use)
    return tuple(found.values())


class _Search:
    """Search one app."""

    def __init__(self, app: App, code: Code) -> None:
        self._app = app
        self._code = code
        self._open: dict[Method, tuple[str, str]] = {}

    def run(self) -> Iterator[KeyUse]:
        """Yield uses, the surest ways first."""
        for sink, role in _METHOD_SINKS.items():
            yield from self._handed(sink, role)
        # What stays open here gets its key from elsewhere: from a field of its class, or from whoever calls it.
        for by, (sink, role) in self._open.items():
            yield from self._fields(by, sink, role)
            yield from self._callers(by, sink, role)
        yield from self._own_ciphers()
        yield from self._natives_and_names()

    def _handed(self, sink: str, role: str) -> Iterator[KeyUse]:
        at = _AT.get(sink, 0)
        methods = dict.fromkeys(use.by for use in self._code.calls(sink, "<init>"))
        for by in methods:
            if not self._own(by.cls):
                continue
            calls = self._code.arguments(by)
            for index, (callee, given) in enumerate(calls):
                if callee.cls != sink or callee.name != "<init>" or len(given) <= at:
                    continue
                value = given[at]
                if isinstance(value, str) and value:
                    yield self._use(role, Way.HANDED, value, by, sink, Confidence.CERTAIN)
                elif _from_resource(calls[max(0, index - 6) : index]):
                    yield self._use(role, Way.RESOURCE, None, by, sink, Confidence.LIKELY)
                elif role != "vector":
                    self._open.setdefault(by, (sink, role))

    def _fields(self, by: Method, sink: str, role: str) -> Iterator[KeyUse]:
        """Yield what a class sets its fields to at its begin, and hands to nobody."""
        for method in self._code.methods(by.cls):
            if method.name not in _INITIAL or method == by:
                continue
            handed = set(_texts(given for _, given in self._code.arguments(method)))
            for text in self._code.strings_of(method):
                if text not in handed and _is_key(text):
                    yield self._use(role, Way.FIELD, text, method, sink, Confidence.LIKELY)
        for each in self._code.static_fields:
            if each.cls == by.cls and (_is_key(each.value) or _KEY_NAME.fullmatch(each.name)):
                place = Location("", each.cls, each.name)
                yield KeyUse(role, Way.FIELD, each.value, place, sink, Confidence.LIKELY)

    def _callers(self, by: Method, sink: str, role: str) -> Iterator[KeyUse]:
        """Yield what callers of a method with an open key hand to it, directly or decoded on the way."""
        uses = self._code.calls(by.cls, by.name)
        callers = tuple(dict.fromkeys(use.by for use in uses if self._own(use.by.cls)))
        for caller in callers[:MOST_CALLERS]:
            calls = self._code.arguments(caller)
            direct = [given for callee, given in calls if callee == by]
            for text in _texts(direct):
                if _is_material(text):
                    yield self._use(role, Way.CALLER, text, caller, sink, Confidence.LIKELY)
            for text in self._code.strings_of(caller):
                if noise.is_encoded_key(text):
                    yield self._use(role, Way.CALLER, text, caller, sink, Confidence.LIKELY)

    def _own_ciphers(self) -> Iterator[KeyUse]:
        """Yield the constants of methods that combine the characters of two texts by exclusive or: a home-made cipher."""
        for by in dict.fromkeys(use.by for use in self._code.calls("java.lang.String", "charAt")):
            if not self._own(by.cls) or not _combines(self._code.body(by)):
                continue
            inner = [text for text in self._code.strings_of(by) if text]
            before = [
                text
                for method in self._code.methods(by.cls)
                if method.name in _INITIAL
                for text in self._code.strings_of(method)
            ]
            fields = [each.value for each in self._code.static_fields if each.cls == by.cls]
            for text in dict.fromkeys((*inner, *before, *fields)):
                if _PLAIN.fullmatch(text) and not noise.is_algorithm(text):
                    yield self._use("key", Way.OWN_CIPHER, text, by, "xor", Confidence.POSSIBLE)

    def _natives_and_names(self) -> Iterator[KeyUse]:
        for each in self._code.static_fields:
            if not self._own(each.cls) or not _KEY_NAME.fullmatch(each.name):
                continue
            # Where nothing but a name says so, a placeholder is what it looks like.
            if _is_key(each.value) and not noise.is_placeholder(each.value):
                place = Location("", each.cls, each.name)
                yield KeyUse("key", Way.NAME, each.value, place, each.name, Confidence.POSSIBLE)
        for cls in self._code.classes:
            if not self._own(cls):
                continue
            for native in self._code.without_code(cls):
                if "[B" in native.descriptor:
                    yield from self._to_native(native)

    def _to_native(self, native: Method) -> Iterator[KeyUse]:
        uses = self._code.calls(native.cls, native.name)
        for caller in tuple(dict.fromkeys(use.by for use in uses))[:MOST_CALLERS]:
            calls = self._code.arguments(caller)
            given = [arguments for callee, arguments in calls if callee == native]
            for text in _texts(given):
                if len(text) in noise.SIZES and " " not in text:
                    yield self._use(
                        "key", Way.NATIVE, text, caller, str(native), Confidence.POSSIBLE
                    )

    def _own(self, cls: str) -> bool:
        return is_own_class(self._app, cls)

    @staticmethod
    def _use(
        role: str, way: Way, value: str | None, by: Method, into: str, sure: Confidence
    ) -> KeyUse:
        return KeyUse(role, way, value, Location("", by.cls, by.name), into, sure)


def _combines(body: Sequence[str]) -> bool:
    """Tell whether code makes a character of two by exclusive or; one that only compares or hashes keeps a number."""
    return any(
        name in _XOR and not _NARROW.isdisjoint(body[at + 1 : at + 4])
        for at, name in enumerate(body)
    )


def _texts(calls: Iterable[Sequence[str | int | None]]) -> Iterator[str]:
    """Yield the texts among arguments."""
    for given in calls:
        yield from (each for each in given if isinstance(each, str))


def _is_key(text: str) -> bool:
    if noise.is_constant(text):
        return False
    return noise.is_encoded_key(text) or noise.is_raw_key(text)


def _is_material(text: str) -> bool:
    """Tell whether what was handed over as a key can be one, of any length."""
    return len(text) >= 4 and not noise.is_algorithm(text) and not noise.is_constant(text)


def _from_resource(before: Sequence[tuple[Method, Sequence[object]]]) -> bool:
    """Tell whether the calls right before end in the bytes of a string resource."""
    names = [callee.name for callee, _ in before]
    return any(
        name in _GET_STRING and bool(_AS_BYTES & set(names[index + 1 :]))
        for index, name in enumerate(names)
        if before[index][0].descriptor.startswith("(I")
    )

"""Find constants that scripts hand to a cipher as its key: by the functions of the libraries that take one, and by the place of the argument."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import App
from watchword.scan.interface import Location
from watchword.scan.secrets import material
from watchword.scan.secrets.corpus import Origin, groups_of
from watchword.scan.secrets.prefilter import Joined, places_of_words
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
_SINKS: Final = (
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
    for sink, index in _SINKS:
        named = sink.search(before)
        if named is not None:
            start, end = _argument(text, opened + 1, index)
            literal = _LITERAL.fullmatch(text, start, end)
            if literal is None or material.is_algorithm(literal[2]):
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

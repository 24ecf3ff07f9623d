r"""Hold the rule set as data: what a secret of each kind looks like, what it opens, and which kinds are made to be in apps.

Four things differ in what the rules use: a flag group such as ``(?i)`` in the middle holds to the end of its group and over its
alternatives, ``\z`` is ``\Z``, ``$`` without the flag ``m`` is the end of the text alone, and ``(?<name>`` is ``(?P<name>``.
Classes such as ``\w`` know ASCII alone: compile with :data:`re.ASCII`.  Source: https://pkg.go.dev/regexp/syntax.
"""

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.encoding.tables import read_table
from watchword.scan.interface import Severity
from watchword.scan.secrets.structure import claims_of

_FLAGS = re.compile(r"\(\?([ims]*(?:-[ims]+)?)\)")
_NAMED = re.compile(r"\(\?<(?=[A-Za-z_])")


def translate(source: str) -> str:
    """Return the expression in Python's dialect; it's taken to be valid in Go's."""
    return _Translator(source).run()


class _Translator:
    """Walk over one expression, with the flag groups that are open at each depth."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._written: list[str] = []
        self._open: list[list[str]] = [[]]

    def run(self) -> str:
        """Translate all of it."""
        while self._at < len(self._source):
            self._step()
        self._written.append(")" * len(self._open[0]))
        return "".join(self._written)

    def _step(self) -> None:
        char = self._source[self._at]
        if char == "\\":
            pair = self._source[self._at : self._at + 2]
            self._write("\\Z" if pair == "\\z" else pair, 2)
        elif char == "[":
            self._class()
        elif char == "(":
            self._group()
        elif char == ")":
            closing = ")" * len(self._open.pop())
            self._write(closing + ")", 1)
        elif char == "|":
            flags = self._open[-1]
            self._write(")" * len(flags) + "|" + "".join(f"(?{flag}:" for flag in flags), 1)
        else:
            self._write("\\Z" if char == "$" else char, 1)

    def _write(self, text: str, length: int) -> None:
        self._written.append(text)
        self._at += length

    def _group(self) -> None:
        flags = _FLAGS.match(self._source, self._at)
        if flags is not None:
            self._open[-1].append(flags[1])
            self._write(f"(?{flags[1]}:", len(flags[0]))
            return
        self._open.append([])
        named = _NAMED.match(self._source, self._at)
        if named is not None:
            self._write("(?P<", len(named[0]))
        else:
            self._write("(", 1)

    def _class(self) -> None:
        """Copy a class; a bracket inside it is escaped, since Python keeps it for nested sets."""
        end = self._at + 1
        if self._source[end : end + 1] == "^":
            end += 1
        if self._source[end : end + 1] == "]":
            end += 1
        while self._source[end] != "]":
            end += 2 if self._source[end] == "\\" else 1
        inner = self._source[self._at + 1 : end]
        self._write(
            "[" + re.sub(r"(\\.)|\[", lambda hit: hit[1] or "\\[", inner) + "]", len(inner) + 2
        )


GENERIC = "generic-api-key"
"""The kind that goes by its name alone, not by its form or its vendor."""

_ASSIGNMENT = r"(?:=|>|:{1,3}=|"
_SHARPER = {"jwt": ("eyj",), "twilio-api-key": (), "vault-service-token": ("hvs.",)}
"""Keywords in place of the rule set's, where those stand in every second string."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hold what looks like a secret and isn't: patterns on the secret or on the whole match, and words."""

    sources: tuple[str, ...]
    on_match: bool
    words: tuple[str, ...] = ()

    def holds(self, secret: str, match: str) -> bool:
        """Tell whether this is one of those."""
        text = match if self.on_match else secret
        if any(_compiled(source).search(text) for source in self.sources):
            return True
        return bool(self.words) and _has_word(secret.lower(), self.words)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Hold the looks of one kind of secret.

    :param source: regular expression in Go's dialect, compiled when it is first needed.
    :param entropy: bits per character that a secret has at least, 0 for any.
    :param keywords: in lower case, one of which stands near each secret of this kind.
    :param named: whether it needs a name before the value: ``name = "value"``.
    :param public: whether it is made to be in apps.
    """

    kind: str
    source: str = field(repr=False)
    keywords: tuple[str, ...]
    entropy: float = 0
    group: int = 0
    allowed: tuple[Allowed, ...] = ()
    named: bool = False
    public: bool = False

    def finder(self) -> re.Pattern[str]:
        """Return the expression, compiled."""
        return _compiled(self.source)

    def secret_of(self, match: re.Match[str]) -> str:
        """Return the secret in a match: the group that is stated, else the first that holds something."""
        if self.group:
            return match[self.group] or ""
        return next((found for found in match.groups() if found), match[0])


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Hold all patterns in a stable order, and what isn't a secret of any kind."""

    patterns: tuple[Pattern, ...]
    allowed: tuple[Allowed, ...]


@functools.cache
def packaged() -> PatternSet:
    """Return the rule set of this package: Gitleaks', and our own beside it."""
    theirs, ours = (
        read_table("watchword.scan.secrets", "gitleaks.toml"),
        read_table("watchword.scan.secrets", "own.toml"),
    )
    replaced = {rule["id"] for rule in ours["rules"]}
    # Ours stand first: of two that match the same, the first is told.
    rules = ours["rules"] + [rule for rule in theirs["rules"] if rule["id"] not in replaced]
    patterns = tuple(_pattern(rule) for rule in rules)
    allowed = tuple(
        Allowed(tuple(listed["regexes"]), on_match=False, words=tuple(listed.get("stopwords", ())))
        for listed in (theirs["allowlist"], ours["allowlist"])
    )
    return PatternSet(patterns, allowed)


def _pattern(rule: Mapping[str, Any]) -> Pattern:
    kind, source = str(rule["id"]), str(rule["regex"])
    return Pattern(
        kind=kind,
        source=source,
        keywords=_SHARPER.get(kind, tuple(rule["keywords"])),
        entropy=float(rule.get("entropy", 0)),
        group=int(rule.get("secretGroup", 0)),
        allowed=tuple(_allowed(listed) for listed in rule.get("allowlists", ())),
        named=bool(rule.get("named", _ASSIGNMENT in source)),
        public=bool(rule.get("public", False)),
    )


def _allowed(listed: Mapping[str, Any]) -> Allowed:
    on_match = listed.get("regexTarget") in {"match", "line"}
    return Allowed(tuple(listed["regexes"]), on_match, tuple(listed.get("stopwords", ())))


@functools.cache
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(translate(source), re.ASCII)


def _has_word(secret: str, words: tuple[str, ...]) -> bool:
    """Tell whether a word stands in a secret: a short one only by itself, since random letters hold some of those by chance."""
    pieces = frozenset(re.split(r"[^a-z]+", secret))
    return any(word in pieces or (len(word) > _SHORT_WORD and word in secret) for word in words)


_SHORT_WORD = 5


_PUBLIC = frozenset(
    {
        "adobe-client-id",
        "asana-client-id",
        "bitbucket-client-id",
        "discord-client-id",
        "flutterwave-public-key",
        "linkedin-client-id",
        "lob-pub-api-key",
        "looker-client-id",
        "mailgun-pub-key",
        "mapbox-api-token",
        "messagebird-client-id",
        "new-relic-browser-api-token",
        "plaid-client-id",
        "sendbird-access-id",
        "sumologic-access-id",
    }
)

_CRITICAL = (
    "private-key",
    "gcp-service-account",
    "aws-",
    "azure-",
    "alibaba-secret",
    "github-",
    "gitlab-",
    "digitalocean-",
    "heroku-",
    "stripe-access-token",
    "square-access-token",
    "shopify-",
    "anthropic-admin",
    "hashicorp-",
    "vault-",
    "openshift-",
    "databricks-",
    "planetscale-",
    "npm-access-token",
    "pypi-",
    "rubygems-",
    "1password-",
    "firebase-server-key",
    "paypal-",
)
"""Begins of kinds that open data or accounts of many."""

BY_LOOKS = frozenset((GENERIC, "password", "compared-secret", "bearer-token", "key-in-url"))
"""Kinds that have neither a form of their own nor a structure: by their name, or by where they stand."""

_NAMES_ONLY = frozenset(("twilio-account-sid", "gcp-service-account-key-id"))
"""Kinds that name an account or a key and open nothing without what belongs to them."""

_OF_TESTS = ("access_token$sandbox", "sk_test", "rk_test", "eztk", "flwseck_test", "duffel_test")


def is_public(pattern: Pattern, secret: str) -> bool:
    """Tell whether a kind is made to be in apps: its owner restricts what it may do, not who may read it."""
    if pattern.public or pattern.kind in _PUBLIC:
        return True
    if pattern.kind != "jwt":
        return False
    # Supabase gives each project a token for everybody, which row rules restrict.
    claims = claims_of(secret)
    return claims is not None and claims.get("role") == "anon"


def severity_of(kind: str, secret: str) -> Severity:
    """Return what a secret of this kind opens."""
    if secret.lower().startswith(_OF_TESTS) or kind in _NAMES_ONLY:
        return Severity.LOW
    if kind.startswith(_CRITICAL):
        return Severity.CRITICAL
    return Severity.MEDIUM if kind in {"password", "compared-secret", "jwt"} else Severity.HIGH


def subject_of(kind: str, secret: str) -> str:
    """Return what tells a secret from others without holding it: its kind, and 48 bits of a hash of it."""
    digest = hashlib.sha256(b"watchword scan secret\0" + secret.encode("utf-8", "replace"))
    return f"{kind}:{digest.hexdigest()[:12]}"

"""Hold the rule set as data: what a secret of each kind looks like, and what looks like one and isn't."""

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from watchword.scan.secrets.dialect import translate

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
    theirs, ours = _read("gitleaks.toml"), _read("own.toml")
    replaced = {rule["id"] for rule in ours["rules"]}
    # Ours stand first: of two that match the same, the first is told.
    rules = ours["rules"] + [rule for rule in theirs["rules"] if rule["id"] not in replaced]
    patterns = tuple(_pattern(rule) for rule in rules)
    allowed = tuple(
        Allowed(tuple(listed["regexes"]), on_match=False, words=tuple(listed.get("stopwords", ())))
        for listed in (theirs["allowlist"], ours["allowlist"])
    )
    return PatternSet(patterns, allowed)


def _read(name: str) -> Mapping[str, Any]:
    text = resources.files("watchword.scan.secrets").joinpath(name).read_text("utf-8")
    return tomllib.loads(text)


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

"""Take the secrets that were found out of everything else that a report says: a path, a host or a file may hold one too."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import ahocorasick_rs

from watchword.scan.app import Coverage, Disagreement
from watchword.scan.interface import Finding, Location, Secret

SHORTEST: Final = 8
"""Characters from which on a secret is looked for; shorter ones stand in many a word."""

WORDS: Final = 16
"""Characters up to which a secret of small letters alone is taken for a word, which our own sentences may hold."""

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What stands for itself in an address (RFC 3986, 2.3)."""

MOST: Final = 2_000
"""Secrets that are looked for, the longest first."""


class Redaction:
    """Know the secrets of a report in the forms in which texts hold them: as they are, in base64, in hex, in an address."""

    def __init__(self, secrets: Iterable[Secret], ours: Iterable[str] = ()) -> None:
        """Make the one automaton that finds them all in one pass.

        :param ours: texts that rules write by themselves; a value that stands in them is a word of ours wherever it's met.
        """
        found = {each.value: each for each in secrets}
        words = "\n".join((*ours, *(each.kind for each in found.values()))).lower()
        kept = sorted(
            (
                each
                for value, each in found.items()
                if _worth_looking_for(value) and value.lower() not in words
            ),
            key=lambda one: (-len(one.value), one.value),
        )[:MOST]
        self._forms = {form.lower(): (form, each) for each in kept[::-1] for form in _forms(each)}
        self._patterns = sorted(self._forms)
        self._found = ahocorasick_rs.AhoCorasick(
            self._patterns, matchkind=ahocorasick_rs.MatchKind.LeftmostLongest
        )

    @classmethod
    def of(cls, findings: Iterable[Finding], ours: Iterable[str] = ()) -> "Redaction":
        """Return that of the secrets which findings hold."""
        return cls((each.secret for each in findings if each.secret is not None), ours)

    def text(self, text: str, *, by_kind: bool = False) -> str:
        """Return a text with what may be shown of each secret in its place.

        :param by_kind: whether the kind stands there instead, which stays when a secret is changed.
        """
        if not self._patterns:
            return text
        text = _writable(text)
        low = text.lower()
        if len(low) != len(text):
            low = "".join(each if len(each.lower()) != 1 else each.lower() for each in text)
        parts: list[str] = []
        end = 0
        for number, start, stop in self._found.find_matches_as_indexes(low):
            form, secret = self._forms[self._patterns[number]]
            # A secret of letters alone may be a word in another case.
            if form.isalpha() and text[start:stop] != form:
                continue
            parts += [text[end:start], _writable(secret.kind if by_kind else secret.redacted)]
            end = stop
        return "".join([*parts, text[end:]]) if parts else text

    def finding(self, finding: Finding) -> Finding:
        """Return a finding whose texts hold none."""
        return replace(
            finding,
            subject=self.text(finding.subject, by_kind=True),
            title=self.text(finding.title),
            seen=self.text(finding.seen),
            locations=tuple(dict.fromkeys(map(self._location, finding.locations))),
        )

    def _location(self, place: Location) -> Location:
        return Location(
            self.text(place.file), self.text(place.cls), self.text(place.member), place.line
        )

    def coverage(self, coverage: Coverage) -> Coverage:
        """Return coverage whose gaps hold none."""
        gaps = [
            replace(each, where=self.text(each.where), why=self.text(each.why))
            for each in coverage.gaps
        ]
        frameworks = [
            replace(each, by=self.text(each.by), entries=tuple(map(self.text, each.entries)))
            for each in coverage.frameworks
        ]
        return Coverage(coverage.seen, tuple(gaps), tuple(frameworks))

    def disagreements(self, odd: Iterable[Disagreement]) -> tuple[Disagreement, ...]:
        """Return disagreements that hold none."""
        return tuple(Disagreement(self.text(each.entry), self.text(each.what)) for each in odd)


def without_value(text: str, secret: Secret, instead: str) -> str:
    """Return a text of ours with something else in the place of a secret's value.

    A value that is a part of its kind's name stays: whoever reads ``password-in-url`` learns no password, and without the name the
    sentence says nothing.
    """
    ours = secret.value.lower() in secret.kind.lower()
    return text if ours else text.replace(secret.value, instead)


def _worth_looking_for(value: str) -> bool:
    word = value.isalpha() and value.islower() and len(value) < WORDS
    return len(value) >= SHORTEST and not word


def _forms(secret: Secret) -> Iterator[str]:
    """Yield the forms of a secret; of base64 those for each place that it may have in a longer text."""
    value = secret.value
    data = value.encode("utf-8", "surrogatepass")
    yield data.hex()
    yield "".join(chr(each) if each in _PLAIN else f"%{each:02X}" for each in data)
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        # The first characters depend on what stands before, the last one on what follows.
        core = encoded[(0, 2, 3)[shift] : -1]
        if len(core) >= SHORTEST:
            yield core
            yield core.replace("+", "-").replace("/", "_")
    # Last, so that it wins where a form is the same.
    yield _writable(value)


def _writable(text: str) -> str:
    """Return text without halves of pairs, which strings of DEX may hold and nobody can search."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")

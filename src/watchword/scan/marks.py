"""Find checks by the strings that they look for: signs of root, of an emulator, of a tool."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.scan.app import Method
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_parts import Look, places

_AT_ONCE: Final = 4_096
"""How many strings of a library are searched at once."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Hold the strings by which a check is known.

    :param strong: one in a class is enough; whole strings.
    :param weak: two different ones in a class are; whole strings.
    :param native: what tells by itself in a native library; matched within its strings, each of which is a line.
    :param hints: in lower case; one of them stands in whatever ``native`` matches.  To look for them is a tenth of the work.
    """

    strong: frozenset[str]
    weak: frozenset[str] = frozenset()
    native: re.Pattern[str] | None = None
    hints: tuple[str, ...] = ()

    def checks(self, look: Look) -> Iterator[tuple[str, tuple[Method, ...]]]:
        """Yield the app's own classes whose methods load such strings, with these methods; a string nobody loads is no check."""
        by_class: dict[str, dict[str, tuple[Method, ...]]] = {}
        for mark in sorted(self.strong | self.weak):
            for by in look.users(mark):
                marks = by_class.setdefault(by.cls, {})
                marks[mark] = (*marks.get(mark, ()), by)
        for cls, marks in sorted(by_class.items()):
            if self.strong & marks.keys() or len(marks) > 1:
                yield cls, tuple(dict.fromkeys(by for each in marks.values() for by in each))

    def natives(self, look: Look) -> Iterator[Location]:
        """Yield the native libraries that hold such a string."""
        if self.native is not None:
            for each in look.app.natives:
                if any(self._in(text) for text in _joined(each.strings)):
                    yield Location(file=each.file)

    def _in(self, text: str) -> bool:
        lowered = text.lower()
        hinted = not self.hints or any(hint in lowered for hint in self.hints)
        return hinted and self.native is not None and self.native.search(text) is not None


def _joined(strings: Sequence[str]) -> Iterator[str]:
    """Yield strings many at a time, a line each: a search in each by itself takes five times as long."""
    for at in range(0, len(strings), _AT_ONCE):
        yield "\n".join(strings[at : at + _AT_ONCE])


def checked(
    look: Look, marks: Marks, what: str, *, found: Iterable[Finding] = (), unsure: bool = False
) -> Iterator[Finding]:
    """Yield what a rule sees that looks for strings: classes that look for ``what``, native libraries, or nothing.

    :param found: what the rule found by other means.
    :param unsure: whether it found something that may be a library's.
    """
    count = 0
    for each in found:
        count += 1
        yield each
    for cls, methods in marks.checks(look):
        sure, _ = look.of_the_app(methods)
        if sure:
            count += 1
            yield look.protected(cls, f"{cls} looks for {what}.", at=places(methods))
        else:
            unsure = True
            title = f"{cls} looks for {what}; it was renamed and may be a library's."
            yield look.told(cls, title, at=places(methods), confidence=Confidence.POSSIBLE)
    if natives := tuple(marks.natives(look)):
        count += 1
        yield look.protected("native", f"Native code looks for {what}.", at=natives)
    if count:
        return
    if unsure:
        title = (
            f"Only renamed code looks for {what}; whether it's the app's or a library's isn't seen."
        )
        yield look.not_seen("checks", title)
    else:
        yield look.absent("checks", f"The app doesn't look for {what}.", Severity.LOW)

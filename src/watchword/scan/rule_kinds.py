"""Share what every rule over an app needs: what it saw, what of it is the app's own, and how to say so."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Final, Self

from watchword.encoding.tables import read_table
from watchword.scan.app import (
    App,
    Code,
    Depth,
    DomainConfig,
    Framework,
    IosInfo,
    Manifest,
    Method,
    Part,
    Use,
)
from watchword.scan.frameworks import unread_line
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.libraries import owns, package_of, unsure
from watchword.vocabulary import Platform

MAX_LOCATIONS: Final = 20
"""How many places one finding names; the title says how many there are."""

_MAX_GAPS: Final = 3
"""How many gaps the text of what was seen names one by one."""

_INTERNET: Final = "android.permission.INTERNET"


@dataclass(frozen=True, slots=True)
class RuleContext:
    """Hold one look of a rule at an app, and make its findings.

    :param parts: of the package that the rule needs; a gap in one of them turns "absent" into "not seen".
    :param reads: how deep the code of each framework must have been read for the rule to see it
        (``watchword.scan.frameworks``); so does code that wasn't.
    """

    rule: str
    app: App
    parts: tuple[Part, ...]
    reads: Mapping[Framework, Depth] = field(default_factory=dict)

    @property
    def code(self) -> Code:
        """Return the app's code; only for rules that need :attr:`Part.DEX`."""
        assert self.app.code is not None
        return self.app.code

    @property
    def manifest(self) -> Manifest:
        """Return the manifest; only for rules that need :attr:`Part.MANIFEST`."""
        assert self.app.manifest is not None
        return self.app.manifest

    @property
    def offline(self) -> bool:
        """Tell whether the app asks for no permission to use the network: what it would protect there isn't spoken."""
        manifest = self.app.manifest
        return manifest is not None and _INTERNET not in manifest.permissions

    @property
    def whole(self) -> bool:
        """Tell whether nothing that the rule needs was missed."""
        return not self._gaps()

    @property
    def seen(self) -> str:
        """Return what a verdict rests on: ``2,412 of 2,412 classes in 3 DEX files``, and what wasn't seen."""
        text = "; ".join(filter(None, (self._seen_of(part) for part in self.parts)))
        gaps = self._gaps()
        if not gaps:
            return text
        more = f" and {len(gaps) - _MAX_GAPS} more" if len(gaps) > _MAX_GAPS else ""
        return f"{text}; not seen: {', '.join(gaps[:_MAX_GAPS])}{more}"

    def own(self, cls: str) -> bool:
        """Tell whether a class is the app's own: under its package, or under no known library's."""
        return owns(cls, package_of(self.app))

    def unsure(self, by: Method) -> bool:
        """Tell whether a method counts as own only since it was renamed, and nothing that is surely own calls it.

        It may as well be a library's: shrinkers rename libraries too, and some of these look for root or read certificates.
        """
        return unsure(by, self.code, self.app.manifest)

    def of_the_app(self, found: Iterable[Method]) -> tuple[tuple[Method, ...], bool]:
        """Return those methods that are surely the app's, each once, and whether there were others."""
        methods = tuple(dict.fromkeys(found))
        sure = tuple(by for by in methods if not self.unsure(by))
        return sure, len(sure) < len(methods)

    def own_classes(self) -> Iterator[str]:
        """Yield the app's own classes, in order."""
        return (cls for cls in self.code.classes if self.own(cls))

    def calls(self, cls: str, *names: str) -> tuple[Use, ...]:
        """Return who of the app's own calls these methods of a class; any of its methods if none is named."""
        uses = (
            [use for name in names for use in self.code.calls(cls, name)]
            if names
            else self.code.calls(cls)
        )
        return tuple(use for use in uses if self.own(use.by.cls))

    def users(self, *strings: str) -> tuple[Method, ...]:
        """Return which of the app's own methods load one of these strings."""
        found = (by for string in strings for by in self.code.users(string))
        return tuple(dict.fromkeys(by for by in found if self.own(by.cls)))

    def exposed(
        self,
        subject: str,
        title: str,
        severity: Severity,
        *,
        at: Iterable[Location] = (),
        confidence: Confidence = Confidence.CERTAIN,
    ) -> Finding:
        """Say that an attacker gets something."""
        return self._finding(Verdict.EXPOSED, severity, confidence, subject, title, at)

    def protected(
        self,
        subject: str,
        title: str,
        *,
        at: Iterable[Location] = (),
        confidence: Confidence = Confidence.LIKELY,
    ) -> Finding:
        """Say that a protection is there."""
        return self._finding(Verdict.PROTECTED, Severity.INFO, confidence, subject, title, at)

    def info(
        self,
        subject: str,
        title: str,
        severity: Severity = Severity.INFO,
        *,
        at: Iterable[Location] = (),
        confidence: Confidence = Confidence.LIKELY,
    ) -> Finding:
        """State a fact that is neither good nor bad."""
        return self._finding(Verdict.INFO, severity, confidence, subject, title, at)

    def absent(self, subject: str, title: str, severity: Severity) -> Finding:
        """Say that a protection isn't there, or that it wasn't seen if anything was missed."""
        if not self.whole:
            return self.not_seen(subject, f"It wasn't found in what was seen, {self._lacking}.")
        return self._finding(Verdict.ABSENT, severity, Confidence.LIKELY, subject, title, ())

    def clean(
        self, subject: str, title: str, *, confidence: Confidence = Confidence.LIKELY
    ) -> Finding:
        """Say that nothing bad is there, or that it wasn't seen if anything was missed.

        What wasn't seen is then marked as possible: the rest may be as clean as it is in what was seen.
        """
        if not self.whole:
            title = f"Nothing was found in what was seen, {self._lacking}."
            return replace(self.not_seen(subject, title), confidence=Confidence.POSSIBLE)
        return self.protected(subject, title, confidence=confidence)

    @property
    def _lacking(self) -> str:
        """Say what keeps a rule from saying that something isn't there."""
        unread = unread_line(self.app.coverage, self.reads)
        return f"but {unread}" if unread else "which isn't all"

    def not_seen(self, subject: str, title: str) -> Finding:
        """Say that it couldn't be looked for."""
        return self._finding(
            Verdict.NOT_SEEN, Severity.INFO, Confidence.CERTAIN, subject, title, ()
        )

    def missing(self) -> dict[Part, str]:
        """Return which of the needed parts weren't read at all, with a line for people."""
        app = self.app
        lines = {
            Part.MANIFEST: "The manifest couldn't be read." if app.manifest is None else "",
            Part.DEX: "There is no code that could be read." if app.code is None else "",
            Part.SIGNING: "The signature couldn't be read." if app.signing is None else "",
        }
        return {part: lines[part] for part in self.parts if lines.get(part)}

    def _finding(
        self,
        verdict: Verdict,
        severity: Severity,
        confidence: Confidence,
        subject: str,
        title: str,
        at: Iterable[Location],
    ) -> Finding:
        places = tuple(sorted(set(at)))[:MAX_LOCATIONS]
        return Finding(self.rule, verdict, severity, confidence, subject, title, places, self.seen)

    def _seen_of(self, part: Part) -> str:
        each = [
            f"{seen.read:,} of {seen.defined:,} {seen.unit}"
            for seen in self.app.coverage.seen
            if seen.part is part
        ]
        if part is Part.DEX:
            files = sum(entry.name.endswith(".dex") for entry in self.app.entries)
            total = f"{files} DEX file{'' if files == 1 else 's'}"
            return f"{' and '.join(each)} in {total}" if each else total
        if part is Part.NATIVE and not self.app.natives and not each:
            return ""
        return " and ".join(each) if each else f"the {part.value.replace('-', ' ')}"

    def _gaps(self) -> list[str]:
        gaps = [
            f"{gap.where or gap.part.value} ({gap.why})"
            for gap in self.app.coverage.gaps_of(*self.parts)
        ]
        if Part.DEX in self.parts and self.app.manifest is None and self.app.code is not None:
            # The app may live under a library's prefix, and all of its code be taken for a library's.
            gaps.append("the app's name (without the manifest its own code isn't surely known)")
        return [*gaps, *map(str, self.app.coverage.unread(self.reads))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _AppRule:
    """Hold what every rule over apps says of itself, and what looks."""

    id: str
    title: str
    techniques: tuple[str, ...]
    protections: Mapping[str, str]
    todo: str
    blind: str
    parts: tuple[Part, ...]
    check: Callable[[RuleContext], Iterable[Finding]]
    reads: Mapping[Framework, Depth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidRule(_AppRule):
    """Hold a rule over Android apps; of apps of other platforms it says nothing.

    :param parts: of the package that it asks.
    :param reads: of the code of frameworks what it asks; nothing said, it sees none of it.
    :param optional: which of them it can do without: it sees the rest, and says itself what it didn't see.
    :param check: yields the findings; called only if all of the parts are there.
    """

    optional: tuple[Part, ...] = ()

    def run(self, app: App) -> Iterable[Finding]:
        """Yield what it sees; ``not-seen`` where a part that it needs couldn't be read."""
        if app.platform is not Platform.ANDROID:
            return
        context = RuleContext(self.id, app, self.parts, self.reads)
        for part, line in context.missing().items():
            if part not in self.optional:
                yield context.not_seen(self.id, line)
                return
        yield from self.check(context)


def places(found: Iterable[Use | Method]) -> tuple[Location, ...]:
    """Return where methods, or uses by methods, are: each once, in order."""
    methods = (each.by if isinstance(each, Use) else each for each in found)
    return tuple(dict.fromkeys(Location(cls=method.cls, member=method.name) for method in methods))


def constants(
    code: Code, by: Method, cls: str, name: str
) -> Iterator[tuple[str | int | None, ...]]:
    """Yield the constant arguments of each call of a method by another, None for what isn't constant."""
    for callee, arguments in code.arguments(by):
        if callee.name == name and callee.cls == cls:
            yield arguments


def last_constants(
    context: RuleContext, cls: str, name: str
) -> Iterator[tuple[Use, str | int | None]]:
    """Yield each own use of a method with its last argument, where that is a constant."""
    done: set[Method] = set()
    for use in context.calls(cls, name):
        if use.by in done:
            continue
        done.add(use.by)
        for arguments in constants(context.code, use.by, cls, name):
            yield use, arguments[-1] if arguments else None


def starting(texts: Sequence[str], prefix: str) -> Sequence[str]:
    """Return those of sorted texts that begin so."""
    start = bisect_left(texts, prefix)
    return texts[start : bisect_left(texts, f"{prefix}\U0010ffff", start)]


def hosts_of(domain: DomainConfig, *, below: bool = False) -> str:
    """Return the hosts that a network security config speaks of; with ``below``, that it goes for subdomains too."""
    named = sorted(
        f"{name} and all below" if below and under else name for name, under in domain.domains
    )
    return ", ".join(named) or "every host"


def short(cls: str) -> str:
    """Return a class's name without its package."""
    return cls.rpartition(".")[2]


def classes_of(found: Sequence[Use | Method]) -> int:
    """Return in how many classes methods, or uses by methods, are."""
    return len({(each.by if isinstance(each, Use) else each).cls for each in found})


MOST_NAMES: Final = 100
"""How many domains or schemes of one property list a rule looks at."""

_ALWAYS: Final = {
    Platform.ANDROID: frozenset({Part.DEX}),
    Platform.IOS: frozenset({Part.PLIST, Part.ENTITLEMENTS, Part.NATIVE}),
}
"""The parts that every app of a platform has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRule(_AppRule):
    """Hold a rule over apps of some platforms; of apps of others it says nothing.

    :param parts: of the package that it asks; a gap in one of them turns "absent" into "not seen".
    :param reads: of the code of frameworks what it asks; nothing said, it sees none of it.
    :param check: yields the findings; for an app of iOS it's called only if ``Info.plist`` could be read.
    """

    platforms: tuple[Platform, ...] = (Platform.IOS,)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield what it sees; ``not-seen`` where an app of iOS doesn't say what it is."""
        if app.platform not in self.platforms:
            return
        context = RuleContext(self.id, app, self._parts_of(app), self.reads)
        if app.platform is Platform.IOS and app.ios is None:
            yield context.not_seen(self.id, "Info.plist couldn't be read.")
            return
        yield from self.check(context)

    def _parts_of(self, app: App) -> tuple[Part, ...]:
        """Return which of the parts this app has: what no reader saw or missed isn't what a verdict rests on."""
        noted = {seen.part for seen in app.coverage.seen} | {gap.part for gap in app.coverage.gaps}
        return tuple(part for part in self.parts if part in noted or part in _ALWAYS[app.platform])


def ios_of(context: RuleContext) -> IosInfo:
    """Return what the app says of itself; only for rules over apps of iOS."""
    assert context.app.ios is not None
    return context.app.ios


def plist_place(context: RuleContext) -> Location:
    """Return where ``Info.plist`` is: in the shortest path of that name, which is the app's own."""
    names = [one.name for one in context.app.entries if one.name.endswith(".app/Info.plist")]
    return Location(file=min(names, key=lambda name: (name.count("/"), name), default="Info.plist"))


def too_many(context: RuleContext, names: Sized) -> Iterator[Finding]:
    """Say so if there are more names than a rule looks at, which no app needs."""
    if len(names) > MOST_NAMES:
        title = f"Of {len(names):,} entries the first {MOST_NAMES} were looked at."
        yield context.not_seen("more", title)


_AT_ONCE: Final = 4_096
"""How many strings of a library are searched at once."""


_MARKS: Final = read_table("watchword.scan", "marks.toml")


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

    @classmethod
    def packaged(cls, name: str) -> Self:
        """Return the strings that ``marks.toml`` holds under a name."""
        written = _MARKS[name]
        return cls(
            strong=frozenset(written["strong"]),
            weak=frozenset(written["weak"]),
            native=re.compile(written["native"], re.IGNORECASE),
            hints=tuple(written["hints"]),
        )

    def checks(self, context: RuleContext) -> Iterator[tuple[str, tuple[Method, ...]]]:
        """Yield the app's own classes whose methods load such strings, with these methods; a string nobody loads is no check."""
        by_class: dict[str, dict[str, tuple[Method, ...]]] = {}
        for mark in sorted(self.strong | self.weak):
            for by in context.users(mark):
                marks = by_class.setdefault(by.cls, {})
                marks[mark] = (*marks.get(mark, ()), by)
        for cls, marks in sorted(by_class.items()):
            if self.strong & marks.keys() or len(marks) > 1:
                yield cls, tuple(dict.fromkeys(by for each in marks.values() for by in each))

    def natives(self, context: RuleContext) -> Iterator[Location]:
        """Yield the native libraries that hold such a string."""
        if self.native is not None:
            for each in context.app.natives:
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
    context: RuleContext,
    marks: Marks,
    what: str,
    *,
    found: Iterable[Finding] = (),
    unsure: bool = False,
) -> Iterator[Finding]:
    """Yield what a rule sees that looks for strings: classes that look for ``what``, native libraries, or nothing.

    :param found: what the rule found by other means.
    :param unsure: whether it found something that may be a library's.
    """
    count = 0
    for each in found:
        count += 1
        yield each
    for cls, methods in marks.checks(context):
        sure, _ = context.of_the_app(methods)
        if sure:
            count += 1
            yield context.protected(cls, f"{cls} looks for {what}.", at=places(methods))
        else:
            unsure = True
            title = f"{cls} looks for {what}; it was renamed and may be a library's."
            yield context.info(cls, title, at=places(methods), confidence=Confidence.POSSIBLE)
    if natives := tuple(marks.natives(context)):
        count += 1
        yield context.protected("native", f"Native code looks for {what}.", at=natives)
    if count:
        return
    if unsure:
        title = (
            f"Only renamed code looks for {what}; whether it's the app's or a library's isn't seen."
        )
        yield context.not_seen("checks", title)
    else:
        yield context.absent("checks", f"The app doesn't look for {what}.", Severity.LOW)

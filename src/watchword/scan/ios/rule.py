"""Hold a rule over apps of iOS, or over native code of both platforms."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Final

from watchword.scan.app import App, Depth, Framework, IosInfo, Part
from watchword.scan.interface import Finding, Location
from watchword.scan.rule_parts import Look
from watchword.vocabulary import Platform

MOST_NAMES: Final = 100
"""How many domains or schemes of one property list a rule looks at."""

_ALWAYS: Final = {
    Platform.ANDROID: frozenset({Part.DEX}),
    Platform.IOS: frozenset({Part.PLIST, Part.ENTITLEMENTS, Part.NATIVE}),
}
"""The parts that every app of a platform has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRule:
    """Hold a rule over apps of some platforms; of apps of others it says nothing.

    :param parts: of the package that it asks; a gap in one of them turns "absent" into "not seen".
    :param reads: of the code of frameworks what it asks; nothing said, it sees none of it.
    :param see: what looks; of an app of iOS it's called only if ``Info.plist`` could be read.
    """

    id: str
    title: str
    techniques: tuple[str, ...]
    protections: Mapping[str, str]
    todo: str
    blind: str
    parts: tuple[Part, ...]
    see: Callable[[Look], Iterable[Finding]]
    platforms: tuple[Platform, ...] = (Platform.IOS,)
    reads: Mapping[Framework, Depth] = field(default_factory=dict)

    def look(self, app: App) -> Iterable[Finding]:
        """Yield what it sees; ``not-seen`` where an app of iOS doesn't say what it is."""
        if app.platform not in self.platforms:
            return
        look = Look(self.id, app, self._parts_of(app), self.reads)
        if app.platform is Platform.IOS and app.ios is None:
            yield look.not_seen(self.id, "Info.plist couldn't be read.")
            return
        yield from self.see(look)

    def _parts_of(self, app: App) -> tuple[Part, ...]:
        """Return which of the parts this app has: what no reader saw or missed isn't what a verdict rests on."""
        noted = {seen.part for seen in app.coverage.seen} | {gap.part for gap in app.coverage.gaps}
        return tuple(part for part in self.parts if part in noted or part in _ALWAYS[app.platform])


def ios_of(look: Look) -> IosInfo:
    """Return what the app says of itself; only for rules over apps of iOS."""
    assert look.app.ios is not None
    return look.app.ios


def plist_place(look: Look) -> Location:
    """Return where ``Info.plist`` is: in the shortest path of that name, which is the app's own."""
    names = [one.name for one in look.app.entries if one.name.endswith(".app/Info.plist")]
    return Location(file=min(names, key=lambda name: (name.count("/"), name), default="Info.plist"))


def too_many(look: Look, names: Sized) -> Iterator[Finding]:
    """Say so if there are more names than a rule looks at, which no app needs."""
    if len(names) > MOST_NAMES:
        title = f"Of {len(names):,} entries the first {MOST_NAMES} were looked at."
        yield look.not_seen("more", title)

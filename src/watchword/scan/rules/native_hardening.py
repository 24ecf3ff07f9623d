"""Tell how native libraries are built: what a flaw in them would open, and how much they tell a reader."""

from collections import Counter
from collections.abc import Iterator, Sequence

from watchword.scan.app import Native, Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import PlatformRule, RuleContext
from watchword.vocabulary import Platform


def _check(context: RuleContext) -> Iterator[Finding]:
    libraries: dict[str, list[Native]] = {}
    for native in context.app.natives:
        libraries.setdefault(native.file.rpartition("/")[2], []).append(native)
    for name in sorted(libraries):
        yield _of(context, name, libraries[name])
    if not context.whole:
        yield context.not_seen("libraries", "Not all native code could be read.")
    elif not libraries:
        yield context.info("libraries", "There is no native code.", confidence=Confidence.CERTAIN)


def _of(context: RuleContext, name: str, builds: Sequence[Native]) -> Finding:
    """Tell of one library in all its architectures what any of them lacks."""
    weak = Counter(text for native in builds for text in _weak(native))
    soft = Counter(text for native in builds for text in _soft(native))
    architectures = ", ".join(sorted({native.architecture for native in builds}))
    if all(native.stripped is None for native in builds):
        title = f"How {name} is built couldn't be read."
        return context.not_seen(name, title)
    lacks = [
        text if count == len(builds) else f"{text} in {count} of {len(builds)} builds"
        for text, count in (weak + soft).items()
    ]
    found = "; ".join(lacks) or "built with what compilers have against misuse"
    at = [Location(file=native.file) for native in builds]
    severity = Severity.LOW if weak else Severity.INFO
    title = f"{name} ({architectures}): {found}."
    return context.info(name, title, severity, at=at, confidence=Confidence.CERTAIN)


def _weak(native: Native) -> Iterator[str]:
    if native.executable_stack:
        yield "its stack may be executed"
    if native.pie is False:
        yield "always at the same address"
    if native.relro == "none":
        yield "its tables stay writable"
    if native.stripped is False:
        yield "names of its functions are left"


def _soft(native: Native) -> Iterator[str]:
    if native.relro == "partial":
        yield "its table of imported functions stays writable"
    if native.canary is False:
        # A library without arrays on the stack needs none: it says nothing by itself.
        yield "no stack canary is used"


RULE = PlatformRule(
    id="native-hardening",
    title="How native code is built",
    techniques=("MT-A01",),
    protections={},
    todo="Build with -fstack-protector-strong and -Wl,-z,relro,-z,now,-z,noexecstack, and strip the release.",
    blind="It reads headers, and finds no flaws. A stack canary that is missing may not have been needed. It doesn't "
    "look for fortified functions and control-flow checks.",
    parts=(Part.NATIVE,),
    reads=NO_CODE,
    check=_check,
    platforms=(Platform.ANDROID, Platform.IOS),
)

"""Compare the paths that an app names with those of the description."""

from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.api.description import Aspect, shown
from watchword.scan.api.paths import Routes, segments_in_app
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity

MAX_PATHS: Final = 5_000
"""How many of an app's paths are compared."""

_MAX_TOLD: Final = 200
_MAX_SHOWN: Final = 6


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    if context.app_paths is None:
        yield context.not_seen("app", "No app was given whose paths could be compared.")
        return
    given = sorted(context.app_paths)
    if len(given) > MAX_PATHS:
        title = f"Of {len(given):,} paths in the app the first {MAX_PATHS:,} were compared."
        yield context.not_seen("more", title)
    paths = {path: segments_in_app(path) for path in given[:MAX_PATHS]}
    bases = {server.base for server in context.description.servers} | {()}
    described = {
        ((*base, *each.segments), len(base)) for each in context.operations for base in bases
    }
    routes = Routes(sorted(described))
    unknown = [path for path, parts in paths.items() if parts and not routes.knows(parts)]
    near = [path for path in unknown if routes.near(paths[path])]
    for path in near[:_MAX_TOLD]:
        title = f"The app names {shown(path)}, which the description doesn't know."
        yield context.exposed(shown(path), title, Severity.HIGH, confidence=Confidence.LIKELY)
    if len(near) > _MAX_TOLD:
        yield context.not_seen("others", f"{len(near) - _MAX_TOLD} more paths aren't listed.")
    far = sorted(set(unknown) - set(near))
    if far:
        few = ", ".join(map(shown, far[:_MAX_SHOWN])) + (", ..." if len(far) > _MAX_SHOWN else "")
        title = f"{counted(len(far), 'path')} in the app that may be of other APIs ({few}), not described."
        yield context.info("far", title, Severity.LOW)
    yield from _unused(context, set(paths.values()))


def _unused(context: ApiRuleContext, named: set[tuple[str, ...]]) -> Iterator[Finding]:
    """Say which operations the app names nothing of."""
    in_app = Routes((parts, len(parts)) for parts in sorted(named))
    unused = [
        each
        for each in context.operations
        if not any(
            in_app.knows(each.segments[start:]) for start in range(max(1, len(each.segments) - 1))
        )
    ]
    if unused:
        count = counted(len({each.name for each in unused}), "described operation")
        title = (
            f"{count} by no path in the app: for others, left over, or put together at run time."
        )
        yield context.info("unused", title, at=unused)


RULE = ApiRule(
    id="api-unknown-paths",
    title="Paths that the description doesn't know",
    techniques=("MT-B02", "MT-A03"),
    protections={"PR-B16": "scan:api.shadow_endpoints"},
    todo="Describe what the app calls, retire what nobody should call any more, and refuse at the gate whatever isn't described.",
    blind="It compares text. It doesn't see paths that the app puts together at run time, and another API's paths can "
    "look alike.",
    aspects=(Aspect.SERVERS,),
    check=_check,
    nothing="Every path that the app names is described, as far as it begins like a described one.",
)

"""Write docs/scan-rules.md from the rules of the scan: what each looks for, what it is evidence of, what it can't tell.

A rule is changed in its file under src/watchword/scan/rules/ or src/watchword/scan/api/rules/, where
``watchword scan rules`` and the reports find it too.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from watchword.plan.catalogue import load_catalogue
from watchword.scan.api.registry import RULES as API_RULES
from watchword.scan.defaults import ANDROID_DEFAULTS, IOS_DEFAULTS, MOST_LEVEL, PlatformDefault
from watchword.scan.interface import Telling
from watchword.scan.registry import RULES
from watchword.scan.rule_kinds import AndroidRule
from watchword.vocabulary import Platform

TARGET: Final = Path(__file__).parents[2] / "docs" / "scan-rules.md"
INTRODUCTION: Final = """\
# Rules of the scan

`watchword scan` has {app} rules for built apps, and {api} for the description of an API (`--api`). `watchword scan rules ID` prints one.
[scan-reading.md](scan-reading.md#what-a-verdict-means) says what a verdict and a severity mean, the [catalogue](catalogue.md) what the techniques and
protections are. A rule's section has its id for an anchor: `#secret-in-app`.

This page is made by `python -m scripts.pages scan-rules` from the files under `src/watchword/scan/rules/` and
`src/watchword/scan/api/rules/`.
"""
EVIDENCE: Final = """\
## Which protection a build says something of

The scan records [observations](observations.md) (`--sign`) by these keys only. If several rules share a key, each must hold: the worst decides.

| protection | | key | rules |
| --- | --- | --- | --- |
"""
OF_APPS: Final = """\
## Over built apps

| rule | looks for | in apps of |
| --- | --- | --- |
"""
OF_APIS: Final = """\
## Over the description of an API

These rules say nothing about a build. A description is what somebody wrote, so nothing of it is recorded. The order is that of a report.

| rule | looks for |
| --- | --- |
"""
DEFAULTS: Final = """\
## Platform defaults

If an app states nothing, Android and iOS decide by the version that the app targets, and by the phone. An older phone knows nothing of a newer
default, whatever the app targets. The rules merge these rows with what the app states.

- A version that isn't stated counts as the system counts it: 1 for the oldest, the oldest for the target.
- A code name, or a level above {most}, has no known default: the rule says *not seen*.
- What only phones older than the row's version are open to is *exposed*, of severity low. The protection of newer phones then proves nothing.

On iOS, *targeted* is the SDK that the app was linked with (`DTSDKName`).

| | | targeted from | and phones from | before | then | rules | read |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
_PLATFORMS: Final = {Platform.ANDROID: "Android", Platform.IOS: "iOS"}


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION.format(app=len(RULES), api=len(API_RULES)), "\n".join(_evidence())]
    parts.append("\n".join(_listed(OF_APPS, RULES, _platforms)))
    parts += ["\n".join(_rule(each, "rules", _platforms(each))) for each in RULES]
    parts.append("\n".join(_defaults()))
    parts.append("\n".join(_listed(OF_APIS, API_RULES, None)))
    parts += ["\n".join(_rule(each, "api.rules", "")) for each in API_RULES]
    return "\n".join(parts)


def _evidence() -> Iterator[str]:
    yield EVIDENCE.rstrip()
    protections = load_catalogue().protections
    pairs = sorted({pair for each in RULES for pair in each.protections.items()})
    for name, key in pairs:
        giving = [each.id for each in RULES if each.protections.get(name) == key]
        told = ", ".join(f"[{each}](#{each})" for each in giving)
        yield f"| {_linked(name)} | {protections[name].name} | `{key}` | {told} |"
    yield ""


def _defaults() -> Iterator[str]:
    yield DEFAULTS.format(most=MOST_LEVEL).rstrip()
    for platform, rows in (("Android", ANDROID_DEFAULTS), ("iOS", IOS_DEFAULTS)):
        for row in rows:
            links = [f"[{place}]({url})" for place, url in enumerate((row.source, *row.more), 1)]
            read = f"{row.read}: {', '.join(links)}"
            rules = ", ".join(f"[{each}](#{each})" for each in row.rules)
            cells = (platform, row.setting, _version(row), row.system or "any", row.before)
            after = "the same" if row.after == row.before else row.after
            yield f"| {' | '.join((*cells, after, rules, read))} |"
    yield ""


def _version(row: PlatformDefault) -> str:
    return str(row.target) if row.target else "any"


def _listed(
    head: str, rules: Sequence[Telling], platforms: Callable[[Telling], str] | None
) -> Iterator[str]:
    yield head.rstrip()
    for each in rules:
        of = f" {platforms(each)} |" if platforms else ""
        yield f"| [{each.id}](#{each.id}) | {each.title} |{of}"
    yield ""


def _rule(rule: Telling, package: str, platforms: str) -> Iterator[str]:
    """Yield a rule's section; what it sees is the first line of its file, in the third person."""
    catalogue = load_catalogue()
    file = sys.modules[f"watchword.scan.{package}.{rule.id.replace('-', '_')}"]
    verb, _, rest = (file.__doc__ or "").strip().partition(" ")
    yield f"### {rule.id}"
    yield ""
    yield f"{rule.title}. {verb}s {rest}"
    yield ""
    if platforms:
        yield f"- In apps of: {platforms}"
    names = [f"{_linked(each)} {catalogue.techniques[each].name}" for each in rule.techniques]
    yield f"- Good for: {', '.join(names) or 'no technique by itself'}"
    named = {
        f"{_linked(name)} {catalogue.protections[name].name}": key
        for name, key in rule.protections.items()
    }
    if platforms:
        told = ", ".join(f"{name} (`{key}`)" for name, key in named.items())
        yield f"- Evidence of: {told or 'nothing'}"
    elif named:
        yield f"- Stopped by: {', '.join(named)}"
    yield f"- What to do: {rule.todo}"
    yield f"- Can't tell: {rule.blind}"
    yield ""


def _linked(name: str) -> str:
    return f"[{name}](catalogue.md#{name.lower()})"


def _platforms(rule: Telling) -> str:
    platforms = (Platform.ANDROID,) if isinstance(rule, AndroidRule) else tuple(Platform)
    return ", ".join(_PLATFORMS[each] for each in sorted(getattr(rule, "platforms", platforms)))

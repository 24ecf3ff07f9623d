"""See whether the app hands out intents that whoever gets them may fill in."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.defaults import PENDING_INTENTS, Where, levels_of
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, constants, places

_PENDING: Final = "android.app.PendingIntent"
_MAKERS: Final = (
    "getActivities",
    "getActivity",
    "getBroadcast",
    "getForegroundService",
    "getService",
)
_FLAGS_AT: Final = 3
"""Where the flags stand among a maker's arguments: context, code, intent, flags, and sometimes options."""

_MUTABLE: Final = 0x02000000
_IMMUTABLE: Final = 0x04000000
"""Source: https://learn.microsoft.com/en-us/dotnet/api/android.app.pendingintentflags, read on 2026-11-29."""


def _check(context: RuleContext) -> Iterator[Finding]:
    levels = levels_of(context.app)
    where = PENDING_INTENTS.before_on(levels)
    found = list(_found(context, where))
    yield from found
    if found:
        return
    if context.calls(_PENDING, *_MAKERS):
        what = "Each pending intent of the app's own says by a flag whether others may change it."
        yield context.clean("pending-intents", what)
    else:
        yield context.info("pending-intents", "The app's own code makes no pending intent.")


def _found(context: RuleContext, where: Where) -> Iterator[Finding]:
    sure, others = context.of_the_app(use.by for use in context.calls(_PENDING, *_MAKERS))
    if others:
        title = "Classes that were renamed make pending intents; whether they are the app's own isn't known."
        yield context.not_seen("renamed", title)
    for by in sure:
        flags = list(_flags(context, by))
        left = [each for each in flags if each is not None and not each & (_MUTABLE | _IMMUTABLE)]
        if None in flags:
            title = f"Whether others may change the pending intents of {by} isn't seen: its flags aren't constant."
            yield context.not_seen(f"flags:{by}", title)
        if any(each is not None and each & _MUTABLE for each in flags):
            title = f"{by} makes a pending intent that whoever gets it may fill in (FLAG_MUTABLE)."
            yield context.info(f"mutable:{by}", title, Severity.LOW, at=places([by]))
        if not left:
            continue
        if where is Where.UNKNOWN:
            title = f"Whether others may change the pending intents of {by} isn't known: the default depends on a version that nobody knows."
            yield context.not_seen(f"default:{by}", title)
        elif where is not Where.NOWHERE:
            on = "" if where is Where.EVERYWHERE else f" on {PENDING_INTENTS.older_inside}"
            title = f"{by} makes a pending intent without FLAG_IMMUTABLE, so that whoever gets it may fill in what it leaves open{on}."
            yield context.exposed(
                f"default:{by}",
                title,
                Severity.LOW,
                at=places([by]),
                confidence=Confidence.LIKELY,
            )


def _flags(context: RuleContext, by: Method) -> Iterator[int | None]:
    """Yield the flags of each pending intent that a method makes; None where they aren't constant."""
    for name in _MAKERS:
        for arguments in constants(context.code, by, _PENDING, name):
            value = arguments[_FLAGS_AT] if len(arguments) > _FLAGS_AT else None
            yield value if isinstance(value, int) else None


RULE = AndroidRule(
    id="pending-intents",
    title="Pending intents that others may fill in",
    techniques=("MT-A19",),
    protections={},
    todo="Make pending intents with FLAG_IMMUTABLE. If one must be filled in, make it with an intent that names its "
    "component.",
    blind="It doesn't see whether the intent inside names its component, who gets it, or flags that aren't constant.",
    parts=(Part.DEX,),
    check=_check,
)

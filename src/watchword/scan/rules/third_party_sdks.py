"""Tell which well-known libraries are in the build."""

from collections.abc import Iterator

from watchword.encoding.phrases import counted
from watchword.scan.app import Part
from watchword.scan.interface import Finding, Location
from watchword.scan.libraries import SDKS
from watchword.scan.rule_kinds import AndroidRule, RuleContext, starting


def _check(context: RuleContext) -> Iterator[Finding]:
    classes = context.code.classes
    found = False
    for prefix, name in SDKS.items():
        count = len(starting(classes, prefix))
        if count:
            found = True
            title = f"{name}: {counted(count, 'class', 'classes')}."
            yield context.info(prefix.rstrip("."), title, at=(Location(cls=prefix.rstrip(".")),))
    if not found:
        title = "None of the libraries that are known here."
        yield context.info("sdks", title) if context.whole else context.not_seen("sdks", title)


RULE = AndroidRule(
    id="third-party-sdks",
    title="Libraries in the build",
    techniques=("MT-A21",),
    protections={},
    todo="Know what each of them sends, and where. Take out what isn't used.",
    blind="It knows libraries by their package names. It doesn't see renamed ones, or versions.",
    parts=(Part.DEX,),
    check=_check,
)

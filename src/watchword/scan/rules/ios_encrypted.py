"""Tell whether the store encrypted an iOS app's code, so that nothing of it could be read."""

from collections.abc import Iterator

from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding
from watchword.scan.rule_kinds import PlatformRule, RuleContext


def _check(context: RuleContext) -> Iterator[Finding]:
    images: dict[str, list[bool]] = {}
    for native in context.app.natives:
        images.setdefault(native.file, []).append(bool(native.encrypted))
    for name in sorted(name for name, encrypted in images.items() if any(encrypted)):
        yield context.not_seen(name, f"{name} is encrypted by the store: its code wasn't seen.")
    if any(any(encrypted) for encrypted in images.values()):
        return
    if context.whole and images:
        title = "No code is encrypted: the package is as it was built, before the store."
        yield context.info("code", title, confidence=Confidence.CERTAIN)
    else:
        yield context.not_seen("code", "Whether the code is encrypted couldn't be read everywhere.")


RULE = PlatformRule(
    id="ios-encrypted",
    title="Code that the store encrypted",
    techniques=("MT-A01",),
    protections={},
    todo="Scan the build that goes to the store, not the one that comes from it.",
    blind="Encryption by the store keeps nobody from reading: on a phone under the attacker's control, the code is "
    "open in memory.",
    parts=(Part.NATIVE,),
    reads=NO_CODE,
    check=_check,
)

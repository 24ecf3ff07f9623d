"""See whether the app checks that it's unchanged: its signature, its files, who installed it."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, constants, places, starting

_PACKAGES: Final = "android.content.pm.PackageManager"
_GET_SIGNATURES: Final = 0x40
_GET_SIGNING_CERTIFICATES: Final = 0x8000000
_INSTALLERS: Final = ("getInstallerPackageName", "getInstallSourceInfo")
_DIGEST: Final = re.compile(
    r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){19,31}[0-9A-Fa-f]{2}|[A-Za-z0-9+/]{27}=|[A-Za-z0-9+/]{43}="
)
"""What a certificate's digest looks like in code."""

_CRC: Final = (("java.util.zip.ZipEntry", "getCrc"), ("java.util.zip.CRC32", "getValue"))


def _check(context: RuleContext) -> Iterator[Finding]:
    readers = [*_readers(context)]
    unsure = [by for by in readers if context.unsure(by) and not _knows_itself(context, by)]
    found = [_signature(context, by) for by in readers if by not in unsure]
    sums, others = context.of_the_app(_sums(context))
    found += [
        context.protected(
            f"sums:{by}", f"{by} compares sums of the app's own files.", at=places([by])
        )
        for by in sums
    ]
    yield from found
    uses = context.calls(_PACKAGES, *_INSTALLERS)
    if uses:
        title = "The app asks who installed it; whoever changes it changes the answer."
        yield context.info("installer", title, at=places(uses))
    if found:
        return
    if unsure or others:
        title = "Only renamed code reads certificates or sums; whether it's the app's or a library's isn't seen."
        yield context.not_seen("integrity", title)
    else:
        yield context.absent(
            "integrity", "The app checks neither its signature nor its files.", Severity.LOW
        )


def _readers(context: RuleContext) -> Iterator[Method]:
    """Yield the methods that read the signing certificate of a package."""
    for by in dict.fromkeys(use.by for use in context.calls(_PACKAGES, "getPackageInfo")):
        for arguments in constants(context.code, by, _PACKAGES, "getPackageInfo"):
            flags = arguments[-1] if arguments else None
            if isinstance(flags, int) and flags & (_GET_SIGNATURES | _GET_SIGNING_CERTIFICATES):
                yield by
                break
    yield from dict.fromkeys(use.by for use in context.calls(_PACKAGES, "hasSigningCertificate"))


def _knows_itself(context: RuleContext, by: Method) -> bool:
    """Tell whether a method asks for the app's own name and knows a digest to compare with."""
    asks = any(each.name == "getPackageName" for each in context.code.calls_of(by))
    return asks and any(map(_DIGEST.fullmatch, context.code.strings_of(by)))


def _signature(context: RuleContext, by: Method) -> Finding:
    own = any(each.name == "getPackageName" for each in context.code.calls_of(by)) or (
        context.app.manifest is not None
        and context.app.manifest.package in context.code.strings_of(by)
    )
    whose = "the app's own" if own else "a package's"
    sure = Confidence.LIKELY if own else Confidence.POSSIBLE
    title = f"{by} reads {whose} signing certificate."
    return context.protected(f"signature:{by}", title, at=places([by]), confidence=sure)


def _sums(context: RuleContext) -> Iterator[Method]:
    """Yield the methods that read sums, in classes that name files of code."""
    files = [
        *starting(context.code.strings, "lib/"),
        *(text for text in context.code.strings if text.endswith(".dex")),
    ]
    readers = {by.cls for by in context.users(*files)}
    for cls, name in _CRC:
        yield from (use.by for use in context.calls(cls, name) if use.by.cls in readers)


RULE = AndroidRule(
    id="integrity-checks",
    title="The app's checks of itself",
    techniques=("MT-A11", "MT-A12"),
    protections={"PR-A03": "scan:static.integrity_checks"},
    todo="Have the server check the app by attestation; a check inside the app is taken out with the rest.",
    blind="It doesn't tell whose signature is read, nor whether anything follows. It doesn't see checks in native "
    "code, only what the code before them does.",
    parts=(Part.DEX,),
    check=_check,
)

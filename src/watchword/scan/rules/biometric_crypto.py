"""See whether fingerprint or face release a key, or only answer yes."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.interface import Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, places

_WRAPPER: Final = "androidx.biometric.BiometricPrompt"
_PROMPT: Final = "android.hardware.biometrics.BiometricPrompt"
_OLD: Final = (
    "android.hardware.fingerprint.FingerprintManager",
    "androidx.core.hardware.fingerprint.FingerprintManagerCompat",
    "android.support.v4.hardware.fingerprint.FingerprintManagerCompat",
)
_PARAMETER: Final = re.compile(r"\[*(?:L[^;]+;|.)")


def _check(context: RuleContext) -> Iterator[Finding]:
    asks = [*_asks(context)]
    unsure = [by for by, _ in asks if context.unsure(by)]
    found = [each for each in asks if each[0] not in unsure]
    for by, callee in found:
        yield _of(context, by, callee)
    if found:
        return
    if unsure:
        title = "Only classes that were renamed ask for a fingerprint or face; whether by a key isn't seen."
        yield context.not_seen("biometrics", title)
    else:
        yield context.absent(
            "biometrics", "The app's own code asks for no fingerprint or face.", Severity.INFO
        )


def _asks(context: RuleContext) -> Iterator[tuple[Method, Method]]:
    """Yield which method asks by which."""
    for cls in (_PROMPT, *_OLD):
        for by in dict.fromkeys(use.by for use in context.calls(cls, "authenticate")):
            for callee in dict.fromkeys(context.code.calls_of(by)):
                if callee.cls == cls and callee.name == "authenticate":
                    yield by, callee
    for by in dict.fromkeys(use.by for use in context.calls(_WRAPPER)):
        for callee in dict.fromkeys(context.code.calls_of(by)):
            if callee.cls == _WRAPPER and _authenticates(callee):
                yield by, callee


def _authenticates(callee: Method) -> bool:
    """Tell ``authenticate`` by its parameters, since a shrinker renames it: what to show, and perhaps a key."""
    nested = f"L{_WRAPPER.replace('.', '/')}$"
    parameters = _parameters(callee.descriptor)
    return (
        callee.name != "<init>"
        and callee.descriptor.endswith(")V")
        and 1 <= len(parameters) <= 2
        and all(each.startswith(nested) for each in parameters)
    )


def _of(context: RuleContext, by: Method, callee: Method) -> Finding:
    at = places([by])
    if callee.cls == _WRAPPER:
        keyed = len(_parameters(callee.descriptor)) == 2
    else:
        keyed = "CryptoObject" in callee.descriptor
    if not keyed or _by_null(context, by, callee):
        title = f"{by} asks for a fingerprint or face that releases no key: a faked yes is enough."
        return context.exposed(str(by), title, Severity.MEDIUM, at=at)
    title = f"{by} asks for a fingerprint or face that releases a key."
    return context.protected(str(by), title, at=at)


def _by_null(context: RuleContext, by: Method, callee: Method) -> bool:
    """Tell whether null stands where the key would, each time: first of the parameters, in the wrapper second."""
    types = _parameters(callee.descriptor)
    index = 1 if callee.cls == _WRAPPER else 0
    keys = [
        # Readers may list the object itself first.
        arguments[len(arguments) - len(types) + index]
        for each, arguments in context.code.arguments(by)
        if each == callee and len(arguments) >= len(types)
    ]
    return bool(keys) and all(key == 0 for key in keys)


def _parameters(descriptor: str) -> list[str]:
    """Return the types of a descriptor's parameters."""
    return _PARAMETER.findall(descriptor[1 : descriptor.rindex(")")])


RULE = AndroidRule(
    id="biometric-crypto",
    title="Biometrics that release a key",
    techniques=("MT-A13",),
    protections={"PR-A09": "scan:static.biometric_crypto"},
    todo="Hand BiometricPrompt.authenticate a CryptoObject, and use what it unlocks.",
    blind="It doesn't tell whether the released key is used for anything, and doesn't see a library's renamed prompt.",
    parts=(Part.DEX,),
    check=_check,
)

"""See whether the app keeps its keys in the phone's key store."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, places

_STORE: Final = "AndroidKeyStore"
_BUILDER: Final = "android.security.keystore.KeyGenParameterSpec$Builder"
_WRAPPERS: Final = (
    "androidx.security.crypto.EncryptedSharedPreferences",
    "androidx.security.crypto.EncryptedFile$Builder",
    "androidx.security.crypto.MasterKey$Builder",
    "androidx.security.crypto.MasterKeys",
    "com.google.crypto.tink.integration.android.AndroidKeysetManager$Builder",
)


def _check(context: RuleContext) -> Iterator[Finding]:
    direct = context.users(_STORE)
    built = context.calls(_BUILDER, "<init>")
    at = (*places(direct), *places(built))
    if at:
        title = "The app keeps keys in the Android key store."
        yield context.protected("keystore", title, at=at, confidence=Confidence.CERTAIN)
    wrapped = [use for cls in _WRAPPERS for use in context.calls(cls)]
    if wrapped:
        title = "The app encrypts what it stores by a key of the key store."
        yield context.protected("encrypted-storage", title, at=places(wrapped))
    strong = context.calls(_BUILDER, "setIsStrongBoxBacked")
    if strong:
        yield context.info("strongbox", "Keys are asked for in a StrongBox.", at=places(strong))
    if not at and not wrapped:
        yield context.absent(
            "keystore", "The app's own code uses no hardware key store.", Severity.MEDIUM
        )


RULE = AndroidRule(
    id="keystore-use",
    title="Use of the hardware key store",
    techniques=("MT-A10", "MT-A23"),
    protections={"PR-A08": "scan:static.keystore_use"},
    todo="Keep tokens encrypted by a key of the Android key store, in a StrongBox if there is one.",
    blind="It doesn't tell what else the app stores unencrypted, nor whether a phone's store is in hardware: "
    "attestation does.",
    parts=(Part.DEX,),
    check=_check,
)

"""See whether the app keeps its keys in the phone's key store."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_parts import AndroidRule, Look, places

_STORE: Final = "AndroidKeyStore"
_BUILDER: Final = "android.security.keystore.KeyGenParameterSpec$Builder"
_WRAPPERS: Final = (
    "androidx.security.crypto.EncryptedSharedPreferences",
    "androidx.security.crypto.EncryptedFile$Builder",
    "androidx.security.crypto.MasterKey$Builder",
    "androidx.security.crypto.MasterKeys",
    "com.google.crypto.tink.integration.android.AndroidKeysetManager$Builder",
)


def _see(look: Look) -> Iterator[Finding]:
    direct = look.users(_STORE)
    built = look.calls(_BUILDER, "<init>")
    at = (*places(direct), *places(built))
    if at:
        title = "The app keeps keys in the Android key store."
        yield look.protected("keystore", title, at=at, confidence=Confidence.CERTAIN)
    wrapped = [use for cls in _WRAPPERS for use in look.calls(cls)]
    if wrapped:
        title = "The app encrypts what it stores by a key of the key store."
        yield look.protected("encrypted-storage", title, at=places(wrapped))
    strong = look.calls(_BUILDER, "setIsStrongBoxBacked")
    if strong:
        yield look.told("strongbox", "Keys are asked for in a StrongBox.", at=places(strong))
    if not at and not wrapped:
        yield look.absent(
            "keystore", "The app's own code uses no hardware key store.", Severity.MEDIUM
        )


RULE = AndroidRule(
    id="keystore-use",
    title="Use of the hardware key store",
    techniques=("MT-A10", "MT-A23"),
    protections={"PR-A08": "scan:static.keystore_use"},
    todo="Keep tokens encrypted by a key of the Android key store, in a StrongBox where there is one.",
    blind="It doesn't tell what else the app stores unencrypted, nor whether a phone's store is in hardware: attestation tells.",
    parts=(Part.DEX,),
    see=_see,
)

"""Tests of the rule on the key store."""

from tests.unit.scan.simulated import Body, Call, Class, running, simulated, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.rules.keystore_use import RULE

ABSENT = {"keystore": Verdict.ABSENT}
BUILDER = "android.security.keystore.KeyGenParameterSpec$Builder"


def test_direct_use() -> None:
    """The key store by its name, or the spec of a key for it, counts."""
    assert verdicts(RULE, running(strings=("AndroidKeyStore",))) == {"keystore": Verdict.PROTECTED}
    assert verdicts(RULE, running(Call(BUILDER, "<init>"))) == {"keystore": Verdict.PROTECTED}


def test_encrypted_storage() -> None:
    """A library that encrypts by it counts if the app asks it."""
    name = "androidx.security.crypto.EncryptedSharedPreferences"
    found = verdicts(RULE, running(Call(name, "create")))
    assert found == {"encrypted-storage": Verdict.PROTECTED}
    assert (
        verdicts(RULE, simulated(Class(name, (Body("a", strings=("AndroidKeyStore",)),)))) == ABSENT
    )


def test_strongbox_is_told() -> None:
    """A StrongBox that is asked for is told beside."""
    app = running(Call(BUILDER, "<init>"), Call(BUILDER, "setIsStrongBoxBacked"))
    assert verdicts(RULE, app) == {"keystore": Verdict.PROTECTED, "strongbox": Verdict.INFO}


def test_other_stores() -> None:
    """A key store in a file is none of the phone's."""
    assert verdicts(RULE, running(strings=("BKS",))) == ABSENT

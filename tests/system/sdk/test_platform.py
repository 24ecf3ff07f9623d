"""Hold what the Android SDK asks of a phone to Android's published types: names, how many parameters, and since which API level."""

import tomllib
from typing import Any

import pytest
from scripts.sdk import android, platform
from scripts.sdk.platform import Member, Reference

OLDEST = 24
PLATFORM = ("android.", "dalvik.", "java.", "javax.", "org.json.")
SHIPPED = [name for name, module in android.modules().items() if module.artifact]
TABLE: dict[str, Any] = tomllib.loads((android.SOURCES / "modules.toml").read_text("utf-8"))
REPLACED = ("java.lang.invoke.LambdaMetafactory", "java.lang.invoke.StringConcatFactory")
"""What the dexer puts code of its own in place of."""


def _asked(module: str) -> dict[Reference, int | None]:
    """Return what a module asks of the platform, and since when a phone has it; None: it never has."""
    found = platform.references(android.Build().compiled(module))
    return {
        each: platform.since(each)
        for each in found
        if each.owner.startswith(PLATFORM) and not each.owner.startswith(REPLACED)
    }


@pytest.mark.parametrize("module", SHIPPED)
def test_oldest_phone_has_what_is_called(module: str) -> None:
    """What is newer stands in the table of what is guarded, at its level; what doesn't exist stands nowhere."""
    wrong = {
        str(each): level
        for each, level in _asked(module).items()
        if level is None or (level > OLDEST and TABLE["guarded"].get(str(each)) != level)
    }
    assert wrong == {}


def test_each_guarded_call_is_made() -> None:
    """The table has no more than there is."""
    asked = {str(each) for module in SHIPPED for each in _asked(module)}
    assert TABLE["guarded"].keys() - asked == set()


def test_stubs_are_as_android() -> None:
    """Each class and member exists by name and number of parameters, but for what tests set; nothing that ships calls that."""
    stubs = platform.declared(android.Build().compiled("stubs"))
    assert len(stubs) > 50
    unknown = {str(each) for each in stubs if platform.since(each) is None}
    assert unknown == set(TABLE["stubs"]["for_tests"])
    asked = {str(each) for module in SHIPPED for each in _asked(module)}
    assert asked & unknown == set()


@pytest.mark.parametrize(
    ("owner", "member", "descriptor", "level"),
    [
        ("java.util.Base64", None, "", 26),
        ("java.util.Base64", Member("getEncoder", 0), "", 26),
        ("java.io.InputStream", Member("readAllBytes", 0), "", 33),
        ("java.util.Optional", Member("isEmpty", 0), "", 33),
        ("java.util.List", Member("size", 0), "", 21),
        # It is declared two classes above.
        ("javax.net.ssl.HttpsURLConnection", Member("setRequestProperty", 2), "", 21),
        ("java.util.ArrayList", Member("hashCode", 0), "", 21),
        ("java.lang.Object", Member("constructor", 0), "", 21),
        ("android.os.SystemClock", Member("elapsedRealtime", 0), "", 21),
        ("android.os.SystemClock", Member("elapsedRealtime", 1), "", None),
        ("android.os.SystemClock", Member("elapsedRealtime", -1), "", None),
        ("android.os.Build.VERSION", Member("SDK_INT", -1), "", 21),
        ("android.os.Clock", None, "", None),
        # Newer Java narrowed what it returns, and code compiled so fails on a phone.
        ("java.nio.ByteBuffer", Member("flip", 0), "()Ljava/nio/Buffer;", 21),
        ("java.nio.ByteBuffer", Member("flip", 0), "()Ljava/nio/ByteBuffer;", None),
        (
            "java.security.KeyStore",
            Member("getKey", 2),
            "(Ljava/lang/String;[C)Ljava/security/Key;",
            21,
        ),
        (
            "java.security.KeyStore",
            Member("getKey", 2),
            "(Ljava/lang/String;[C)Ljava/security/PublicKey;",
            None,
        ),
        (
            "java.lang.Class",
            Member("getMethod", 2),
            "(Ljava/lang/String;[Ljava/lang/Class;)Ljava/lang/reflect/Method;",
            21,
        ),
        ("java.util.concurrent.TimeUnit", Member("toMillis", 1), "(J)J", 21),
        (
            "java.util.concurrent.TimeUnit",
            Member("SECONDS", -1),
            "Ljava/util/concurrent/TimeUnit;",
            21,
        ),
        ("java.util.concurrent.TimeUnit", Member("ordinal", 0), "()I", 21),
        ("java.util.Arrays", Member("copyOf", 2), "([BI)[B", 21),
    ],
)
def test_list_is_read_rightly(
    owner: str, member: Member | None, descriptor: str, level: int | None
) -> None:
    """Classes, methods by their number of parameters, fields, what a class has from another, and types."""
    assert platform.since(Reference(owner, member, descriptor)) == level

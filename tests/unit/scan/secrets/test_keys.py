"""Test how constants are followed into ciphers."""

import pytest
from tests.unit.scan.simulated import PACKAGE, Body, Call, Class, simulated

from watchword.scan.app import App
from watchword.scan.interface import Confidence
from watchword.scan.secrets.keys import KeyUse, Way, key_uses

SPEC = "javax.crypto.spec.SecretKeySpec"
KEY = "This is the super secret key 999"
HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
CRYPTO = f"{PACKAGE}.Crypto"


def only(app: App) -> KeyUse:
    """Return the one key of an app."""
    (use,) = key_uses(app)
    return use


def opened(*more: Class, fields: dict[str, str] | None = None, init: Body | None = None) -> App:
    """Return an app with a method that makes a key of what it's given."""
    make = Body(
        "make",
        (Call(SPEC, "<init>", (None, "AES")), Call("javax.crypto.Cipher", "getInstance", ("AES",))),
        ("AES", "AES/CBC/PKCS5Padding", "Could not encrypt this message"),
        descriptor="([B)V",
    )
    bodies = (make,) if init is None else (make, init)
    return simulated(Class(CRYPTO, bodies, fields=fields or {}), *more)


def test_a_constant_that_is_handed_over_is_certain() -> None:
    """A text that reaches the key's constructor is the key, whatever it looks like."""
    call = Call(SPEC, "<init>", ("abc", "AES"))
    use = only(simulated(Class(CRYPTO, (Body("run", (call,), ("abc", "AES")),))))
    assert (use.value, use.way, use.confidence) == ("abc", Way.HANDED, Confidence.CERTAIN)


def test_a_field_that_is_set_at_the_begin_is_found() -> None:
    """A text of a key's length that only goes into a field of the class is its key; algorithms and messages aren't."""
    init = Body(
        "<init>",
        (Call("android.util.Log", "d", ("Crypto was made, without a fault",)),),
        (KEY, "AES/CTR/NoPadding", "Crypto was made, without a fault"),
    )
    use = only(opened(init=init))
    assert (use.value, use.way) == (KEY, Way.FIELD)


def test_a_static_field_is_found() -> None:
    """A constant of the class is its key."""
    assert only(opened(fields={"K": KEY})).value == KEY


def test_a_placeholder_that_no_cipher_takes_is_no_key() -> None:
    """Where only the name of a field speaks for a key, its value must look like one that somebody made."""
    fields = {"SECRET_KEY": "1234567890abcdef1234567890abcdef"}
    assert not key_uses(simulated(Class(f"{PACKAGE}.BuildConfig", fields=fields)))
    (use,) = key_uses(simulated(Class(f"{PACKAGE}.BuildConfig", fields={"SECRET_KEY": HEX})))
    assert use.way is Way.NAME


def test_a_caller_that_decodes_the_key_is_found() -> None:
    """The key is decoded by another method and handed over: one step across classes."""
    caller = Body(
        "check",
        (
            Call(f"{PACKAGE}.Hex", "decode", (HEX,), "(Ljava/lang/String;)[B"),
            Call(CRYPTO, "make", (None,), "([B)V"),
            Call("android.util.Log", "d", ("CodeCheck", "AES error: this went wrong!!")),
        ),
        (HEX, "CodeCheck", "AES error: this went wrong!!"),
    )
    use = only(opened(Class(f"{PACKAGE}.Check", (caller,))))
    assert (use.value, use.way) == (HEX, Way.CALLER)


def test_a_key_from_a_resource_is_told_without_its_value() -> None:
    """A string resource as bytes into the constructor is a constant too."""
    calls = (
        Call("android.content.res.Resources", "getString", (7,), "(I)Ljava/lang/String;"),
        Call("java.lang.String", "getBytes"),
        Call(SPEC, "<init>", (None, "AES")),
    )
    use = only(simulated(Class(CRYPTO, (Body("run", calls, ("AES",)),))))
    assert (use.value, use.way) == (None, Way.RESOURCE)


@pytest.mark.parametrize("mnemonic", ["xor-int", "xor-int/2addr"])
def test_a_home_made_cipher_is_found(mnemonic: str) -> None:
    """Characters of two texts, combined by exclusive or: the constant is the key."""
    chars = Call("java.lang.String", "charAt")
    code = ("const-string", mnemonic, "int-to-char", "return")
    body = Body("c", (chars, chars), ("", "amazing"), code)
    use = only(simulated(Class(CRYPTO, (body,))))
    assert (use.value, use.way) == ("amazing", Way.OWN_CIPHER)


@pytest.mark.parametrize(
    "mnemonics",
    [
        ("xor-int/lit8", "int-to-char"),
        ("xor-int", "or-int/2addr", "return"),
        ("xor-int/2addr", "mul-int/2addr", "add-int/lit8", "goto", "int-to-char"),
    ],
    ids=["a flag", "a comparison", "a hash"],
)
def test_exclusive_or_that_makes_no_character_is_no_cipher(mnemonics: tuple[str, ...]) -> None:
    """ICU reads the patterns of its time zones so, in a library or copied into the app: thirty findings, none of them a key."""
    chars = Call("java.lang.String", "charAt")
    body = Body("c", (chars, chars), ("zoneStrings/gmtFormat",), mnemonics)
    assert not key_uses(simulated(Class(CRYPTO, (body,))))
    cipher = Body("c", (chars, chars), ("zoneStrings/gmtFormat",), ("xor-int", "int-to-char"))
    for cls in ("com.ibm.icu.impl.TimeZoneFormat", "org.spongycastle.jce.Test"):
        assert not key_uses(simulated(Class(cls, (cipher,))))


def test_a_sentence_for_native_code_is_no_key() -> None:
    """A line of a log may have the length of a key."""
    main = f"{PACKAGE}.Native"
    call = Call(main, "log", ("started the app!",), "([B)V")
    native = Body("log", mnemonics=(), descriptor="([B)V")
    assert not key_uses(
        simulated(Class(main, (Body("run", (call,), ("started the app!",)), native)))
    )


def test_bytes_for_native_code_are_found() -> None:
    """A text of a key's length that native code gets as bytes is told, as possible."""
    main = f"{PACKAGE}.Native"
    call = Call(main, "init", ("pizzapizzapizzas",), "([B)V")
    native = Body("init", mnemonics=(), descriptor="([B)V")
    use = only(simulated(Class(main, (Body("run", (call,), ("pizzapizzapizzas",)), native))))
    assert (use.way, use.confidence) == (Way.NATIVE, Confidence.POSSIBLE)


def test_a_key_that_is_generated_is_none_of_these() -> None:
    """A class that makes its key by a generator holds no constant that is one."""
    calls = (
        Call("javax.crypto.KeyGenerator", "getInstance", ("AES",)),
        Call("java.security.SecureRandom", "<init>"),
        Call(SPEC, "<init>", (None, "AES")),
    )
    body = Body("run", calls, ("AES", "AES/GCM/NoPadding", "AndroidKeyStore"))
    assert key_uses(simulated(Class(CRYPTO, (body,)))) == ()


def test_libraries_are_left_out() -> None:
    """A library's own constants are none of the app's keys."""
    call = Call(SPEC, "<init>", ("abc", "AES"))
    assert key_uses(simulated(Class("okio.ByteString", (Body("hmac", (call,), ("abc",)),)))) == ()


def test_a_vector_is_told_as_one() -> None:
    """A constant initialisation vector isn't told as a key."""
    call = Call("javax.crypto.spec.IvParameterSpec", "<init>", ("\0" * 16,))
    assert only(simulated(Class(CRYPTO, (Body("run", (call,)),)))).role == "vector"


def test_no_value_is_in_its_repr() -> None:
    """A key isn't shown when it's printed."""
    app = opened(fields={"K": KEY})
    assert KEY not in repr(key_uses(app))


def test_reading_characters_is_no_cipher() -> None:
    """A method that only looks at the characters of a text combines nothing."""
    body = Body(
        "c", (Call("java.lang.String", "charAt"),), ("amazing",), ("const-string", "return")
    )
    assert key_uses(simulated(Class(CRYPTO, (body,)))) == ()


def test_a_parser_is_no_cipher() -> None:
    """Regular expressions and messages beside an exclusive or are no keys."""
    chars = Call("java.lang.String", "charAt")
    strings = (r"(\d{1,2})[^\d]*", "Expected a digit here")
    body = Body("c", (chars, chars), strings, ("xor-int", "return"))
    assert key_uses(simulated(Class(CRYPTO, (body,)))) == ()

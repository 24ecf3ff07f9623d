"""Tests of the rule on weak cryptography."""

import pytest
from tests.unit.scan.simulated import MAIN, PACKAGE, Body, Call, Class, running, simulated, verdicts

from watchword.scan.app import App
from watchword.scan.interface import Verdict
from watchword.scan.rules.weak_crypto import RULE

CLEAN = {"crypto": Verdict.PROTECTED}
IV = Call("javax.crypto.spec.IvParameterSpec", "<init>")


def _cipher(name: str | None) -> Call:
    return Call("javax.crypto.Cipher", "getInstance", (name,))


def _hash(name: str) -> Call:
    return Call("java.security.MessageDigest", "getInstance", (name,))


@pytest.mark.parametrize(
    "name",
    ["AES", "AES/ECB/PKCS5Padding", "aes/ecb/nopadding", "DES/CBC/PKCS5Padding", "DESede", "RC4"],
)
def test_weak_cipher(name: str) -> None:
    """ECB, stated or by default, and ciphers that are broken are exposed."""
    assert verdicts(RULE, running(_cipher(name))) == {f"{name}:{MAIN}": Verdict.EXPOSED}


@pytest.mark.parametrize(
    "name",
    ["AES/GCM/NoPadding", "AES/CBC/PKCS7Padding", "RSA/ECB/OAEPPadding", "ChaCha20-Poly1305", None],
)
def test_other_cipher(name: str | None) -> None:
    """Modes that chain aren't, nor RSA, whose ECB is only a name."""
    assert verdicts(RULE, running(_cipher(name))) == CLEAN


def test_name_in_a_field() -> None:
    """A name that comes from the class's own field counts."""
    cls = Class(MAIN, (Body("run", (_cipher(None),)),), fields={"MODE": "AES/ECB/NoPadding"})
    assert verdicts(RULE, simulated(cls)) == {f"AES/ECB/NoPadding:{MAIN}": Verdict.EXPOSED}


@pytest.mark.parametrize(
    ("method", "strings", "expected"),
    [
        ("hashPIN", (), Verdict.EXPOSED),
        ("digest", ("password",), Verdict.EXPOSED),
        ("hashPassword", (), Verdict.EXPOSED),
        ("spinning", (), Verdict.INFO),
        ("cacheKey", (), Verdict.INFO),
    ],
)
def test_weak_hash(method: str, strings: tuple[str, ...], expected: Verdict) -> None:
    """A weak hash is exposed around passwords, and told elsewhere."""
    app = simulated(Class(MAIN, (Body(method, (_hash("MD5"),), strings),)))
    assert verdicts(RULE, app)[f"MD5:{MAIN}"] is expected


def test_strong_hash() -> None:
    """SHA-256 is neither."""
    assert verdicts(RULE, running(_hash("SHA-256"), strings=("password",))) == CLEAN


def _iv(*calls: Call, strings: tuple[str, ...] = (), array: bool = False) -> App:
    mnemonics = ("new-array", "fill-array-data", "return-void") if array else ("return-void",)
    return simulated(Class(MAIN, (Body("run", (*calls, IV), strings, mnemonics),)))


def test_fixed_iv() -> None:
    """An IV from a text or a constant array is exposed; one that is drawn, read or handed in isn't."""
    exposed = {f"iv:{MAIN}": Verdict.EXPOSED}
    text = Call("java.lang.String", "getBytes")
    assert verdicts(RULE, _iv(text, strings=("0123456789abcdef",))) == exposed
    assert verdicts(RULE, _iv(array=True)) == exposed
    drawn = Call("java.security.SecureRandom", "nextBytes")
    assert verdicts(RULE, _iv(drawn, array=True)) == CLEAN
    assert verdicts(RULE, _iv()) == CLEAN


def test_random_numbers_for_keys() -> None:
    """Random numbers that can be foretold are exposed in a class that makes keys, and nowhere else."""
    draw = Body("draw", (Call("java.util.Random", "nextBytes"),))
    make = Body("make", (Call("javax.crypto.spec.SecretKeySpec", "<init>"),))
    assert verdicts(RULE, simulated(Class(MAIN, (draw, make)))) == {
        f"random:{MAIN}": Verdict.EXPOSED
    }
    assert verdicts(RULE, simulated(Class(MAIN, (draw,)), Class(f"{PACKAGE}.K", (make,)))) == CLEAN


def test_name_that_a_caller_hands_over() -> None:
    """A method that takes the algorithm as an argument uses what its callers name."""
    hashing = Body("hash", (Call("java.security.MessageDigest", "getInstance", (None,)),))
    call = Call(f"{PACKAGE}.Crypto", "hash", ("MD5",))
    caller = Class(MAIN, (Body("savePassword", (call,), ("MD5",)),))
    app = simulated(Class(f"{PACKAGE}.Crypto", (hashing,)), caller)
    assert verdicts(RULE, app) == {f"MD5:{MAIN}": Verdict.EXPOSED}

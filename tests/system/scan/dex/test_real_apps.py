"""Test the reader of DEX files on real apps, where they lie beside the clone."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scan.dex.test_reader import assert_all_is_answered

from watchword.scan.app import Code
from watchword.scan.dex import read_code
from watchword.scan.notes import Notes

APPS = Path(__file__).parents[5] / "shared" / "apps"

pytestmark = pytest.mark.skipif(not APPS.is_dir(), reason="no real apps beside the clone")


def dexes(name: str) -> list[tuple[str, bytes]]:
    """Return the DEX files of an app."""
    with zipfile.ZipFile(APPS / name) as archive:
        return [(n, archive.read(n)) for n in sorted(archive.namelist()) if n.endswith(".dex")]


def whole(name: str) -> Code:
    """Read an app of which nothing may be missed."""
    notes = Notes()
    code = read_code(dexes(name), notes)
    coverage = notes.coverage()
    assert not coverage.gaps
    assert sum(seen.read for seen in coverage.seen) == len(code.classes)
    return code


def test_counts_are_those_of_dexdump() -> None:
    """As many classes, methods, calls and strings as the system's own tool tells."""
    code = whole("HelloWorld-JNI.apk")
    methods = [method for cls in code.classes for method in code.methods(cls)]
    assert len(code.classes) == 1725
    assert len(code.strings) == 19837
    assert sum(len(code.calls_of(method)) for method in methods) == 34147
    assert sum(len(code.strings_of(method)) for method in methods) == 3051


def test_strings_of_a_large_app() -> None:
    """All 40,878 strings are there, and who loads them."""
    code = whole("InsecureBankv2.apk")
    assert len(code.strings) == 40878
    assert code.users("This is the super secret key 123")


def test_key_that_is_handed_on() -> None:
    """The ciphertext of UnCrackable 1 reaches its cipher, and the key its conversion."""
    code = whole("UnCrackable-Level1.apk")
    told = {
        value
        for method in code.methods("sg.vantagepoint.uncrackable1.a")
        for _, arguments in code.arguments(method)
        for value in arguments
    }
    assert {
        "8d127684cbc37c17616d806cf50473cc",
        "5UJiFctbmgbDoLXmpL12mkno8HT4Lv8dlat8FxR2GOc=",
    } <= told


def test_static_key_and_vector() -> None:
    """The key and the vector of PIVAA, arrays that its initializer fills, reach their classes."""
    code = whole("pivaa.apk")
    use = code.calls("javax.crypto.spec.IvParameterSpec", "<init>")[0]
    told = [
        arguments
        for method, arguments in code.arguments(use.by)
        if method.cls.startswith("javax.crypto.spec.")
    ]
    assert ("\0" * 16,) in told
    assert (bytes([*range(1, 9), *range(8, 0, -1)]).decode(), "AES") in told


def test_pinning_in_code() -> None:
    """AndroGoat's pins are strings, and who builds its pinner is told."""
    code = whole("AndroGoat.apk")
    assert sum(text.startswith("sha256/") for text in code.strings) == 4
    assert [use.by.cls for use in code.calls("okhttp3.CertificatePinner$Builder", "add")] == [
        "owasp.sat.agoat.TrafficActivity$doPinning$1"
    ]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0x20, 5500), st.integers(1, 255)), min_size=1, max_size=30),
    st.integers(0, 5528),
)
def test_mutated_apps_raise_nothing(changes: list[tuple[int, int]], cut: int) -> None:
    """Bits flipped anywhere in a real file, and a cut, raise nothing and are told."""
    ((name, data),) = dexes("UnCrackable-Level1.apk")
    mutated = bytearray(data)
    for at, bits in dict(changes).items():
        mutated[at] ^= bits
    for raw in (bytes(mutated), data[:cut]):
        notes = Notes()
        assert_all_is_answered(read_code([(name, raw)], notes))
        assert notes.coverage().gaps or raw == data

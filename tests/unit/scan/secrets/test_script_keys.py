"""Keys that scripts hand to a cipher: by the function that takes one, and by the place of the argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.simulated import simulated

from watchword.scan.app import App, TextPart
from watchword.scan.secrets.keys import Way, key_uses, script_keys

KEY = "kuvo-731-x5Z-pay"


def _in(file: str, text: str) -> App:
    return simulated(texts=(TextPart(file, "cordova", tuple(text.split("\n"))),))


@pytest.mark.parametrize(
    "text",
    [
        f"CryptoJS.AES.encrypt(text, '{KEY}').toString()",
        f'n(d[3]).AES.decrypt(f(a, "b,c"), "{KEY}", {{iv: i}})',
        f"CryptoJS.HmacSHA256(body, `{KEY}`)",
        f"var key = CryptoJS.enc.Utf8.parse('{KEY}');",
        f"crypto.createCipheriv('aes-256-cbc', '{KEY}', iv)",
        f"crypto.createHmac('sha256', '{KEY}')",
        f"sjcl.encrypt('{KEY}', text)",
        f"jwt.sign({{id: user.id, at: now()}}, '{KEY}', {{expiresIn: '7d'}})",
    ],
)
def test_a_constant_in_the_place_of_the_key_is_one(text: str) -> None:
    """In a script by itself or in a page, with its line."""
    (use,) = key_uses(_in("www/a.js", f"\n{text}"))
    assert (use.value, use.way, use.place.file, use.place.line) == (KEY, Way.SCRIPT, "www/a.js", 2)
    assert [key for key, _, _ in script_keys(_in("www/a.html", f"<script>{text}</script>"))] == [
        KEY
    ]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("www/a.js", "CryptoJS.AES.encrypt('some text here', key)"),
        ("www/a.js", f"// CryptoJS.AES.encrypt(text, '{KEY}')"),
        ("www/README.md", f"CryptoJS.AES.encrypt(text, '{KEY}')"),
        ("www/a.js", f"var iv = CryptoJS.enc.Utf8.parse('{KEY}');"),
        ("www/a.js", f"crypto.createHash('sha256').update('{KEY}')"),
        ("www/a.js", f"jwt.verify(token, '{KEY}')"),
        ("www/a.js", f"doc.sign(name, '{KEY}')"),
        ("www/a.js", f"CryptoJS.AES.encrypt(text, '{KEY}' + user.id)"),
        ("www/a.js", "CryptoJS.AES.encrypt(text, `${key}-abc`)"),
        ("www/a.js", "crypto.createCipheriv('aes-256-cbc', 'AES/CBC/PKCS5Padding', iv)"),
        ("www/a.js", f"CryptoJS.AES.encrypt({'x' * 500}, '{KEY}')"),
    ],
)
def test_anything_else_is_none(file: str, text: str) -> None:
    """A text that is encrypted, a vector, an example, what is hashed, a key that is put together."""
    assert not list(script_keys(_in(file, text)))


@given(
    st.lists(
        st.sampled_from(
            ("AES.encrypt(", "jwt.sign(", "'", '"', "`", "a", ",", "(", ")", "{", "}", "\\", "\n")
        )
    ).map("".join)
)
def test_anything_is_looked_at(text: str) -> None:
    """What is told stands in the text."""
    assert all(key in text for key, _, _ in script_keys(_in("www/a.js", text)))

"""Secrets by where they stand in a file: values in code and data count, names in code, comments and examples don't."""

import base64
from dataclasses import replace

import pytest
from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.secrets.planted import pem
from tests.unit.scan.simulated import Body, Class, simulated

from watchword.scan.app import App, Native, TextPart
from watchword.scan.secrets import noise
from watchword.scan.secrets.detection import detect

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
HEX = "0123456789abcdef"
_DICE = Dice("where")
RANDOM = _DICE.text(ALNUM, 32)
LOGIN = base64.b64encode(b"svc-mobile:Zk3-pay-91x").decode()
NETTY = (
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCCBtayYNDrM3NFnkBbwTd6gaWp"
    "a84ENvkWzWgFGtVAe5iZUChqrAPNdgnQs7Brb3cCBYRDWOlxtnaGmhhDOoRkFMucWEyuFEWUfops"
)
"""The begin of a key that every copy of netty has: the algorithm, and a part of the modulus, which isn't private."""


def _in(file: str, text: str, kind: str = "cordova") -> App:
    return simulated(texts=(TextPart(file, kind, tuple(text.split("\n"))),))


def _kinds(app: App) -> set[str]:
    return {each.kind for each in detect(app)}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("basic-auth", f"headers: {{Authorization: 'Basic {LOGIN}'}}"),
        ("openai-api-key", f'key = "sk-{_DICE.text(ALNUM, 48)}"'),
        ("openai-api-key", f'key = "sk-proj-{_DICE.text(ALNUM, 60)}"'),
        ("paypal-client-secret", f'paypal: {{id: "A", secret: "E{_DICE.text(ALNUM, 79)}"}}'),
        (
            "paypal-braintree-access-token",
            f'"access_token$production${_DICE.text(HEX, 16)}${_DICE.text(HEX, 32)}"',
        ),
        ("mapbox-secret-token", f'"sk.eyJ1Ijoi{_DICE.text(ALNUM, 50)}.{_DICE.text(ALNUM, 22)}"'),
        ("twilio-account-sid", f'sid: "AC{_DICE.text(HEX, 32)}"'),
        ("twilio-auth-token", f'twilioAuthToken: "{_DICE.text(HEX, 32)}"'),
        ("gcp-service-account-key-id", f'"private_key_id": "{_DICE.text(HEX, 40)}"'),
        ("bearer-token", f'headers.set("Authorization", "Bearer {_DICE.text(ALNUM, 40)}")'),
        ("key-in-url", f'"https://api.shop.io/v1/report?api_key={_DICE.text(HEX, 32)}"'),
        ("password-in-url", f'"redis://:{_DICE.text(ALNUM, 24)}@cache.shop.io:6379/0"'),
        ("password", 'adminPassword: "Kuvo731!x5Z"'),
        ("password", '{"adminPassword": "Kuvo731!x5Z"}'),
    ],
)
def test_kinds_that_were_missed_are_found(kind: str, text: str) -> None:
    """In a script, in JSON, among the strings of compiled code."""
    assert kind in _kinds(_in("www/a.js", text))
    assert kind in _kinds(_in("assets/a.json", text, "asset"))
    if kind != "password" or "{" not in text:
        assert kind in _kinds(_in("main.jsbundle", text, "hermes"))


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("assets/.env", "ADMIN_PASSWORD=Kuvo731x5Z", "ADMIN_PASSWORD"),
        ("assets/a.properties", "db.password = Kuvo731x5Z", "db.password"),
        ("assets/.env", "DB_PASS=Kuvo731x5Z", "DB_PASS"),
        ("assets/.env", "ADMIN_PASSWORD=Kuvo731x5Z # of the tills", "ADMIN_PASSWORD"),
        ("assets/a.json", '{"user": "svc", "pass": "Kuvo731x5Z"}', "pass"),
        ("assets/a.yaml", "  password: 'Kuvo731x5Z'", "password"),
        ("assets/a.xml", '<string name="admin_password">Kuvo731x5Z</string>', "admin_password"),
        ("www/a.js", "var adminPassword='Kuvo731x5Z';", "adminPassword"),
        ("www/a.js", 'x={"smtp-password":`Kuvo731x5Z`}', "smtp-password"),
    ],
)
def test_passwords_of_files_are_told_with_their_name_and_line(
    file: str, text: str, name: str
) -> None:
    """Names decide there as they do in code."""
    (hit,) = detect(_in(file, f"\n\n{text}", "asset"))
    assert (hit.kind, hit.secret, hit.name) == ("password", "Kuvo731x5Z", name)
    assert [place.line for place in hit.places] == [3]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("www/a.js", 'var n=[{key:"getBase64ForTag",value:function(o,n,s){t.getBase64ForTag(o)}}]'),
        ("www/a.js", "e.tokenMD3Colors=void 0,e.secretKey=r.secretKey_a8Xb92kQ"),
        ("www/a.js", f"// api_key = '{RANDOM}'"),
        ("www/a.js", "/* password: 'Kuvo731x5Z' */"),
        ("www/a.js", "// given url http://user:password@example.com:8080/"),
        ("www/a.js", "var u = 'https://user:password@shop.io/';"),
        ("www/a.js", "/* headers.common.Authorization = 'Basic YmVlcDpib29w' */"),
        ("www/a.js", "a = 'Basic dXNlcjpwYXNzd29yZA=='"),
        ("www/a.js", "a = 'Basic authentication'"),
        ("www/lib/README.md", f"api_key = '{RANDOM}'"),
        ("www/lib/README.md", f"curl https://api.shop.io/?api_key={RANDOM}"),
        ("www/a.js", f"// Authorization: Bearer {RANDOM}"),
        ("assets/a.json", '{"encryptionKeyAlgorithm": "AES/CBC/PKCS7Padding"}'),
        ("assets/a.properties", f"keyRevision={_DICE.text(HEX, 32)}"),
        ("www/i18n/de.json", '{"password": "Passwort", "secret": "Antwort 2"}'),
        ("assets/.env", "password=Has\\u0142o"),
        ("assemblies/mscorlib.dll", f'api_key="{RANDOM}"'),
    ],
)
def test_names_in_code_and_examples_are_none(file: str, text: str) -> None:
    """What only its name makes suspicious has to be a value, and a login in a comment has to look made up."""
    kind = "xamarin" if file.endswith(".dll") else "cordova"
    assert not detect(_in(file, text, kind))


def test_a_secret_with_a_form_of_its_own_counts_in_a_comment_too() -> None:
    """Whoever reads the package has it."""
    token = f"sk-{_DICE.text(ALNUM, 48)}"
    assert _kinds(_in("www/a.js", f"// old: {token}")) == {"openai-api-key"}
    assert _kinds(_in("www/a.js", "// https://deploy:Kuvo731x5Z@git.shop.io/a")) == {
        "password-in-url"
    }


def test_a_public_key_token_of_an_assembly_is_no_secret() -> None:
    """Mono's runtime maps such tokens to public keys; any other token of its form counts."""
    text = '<map Token="b77a5c561934e089" PublicKey="00240000048000009400000006020000"/>'
    natives = (Native("lib/arm64-v8a/libmonodroid.so", "elf", "arm64", (text,)),)
    assert not detect(replace(simulated(), natives=natives))


def test_keys_that_a_library_publishes_are_nobodys_secret() -> None:
    """Known by their begin wherever they are; and a key that only a known library's class loads is the library's."""
    key = f"-----BEGIN PRIVATE KEY-----\\n{NETTY}AAAA\\n-----END PRIVATE KEY-----"
    assert noise.is_published("private-key", key)
    assert noise.is_published("private-key", key.replace("\\n", "\n"))
    assert not noise.is_published("private-key", key.replace("CBtay", "CBtaz"))
    of_library = Class("io.netty.handler.ssl.OpenSsl", (Body("a", strings=(pem(_DICE),)),))
    of_app = Class("com.example.shop.Tls", (Body("a", strings=(pem(_DICE),)),))
    assert not detect(simulated(of_library))
    held = Class("io.jsonwebtoken.impl.Test", fields={"KEY": pem(_DICE)})
    assert not detect(simulated(held))
    assert _kinds(simulated(of_app)) == {"private-key"}


def test_what_lies_behind_too_many_literals_is_still_told() -> None:
    """Of a script that was made so that nobody tells its code from its literals, everything counts."""
    code = f"api_key={RANDOM}"
    assert not detect(_in("www/a.js", "''\n" * 10 + code))
    assert [each.secret for each in detect(_in("www/a.js", "''\n" * 500_001 + code))] == [RANDOM]

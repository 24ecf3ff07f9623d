"""Test how secrets are found, told apart and kept out of what may be shown."""

from dataclasses import replace

import pytest
from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.secrets.planted import KINDS, URLSAFE, jwt, pem
from tests.unit.scan.simulated import PACKAGE, Body, Call, Class, running, simulated

from watchword.scan.app import App, Container, IosInfo, Native, Resource, TextPart
from watchword.scan.secrets.corpus import groups_of
from watchword.scan.secrets.detection import Hit, detect
from watchword.vocabulary import Platform

GENERIC = "wJ8rT2kLq9ZxV4nB7mPc3dFg"
TOKEN = KINDS["github-pat"](Dice("detection"))
GOOGLE = "AIza" + Dice("google").text(URLSAFE, 35)


def only(app: App) -> Hit:
    """Return the one secret that an app holds."""
    (hit,) = detect(app)
    return hit


def test_a_name_comes_from_a_field() -> None:
    """A constant's name makes a value without any form a secret."""
    hit = only(simulated(Class(f"{PACKAGE}.BuildConfig", fields={"API_KEY": GENERIC})))
    assert (hit.kind, hit.name, hit.verified) == ("generic-api-key", "API_KEY", False)
    assert hit.places[0].member == "API_KEY"


def test_a_name_comes_from_the_call_that_takes_both() -> None:
    """``header("Authorization", "Bearer ...")`` names its value, and what stands before the value is left out."""
    given = ("Authorization", f"Bearer {GENERIC}")
    hit = only(running(Call("okhttp3.Request$Builder", "header", given), strings=given))
    assert (hit.name, hit.secret) == ("auth header", GENERIC)


def test_a_name_comes_from_the_method_that_takes_the_value() -> None:
    """``setApiKey("...")`` names its value."""
    hit = only(running(Call("com.vendor.Sdk", "setApiKey", (GENERIC,)), strings=(GENERIC,)))
    assert (hit.name, hit.secret) == ("setApiKey", GENERIC)


def test_a_name_comes_from_a_resource() -> None:
    """A string resource's name makes its value a secret."""
    hit = only(simulated(resources=(Resource("backend_secret", GENERIC),)))
    assert (hit.name, str(hit.places[0])) == ("backend_secret", "string/backend_secret")


def test_a_property_list_names_in_the_line_before() -> None:
    """Key and string of a property list are one pair, though they stand in two lines."""
    lines = ("<key>API_KEY</key>", f"<string>{GENERIC}</string>")
    hit = only(simulated(texts=(TextPart("Config.plist", "asset", lines),)))
    assert (hit.name, hit.places[0].line) == ("API_KEY", 2)


def test_an_info_plist_is_searched() -> None:
    """Values of ``Info.plist`` have their keys as names, nested ones too."""
    info = IosInfo("com.example.shop", "1", "15", {"Service": {"ClientSecret": GENERIC}})
    app = simulated(code=None, container=Container.IPA, platform=Platform.IOS, ios=info)
    assert only(app).name == "ClientSecret"


def test_the_class_around_a_field_makes_no_secret() -> None:
    """A field of a class called so isn't a key by that; vendors are named there all the same."""
    assert not detect(simulated(Class(f"{PACKAGE}.ApiKeyView", fields={"MODE": GENERIC})))
    vendor = Class(f"{PACKAGE}.Adafruit", fields={"V": "a1" * 4 + "b8c7d6e5f4a3b2c1d0e9f8a7"})
    assert only(simulated(vendor)).kind == "adafruit-api-key"


def test_a_text_file_tells_the_line() -> None:
    """A secret in an asset is located by file and line."""
    part = TextPart("assets/config.json", "asset", ("{", "", f'"t": "{TOKEN}"', "}"))
    assert str(only(simulated(texts=(part,))).places[0]) == "assets/config.json:3"


def test_a_key_over_several_lines_is_one_secret() -> None:
    """PEM is found in a file of lines, in a bundle of one long line, and inside a service account."""
    key = pem(Dice("lines"))
    lines = TextPart("assets/key.pem", "asset", tuple(key.split("\n")))
    assert only(simulated(texts=(lines,))).kind == "private-key"
    escaped = key.replace("\n", "\\n")
    account = f'{{"type":"service_account","private_key":"{escaped}"}}'
    bundle = TextPart("assets/index.bundle", "react-native", ("x;" * 9000 + account + ";y" * 9000,))
    assert only(simulated(texts=(bundle,))).kind == "gcp-service-account"


def test_one_secret_in_two_places_is_told_once() -> None:
    """The most exact kind wins, with the name and with both places."""
    app = simulated(
        Class(f"{PACKAGE}.A", fields={"GIT_TOKEN": TOKEN}),
        Class(f"{PACKAGE}.B", (Body("run", strings=(TOKEN,)),)),
    )
    hit = only(app)
    assert (hit.kind, hit.name, hit.verified) == ("github-pat", "GIT_TOKEN", True)
    assert {place.cls for place in hit.places} == {f"{PACKAGE}.A", f"{PACKAGE}.B"}


def test_what_only_libraries_load_is_theirs() -> None:
    """A token in a library's class isn't the app's, unless its structure proves that it is one."""
    stripe = KINDS["stripe-access-token"](Dice("lib"))
    library = Class("okhttp3.internal.Tests", (Body("run", strings=(stripe, TOKEN)),))
    assert only(simulated(library)).secret == TOKEN


def test_an_app_below_a_librarys_prefix_has_classes_of_its_own() -> None:
    """What lies in the app's package is its own: ``com.android.insecurebankv2`` is no part of Android."""
    cls = "com.android.shop.Config"
    app = simulated(Class(cls, fields={"API_KEY": GENERIC}))
    assert not detect(app)
    assert app.manifest is not None
    renamed = replace(app, manifest=replace(app.manifest, package="com.android.shop"))
    assert only(renamed).name == "API_KEY"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (GOOGLE, "gcp-api-key"),
        ("pk_live_" + Dice("pk").text(URLSAFE[:62], 24), "stripe-publishable-key"),
        ("https://5f1c02b7e9d84a36b0c1d2e3f4a59687@o42.ingest.sentry.io/4242", "sentry-dsn"),
        ("6LdWxyzQAAAAAKj3h2g1f0e9d8c7b6a5z4y3x2wV", "recaptcha-site-key"),
        ("https://shop-42.firebaseio.com", "firebase-database"),
        ("1:482910573648:android:5f1c02b7e9d84a36", "firebase-app-id"),
    ],
)
def test_what_is_made_to_be_in_apps_is_told_apart(value: str, kind: str) -> None:
    """Client identifiers are found, and are no secrets."""
    hit = only(running(strings=(value,)))
    assert (hit.kind, hit.public) == (kind, True)


def test_a_token_for_everybody_is_public_and_one_for_the_service_is_not() -> None:
    """Supabase's two tokens differ by their role alone."""
    assert only(running(strings=(jwt(Dice("a"), role="anon"),))).public
    assert not only(running(strings=(jwt(Dice("b"), role="service_role"),))).public


def test_native_strings_are_searched() -> None:
    """A token in a library's read-only data is found, with its file."""
    native = Native("lib/arm64-v8a/libkeys.so", "elf", "arm64", ("", TOKEN))
    assert only(simulated(natives=(native,))).places[0].file == native.file


def test_characters_that_change_their_length_do_not_move_what_is_found() -> None:
    """The dotted capital I, longer in lower case, doesn't shift places behind it."""
    native = Native("lib/arm64-v8a/libkeys.so", "elf", "arm64", ("\u0130" * 50, TOKEN))
    assert only(simulated(natives=(native,))).secret == TOKEN


def test_no_value_is_in_what_may_be_shown() -> None:
    """Neither a hit nor a text group shows a secret when printed."""
    app = running(strings=(TOKEN,))
    assert TOKEN not in repr(detect(app))
    assert TOKEN not in repr(groups_of(app))


def test_a_long_line_of_keywords_ends_soon() -> None:
    """Half a megabyte of what names a key, in one line, is no work of minutes."""
    line = 'key="a' * 40_000 + "token: " * 20_000
    assert detect(simulated(texts=(TextPart("assets/x.js", "asset", (line,)),))) == ()


def test_a_secret_deep_in_a_long_line_is_whole() -> None:
    """Of a long line only stretches are searched; a value of full length at any place in one is still told whole."""
    secret = Dice("long").text(URLSAFE[:62], 140)
    for gap in range(0, 400, 40):
        line = "e.exports=n(42);" * 500 + 'key:"x1y2z3w4v5";' + ";" * gap + f'apiKey="{secret}";'
        app = simulated(texts=(TextPart("assets/x.js", "asset", (line + "x;" * 9000,)),))
        assert secret in {hit.secret for hit in detect(app)}


def test_a_message_is_no_secret_by_its_first_word() -> None:
    """A text under a suspicious name is a secret as a whole or not at all."""
    message = Resource("access_token_hint", f"{GENERIC} is what a code looks like")
    assert detect(simulated(resources=(message,))) == ()


def test_a_part_of_a_longer_secret_is_not_told_again() -> None:
    """Two patterns that match one secret at different lengths tell it once."""
    fields = {"API_KEY": GENERIC, "API_TOKEN": f"{GENERIC}Zq8Xw2"}
    assert only(simulated(Class(f"{PACKAGE}.A", fields=fields))).secret == f"{GENERIC}Zq8Xw2"


def test_a_constant_of_a_standard_is_no_secret() -> None:
    """The base point of P-256 has a key's looks and a name with a key in it."""
    point = "6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
    assert detect(simulated(Class(f"{PACKAGE}.Curve", fields={"BASE_KEY": point}))) == ()
    flipped = point.replace("6B17", "6B71")
    assert (
        only(simulated(Class(f"{PACKAGE}.Curve", fields={"BASE_KEY": flipped}))).name == "BASE_KEY"
    )


@pytest.mark.parametrize(
    ("name", "value", "kind", "public"),
    [
        (
            "MAILGUN_KEY",
            "key-" + Dice("m").text("0123456789abcdef", 32),
            "mailgun-private-api-token",
            False,
        ),
        ("backend_token", "tok_" + Dice("b").text(URLSAFE[:62], 20), "generic-api-key", False),
        (
            "facebook_client_token",
            Dice("f").text("0123456789abcdef", 32),
            "facebook-client-token",
            True,
        ),
        ("facebook_app_secret", Dice("f").text("0123456789abcdef", 32), "facebook-secret", False),
        ("db_pass", "hunter2Secret!", "password", False),
    ],
)
def test_a_name_tells_the_kind(name: str, value: str, kind: str, *, public: bool) -> None:
    """A vendor's name makes the kind more exact, and a client token isn't taken for the app's secret."""
    for app in (
        simulated(Class(f"{PACKAGE}.C", fields={name: value})),
        simulated(resources=(Resource(name, value),)),
    ):
        hit = only(app)
        assert (hit.kind, hit.public) == (kind, public)


@pytest.mark.parametrize(
    "value",
    ["pref_auth2_token", "screen.login2", "AES_256_KEY", "step-2-token", "tokenV2", "com.a.b2"],
)
def test_the_name_of_something_is_no_secret(value: str) -> None:
    """Keys of preferences, screens and classes stand in constants that are called so."""
    assert detect(simulated(Class(f"{PACKAGE}.C", fields={"AUTH_TOKEN_KEY": value}))) == ()


@pytest.mark.parametrize(
    ("field", "compare", "found"),
    [
        ("android.widget.EditText", Call("java.lang.String", "equals", ("vendorsecretkey",)), True),
        (
            "com.google.android.material.textfield.TextInputEditText",
            Call("kotlin.jvm.internal.Intrinsics", "areEqual", (None, "vendorsecretkey")),
            True,
        ),
        ("android.widget.Button", Call("java.lang.String", "equals", ("vendorsecretkey",)), False),
        ("android.widget.EditText", Call("java.lang.String", "equals", ("quit",)), False),
        ("android.widget.EditText", Call("java.lang.String", "equals", ("Your name",)), False),
        (
            "android.widget.EditText",
            Call("java.lang.String", "concat", ("vendorsecretkey",)),
            False,
        ),
    ],
)
def test_what_code_compares_with_what_is_typed_in_is_told(
    field: str, compare: Call, found: bool
) -> None:
    """A vendor's key that the app itself checks, as documented for DIVA: whoever has the app has it."""
    calls = (Call(field, "getText"), Call("java.lang.Object", "toString"), compare)
    app = simulated(Class(f"{PACKAGE}.Access", (Body("access", calls),)))
    assert [each.kind for each in detect(app)] == (["compared-secret"] if found else [])

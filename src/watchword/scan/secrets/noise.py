"""Tell what isn't a secret although it looks like one: placeholders, identifiers, constants of standards; and what can be key material, or a password that somebody made up."""

import base64
import binascii
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from watchword.encoding.tables import read_table
from watchword.scan.app import App, Method
from watchword.scan.interface import Location
from watchword.scan.secrets import structure
from watchword.scan.secrets.corpus import Named, is_own_class
from watchword.scan.secrets.patterns import GENERIC, Pattern, PatternSet, packaged

_IDENTIFIERS = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # A UUID names, it doesn't open.
    r"|sha(?:1|256|384|512)[/=:-].*"  # Pins and digests.
    r"|(?:0x)?[0-9]+(?:\.[0-9]+)*"  # Numbers, versions, OIDs.
    r"|[a-z][\w-]*(?:\.[a-z_$][\w$-]*)+"  # Classes, packages, hosts.
    r"|[a-z]+://.*|/.*|\.{1,2}/.*|(?:[\w-]+/)+[\w-]+\.[a-z]{2,5}"  # Addresses and paths.
    r"|[a-z]{1,20}(?:[_.-](?:[a-z]{1,20}[0-9]{0,3}|[0-9]{1,4}))*"  # Names of things.
    r"|[A-Z]{1,20}(?:_(?:[A-Z]{1,20}[0-9]{0,3}|[0-9]{1,4}))*"
    r"|(?:[A-Za-z][a-z]+)(?:[A-Z][a-z]+)*[0-9]{0,2}"
    r"|[a-z]{2,20}[0-9]{0,2}(?:[A-Z][a-z]{2,20}[0-9]{0,2}){2,9}",  # Names of methods: getBase64ForTag.
    re.ASCII,
)
_DIGEST_NAME = re.compile(
    r"(?i)(?:sha|md5|hash|digest|finger|checksum|crc|etag|cert|signature|pin|uuid|guid|version|revision|build|commit)"
)
_DIGEST = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{56,64}|[0-9a-fA-F]{96,128}")
_PUBLIC_NAME = re.compile(r"(?i)pub(?:lic)?[_-]?key|site[_-]?key|rsa[_-]?pub|sign(?:ing)?[_-]?cert")

_KEY_TOKEN = re.compile(r"""(?i)token["']?\s{0,3}[=:]\s{0,3}["']?[0-9a-f]{16}(?![0-9a-z])""")
"""Eight bytes of a public key's hash, by which assemblies of .NET name it."""

_AROUND = 100
"""Characters around such a token in which the word for a public key stands."""

_HEAD = 128
"""Characters of a key's base64 that tell it: the algorithm, and half of a modulus of 1,024 bits."""

_PUBLISHED = read_table("watchword.scan.secrets", "published.toml")
_CONSTANTS = frozenset(_PUBLISHED["constants"])
_KEYS = frozenset(each["head"] for each in _PUBLISHED["keys"])


def entropy(text: str) -> float:
    """Return Shannon's entropy in bits per character; 0 for an empty text."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values()) if text else 0.0


def is_noise(pattern: Pattern, everywhere: PatternSet, secret: str, match: str) -> bool:
    """Tell whether what a pattern matched is too regular for it or on one of the lists."""
    if entropy(secret) < pattern.entropy:
        return True
    if is_constant(secret):
        return True
    return any(allowed.holds(secret, match) for allowed in (*pattern.allowed, *everywhere.allowed))


def is_identifier(value: str, name: str = "") -> bool:
    """Tell whether a value that only its name makes suspicious is a name, a number, an address or a digest itself."""
    if _IDENTIFIERS.fullmatch(value) or _IDENTIFIERS.fullmatch(value.lower()):
        return True
    if _PUBLIC_NAME.search(name):
        return True
    return bool(_DIGEST_NAME.search(name)) and bool(_DIGEST.fullmatch(value))


def is_example(kind: str, match: re.Match[str]) -> bool:
    """Tell whether a match only explains the form of an address with a login, or is a token by which .NET names a public key."""
    if kind == "password-in-url":
        login = match[0].partition("://")[2].rpartition("@")[0]
        user, _, password = login.partition(":")
        return structure.is_example(user, password)
    if kind != GENERIC:
        return False
    around = match.string[max(0, match.start() - _AROUND) : match.end() + _AROUND]
    return _KEY_TOKEN.search(match[0]) is not None and _PUBLIC_NAME.search(around) is not None


def is_published(kind: str, secret: str) -> bool:
    """Tell whether a private key is one that a library or a standard publishes for tests: known by the hash of its begin."""
    if not kind.startswith("private-key"):
        return False
    body = re.sub(r"-----[^-]*-----|\\[nr]|[^A-Za-z0-9+/]", "", secret)[:_HEAD]
    return hashlib.sha256(body.encode()).hexdigest() in _KEYS


def is_placeholder(value: str) -> bool:
    """Tell whether a value stands for one that somebody was to put there."""
    return any(allowed.holds(value, value) for allowed in packaged().allowed)


def is_constant(value: str) -> bool:
    """Tell whether a value is a constant of a published standard, known by its hash."""
    bare = re.sub(r"[\s:_-]", "", value).lower()
    return hashlib.sha256(bare.encode()).hexdigest()[:16] in _CONSTANTS


SIZES = frozenset((16, 24, 32))
"""Bytes of an AES key, and of a vector or a 3DES key."""

_HEX = re.compile(r"[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,86}={0,2}")
_WORDS = re.compile(
    r"(?i)(?:aes|des(?:ede)?|rsa|pbe\w*|pbkdf2\w*|hmac\w*|sha-?\d*|md5|blowfish|ec(?:dsa|dh)?)(?:[/\w-]*)"
    r"|utf-?(?:8|16\w*)|us-ascii|iso-8859-1|android_?keystore\w*|sha\d+prng|bc|sc"
)


def is_algorithm(text: str) -> bool:
    """Tell whether a text names an algorithm, a character set or a provider."""
    return _WORDS.fullmatch(text) is not None


def is_encoded_key(text: str) -> bool:
    """Tell whether a text is hex or base64 of as many bytes as a key has, and isn't a word by itself."""
    if len(set(text)) < 6:
        return False
    if _HEX.fullmatch(text):
        return len(text) // 2 in SIZES and len(text) % 2 == 0 and bool(re.search(r"\d", text))
    if not _BASE64.fullmatch(text) or not re.search(r"\d", text):
        return False
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        size = len(base64.b64decode(bare + "=" * (-len(bare) % 4)))
    except binascii.Error:
        return False
    return size in SIZES and (text.endswith("=") or not is_identifier(text))


def is_raw_key(text: str) -> bool:
    """Tell whether a text has as many bytes as a key, and isn't the name of something."""
    if len(text.encode("utf-8", "replace")) not in SIZES or len(set(text)) < 4:
        return False
    return not is_algorithm(text) and not is_identifier(text)


COMPARED = "compared-secret"
"""The kind of secret that code compares with what somebody types in."""

PASSWORD = "password"  # noqa: S105  (the name of a kind)
"""The kind of secret that a person made up."""

_FIELDS = (
    "android.widget.EditText",
    "android.widget.AutoCompleteTextView",
    "androidx.appcompat.widget.AppCompatEditText",
    "com.google.android.material.textfield.TextInputEditText",
)
_STEPS = 3
"""Calls between reading a field and comparing it: as a text, without spaces around it, in small letters."""

_EQUALS = {
    "java.lang.String": frozenset(("equals", "equalsIgnoreCase", "contentEquals")),
    "java.lang.Object": frozenset(("equals",)),
    "kotlin.jvm.internal.Intrinsics": frozenset(("areEqual",)),
    "android.text.TextUtils": frozenset(("equals",)),
}
_CODE = re.compile(r"[!-~]{6,64}")
_NAME = re.compile(
    r"(?i)(?:.*[_. -]|.*(?-i:(?<=[a-z])(?=[A-Z])))?(?:password|passwd|passphrase|pass|pwd|secret)"
)
_VALUE = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])[!-~]{6,64}")
_TEMPLATE = re.compile(r"%[0-9$]*[sd]|\{[\w.]*\}|\$\{|<[a-z]|\\[ntu]|://|^[@#?].*")


def passwords_of(named: Iterable[Named]) -> Iterator[tuple[Named, str]]:
    """Yield names and values of what looks like a password."""
    for each in named:
        if not _NAME.fullmatch(each.name) or not _VALUE.fullmatch(each.value):
            continue
        if _TEMPLATE.search(each.value) or is_identifier(each.value, each.name):
            continue
        if is_constant(each.value) or is_placeholder(each.value):
            continue
        yield each, each.value


def compared_of(app: App) -> Iterator[tuple[str, Location]]:
    """Yield the constants that an app's own code compares with what somebody types in: a code, a password, a way in."""
    if app.code is None:
        return
    typed = {use.by: None for field in _FIELDS for use in app.code.calls(field, "getText")}
    for by in typed:
        if not is_own_class(app, by.cls):
            continue
        calls = app.code.arguments(by)
        for index, (callee, given) in enumerate(calls):
            before = calls[max(0, index - _STEPS) : index]
            if callee.name not in _EQUALS.get(callee.cls, ()) or not any(map(_asks, before)):
                continue
            for text in given:
                if isinstance(text, str) and _CODE.fullmatch(text):
                    yield text, Location("", by.cls, by.name)


def _asks(call: tuple[Method, Sequence[str | int | None]]) -> bool:
    return call[0].cls in _FIELDS and call[0].name == "getText"


def made_up(password: str) -> bool:
    """Tell whether a password looks as if somebody had made it up for an account: letters and digits, and no placeholder."""
    return _VALUE.fullmatch(password) is not None and not is_placeholder(password)

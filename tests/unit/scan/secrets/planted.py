"""Plant secrets that are valid by their structure and dead, between things that only look like secrets."""

import base64
import json
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.simulated import PACKAGE, Body, Call, Class, SimulatedCode, simulated

from watchword.scan.app import App, Native, Resource, TextPart

LOWER = string.ascii_lowercase
ALNUM = string.digits + string.ascii_uppercase + string.ascii_lowercase
URLSAFE = ALNUM + "-_"
HEX = "0123456789abcdef"
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
PLACES = ("string", "field", "argument", "resource", "text", "native")


@dataclass(frozen=True, slots=True)
class Planted:
    """Hold what was planted: its kind, its value, where, and under which name.

    :param secret: whether it is one; else it's a decoy.
    """

    kind: str
    value: str
    place: str
    name: str
    secret: bool


def b64(data: bytes) -> str:
    """Return base64 for URLs without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def checksummed(prefix: str, body: str) -> str:
    """Return a token with GitHub's checksum behind it."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = ALNUM[digit] + digits
    return f"{prefix}{body}{digits}"


def jwt(dice: Dice, **claims: object) -> str:
    """Return a JWT with a signature that nobody made."""
    header = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    payload = b64(json.dumps({"sub": dice.text(ALNUM, 12), **claims}).encode())
    return f"{header}.{payload}.{b64(dice.raw(32))}"


def ec_key(dice: Dice) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key of the seed."""
    return ec.derive_private_key(int.from_bytes(dice.raw(31), "big") + 1, ec.SECP256R1())


def pem(dice: Dice) -> str:
    """Return a private key as PEM."""
    return (
        ec_key(dice)
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
        .strip()
    )


def _service_account(dice: Dice) -> str:
    return pem(dice).replace("\n", "\\n")


def _aws(dice: Dice) -> str:
    account, rest = dice.below(10**12), dice.below(2**7)
    number = 1 << 47 | account << 7 | rest
    key_id = base64.b32encode(number.to_bytes(6, "big") + dice.raw(4)).decode()
    return "AKIA" + key_id


KINDS: dict[str, Callable[[Dice], str]] = {
    "github-pat": lambda d: checksummed("ghp_", d.text(ALNUM, 30)),
    "npm-access-token": lambda d: checksummed("npm_", d.text(ALNUM, 30)),
    "aws-access-token": _aws,
    "stripe-access-token": lambda d: "sk_live_" + d.text(ALNUM, 24),
    "slack-bot-token": lambda d: (
        f"xoxb-{d.text('123456789', 12)}-{d.text('123456789', 12)}-{d.text(ALNUM, 24)}"
    ),
    "sendgrid-api-token": lambda d: f"SG.{d.text(URLSAFE, 22)}.{d.text(URLSAFE, 43)}",
    "twilio-api-key": lambda d: "SK" + d.text(HEX, 32),
    "jwt": jwt,
    "private-key": pem,
    "gcp-service-account": _service_account,
    "telegram-bot-api-token": lambda d: d.text("123456789", 9) + ":AA" + d.text(URLSAFE, 33),
    "openai-api-key": lambda d: "sk-" + d.text(ALNUM, 20) + "T3BlbkFJ" + d.text(ALNUM, 20),
    "anthropic-api-key": lambda d: "sk-ant-api03-" + d.text(URLSAFE, 93) + "AA",
    "square-access-token": lambda d: "sq0atp-" + d.text(URLSAFE, 22),
    "shopify-access-token": lambda d: "shpat_" + d.text(HEX, 32),
    "google-oauth-client-secret": lambda d: "GOCSPX-" + d.text(URLSAFE, 28),
    "generic-api-key": lambda d: d.text(ALNUM, 36),
    "password": lambda d: d.text(LOWER, 4).title() + "!" + d.text(string.digits, 3) + "$q",
}
"""Kinds of secrets, each made of a seed."""

_NAMED = {
    "generic-api-key": ("PAYMENT_API_KEY", "clientSecret", "auth_token", "backendApiKey"),
    "password": ("DB_PASSWORD", "admin_password", "ftpPassword"),
}

DECOYS: dict[str, Callable[[Dice], tuple[str, str]]] = {
    "uuid": lambda d: (
        "DEVICE_TOKEN",
        "-".join(d.text(HEX, count) for count in (8, 4, 4, 4, 12)),
    ),
    "pin": lambda d: ("API_KEY_PIN", "sha256/" + base64.b64encode(d.raw(32)).decode()),
    "digest": lambda d: ("TOKEN_SHA256", d.text(HEX, 64)),
    "md5": lambda d: ("accessMd5", d.text(HEX, 32)),
    "placeholder": lambda d: (
        "API_KEY",
        d.pick(("your_api_key_here_1", "INSERT_KEY_123", "xxxx")) + "xxxxxx",
    ),
    "sequence": lambda _: ("SECRET_KEY", "1234567890abcdef1234567890abcdef"),
    "bad-checksum": lambda d: ("", "ghp_" + d.text(ALNUM, 30) + "000000"),
    "no-jwt": lambda d: ("", f"eyJ{d.text(ALNUM, 30)}.eyJ{d.text(ALNUM, 30)}.{d.text(ALNUM, 43)}"),
    "public-key": lambda d: (
        "",
        ec_key(d)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ),
    "no-key": lambda d: (
        "",
        f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(d.raw(66)).decode()}\n-----END PRIVATE KEY-----",
    ),
    "class-name": lambda d: ("TOKEN_PROVIDER", f"com.{d.text(LOWER, 6)}.auth.Token2Provider"),
    "preference": lambda d: ("KEY_TOKEN", f"pref_{d.text(LOWER, 6)}_token"),
    "message": lambda d: ("password_hint", f"Use {d.below(9) + 8} characters or more"),
    "url": lambda d: ("TOKEN_URL", f"https://api.example.test/{d.text(LOWER, 5)}/token1"),
    "oid": lambda d: ("KEY_USAGE", f"2.5.29.{d.below(99)}.{d.below(99)}.1.311.21"),
    "format": lambda d: ("AUTH_HEADER", f"Bearer %s {d.below(9)}"),
    "alphabet": lambda _: ("BASE64_KEY", ALNUM + "+/"),
    "websocket": lambda _: ("ACCEPT_KEY", "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
    "aws-example": lambda _: ("", "AKIAIOSFODNN7EXAMPLE"),
    "path": lambda d: ("KEY_FILE", f"/data/local/{d.text(LOWER, 6)}/key1.pem"),
    "library": lambda d: ("API_KEY", d.text(ALNUM, 40)),
    "screen-size": lambda d: ("access_key_code", f"{d.below(4000)}x{d.below(4000)}"),
    "image": lambda d: ("", "iVBORw0KGgoAAAANSUhEUgAA" + base64.b64encode(d.raw(90)).decode()),
}
"""Kinds of decoys: name and value, each made of a seed."""


def planted(seed: str, each: int = 4, decoys: int = 12) -> tuple[App, tuple[Planted, ...]]:
    """Return an app with secrets of all kinds and decoys, and what was planted.

    :param each: secrets of each kind.
    :param decoys: of each kind.
    """
    dice = Dice(seed)
    things: list[Planted] = []
    for kind, make in KINDS.items():
        for number in range(each):
            place = PLACES[(dice.below(len(PLACES)) + number) % len(PLACES)]
            if kind in _NAMED:
                place = ("field", "argument", "resource")[number % 3]
            if kind == "gcp-service-account":
                place = "text"
            name = dice.pick(_NAMED.get(kind, ("VALUE", "a", "config", "SERVICE")))
            things.append(Planted(kind, make(dice), place, f"{name}", secret=True))
    for kind, lure in DECOYS.items():
        for number in range(decoys):
            name, value = lure(dice)
            place = PLACES[number % 4] if kind != "library" else "library"
            things.append(Planted(kind, value, place, name or "TEXT", secret=False))
    return _built(things), tuple(things)


def _built(things: list[Planted]) -> App:
    classes: list[Class] = []
    resources: list[Resource] = []
    texts: list[TextPart] = []
    natives: list[Native] = []
    for number, thing in enumerate(things):
        cls = f"{PACKAGE}.C{number}"
        if thing.place in {"string", "library"}:
            owner = cls if thing.place == "string" else f"okhttp3.internal.C{number}"
            classes.append(Class(owner, (Body("run", strings=(thing.value,)),)))
        elif thing.place == "field":
            classes.append(Class(cls, fields={thing.name: thing.value}))
        elif thing.place == "argument":
            call = Call("java.util.Map", "put", (thing.name, thing.value))
            classes.append(Class(cls, (Body("run", (call,), (thing.name, thing.value)),)))
        elif thing.place == "resource":
            resources.append(Resource(f"{thing.name}", thing.value))
        elif thing.place == "native":
            natives.append(Native(f"lib/arm64-v8a/lib{number}.so", "elf", "arm64", (thing.value,)))
        else:
            lines = tuple(_lines(thing))
            texts.append(TextPart(f"assets/{number}.json", "asset", lines))
    return simulated(
        *classes,
        code=SimulatedCode(classes),
        resources=tuple(resources),
        texts=tuple(texts),
        natives=tuple(natives),
    )


def _lines(thing: Planted) -> list[str]:
    if thing.kind == "gcp-service-account":
        return ["{", '"type": "service_account",', f'"private_key": "{thing.value}\\n"', "}"]
    return ["{", *f'"{thing.name}": "{thing.value}"'.split("\n"), "}"]

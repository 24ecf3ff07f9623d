"""Make the vectors of the pin rules (docs/protocol.md, section 9): documents signed by fixed keys, and what becomes of them.

What is expected is written here by hand, never taken from the code that the vectors check.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from watchword.encoding import base64url
from watchword.lab.keys import public_jwk, sign_message
from watchword.tokens import jose

NOW: Final = 1_795_521_600
DAY: Final = 86_400
HARD: Final = NOW + 90 * DAY
APP: Final = "clinic-android"
HOST: Final = "api.clinic.example"
REPORTS: Final = "https://reports.example.net/v1/pins/reports"
SET_TYPE: Final = "watchword-pins+jwt"
ROOTS_TYPE: Final = "watchword-pin-roots+jwt"
HIGHEST: Final = 2**53 - 1

Members: TypeAlias = dict[str, Any]
KeyOf: TypeAlias = Callable[[str], ec.EllipticCurvePrivateKey]


def spki(name: str) -> str:
    """Return the pin of this name, base64url; no key has it."""
    return base64url.encode(hashlib.sha256(f"pin {name}".encode()).digest())


def compact(members: Any) -> bytes:
    """Return JSON in the form that is signed."""
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


GENUINE: Final = (spki("A"), spki("intermediate"), spki("root"))
INTERCEPTED: Final = (spki("thief"), spki("thief's root"))
PINS: Final = {spki("A"): "c", spki("B"): "b"}
CERTIFICATE_DAYS: Final = 30
FORMS: Final[Mapping[str, str]] = {
    "set-pin-spare-bits": "F1",
    "set-pin-padded": "F1",
    "set-form-padded": "F1",
    "set-form-standard-alphabet": "F1",
    "set-form-spare-bits": "F1",
    "set-duplicate": "F2",
    "set-trailing": "F2",
    "set-deep": "F2",
    "roots-bom": "F2",
    "roots-duplicate": "F2",
    "roots-65536": "F2 F4",
    "roots-65537": "F4",
    "set-member-missing": "F3",
    "set-member-unknown": "F3",
    "set-host-member": "F3",
    "roots-member-unknown": "F3",
    "builtin-member-unknown": "F3",
}
"""By name the vectors that hold rules of form too."""


@dataclass
class Author:
    """Write documents, and remember each by its name.

    :param key_of: gives the private key of a name, always the same one.
    """

    key_of: KeyOf
    documents: dict[str, str] = field(default_factory=dict)

    def jwk(self, name: str) -> dict[str, str]:
        """Return a public key."""
        return public_jwk(self.key_of(name).public_key())

    def kid(self, name: str) -> str:
        """Return a key's id."""
        return jose.thumbprint(self.jwk(name))

    def signature(self, name: str, message: str) -> str:
        """Return r and s over a message, base64url."""
        r, s = decoded(sign_message(self.key_of(name), message.encode()))
        return base64url.encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def keep(self, name: str, text: str) -> str:
        """Remember a document, and return its name."""
        if self.documents.setdefault(name, text) != text:
            raise ValueError(f"got two documents of the name {name}")
        return name

    def header(self, by: str, kind: str, **members: Any) -> str:
        """Return a protected header; a member that is None is left out."""
        found = {"alg": "ES256", "kid": self.kid(by), "typ": kind, **members}
        return base64url.encode(
            compact({key: value for key, value in found.items() if value is not None})
        )

    def pins(
        self,
        name: str,
        version: int = 5,
        *,
        by: str = "pin1",
        header: Members | None = None,
        payload: bytes | None = None,
        **members: Any,
    ) -> str:
        """Write a pin set; a member that is None is left out."""
        found = {
            "app": APP,
            "ver": version,
            "iat": NOW,
            "soft": NOW + 14 * DAY,
            "hard": HARD,
            "roots": 1,
            "hosts": {HOST: {"pins": PINS}},
            **members,
        }
        written = compact({key: value for key, value in found.items() if value is not None})
        said = base64url.encode(written if payload is None else payload)
        signed = f"{self.header(by, SET_TYPE, **(header or {}))}.{said}"
        return self.keep(name, f"{signed}.{self.signature(by, signed)}")

    def root_members(self, version: int = 1, **members: Any) -> Members:
        """Return the payload of a root list: two of three root keys sign, two pin keys."""
        found = {
            "ver": version,
            "exp": NOW + 1000 * DAY,
            "threshold": 2,
            "keys": [self.jwk(name) for name in ("root1", "root2", "root3")],
            "pin_keys": [self.jwk(name) for name in ("pin1", "pin2")],
            "floors": {},
            **members,
        }
        return {key: value for key, value in found.items() if value is not None}

    def roots(
        self,
        name: str,
        version: int = 1,
        *,
        by: Sequence[str] = ("root1", "root2"),
        header: Members | None = None,
        change: Callable[[Members], Any] = lambda _: None,
        **members: Any,
    ) -> str:
        """Write a root list.

        :param change: changes the document once it is signed.
        """
        said = base64url.encode(compact(self.root_members(version, **members)))
        signatures = []
        for each in by:
            protected = self.header(each, ROOTS_TYPE, **(header or {}))
            signature = self.signature(each, f"{protected}.{said}")
            signatures.append({"protected": protected, "signature": signature})
        document: Members = {"payload": said, "signatures": signatures}
        change(document)
        return self.keep(name, compact(document).decode())

    def builtin(
        self, name: str, *, under: str = "roots-1", first: str | None = None, **members: Any
    ) -> str:
        """Write what a version of the app ships with; a member that is None is left out, but for the set."""
        found = {
            "app": APP,
            "app_version": "4.2.0",
            "floor": 1,
            "roots": json.loads(self.documents[under]),
            "set": None if first is None else self.documents[first],
            "authorities": {},
            **members,
        }
        kept = {key: value for key, value in found.items() if value is not None or key == "set"}
        return self.keep(name, compact(kept).decode())


def decoded(signature: bytes) -> tuple[int, int]:
    """Return r and s of a DER signature."""
    return decode_dss_signature(signature)


def step(do: str, document: str | None = None, *, now: int = NOW, **members: Any) -> Members:
    """Return one step of a vector; a step without ``refused`` is taken."""
    found: Members = {"do": do}
    if document is not None:
        found["document"] = document
    return {**found, "now": now, **members}


def state(roots: int, pin_set: int | None, seen: int) -> Members:
    """Return what is installed: versions of root list and set, and the highest version seen."""
    return {"roots": roots, "set": pin_set, "seen": seen}


def judged(
    host: str = HOST,
    chain: Sequence[str] = GENUINE,
    *,
    basis: str,
    passes: bool = True,
    report: bool = False,
    withhold: bool = False,
    mismatch: bool = False,
    version: int = 5,
    now: int = NOW,
    **members: Any,
) -> Members:
    """Return a step that judges a connection, and what comes of it."""
    expected = {
        "passes": passes,
        "basis": basis,
        "report": report,
        "withhold": withhold,
        "mismatch": mismatch,
        "version": version,
    }
    return {
        "do": "judge",
        "host": host,
        "chain": list(chain),
        "now": now,
        "expect": expected,
        **members,
    }


def matched(host: str = HOST, chain: Sequence[str] = GENUINE, **members: Any) -> Members:
    """Return a connection that a pin matches."""
    return judged(host, chain, basis="pins", **members)


def mismatched(host: str = HOST, chain: Sequence[str] = INTERCEPTED, **members: Any) -> Members:
    """Return a connection that is refused because no pin matches."""
    outcome = {"passes": False, "report": True, "withhold": True, "mismatch": True}
    return judged(host, chain, basis="pins", **outcome, **members)


def unpinned(host: str, version: int = 5, **members: Any) -> Members:
    """Return a connection that nothing speaks against."""
    return judged(host, INTERCEPTED, basis="unpinned", version=version, **members)


def fallen_back(host: str = HOST, chain: Sequence[str] = INTERCEPTED, **members: Any) -> Members:
    """Return a connection that rests on the platform's trust, is reported, and gets no secrets."""
    return judged(host, chain, basis="platform", report=True, withhold=True, **members)


def vector(name: str, rules: str, about: str, *steps: Members, builtin: str = "builtin") -> Members:
    """Return a vector; ``rules`` are the numbers that it holds, with a space between."""
    return {
        "id": f"pins-{name}",
        "rules": rules.split(),
        "about": about,
        "builtin": builtin,
        "steps": list(steps),
    }


def _hosts(**changes: Any) -> Members:
    return {"hosts": {HOST: {"pins": PINS, **changes}}}


def _raw(author: Author, old: str, new: str) -> bytes:
    """Return the payload of an ordinary set with one text in it replaced."""
    name = author.pins("set-5")
    said = base64url.decode(author.documents[name].split(".")[1]).decode()
    if said.count(old) != 1:
        raise ValueError(f"got {said.count(old)} of {old!r} in a payload, expected one")
    return said.replace(old, new).encode()


def malformed_sets(author: Author) -> list[Members]:
    """Return sets that can't be read, each refused for its form alone."""
    many = {f"h{number}": {"pins": {spki("A"): "c"}} for number in range(201)}
    twenty_one = {spki(f"many {number}"): "c" for number in range(21)}
    short = base64url.encode(bytes(31))
    spare = spki("A")[:-1] + chr(ord(spki("A")[-1]) + 1)
    payloads: dict[str, tuple[str, str, Members]] = {
        "member-missing": ("P3", "without `soft`", {"soft": None}),
        "member-unknown": ("P3", "with a member that isn't known", {"note": 1}),
        "version-0": ("P3", "version 0", {"ver": 0}),
        "version-2-53": ("P3", "version 2^53", {"ver": 2**53}),
        "version-true": ("P3", "version `true`", {"ver": True}),
        "version-text": ("P3", "version as text", {"ver": "5"}),
        "version-float": ("P3", "version 5.0", {"payload": ('"ver":5', '"ver":5.0')}),
        "time-beyond": ("P3", "a time beyond 2^40", {"hard": 2**40 + 1}),
        "soft-before-issue": ("P3", "soft expiry before the issue", {"soft": NOW - 1}),
        "hard-before-soft": ("P3", "hard expiry before the soft one", {"hard": NOW + DAY}),
        "no-life": ("P3", "no time between issue and hard expiry", {"soft": NOW, "hard": NOW}),
        "app-name": ("P3", "an app's name with a slash", {"app": "clinic/android"}),
        "duplicate": ("P1 P3", "a member twice", {"payload": ('"ver":5', '"ver":4,"ver":5')}),
        "trailing": (
            "P1 P3",
            "bytes behind the object",
            {"payload": ('"roots":1', '"roots":1}x{')},
        ),
        "deep": ("P1", "nested deeper than 8", {"payload": ('"ver":5', '"ver":[[[[[[[[5]]]]]]]]')}),
        "hosts-list": ("P4", "hosts as a list", {"hosts": []}),
        "hosts-201": ("P4", "201 hosts", {"hosts": many}),
        "no-pins": ("P4", "a host without pins", _hosts(pins={})),
        "pins-21": ("P4", "a host with 21 pins", _hosts(pins=twenty_one)),
        "pin-short": ("P4", "a pin of 31 bytes", _hosts(pins={short: "c"})),
        "pin-spare-bits": ("P1 P4", "a pin that isn't canonical", _hosts(pins={spare: "c"})),
        "pin-padded": ("P1 P4", "a pin with padding", _hosts(pins={spki("A") + "=": "c"})),
        "role": ("P4", "an unknown role", _hosts(pins={spki("A"): "x"})),
        "mode-enforce": ("P4", "the default mode spelled out", _hosts(mode="enforce")),
        "sub-false": ("P4", "`sub` spelled out as false", _hosts(sub=False)),
        "sub-1": ("P4", "`sub` as a number", _hosts(sub=1)),
        "after-open": ("P4", "`after` spelled out as open", _hosts(after="open")),
        "host-member": ("P4", "an unknown member of a host", _hosts(port=443)),
        "sub-no-dot": (
            "P4",
            "`sub` for a name without a dot",
            {"hosts": {"example": {"pins": PINS, "sub": True}}},
        ),
    }
    names = {
        "upper": "API.clinic.example",
        "final-dot": "api.clinic.example.",
        "wildcard": "*.clinic.example",
        "port": "api.clinic.example:443",
        "address": "192.0.2.1",
        "ends-in-number": "host.7",
        "ends-in-hexadecimal": "host.0x7",
        "ipv6": "[2001:db8::1]",
        "underscore": "api_v1.clinic.example",
        "u-label": "m\u00fcnchen.example",
        "hyphen-first": "-api.clinic.example",
        "label-64": f"{'a' * 64}.example",
        "name-254": ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 62]),
        "empty-label": "api..example",
        "empty": "",
    }
    for short_name, host in names.items():
        payloads[f"host-{short_name}"] = (
            "P5",
            f"the host `{host[:40]}`",
            {"hosts": {host: {"pins": PINS}}},
        )
    urls = {
        "http": "http://reports.example.net/",
        "user": "https://a@reports.example.net/",
        "fragment": "https://reports.example.net/#x",
        "port-0": "https://reports.example.net:0/",
        "port-65536": "https://reports.example.net:65536/",
        "upper": "https://Reports.example.net/",
        "address": "https://192.0.2.1/",
        "long": "https://reports.example.net/" + "a" * 485,
        "null": 1,
    }
    for short_name, url in urls.items():
        payloads[f"reports-{short_name}"] = (
            "P6",
            f"reports to `{str(url)[:40]}`",
            {"reports": url},
        )
    found = []
    for short_name, (rules, about, members) in payloads.items():
        raw = members.get("payload")
        changes: Members = {"payload": _raw(author, *raw)} if raw else members
        name = author.pins(f"set-{short_name}", **changes)
        found.append(
            vector(
                f"set-{short_name}",
                rules,
                f"A set is refused: {about}.",
                step("set", name, refused="pins.set_malformed"),
            )
        )
    return found


def set_forms(author: Author) -> list[Members]:
    """Return what the JWS of a set may look like, and what it may not."""
    good = author.documents[author.pins("set-5")]
    head, said, signature = good.split(".")
    spare = signature[:-1] + chr(ord(signature[-1]) + 1)
    der = base64url.encode(sign_message(author.key_of("pin1"), f"{head}.{said}".encode()))
    author.pins("set-full", **_full())
    forms = {
        "padded": ("padding behind the payload", f"{head}.{said}=.{signature}"),
        "standard-alphabet": ("a `+` in it", f"{head}.{said}+.{signature}"),
        "four-segments": ("four segments", f"{good}.AAAA"),
        "two-segments": ("two segments", f"{head}.{said}"),
        "newline": ("a line feed at its end", f"{good}\n"),
        "space-first": ("a space in front", f" {good}"),
        "spare-bits": ("a signature that isn't canonical base64url", f"{head}.{said}.{spare}"),
        "der-signature": ("a signature in DER", f"{head}.{said}.{der}"),
        "no-signature": ("no signature", f"{head}.{said}."),
        "not-ascii": ("characters outside of ASCII", f"{good}\u00e9"),
        "empty": ("nothing at all", ""),
    }
    found = [
        vector(
            "set-taken",
            "P1 P2 P3 P4 P15",
            "An ordinary set is taken, and its pins count.",
            step("set", "set-5", state=state(1, 5, 5)),
            matched(),
            mismatched(),
        ),
        vector(
            "set-every-member",
            "P3 P4 P5 P6",
            "A set with every member and role is taken.",
            step("set", "set-full", state=state(1, 5, 5)),
            matched("full.clinic.example", (spki("A"),)),
            matched("full.clinic.example", (spki("x"), spki("root"))),
            matched("a.full.clinic.example", (spki("N"),)),
        ),
        vector(
            "set-no-hosts",
            "P4",
            "A set without hosts is taken; nothing is pinned.",
            step("set", author.pins("set-no-hosts", hosts={}), state=state(1, 5, 5)),
            unpinned(HOST),
        ),
        vector(
            "set-bounds",
            "P4 P5 P6",
            "20 pins, the longest names and the longest address are taken.",
            step("set", author.pins("set-bounds", **_bounds()), state=state(1, 5, 5)),
            matched("twenty.example", (spki("many 19"),)),
            *(matched(name, (spki("A"),)) for name in EDGES),
        ),
        vector(
            "set-highest",
            "P3",
            "The highest version is 2^53 - 1.",
            step("set", author.pins("set-highest", HIGHEST), state=state(1, HIGHEST, HIGHEST)),
        ),
    ]
    for name, (about, text) in forms.items():
        document = author.keep(f"set-form-{name}", text)
        found.append(
            vector(
                f"set-form-{name}",
                "P1 P2",
                f"A set is refused: {about}.",
                step("set", document, refused="pins.set_malformed"),
            )
        )
    headers: dict[str, Members] = {
        "alg-none": {"alg": "none"},
        "alg-es384": {"alg": "ES384"},
        "typ-roots": {"typ": ROOTS_TYPE},
        "typ-token": {"typ": "watchword+jwt"},
        "typ-missing": {"typ": None},
        "kid-missing": {"kid": None},
        "kid-empty": {"kid": ""},
        "kid-65": {"kid": "k" * 65},
        "crit": {"crit": ["exp"]},
        "jwk": {"jwk": author.jwk("pin1")},
    }
    for name, header in headers.items():
        document = author.pins(f"set-header-{name}", header=header)
        found.append(
            vector(
                f"set-header-{name}",
                "P2",
                f"A set is refused for its header: {name}.",
                step("set", document, refused="pins.set_malformed"),
            )
        )
    return found


EDGES: Final = (
    ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61]),
    "xn--mnchen-3ya.example",
    "7.4-7.7up",
    "host.0xg",
    "a",
)
"""Names that are hosts, each at some edge of what is one."""


def _bounds() -> Members:
    twenty = {spki(f"many {number}"): "c" for number in range(20)}
    names = {name: {"pins": PINS} for name in EDGES}
    return {
        "hosts": {"twenty.example": {"pins": twenty}, **names},
        "reports": "https://reports.example.net/" + "a" * 484,
    }


def _full() -> Members:
    pins = {spki("A"): "c", spki("N"): "n", spki("B"): "b", spki("root"): "a"}
    host = {"pins": pins, "sub": True, "after": "closed"}
    return {
        "hosts": {
            "full.clinic.example": host,
            "new.clinic.example": {"pins": PINS, "mode": "report"},
        },
        "reports": "https://reports.example.net:8443/v1/pins/reports?app=clinic&x=%2F",
    }


def root_forms(author: Author) -> list[Members]:
    """Return root lists that are read, and those that are refused for their form alone."""
    key, other = author.jwk("root1"), author.jwk("pin1")
    private = {**key, "d": base64url.encode(bytes(31) + b"\x01")}
    off_curve = {**key, "y": base64url.encode(bytes(32))}
    named = {**key, "kid": "a"}
    many = [author.jwk(f"many {number}") for number in range(17)]
    floors = {f"app-{number}": 1 for number in range(201)}
    members: dict[str, tuple[str, Members]] = {
        "member-missing": ("without `floors`", {"floors": None}),
        "member-unknown": ("with a member that isn't known", {"note": 1}),
        "version-0": ("version 0", {"ver": 0}),
        "threshold-0": ("a threshold of 0", {"threshold": 0}),
        "threshold-4": ("a threshold of 4 with 3 keys", {"threshold": 4}),
        "no-keys": ("no keys", {"keys": []}),
        "no-pin-keys": ("no pin keys", {"pin_keys": []}),
        "keys-17": ("17 keys", {"keys": many}),
        "key-twice": ("a key twice", {"keys": [key, key, author.jwk("root2")]}),
        "key-of-both-kinds": ("a root key as pin key", {"pin_keys": [other, key]}),
        "key-private": ("a private key", {"pin_keys": [{**private, **other}]}),
        "key-off-curve": ("a point that isn't on the curve", {"pin_keys": [off_curve]}),
        "key-with-kid": ("a key with another member", {"pin_keys": [named]}),
        "floor-0": ("a floor of 0", {"floors": {APP: 0}}),
        "floors-201": ("201 floors", {"floors": floors}),
    }
    found = []
    for name, (about, changes) in members.items():
        document = author.roots(f"roots-{name}", 2, **changes)
        found.append(
            vector(
                f"roots-{name}",
                "P8",
                f"A root list is refused: {about}.",
                step("roots", document, refused="pins.roots_malformed"),
            )
        )
    changes_of: dict[str, tuple[str, Callable[[Members], Any]]] = {
        "document-member": ("with an unprotected header", lambda each: each.update(header={})),
        "signature-member": (
            "a signature with an unprotected header",
            lambda each: each["signatures"][0].update(header={}),
        ),
        "two-by-one-key": (
            "two signatures by one key",
            lambda each: each["signatures"].append(each["signatures"][0]),
        ),
        "signatures-object": (
            "signatures as an object",
            lambda each: each.update(signatures={}),
        ),
        "signature-short": (
            "a signature of 63 bytes",
            lambda each: each["signatures"][0].update(signature=base64url.encode(bytes(63))),
        ),
    }
    for name, (about, change) in changes_of.items():
        document = author.roots(f"roots-{name}", 2, change=change)
        found.append(
            vector(
                f"roots-{name}",
                "P7",
                f"A root list is refused: {about}.",
                step("roots", document, refused="pins.roots_malformed"),
            )
        )
    crowd = [f"many {number}" for number in range(33)]
    found += [
        vector(
            "roots-signatures-32",
            "P7",
            "32 signatures are read; those by keys that no list names don't count.",
            step(
                "roots",
                author.roots("roots-2-crowd", 2, by=["root1", "root2", *crowd[:30]]),
                state=state(2, None, 0),
            ),
        ),
        vector(
            "roots-signatures-33",
            "P7",
            "33 signatures aren't.",
            step(
                "roots",
                author.roots("roots-2-many", 2, by=["root1", "root2", *crowd[:31]]),
                refused="pins.roots_malformed",
            ),
        ),
        vector(
            "roots-typ",
            "P7",
            "A signature of another type makes the list unreadable.",
            step(
                "roots",
                author.roots("roots-2-typ", 2, header={"typ": SET_TYPE}),
                refused="pins.roots_malformed",
            ),
        ),
    ]
    keys = [author.jwk(name) for name in ("root1", "root2")]
    full = author.roots(
        "roots-2-bounds",
        2,
        keys=[*keys, *many[:14]],
        threshold=2,
        pin_keys=[author.jwk("pin1"), *(author.jwk(f"pin {number}") for number in range(15))],
        floors={f"app-{number}": 1 for number in range(200)},
    )
    found.append(
        vector(
            "roots-bounds",
            "P8",
            "16 keys of both kinds and 200 floors are taken.",
            step("roots", full, state=state(2, None, 0)),
            step("set", "set-5", state=state(2, 5, 5)),
        )
    )
    plain = author.documents["roots-2"]
    found += [
        vector(
            "roots-65536",
            "P1 P7",
            "A root list of 65,536 bytes is read; white space between its members doesn't matter.",
            step("roots", "roots-2", pad_to=65_536, state=state(2, None, 0)),
        ),
        vector(
            "roots-65537",
            "P1",
            "One of 65,537 isn't.",
            step("roots", "roots-2", pad_to=65_537, refused="pins.roots_malformed"),
        ),
        vector(
            "roots-bom",
            "P1",
            "A byte order mark is refused.",
            step(
                "roots",
                author.keep("roots-2-bom", f"\ufeff{plain}"),
                refused="pins.roots_malformed",
            ),
        ),
        vector(
            "roots-duplicate",
            "P1 P7",
            "A member twice is refused.",
            step(
                "roots",
                author.keep("roots-2-duplicate", plain.replace("{", '{"payload":"",', 1)),
                refused="pins.roots_malformed",
            ),
        ),
    ]
    return found


def walks(author: Author) -> list[Members]:
    """Return root lists that follow each other, and those that don't."""
    low = author.roots(
        "roots-2-own-low",
        2,
        by=("root1", "root2"),
        keys=[author.jwk(name) for name in ("root4", "root5", "root6")],
    )
    swapped = author.roots(
        "roots-2-swapped",
        2,
        by=("root1", "root2", "root4", "root5"),
        keys=[author.jwk(name) for name in ("root4", "root5", "root6")],
    )
    raised = author.roots("roots-2-raised", 2, threshold=3)
    forged = author.roots(
        "roots-2-forged",
        2,
        change=lambda each: each["signatures"][1].update(
            each["signatures"][1] | {"signature": each["signatures"][0]["signature"]}
        ),
    )
    expired = author.roots("roots-2-expired", 2, exp=NOW)
    return [
        vector(
            "walk-follows",
            "P7 P8 P10 P11",
            "List 2, signed by two of the three keys of list 1, follows it.",
            step("roots", "roots-2", state=state(2, None, 0)),
        ),
        vector(
            "walk-one-signature",
            "P10",
            "One signature of two is too few.",
            step(
                "roots",
                author.roots("roots-2-one", 2, by=("root1",)),
                refused="pins.roots_threshold",
            ),
        ),
        vector(
            "walk-strangers",
            "P10",
            "Signatures by keys that neither list names don't count.",
            step(
                "roots",
                author.roots("roots-2-strangers", 2, by=("root1", "root7", "root8")),
                refused="pins.roots_threshold",
            ),
        ),
        vector(
            "walk-pin-keys",
            "P10",
            "Pin keys sign no root list.",
            step(
                "roots",
                author.roots("roots-2-pin-keys", 2, by=("pin1", "pin2")),
                refused="pins.roots_threshold",
            ),
        ),
        vector(
            "walk-forged",
            "P10",
            "A signature that doesn't verify isn't counted.",
            step("roots", forged, refused="pins.roots_threshold"),
        ),
        vector(
            "walk-own-threshold",
            "P10",
            "A list with other keys is signed by a threshold of those too.",
            step("roots", low, refused="pins.roots_threshold"),
        ),
        vector(
            "walk-own-threshold-raised",
            "P10",
            "A higher threshold of its own binds the list itself.",
            step("roots", raised, refused="pins.roots_threshold"),
        ),
        vector(
            "walk-swapped",
            "P10",
            "A threshold of the old and of the new keys exchanges all of them.",
            step("roots", swapped, state=state(2, None, 0)),
            step("roots", author.roots("roots-3-old-keys", 3), refused="pins.roots_threshold"),
            step(
                "roots",
                author.roots(
                    "roots-3-new-keys",
                    3,
                    by=("root4", "root6"),
                    keys=[author.jwk(name) for name in ("root4", "root5", "root6")],
                ),
                state=state(3, None, 0),
            ),
        ),
        vector(
            "walk-skipped",
            "P11",
            "No list is left out: each may have taken a key away.",
            step("roots", author.roots("roots-3", 3), refused="pins.roots_version"),
            step("roots", "roots-2", state=state(2, None, 0)),
            step("roots", "roots-3", state=state(3, None, 0)),
        ),
        vector(
            "walk-again",
            "P11",
            "The same list again isn't the next one, and neither is an older one.",
            step("roots", "roots-1", refused="pins.roots_version"),
            step("roots", "roots-2"),
            step("roots", "roots-2", refused="pins.roots_version"),
            step("roots", "roots-1", refused="pins.roots_version"),
        ),
        vector(
            "walk-floors",
            "P12",
            "Floors stay or rise; another app's too.",
            step(
                "roots",
                author.roots("roots-2-floors", 2, floors={APP: 4, "other": 9}),
                state=state(2, None, 0),
            ),
            step(
                "roots",
                author.roots("roots-3-floor-lower", 3, floors={APP: 3, "other": 9}),
                refused="pins.roots_version",
            ),
            step(
                "roots",
                author.roots("roots-3-floor-gone", 3, floors={APP: 4}),
                refused="pins.roots_version",
            ),
            step(
                "roots",
                author.roots("roots-3-floors", 3, floors={APP: 5, "other": 9}),
                state=state(3, None, 0),
            ),
        ),
        vector(
            "walk-expired",
            "P13 P14",
            "An expired list is walked through; as the last one it authorises no set.",
            step("roots", expired, state=state(2, None, 0)),
            step("set", "set-5", refused="pins.roots_expired"),
            step("roots", "roots-3", state=state(3, None, 0)),
            step("set", "set-5", state=state(3, 5, 5)),
        ),
    ]


def acceptance(author: Author) -> list[Members]:
    """Return sets that are well formed, and are taken or not."""
    life = 400 * DAY
    old: Members = {"iat": NOW - 100 * DAY, "soft": NOW - 50 * DAY}
    good = author.documents["set-5"]
    head, said, _ = good.split(".")
    changed = author.keep(
        "set-5-forged", f"{head}.{said}.{author.signature('pin2', f'{head}.{said}')}"
    )
    return [
        vector(
            "roots-live",
            "P14",
            "The installed root list counts until the second before it expires.",
            step("set", "set-5", now=NOW + 10 * DAY - 1, state=state(1, 5, 5)),
            step("set", author.pins("set-6", 6), now=NOW + 10 * DAY, refused="pins.roots_expired"),
            matched(now=NOW + 20 * DAY),
            mismatched(now=NOW + 20 * DAY),
            builtin="builtin-roots-short",
        ),
        vector(
            "set-key-unknown",
            "P15",
            "A key that the root list doesn't name signs no set.",
            step("set", author.pins("set-5-stranger", by="stranger"), refused="pins.set_key"),
        ),
        vector(
            "set-key-root",
            "P15",
            "A root key doesn't either.",
            step("set", author.pins("set-5-root", by="root1"), refused="pins.set_key"),
        ),
        vector(
            "set-key-second",
            "P15",
            "Each of the pin keys may sign.",
            step("set", author.pins("set-5-pin2", by="pin2"), state=state(1, 5, 5)),
        ),
        vector(
            "set-signature",
            "P15",
            "A signature by another key than the one that is named is refused.",
            step("set", changed, refused="pins.set_signature"),
        ),
        vector(
            "set-unsigned-form",
            "P15",
            "Signature and key are checked before the payload is read.",
            step(
                "set",
                author.pins("set-5-bad-stranger", by="stranger", ver=0),
                refused="pins.set_key",
            ),
        ),
        vector(
            "set-other-app",
            "P16",
            "A set for another app is refused.",
            step("set", author.pins("set-5-other-app", app="clinic-ios"), refused="pins.set_app"),
            step("set", "set-5"),
        ),
        vector(
            "set-roots-behind",
            "P17",
            "A set that needs root list 2 waits for it.",
            step("set", author.pins("set-5-needs-2", roots=2), refused="pins.roots_behind"),
            step("roots", "roots-2"),
            step("set", "set-5-needs-2", state=state(2, 5, 5)),
        ),
        vector(
            "set-floor-builtin",
            "P18",
            "The floor of the app's version holds, though no set was seen.",
            step("set", "set-6", refused="pins.set_old"),
            step("set", author.pins("set-7", 7), state=state(1, 7, 7)),
            builtin="builtin-floor-7",
        ),
        vector(
            "set-floor-roots",
            "P18",
            "The floor of the root list holds; the other apps' are none of its business.",
            step("roots", author.roots("roots-2-floor-6", 2, floors={APP: 6, "clinic-ios": 99})),
            step("set", "set-5", refused="pins.set_old"),
            step("set", "set-6", state=state(2, 6, 6)),
        ),
        vector(
            "set-rollback",
            "P19",
            "An older set is refused, however genuine; a newer one takes its place.",
            step("set", "set-5"),
            step("set", author.pins("set-4", 4), refused="pins.set_old"),
            step("set", "set-6", state=state(1, 6, 6)),
            step("set", "set-5", refused="pins.set_old"),
        ),
        vector(
            "set-rollback-after-expiry",
            "P19 P20",
            "An expired set still says which ones are too old.",
            step("set", "set-5"),
            step(
                "set",
                author.pins("set-4-long", 4, hard=NOW + 300 * DAY),
                now=NOW + 200 * DAY,
                refused="pins.set_old",
            ),
        ),
        vector(
            "set-again",
            "P19",
            "The same set again changes nothing, also signed by another pin key.",
            step("set", "set-5", state=state(1, 5, 5)),
            step("set", "set-5", state=state(1, 5, 5)),
            step("set", "set-5-pin2", state=state(1, 5, 5)),
        ),
        vector(
            "set-differs",
            "P19",
            "Another set of the same version is refused.",
            step("set", "set-5"),
            step(
                "set",
                author.pins("set-5-report", **_hosts(mode="report")),
                refused="pins.set_differs",
            ),
            step("set", author.pins("set-5-longer", hard=HARD + 1), refused="pins.set_differs"),
            mismatched(),
        ),
        vector(
            "set-expired",
            "P20",
            "A set is taken until the second before its hard expiry.",
            step("set", "set-5", now=HARD, refused="pins.set_expired"),
            step("set", "set-5", now=HARD - 1, state=state(1, 5, 5)),
        ),
        vector(
            "set-early",
            "P21",
            "A phone's clock may be a day behind the issuer's, and no more.",
            step(
                "set",
                author.pins("set-5-early", iat=NOW + DAY + 1, soft=NOW + 9 * DAY),
                refused="pins.set_early",
            ),
            step(
                "set",
                author.pins("set-5-ahead", iat=NOW + DAY, soft=NOW + 9 * DAY),
                state=state(1, 5, 5),
            ),
        ),
        vector(
            "set-lifetime",
            "P22",
            "No set lives for more than 400 days.",
            step(
                "set", author.pins("set-5-long", hard=NOW + life + 1), refused="pins.set_lifetime"
            ),
            step("set", author.pins("set-5-400-days", hard=NOW + life), state=state(1, 5, 5)),
        ),
        vector(
            "set-order",
            "P23",
            "The first rule that doesn't hold gives the reason: root list, key, app, its root list, floor, rollback, times.",
            step(
                "set",
                author.pins("set-4-app-roots", 4, app="clinic-ios", roots=9),
                refused="pins.set_app",
            ),
            step(
                "set",
                author.pins("set-4-roots-9", 4, roots=9, hard=NOW, **old),
                refused="pins.roots_behind",
            ),
            step("set", author.pins("set-4-expired", 4, hard=NOW, **old), refused="pins.set_old"),
            step(
                "set",
                author.pins("set-9-long-expired", 9, iat=1, soft=2, hard=NOW),
                refused="pins.set_expired",
            ),
            step(
                "set",
                author.pins(
                    "set-9-early-long",
                    9,
                    iat=NOW + 2 * DAY,
                    soft=NOW + 3 * DAY,
                    hard=NOW + 500 * DAY,
                ),
                refused="pins.set_early",
            ),
            builtin="builtin-floor-7",
        ),
        vector(
            "refused-changes-nothing",
            "P23",
            "After a refused list and a refused set all is as before.",
            step("set", "set-5"),
            step("roots", "roots-3", refused="pins.roots_version", state=state(1, 5, 5)),
            step("set", "set-4", refused="pins.set_old", state=state(1, 5, 5)),
            matched(),
            mismatched(),
        ),
    ]


def states(author: Author) -> list[Members]:
    """Return what is installed: at first, once a key is withdrawn, and after a restart."""
    without = author.roots(
        "roots-2-without-pin1", 2, pin_keys=[author.jwk("pin2")], floors={APP: 6}
    )
    thief = author.pins("set-thief", HIGHEST, hosts={HOST: {"pins": {spki("thief"): "c"}}})
    mine = author.pins("set-6-pin2", 6, by="pin2")
    return [
        vector(
            "fresh-without-a-set",
            "P24 P34",
            "Without a set nothing is pinned.",
            unpinned(HOST, 0, state=state(1, None, 0)),
            step("fresh", expect=False),
        ),
        vector(
            "fresh-with-a-set",
            "P24",
            "The set that ships counts from the first start on.",
            mismatched(state=state(1, 5, 5)),
            matched(),
            step("set", "set-4", refused="pins.set_old"),
            builtin="builtin-set-5",
        ),
        vector(
            "fresh-until-soft",
            "P44",
            "Until its soft expiry there is no need to look for a newer set.",
            step("set", "set-5"),
            step("fresh", now=NOW + 14 * DAY - 1, expect=True),
            step("fresh", now=NOW + 14 * DAY, expect=False),
        ),
        vector(
            "withdrawn-key",
            "P25 P26 P38",
            "A list without the set's key withdraws it, and the highest version seen is forgotten.",
            step("set", thief, state=state(1, HIGHEST, HIGHEST)),
            step("set", author.pins("set-6", 6), refused="pins.set_old"),
            step("roots", without, state=state(2, HIGHEST, 0)),
            step("fresh", expect=False),
            fallen_back(chain=(spki("thief"),), version=HIGHEST),
            step("set", author.pins("set-7", 7), refused="pins.set_key"),
            step("set", "set-5-pin2", refused="pins.set_old"),
            step("set", mine, state=state(2, 6, 6)),
            mismatched(version=6),
            matched(version=6),
        ),
        vector(
            "withdrawn-floor",
            "P25 P26",
            "A floor above the kept set withdraws it; a floor at it doesn't.",
            step("set", "set-5"),
            step(
                "roots", author.roots("roots-2-floor-5", 2, floors={APP: 5}), state=state(2, 5, 5)
            ),
            mismatched(),
            step(
                "roots", author.roots("roots-3-floor-6", 3, floors={APP: 6}), state=state(3, 5, 0)
            ),
            fallen_back(),
        ),
        vector(
            "restart",
            "P28",
            "A restart finds what was trusted, verified anew, whatever its age.",
            step(
                "restart", builtin="builtin", lists=["roots-2"], set="set-5", state=state(2, 5, 5)
            ),
            mismatched(),
            fallen_back(now=HARD),
            step("set", "set-4-long", now=NOW + 200 * DAY, refused="pins.set_old"),
        ),
        vector(
            "restart-nothing-kept",
            "P24 P28",
            "Where nothing was kept, what ships counts.",
            step("restart", builtin="builtin-set-5", lists=[], set=None, state=state(1, 5, 5)),
        ),
        vector(
            "restart-withdrawn",
            "P25 P28",
            "A set that was withdrawn is still withdrawn.",
            step(
                "restart",
                builtin="builtin",
                lists=["roots-2-without-pin1"],
                set="set-5",
                state=state(2, 5, 0),
            ),
            fallen_back(),
        ),
        vector(
            "restart-package-newer",
            "P29",
            "The package's set counts where it is as new or newer, the kept one where that is.",
            step("restart", builtin="builtin-set-5", lists=[], set="set-4", state=state(1, 5, 5)),
            step("restart", builtin="builtin-set-5", lists=[], set="set-6", state=state(1, 6, 6)),
        ),
        vector(
            "restart-package-withdrawn",
            "P29",
            "The package's set isn't newer once its key is withdrawn.",
            step(
                "restart",
                builtin="builtin-set-9-pin1",
                lists=["roots-2-without-pin1"],
                set="set-6-pin2",
                state=state(2, 6, 6),
            ),
        ),
        vector(
            "restart-package-past",
            "P29",
            "Lists that the package is past are passed over; a set that its own list withdraws is forgotten.",
            step(
                "restart",
                builtin="builtin-roots-2",
                lists=[],
                set="set-5-pin2",
                state=state(2, None, 0),
            ),
            step(
                "restart",
                builtin="builtin-roots-2",
                lists=["roots-2-without-pin1"],
                set="set-thief",
                state=state(2, None, 0),
            ),
            step(
                "restart",
                builtin="builtin-roots-2",
                lists=[
                    "roots-2-without-pin1",
                    author.roots("roots-3-floors-6", 3, floors={APP: 6}),
                ],
                set="set-6-pin2",
                state=state(3, 6, 6),
            ),
        ),
        vector(
            "restart-key-of-a-later-list",
            "P28 P29",
            "A key that came with a list that was walked counts after a restart too.",
            step(
                "restart",
                builtin="builtin",
                lists=[
                    author.roots("roots-2-pin3", 2, pin_keys=[author.jwk("pin3")]),
                ],
                set=author.pins("set-6-pin3", 6, by="pin3"),
                state=state(2, 6, 6),
            ),
            mismatched(version=6),
        ),
        vector(
            "restart-floor-of-the-package",
            "P29",
            "A kept set below the package's floor stays: to drop it would unpin its hosts.",
            step("restart", builtin="builtin-floor-7", lists=[], set="set-5", state=state(1, 5, 5)),
            mismatched(),
        ),
        vector(
            "restart-key-unknown",
            "P28",
            "A set by a key that none of the lists names is forgotten.",
            step(
                "restart",
                builtin="builtin",
                lists=[],
                set="set-5-stranger",
                state=state(1, None, 0),
            ),
        ),
        vector(
            "restart-tampered-set",
            "P30",
            "A kept set that doesn't verify isn't used: the app begins as it was built.",
            step(
                "restart",
                builtin="builtin-set-5",
                lists=[],
                set="set-5-forged",
                refused="pins.set_signature",
                state=state(1, 5, 5),
            ),
        ),
        vector(
            "restart-tampered-list",
            "P30",
            "A kept list that doesn't follow isn't either, nor is what was kept with it.",
            step(
                "restart",
                builtin="builtin",
                lists=["roots-3"],
                set="set-5",
                refused="pins.roots_version",
                state=state(1, None, 0),
            ),
        ),
        vector(
            "restart-other-app",
            "P30",
            "Another app's set isn't.",
            step(
                "restart",
                builtin="builtin",
                lists=[],
                set="set-5-other-app",
                refused="pins.set_app",
                state=state(1, None, 0),
            ),
        ),
    ]


def builtins(author: Author) -> list[Members]:
    """Return files that ship with an app, and those that are refused."""
    pin = {HOST: [spki("root")]}
    first = author.documents["set-5"]
    unsigned = json.loads(author.documents["roots-1"])
    unsigned["signatures"] = unsigned["signatures"][:1]
    refused: dict[str, tuple[str, Members]] = {
        "member-missing": ("without `floor`", {"floor": None}),
        "member-unknown": ("with a member that isn't known", {"note": 1}),
        "app-version-empty": ("an empty version", {"app_version": ""}),
        "app-version-65": ("a version of 65 characters", {"app_version": "1" * 65}),
        "floor-true": ("a floor of `true`", {"floor": True}),
        "floor-above-set": ("a set below the floor", {"floor": 6, "set": first}),
        "other-app": ("another app's set", {"app": "clinic-ios", "set": first}),
        "roots-text": ("its root list as text", {"roots": author.documents["roots-1"]}),
        "roots-one-signature": ("a root list with one signature of two", {"roots": unsigned}),
        "set-stranger": ("a set by an unknown key", {"set": author.documents["set-5-stranger"]}),
        "authority-empty": ("a host without authorities", {"authorities": {HOST: []}}),
        "authority-short": (
            "an authority of 31 bytes",
            {"authorities": {HOST: [base64url.encode(bytes(31))]}},
        ),
        "authority-host": (
            "an authority's host in upper case",
            {"authorities": {"API.clinic.example": pin[HOST]}},
        ),
    }
    found = [
        vector(
            "builtin-taken",
            "P9",
            "A file with root list, set and authorities is taken.",
            step(
                "install",
                author.builtin("builtin-full", first="set-5", floor=5, authorities=pin),
                state=state(1, 5, 5),
            ),
        ),
        vector(
            "builtin-padded",
            "P1 P9",
            "White space and the order of members don't matter.",
            step(
                "install",
                author.keep(
                    "builtin-spaced",
                    json.dumps(
                        json.loads(author.documents["builtin-full"]), indent=1, sort_keys=True
                    ),
                ),
                state=state(1, 5, 5),
            ),
        ),
    ]
    for name, (about, members) in refused.items():
        document = author.builtin(f"builtin-bad-{name}", **members)
        found.append(
            vector(
                f"builtin-{name}",
                "P9",
                f"A file is refused: {about}.",
                step("install", document, refused="builtin"),
            )
        )
    return found


def judgements(author: Author) -> list[Members]:
    """Return connections, and what becomes of them."""
    ca: Members = {"hosts": {HOST: {"pins": {spki("ca"): "a"}}}}
    ten, eleven = [spki("y")] * 10, [spki("y")] * 11
    filler = (spki("x"), *ten, spki("ca"))
    return [
        vector(
            "leaf",
            "P31 P35",
            "Own keys match at the leaf alone; an empty chain matches nothing.",
            step("set", "set-5"),
            matched(),
            matched(chain=(spki("B"), spki("any"))),
            matched(chain=(spki("A"),)),
            mismatched(),
            mismatched(chain=(spki("thief"), spki("A"))),
            mismatched(chain=()),
        ),
        vector(
            "authority",
            "P31 P35",
            "An authority's key matches above the leaf alone, within 12 certificates.",
            step("set", author.pins("set-5-ca", **ca)),
            matched(chain=(spki("x"), spki("ca"))),
            matched(chain=(spki("x"), spki("y"), spki("ca"), spki("z"))),
            mismatched(chain=(spki("ca"), spki("y"))),
            mismatched(chain=(spki("ca"),)),
            matched(chain=filler),
            mismatched(chain=(spki("x"), *eleven, spki("ca"))),
        ),
        vector(
            "report-mode",
            "P36 P37",
            "Report mode refuses nothing and withholds nothing, before expiry and after.",
            step(
                "set", author.pins("set-5-report-closed", **_hosts(mode="report", after="closed"))
            ),
            matched(),
            judged(chain=INTERCEPTED, basis="pins", report=True, mismatch=True),
            judged(chain=INTERCEPTED, basis="platform", report=True, now=HARD),
        ),
        vector(
            "hard-expiry-open",
            "P37 P39",
            "From the hard expiry on an open host rests on the platform, also where a pin matches.",
            step("set", "set-5"),
            mismatched(now=HARD - 1),
            fallen_back(now=HARD),
            fallen_back(chain=GENUINE, now=HARD),
        ),
        vector(
            "hard-expiry-closed",
            "P37",
            "A closed host has no connection.",
            step("set", author.pins("set-5-closed", **_hosts(after="closed"))),
            matched(now=HARD - 1),
            judged(basis="pins", passes=False, report=True, withhold=True, now=HARD),
        ),
        vector(
            "hard-expiry-authorities",
            "P37",
            "Authorities of the package stand in, above the leaf alone; `closed` comes first.",
            step("set", author.pins("set-5-sub", **_hosts(sub=True))),
            *_by_authorities(HOST),
            *_by_authorities(f"x.{HOST}"),
            step("set", author.pins("set-6-closed", 6, **_hosts(after="closed"))),
            judged(basis="pins", passes=False, report=True, withhold=True, now=HARD, version=6),
            builtin="builtin-authorities",
        ),
        *_withdrawn(author),
    ]


def _by_authorities(host: str) -> tuple[Members, ...]:
    told: Members = {"basis": "builtin-authorities", "report": True, "withhold": True, "now": HARD}
    return (
        judged(host, GENUINE, **told),
        judged(host, INTERCEPTED, passes=False, mismatch=True, **told),
        judged(host, (spki("root"),), passes=False, mismatch=True, **told),
    )


def _withdrawn(author: Author) -> list[Members]:
    """Return connections under a set that a root list withdrew: its words may be a thief's."""
    gone = step("roots", "roots-2-without-pin1")
    closing = author.pins("set-9-closing", 9, **_hosts(after="closed"))
    opening = author.pins("set-9-opening", 9, **_hosts(mode="report"))
    without = author.pins("set-9-without", 9, hosts={"other.example": {"pins": PINS}})
    told: Members = {"version": 9}
    shut = judged(basis="pins", passes=False, report=True, withhold=True, version=9)
    return [
        vector(
            "withdrawn-closes-nothing",
            "P38",
            "A withdrawn set closes no host, and unpins none: the platform's trust, reported, no secrets.",
            step("set", closing),
            gone,
            fallen_back(chain=GENUINE, **told),
            fallen_back(**told),
            unpinned("example.org", 9),
        ),
        vector(
            "withdrawn-opens-nothing",
            "P38",
            "Its report mode keeps no secret flowing.",
            step("set", opening),
            gone,
            fallen_back(**told),
        ),
        vector(
            "withdrawn-shipped-closed",
            "P38",
            "What shipped is believed: its closed host is closed, whatever the withdrawn set says.",
            step("set", opening),
            gone,
            shut,
            builtin="builtin-closed",
        ),
        vector(
            "withdrawn-shipped-alone",
            "P38",
            "Also where the withdrawn set doesn't name the host.",
            step("set", without),
            gone,
            shut,
            fallen_back("other.example", **told),
            builtin="builtin-closed",
        ),
        vector(
            "withdrawn-shipped-open",
            "P38",
            "An open host of the package rests on the platform.",
            step("set", without),
            gone,
            fallen_back(**told),
            builtin="builtin-set-5",
        ),
        vector(
            "withdrawn-shipped-report-closed",
            "P38",
            "A host that shipped as closed but only reports isn't closed.",
            step("set", "set-9"),
            gone,
            fallen_back(**told),
            builtin="builtin-report-closed",
        ),
        vector(
            "withdrawn-report-twice",
            "P38",
            "In report mode in both, it passes whatever authorities the package names.",
            step("set", opening),
            gone,
            fallen_back(**told),
            builtin="builtin-report-authorities",
        ),
        vector(
            "withdrawn-report-once",
            "P38",
            "In report mode in one of them only, the package's authorities are asked.",
            step("set", author.pins("set-9", 9)),
            gone,
            judged(
                chain=GENUINE, basis="builtin-authorities", report=True, withhold=True, version=9
            ),
            judged(
                chain=INTERCEPTED,
                basis="builtin-authorities",
                passes=False,
                report=True,
                withhold=True,
                mismatch=True,
                version=9,
            ),
            builtin="builtin-report-authorities",
        ),
    ]


def hosts(author: Author) -> list[Members]:
    """Return names, and the entries that are theirs."""
    own, above = {spki("A"): "c"}, {spki("B"): "c"}
    written = {
        "clinic.example": {"pins": above, "sub": True},
        "api.clinic.example": {"pins": own},
        "eu.api.clinic.example": {"pins": own, "sub": True},
        "new.clinic.example": {"pins": own, "mode": "report"},
        "localhost": {"pins": own},
    }
    taken = step("set", author.pins("set-5-names", hosts=written))
    leaf_a, leaf_b = (spki("A"),), (spki("B"),)
    return [
        vector(
            "host-own-entry",
            "P33",
            "A name's own entry counts, not that of a name above it.",
            taken,
            matched(chain=leaf_a),
            mismatched(chain=leaf_b),
            matched("clinic.example", leaf_b),
            mismatched("clinic.example", leaf_a),
        ),
        vector(
            "host-nearest",
            "P33",
            "Else that of the nearest name above it which includes it.",
            taken,
            matched("x.eu.api.clinic.example", leaf_a),
            mismatched("x.eu.api.clinic.example", leaf_b),
            matched("a.b.eu.api.clinic.example", leaf_a),
            matched("www.clinic.example", leaf_b),
        ),
        vector(
            "host-passes-by",
            "P33",
            "A name in between that doesn't include it is passed by.",
            taken,
            matched("x.api.clinic.example", leaf_b),
            mismatched("x.api.clinic.example", leaf_a),
            matched("x.new.clinic.example", leaf_b),
        ),
        vector(
            "host-spelling",
            "P33",
            "Case of ASCII letters and final dots don't matter.",
            taken,
            matched("API.Clinic.EXAMPLE", leaf_a),
            matched("api.clinic.example.", leaf_a),
            mismatched("API.clinic.example.", leaf_b),
            mismatched("X.EU.API.clinic.example.", leaf_b),
        ),
        vector(
            "host-no-dot",
            "P33",
            "A name without a dot has its own entry.",
            taken,
            matched("localhost", leaf_a),
            mismatched("LOCALHOST", leaf_b),
            unpinned("a.localhost"),
        ),
        vector(
            "host-without-entry",
            "P34",
            "A host without an entry passes, and isn't reported.",
            taken,
            unpinned("example.org"),
            unpinned("evilclinic.example"),
            unpinned("clinic.example.org"),
            unpinned("example"),
            unpinned(""),
        ),
        vector(
            "host-address",
            "P33 P34",
            "An address has no entry.",
            taken,
            unpinned("192.0.2.1"),
            unpinned("2001:db8::1"),
            unpinned("::ffff:192.0.2.1"),
        ),
        vector(
            "host-default-only-itself",
            "P33",
            "Without `sub` a name below isn't meant.",
            step("set", "set-5"),
            mismatched(),
            unpinned(f"x.{HOST}"),
        ),
    ]


def reports(author: Author) -> list[Members]:
    """Return what is reported of a connection, and where."""
    told: Members = {"reports": REPORTS}
    document = {
        "app": APP,
        "app_version": "4.2.0",
        "host": HOST,
        "set": 5,
        "basis": "pins",
        "mismatch": True,
        "refused": True,
        "chain": list(INTERCEPTED),
        "at": NOW,
    }
    long = [spki(f"chain {number}") for number in range(13)]
    thief: Members = {"reports": "https://thief.example/"}
    withdrawing = step("roots", "roots-2-without-pin1")
    return [
        vector(
            "report-document",
            "P46 P47",
            "A refused connection is reported, with the host's plain spelling.",
            step("set", author.pins("set-5-told", **told)),
            mismatched("API.clinic.example.", report_to=REPORTS, report_document=document),
        ),
        vector(
            "report-expired",
            "P46",
            "So is one without pins; `refused` and `mismatch` say what was.",
            step("set", "set-5-told"),
            fallen_back(
                now=HARD,
                report_to=REPORTS,
                report_document={
                    **document,
                    "basis": "platform",
                    "mismatch": False,
                    "refused": False,
                    "at": HARD,
                },
            ),
        ),
        vector(
            "report-chain",
            "P46",
            "At most 12 pins of the chain are told.",
            step("set", "set-5-told"),
            mismatched(
                chain=long, report_to=REPORTS, report_document={**document, "chain": long[:12]}
            ),
        ),
        vector(
            "report-nowhere",
            "P47",
            "Without an address nothing is told.",
            step("set", "set-5"),
            mismatched(report_to=None),
        ),
        vector(
            "report-to-a-pinned-host",
            "P47",
            "Nor to a host that the set pins itself.",
            step(
                "set",
                author.pins("set-5-told-itself", **_hosts(sub=True), reports=f"https://x.{HOST}/"),
            ),
            mismatched(report_to=None),
        ),
        vector(
            "report-withdrawn",
            "P47",
            "The address of a withdrawn set isn't used: it may be a thief's.",
            step("set", author.pins("set-9-thief", 9, **thief)),
            mismatched(version=9, report_to="https://thief.example/"),
            withdrawing,
            fallen_back(version=9, report_to=None),
        ),
        vector(
            "report-shipped",
            "P47",
            "The shipped set's address is used then.",
            step("set", "set-9-thief"),
            withdrawing,
            fallen_back(version=9, report_to=REPORTS),
            builtin="builtin-told",
        ),
    ]


def certificates(author: Author) -> list[Members]:
    """Return a certificate, its pin, and what has none."""
    key = author.key_of("certificate")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + CERTIFICATE_DAYS * DAY, UTC))
        .sign(key, SHA256(), ecdsa_deterministic=True)
        .public_bytes(Encoding.DER)
    )
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64url.encode(hashlib.sha256(public).digest())

    def pinned(data: bytes, **members: Any) -> Members:
        return {"do": "pin", "certificate": base64.b64encode(data).decode(), **members}

    return [
        vector(
            "certificate",
            "P32",
            "A pin is of the key as it stands in the certificate.",
            pinned(made, expect=pin),
        ),
        vector(
            "certificate-cut",
            "P32",
            "Half a certificate has no pin, nor has one with a byte behind it.",
            pinned(made[:-1], refused="pins.pin_malformed"),
            pinned(made + b"\0", refused="pins.pin_malformed"),
        ),
    ]


def behaviour(author: Author) -> list[Members]:
    """Return what an app does over time: it stores, fetches, judges again and reports."""
    no_secrets = {"withheld": True}
    moved = author.pins("set-6-moved", 6, hosts={HOST: {"pins": {spki("N"): "c"}}})
    return [
        vector(
            "store",
            "P27",
            "What is kept is replaced by what is as new or newer: by the root list first, then by the version seen.",
            {"do": "store", "kept": [2, 5], "new": [2, 6], "replaced": True},
            {"do": "store", "kept": [2, 5], "new": [2, 5], "replaced": True},
            {"do": "store", "kept": [2, 5], "new": [3, 0], "replaced": True},
            {"do": "store", "kept": [2, 5], "new": [2, 4], "replaced": False},
            {"do": "store", "kept": [3, 0], "new": [2, 9], "replaced": False},
        ),
        vector(
            "withhold",
            "P39",
            "Secrets go where a pin matched or nothing is pinned, and to no host whose pins have ended.",
            step("set", "set-5"),
            {"do": "secret", "host": HOST, "chain": list(GENUINE), "now": NOW, "withheld": False},
            {"do": "secret", "host": HOST, "chain": list(GENUINE), "now": HARD, **no_secrets},
            {"do": "secret", "host": HOST, "chain": list(INTERCEPTED), "now": NOW, **no_secrets},
            {"do": "secret", "host": "example.org", "chain": [], "now": HARD, "withheld": False},
        ),
        vector(
            "open-connection-new-set",
            "P40",
            "An open connection is judged anew before the next write once another set is installed.",
            step("set", "set-5"),
            {"do": "connect", "host": HOST, "chain": list(GENUINE), "now": NOW, "passes": True},
            {"do": "write", "now": NOW + DAY, "passes": True},
            step("set", moved, state=state(1, 6, 6)),
            {"do": "write", "now": NOW + DAY, "passes": False},
        ),
        vector(
            "open-connection-expiry",
            "P40",
            "So it is once the set's hard expiry has passed.",
            step("set", "set-5-closed"),
            {"do": "connect", "host": HOST, "chain": list(GENUINE), "now": NOW, "passes": True},
            {"do": "write", "now": HARD - 1, "passes": True},
            {"do": "write", "now": HARD, "passes": False},
        ),
        vector(
            "cleartext",
            "P41",
            "Cleartext goes to no pinned host; in report mode it passes.",
            step(
                "set",
                author.pins(
                    "set-5-cleartext",
                    hosts={
                        HOST: {"pins": PINS},
                        "new.clinic.example": {"pins": PINS, "mode": "report"},
                    },
                ),
            ),
            {"do": "cleartext", "host": HOST, "now": NOW, "passes": False},
            {"do": "cleartext", "host": HOST, "now": HARD, "passes": False},
            {"do": "cleartext", "host": "new.clinic.example", "now": NOW, "passes": True},
            {"do": "cleartext", "host": "example.org", "now": NOW, "passes": True},
        ),
        vector(
            "fetch-set",
            "P43",
            "What is fetched is whole, as it is, and within its size.",
            {
                "do": "fetch",
                "of": "set",
                "status": 200,
                "headers": {},
                "bytes": 393_216,
                "expect": "taken",
            },
            {
                "do": "fetch",
                "of": "set",
                "status": 200,
                "headers": {},
                "bytes": 393_217,
                "expect": "failed",
            },
            {
                "do": "fetch",
                "of": "set",
                "status": 304,
                "headers": {},
                "bytes": 0,
                "expect": "nothing",
            },
            {
                "do": "fetch",
                "of": "set",
                "status": 404,
                "headers": {},
                "bytes": 0,
                "expect": "nothing",
            },
            {
                "do": "fetch",
                "of": "set",
                "status": 503,
                "headers": {},
                "bytes": 0,
                "expect": "failed",
            },
            {
                "do": "fetch",
                "of": "set",
                "status": 302,
                "headers": {"location": "https://example.org/"},
                "bytes": 0,
                "expect": "failed",
            },
            {
                "do": "fetch",
                "of": "set",
                "status": 200,
                "headers": {"content-encoding": "gzip"},
                "bytes": 9,
                "expect": "failed",
            },
        ),
        vector(
            "fetch-roots",
            "P43",
            "A root list has another size.",
            {
                "do": "fetch",
                "of": "roots",
                "status": 200,
                "headers": {},
                "bytes": 65_536,
                "expect": "taken",
            },
            {
                "do": "fetch",
                "of": "roots",
                "status": 200,
                "headers": {},
                "bytes": 65_537,
                "expect": "failed",
            },
            {
                "do": "fetch",
                "of": "roots",
                "status": 404,
                "headers": {},
                "bytes": 0,
                "expect": "nothing",
            },
        ),
        vector(
            "due",
            "P44",
            "The next fetch is due after 6 hours, 15 minutes if a newer set should come, and growing pauses after failures.",
            {"do": "due", "now": NOW, "failures": 0, "jitter": 0.0, "expect": 10_800},
            {"do": "due", "now": NOW, "failures": 0, "jitter": 0.5, "expect": 16_200},
            {"do": "due", "now": NOW + 14 * DAY, "failures": 0, "jitter": 0.5, "expect": 675},
            {"do": "due", "now": NOW, "failures": 1, "jitter": 0.5, "expect": 45},
            {"do": "due", "now": NOW, "failures": 2, "jitter": 0.5, "expect": 90},
            {"do": "due", "now": NOW + 14 * DAY, "failures": 9, "jitter": 0.0, "expect": 7_680},
            {"do": "due", "now": NOW, "failures": 10, "jitter": 0.5, "expect": 16_200},
            {"do": "due", "now": NOW, "failures": 99, "jitter": 0.5, "expect": 16_200},
            builtin="builtin-set-5",
        ),
        vector(
            "due-heard",
            "P44",
            "A newer version heard of makes it due at once, unless the last fetch failed.",
            {"do": "hear", "now": NOW, "failures": 0, "version": 6, "due": True},
            {"do": "hear", "now": NOW, "failures": 0, "version": 5, "due": False},
            {"do": "hear", "now": NOW, "failures": 1, "version": 6, "due": False},
            builtin="builtin-set-5",
        ),
        vector(
            "reports-once",
            "P48",
            "The same is reported once a day, and again if the report didn't arrive.",
            step("set", "set-5-told"),
            {"do": "tell", "leaf": spki("thief"), "now": NOW, "arrives": False, "sent": True},
            {"do": "tell", "leaf": spki("thief"), "now": NOW + 1, "arrives": True, "sent": True},
            {"do": "tell", "leaf": spki("thief"), "now": NOW + DAY, "arrives": True, "sent": False},
            {"do": "tell", "leaf": spki("other"), "now": NOW + DAY, "arrives": True, "sent": True},
            {
                "do": "tell",
                "leaf": spki("thief"),
                "now": NOW + DAY + 1,
                "arrives": True,
                "sent": True,
            },
        ),
        vector(
            "reports-an-hour",
            "P48",
            "At most 12 leave in an hour.",
            step("set", "set-5-told"),
            *(
                {
                    "do": "tell",
                    "leaf": spki(f"leaf {number}"),
                    "now": NOW,
                    "arrives": True,
                    "sent": number < 12,
                }
                for number in range(13)
            ),
            {
                "do": "tell",
                "leaf": spki("leaf 12"),
                "now": NOW + 3599,
                "arrives": True,
                "sent": False,
            },
            {
                "do": "tell",
                "leaf": spki("leaf 12"),
                "now": NOW + 3600,
                "arrives": True,
                "sent": True,
            },
        ),
    ]


def pin_vectors(key_of: KeyOf) -> Members:
    """Return the section of the pins: keys, documents by name, and vectors.

    :param key_of: gives the private key of a name, always the same one.
    """
    author = Author(key_of)
    author.roots("roots-1")
    author.roots("roots-2", 2)
    author.pins("set-5")
    author.pins("set-5-stranger", by="stranger")
    shipped: Mapping[str, Members] = {"builtin": {}, "builtin-floor-7": {"floor": 7}}
    for name, members in shipped.items():
        author.builtin(name, **members)
    author.roots("roots-1-short", exp=NOW + 10 * DAY)
    author.builtin("builtin-roots-short", under="roots-1-short")
    author.builtin("builtin-set-5", first="set-5", floor=5)
    author.builtin("builtin-set-9-pin1", first=author.pins("set-9", 9), floor=1)
    author.roots("roots-2-without-pin1", 2, pin_keys=[author.jwk("pin2")], floors={APP: 6})
    author.builtin("builtin-roots-2", under="roots-2-without-pin1")
    author.builtin("builtin-authorities", authorities={HOST: [spki("root")]})
    author.builtin("builtin-closed", first=author.pins("set-1-closed", 1, **_hosts(after="closed")))
    author.builtin(
        "builtin-report-authorities",
        first=author.pins("set-1-report", 1, **_hosts(mode="report")),
        authorities={HOST: [spki("root")]},
    )
    author.builtin(
        "builtin-report-closed",
        first=author.pins("set-1-report-closed", 1, **_hosts(mode="report", after="closed")),
    )
    author.builtin("builtin-told", first=author.pins("set-1-told", 1, reports=REPORTS))
    vectors = [
        *set_forms(author),
        *malformed_sets(author),
        *root_forms(author),
        *walks(author),
        *acceptance(author),
        *states(author),
        *builtins(author),
        *judgements(author),
        *hosts(author),
        *reports(author),
        *certificates(author),
        *behaviour(author),
    ]
    for each in vectors:
        each["rules"] += FORMS.get(each["id"].removeprefix("pins-"), "").split()
    return {"app": APP, "documents": author.documents, "vectors": vectors}

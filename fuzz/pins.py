"""Fuzz what pins are read from: sets, root lists, pins and keys as somebody wrote them, reports, and what ships in an app.

Sets and root lists come from whoever is on the way; reports from everybody; the rest from people's disks.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.pins.builders import (
    APP,
    HOST,
    NOW,
    certificate,
    entry,
    key,
    pem,
    pin_set,
    pins,
    roots,
    roots_data,
    spki,
)

from watchword.apps.pins.session import parse_pinned, pinned_document
from watchword.encoding import base64url, strict_json
from watchword.pins.installed import (
    BuiltinError,
    accept_set,
    builtin_document,
    fresh,
    judge,
    read_builtin,
)
from watchword.pins.interface import (
    PIN_BYTES,
    AfterExpiry,
    Basis,
    Builtin,
    PinMode,
    PinRole,
    PinSet,
    certificates_of,
    host_of_url,
    pin_of_file,
    pins_of_chain,
    read_host,
    read_pin,
)
from watchword.pins.reports import PinReport, ReportGroup, parse_report, write_report
from watchword.pins.roots import read_roots, read_unverified, sign_roots
from watchword.pins.sets import TYPE as SET_TYPE
from watchword.pins.sets import payload_of, read_set, sign_set
from watchword.reasons import MalformedError, RefusedError, WatchwordError
from watchword.tokens import jose

_JSON: Final = "application/json"
_SIGNED: Final = (b"ey", b'{"payload"')
"""How what is signed already begins; the rest is signed here, or nothing behind the signature would be reached."""

_FULL: Final = pin_set(
    7,
    entry(held=pins(following="N", ca="root"), include_subdomains=True),
    entry("files.example.com", PinMode.REPORT, after_expiry=AfterExpiry.CLOSED),
    reports="https://reports.example.net/v1",
)


def read_sets(data: bytes) -> None:
    """Read a set as it came, or one whose payload this is; what was read is written as it was, and judged by."""
    if not data.startswith(_SIGNED):
        data = jose.assemble(data, SET_TYPE, key("pin1")).encode("ascii")
    with suppress(RefusedError):
        found = read_set(data, roots())
        assert read_set(sign_set(found, key("pin1")), roots()) == found
        installed = accept_set(fresh(Builtin(APP, "1.0", roots())), data, NOW)
        judge(installed, HOST, (spki("A"),), NOW)


def read_lists(data: bytes) -> None:
    """Read a root list as it came, or one whose payload this is, as the first one and as the next one."""
    if not data.startswith(_SIGNED):
        list_ = {"payload": base64url.encode(data), "signatures": []}
        with suppress(RefusedError):
            data = sign_roots(strict_json.dumps(list_), [key("root1"), key("root2")])
    with suppress(RefusedError):
        read_unverified(data)
    for previous in (None, roots()):
        with suppress(RefusedError):
            read_roots(data, previous)


def read_text(data: bytes) -> None:
    """Read a pin as somebody wrote it; all forms of it are one pin."""
    with suppress(MalformedError):
        pin = read_pin(data.decode("utf-8", "replace"))
        assert len(pin) == PIN_BYTES
        assert read_pin(f"sha256/{b64encode(pin).decode()}") == pin


def read_file(data: bytes) -> None:
    """Take pins of a certificate, a chain, a key or a request in PEM or DER."""
    with suppress(MalformedError):
        assert len(pin_of_file(data)) == PIN_BYTES
    for read in (certificates_of, pins_of_chain):
        with suppress(MalformedError):
            read(data)


def read_report(data: bytes) -> None:
    """Read a report in either form; what is kept of it can be sent again, and grouped."""
    with suppress(MalformedError):
        report = parse_report(data, _JSON)
        found = ReportGroup.of(report)
        assert found.count == 1
        parse_report(write_report(report), _JSON)


def read_name(data: bytes) -> None:
    """Read a host's name and the URL of reports; a name has one spelling."""
    text = data.decode("utf-8", "replace")
    for read in (read_host, host_of_url):
        with suppress(MalformedError):
            host = read(text)
            assert host == read_host(host.lower())


def read_shipped(data: bytes) -> None:
    """Read what a version of an app ships with; an installation begins by it."""
    with suppress(BuiltinError):
        judge(fresh(read_builtin(data)), HOST, (), NOW)


def read_pinned(data: bytes) -> None:
    """Read the pinned keys of a workspace, YAML; what is written of them reads the same."""
    file = Path("pins.yaml")
    try:
        found = parse_pinned(file, data)
    except WatchwordError as error:
        str(error)
        return
    again = parse_pinned(file, pinned_document(found))
    assert {host for host, keys in found.hosts.items() if keys} <= again.hosts.keys()


def sets() -> Iterator[bytes]:
    """Yield a whole set, and payloads with everything and with little."""
    yield sign_set(pin_set(), key("pin1"))
    for held in (_FULL, pin_set(hosts=()), replace(pin_set(), issued_at=NOW + 90_000)):
        yield payload_of(held)


def lists() -> Iterator[bytes]:
    """Yield payloads of the first list and of the next, with floors."""
    for data in (
        roots_data(keys=("root1", "root2"), pin_keys=("pin1",)),
        roots_data(2, keys=("root1",), threshold=1, pin_keys=("pin2",), floors={APP: 3}),
    ):
        yield base64url.decode(strict_json.loads(data, len(data))["payload"])
    yield roots_data(by=("root1",), keys=("root1",), threshold=1, pin_keys=("pin1",))


def texts() -> Iterator[bytes]:
    """Yield a pin in each form."""
    pin = spki("A")
    standard = b64encode(pin).decode()
    for text in (
        f"sha256/{standard}",
        f"sha256//{standard}",
        base64url.encode(pin),
        pin.hex(),
        pin.hex(":"),
        "sha1/AAAA",
    ):
        yield text.encode()


def files() -> Iterator[bytes]:
    """Yield certificates, a chain and a public key; a private key is told apart."""
    found = certificate()
    yield found.public_bytes(Encoding.DER)
    yield pem(found)
    public = key("A").public
    for encoding in (Encoding.PEM, Encoding.DER):
        yield public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    yield b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    yield b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"


def reports() -> Iterator[bytes]:
    """Yield a report of ours and one of TrustKit."""
    chain = (spki("M"), spki("CA"))
    own = PinReport(
        APP, "1.0", HOST, 1, Basis.PINS, mismatch=True, refused=True, chain=chain, at=NOW
    )
    yield write_report(own)
    yield json.dumps(
        {
            "app-bundle-id": APP,
            "app-version": "1.0",
            "app-vendor-id": "3A8B",
            "app-platform": "IOS",
            "trustkit-version": "1.1.5",
            "hostname": HOST,
            "port": 443,
            "noted-hostname": HOST,
            "include-subdomains": False,
            "enforce-pinning": True,
            "validated-certificate-chain": [pem(certificate()).decode()],
            "known-pins": [f'pin-sha256="{b64encode(chain[0]).decode()}"'],
            "date-time": "2026-11-27T12:00:00Z",
            "validation-result": 1,
        }
    ).encode()


def names() -> Iterator[bytes]:
    """Yield names and URLs that are read, and some that are nearly."""
    for text in (
        HOST,
        "xn--bcher-kva.example",
        "1.2.3.0x7f",
        "a..b",
        "https://reports.example.net:8443/v1?a=%20b",
        "https://a.example:70000/",
    ):
        yield text.encode()


def shipped() -> Iterator[bytes]:
    """Yield what two versions of an app ship with."""
    signed = roots_data(
        by=("root1",), keys=("root1",), threshold=1, pin_keys=("pin1",), expires=NOW + 9
    )
    held: PinSet = pin_set(7, entry(held=pins(backup=None, ca="root")))
    assert held.hosts[0].of(PinRole.CA)
    yield builtin_document(APP, "1.0", signed, sign_set(held, key("pin1")), held)
    yield builtin_document(APP, "1.0", signed, None, None)


def pinned() -> Iterator[bytes]:
    """Yield the pinned keys of a host, and of none."""
    pin = b64encode(spki("A")).decode()
    yield f"version: 1\nhosts:\n  {HOST}:\n    - {{pin: {pin}, role: current, note: a}}\n".encode()
    yield b"version: 1\nhosts: {}\n"
    yield f"version: 2\nhosts: {{a b: [], {HOST}: [{{pin: sha1/AA, role: x}}]}}\n".encode()

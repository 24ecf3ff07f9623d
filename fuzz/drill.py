"""Fuzz what a drill reads of others: consents, targets, answers, the file of headers, the file of its test instance."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from watchword.adapters.drill_wire.exchange import exchange, request_head
from watchword.adapters.drill_wire.origin import AddressError, Origin, parse_target
from watchword.adapters.drill_wire.resolver import resolve
from watchword.adapters.drill_wire.stream import Limit, Stream
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.drill.harness import samples_of
from watchword.apps.drill.invited_instance import (
    InstanceFileError,
    InvitedInstance,
    read_instance,
    write_instance,
)
from watchword.apps.drill.run_plan import RunPlanError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import ApiSettings, DrillSettings
from watchword.drill.consent import (
    RUN_TYPE,
    Consent,
    ConsentError,
    allowed,
    read_consent,
    refuse_unlisted,
    sign_run,
    verify_run,
    written_consent,
)
from watchword.drill.judgements import described, is_of_the_api
from watchword.drill.wire import Call, Headers, Part
from watchword.encoding import base64url, strict_json
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.tokens.jose import SigningKey, jwk_from_public_key, thumbprint
from watchword.vocabulary import Platform

_AT: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
_NOW: Final = int(_AT.timestamp())
_TARGET: Final = "https://api.example.com"
_ORIGIN: Final = Origin("http", "localhost:8080", "localhost", "127.0.0.1", 8080)
_MOST: Final = 256
"""Most bytes of an answer's body here, so that small inputs reach the bound."""

_SECONDS: Final = 5.0
_CALLS: Final = (
    Call(Part.GATE, "GET", "/"),
    Call(Part.GATE, "HEAD", "/"),
    Call(Part.GATE, "CONNECT", "/"),
    Call(Part.GATE, "POST", "/", (("Upgrade", "websocket"),), b"{}"),
)
"""What an answer may be one to; the first byte of an input says which."""

_SETTINGS: Final = """\
version: 1
environment: lab
service: {issuer: "http://127.0.0.1:8", listen: "127.0.0.1:8"}
apps:
  ios: {platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}
apis:
  clinic:
    listen: 127.0.0.1:9
    upstream: "http://127.0.0.1:10"
    audience: clinic
    apps: [ios]
    routes: [{path: /v1/**}]
"""


def read_agreed(data: bytes) -> None:
    """Read a consent, and the same bytes as the header of a run and as the claims that its key has signed."""
    with suppress(ConsentError):
        _agreed(read_consent(data))
    jwk = jwk_from_public_key(_key().public)
    signed = jose.assemble(data, RUN_TYPE, _key())
    for header in (data.decode("latin-1"), signed):
        try:
            verify_run(header, jwk, _NOW, origin=_TARGET)
        except ConsentError as error:
            _require_ascii(error)


def _agreed(consent: Consent) -> None:
    """Write a consent that could be read once more, and ask it for everything."""
    with suppress(ConsentError):
        assert read_consent(written_consent(consent)) == consent
    for part in Part:
        with suppress(ConsentError):
            refuse_unlisted(allowed(consent, _TARGET, consent.key, part, _AT), ["script-with-key"])


def read_target(data: bytes) -> None:
    """Read a target, and find its addresses: what it is must be written in one way only, and be told in ASCII."""
    url = data.decode("utf-8", "surrogateescape")
    try:
        target = parse_target(url)
        assert parse_target(target.text) == target
        resolve(url, resolver=lambda _host, _port: ["93.184.216.34", "::ffff:10.0.0.1"])
    except AddressError as error:
        _require_ascii(error)


def read_answer(data: bytes) -> None:
    """Read an answer to a request whose kind the first byte names, and what it tells of a refusal."""
    call = _CALLS[data[0] % len(_CALLS) if data else 0]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.sendall(data[1:])
        theirs.shutdown(socket.SHUT_WR)
        head = request_head(call, _ORIGIN, ())
        limit = Limit(_SECONDS, threading.Event())
        answer = exchange(Stream(ours), call, head, limit, _MOST).answer
    assert len(answer.body) <= _MOST
    described(answer)
    is_of_the_api(answer)


def read_headers(data: bytes) -> None:
    """Read a file of headers; whatever is taken out of it must go into one request."""
    file = _folder() / "headers"
    file.write_bytes(data)
    try:
        samples = samples_of(_api(), DrillSettings(headers_file=file))
    except RunPlanError as error:
        str(error)
        return
    for sample in samples:
        head = request_head(sample.call(), _ORIGIN, ())
        assert all(line.decode("ascii").isprintable() for line in head.split(b"\r\n"))


def read_invited(data: bytes) -> None:
    """Read the file of a test instance, and take it along."""
    file = _folder() / "instance.json"
    file.touch(mode=0o600)
    file.write_bytes(data)
    try:
        read_instance(file).held()
    except (InstanceFileError, PrivateFileError) as error:
        str(error)


def consents() -> Iterator[bytes]:
    """Yield consents, and what a run says of itself, with and without its signature."""
    consent = Consent(
        key=thumbprint(jwk_from_public_key(_key().public)),
        origin=_TARGET,
        attacks=None,
        rate=10,
        expires=_AT.replace(month=12),
        parts=frozenset(Part),
    )
    yield written_consent(consent)
    yield written_consent(replace(consent, attacks=frozenset({"script-with-key", "proof-old"})))
    run = sign_run(_key(), run="run-of-this-night", origin=_TARGET, now=_NOW)
    yield run.encode()
    yield base64url.decode(run.split(".")[1])


def targets() -> Iterator[bytes]:
    """Yield targets, good ones and such as lead elsewhere."""
    for url in (
        _TARGET,
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "https://[2001:db8::1]:8443",
        "https://b\u00fccher.example",
        "https://xn--bcher-kva.example",
        "https://good.example@evil.example",
        "http://0x7f.1",
        "http://[::ffff:127.0.0.1]",
        "http://\u2460.example/path?query",
    ):
        yield url.encode()


def answers() -> Iterator[bytes]:
    """Yield answers: whole, in pieces, to other methods, after others, and a refusal of ours."""
    refusal = {
        "type": f"{PROBLEM_TYPE}{Reason.TOKEN_EXPIRED.public.slug}",
        "reasons": [Reason.TOKEN_EXPIRED.code],
    }
    body = json.dumps(refusal).encode()
    typed = (("Content-Type", PROBLEM_MEDIA_TYPE), ("Content-Length", str(len(body))))
    yield b"\x00" + _answer("200 OK", (("Content-Length", "2"),)) + b"{}"
    yield b"\x00" + _answer("401 Unauthorized", typed) + body
    yield b"\x00" + _answer("200 OK", (("Connection", "close"),)) + b"until the end"
    long = _MOST + 9
    yield b"\x00" + _answer("200 OK", (("Content-Length", str(long)),)) + bytes(long)
    chunked = (("Transfer-Encoding", "chunked"), ("Trailer", "x"))
    yield b"\x00" + _answer("200 OK", chunked) + b"2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n"
    yield b"\x01" + _answer("200 OK", (("Content-Length", "300"),))
    yield b"\x02" + _answer("200 Connected") + b"a tunnel"
    early = _answer("103 Early Hints", (("Link", "</a>"),))
    yield b"\x00" + early + _answer("204 No Content") + b"left over"
    switching = (("Connection", "upgrade"), ("Upgrade", "websocket"))
    yield b"\x03" + _answer("101 Switching Protocols", switching) + b"frames"


def headers() -> Iterator[bytes]:
    """Yield files of headers."""
    yield b"# The app's own.\nx-api-key: abc\n\nUser-Agent:clinic/120 (iOS)\r\n"
    yield b"no header\nx: \xe9"


def invited() -> Iterator[bytes]:
    """Yield the file of a test instance."""
    scalars = (base64url.encode(bytes([*bytes(31), last])) for last in (7, 11))
    device = {"v": 1, **dict(zip(("proof_key", "seal_key"), scalars, strict=True))}
    instance = InvitedInstance("ios", Platform.IOS, "Zn0x2kQ4", ("clinic", "billing"), device)
    file = _folder() / "made.json"
    write_instance(file, instance)
    whole = file.read_bytes()
    yield whole
    yield strict_json.dumps({**strict_json.loads(whole, len(whole)), "v": 2})


def _require_ascii(error: Exception) -> None:
    """Refuse a fault that would show a stranger's characters as they came."""
    assert str(error).isascii()


def _answer(status: str, fields: Headers = ()) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode()


@cache
def _api() -> ApiSettings:
    file = _folder() / "watchword.yaml"
    file.write_text(_SETTINGS)
    return load_settings(file).apis["clinic"]


@cache
def _key() -> SigningKey:
    return SigningKey(derive_private_key(7, SECP256R1()))


@cache
def _kept() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="watchword-fuzz-")


def _folder() -> Path:
    """Return where inputs are written that are read from files."""
    return Path(_kept().name)

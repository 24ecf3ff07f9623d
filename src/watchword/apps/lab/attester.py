"""Run ``watchword lab attester``: answer over HTTP as phones' hardware and vendors do, on this machine alone.

Nothing of it is secret, and whoever reaches it can have evidence of any phone of this lab: so it listens on loopback only, and
a web page that leads a browser here is refused by its ``Host`` and by the media type.
"""

import asyncio
import base64
import binascii
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from watchword.adapters.http_server import HttpServer
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.lab.phones import authorities_of, installed_app, lab_settings
from watchword.apps.problems import render
from watchword.apps.service.app import (
    Application,
    AsgiApplication,
    Receive,
    Request,
    Response,
    Route,
    Scope,
    Send,
    json_response,
)
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.sections import Address
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.process import serve, until_signal
from watchword.encoding import base64url
from watchword.encoding.phrases import nearest
from watchword.lab import PHONES, InstalledAndroidApp, InstalledIosApp
from watchword.lab.attester import SECURITY_LEVELS, Attester
from watchword.lab.device_faults import (
    FAULTS,
    DeviceFaultError,
    FaultScripts,
    Operation,
    ScriptedFault,
)
from watchword.lab.phones.android import AndroidModel, SecurityLevel
from watchword.lab.phones.play import PlayModel
from watchword.ports import Clock, RefusalLog
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AppAttestEnvironment, Platform

MAX_DELAY_SECONDS: Final = 30.0
"""Longest latency that can be asked for."""

MAX_SCRIPT_LINES: Final = 64
MAX_TIMES: Final = 1_000_000
MAX_CHALLENGE_BYTES: Final = 128
"""Most bytes of an attestation challenge, as Android has it."""

_MAX_TEXT: Final = 1024
_MAX_DIGESTS: Final = 16
_MAX_VERSION_CODE: Final = 2**53 - 1
_COORDINATE_BYTES: Final = 32
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")
_DEVICE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SOMEBODYS: Final = "phone"

_ENVIRONMENTS: Final = {
    "development": AppAttestEnvironment.DEVELOPMENT,
    "production": AppAttestEnvironment.PRODUCTION,
}

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AttesterContext:
    """Hold what the endpoints work with.

    :param apps: the apps of the file, as they stand on phones.
    :param sleep: waits for so many seconds.
    """

    attester: Attester
    apps: Sequence[InstalledAndroidApp | InstalledIosApp]
    clock: Clock
    sleep: Sleep
    refusal_log: RefusalLog
    scripts: FaultScripts = field(default_factory=FaultScripts)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def reference(self, refusals: Sequence[Refusal], where: str) -> None:
        """Return None: the answer itself says why."""


def _malformed(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.REQUEST_MALFORMED, detail)


class _Members:
    """Read the members of a JSON object, each by its type; what nobody read is a mistake of the caller."""

    def __init__(self, members: Mapping[str, Any], where: str = "") -> None:
        self._left = dict(members)
        self._known: dict[str, None] = {}
        self._where = where

    def has(self, name: str) -> bool:
        """Tell whether a member is there; null is like none."""
        self._known.setdefault(name)
        if self._left.get(name) is not None:
            return True
        self._left.pop(name, None)
        return False

    def take(self, name: str, kind: type | tuple[type, ...], expected: str) -> Any:
        """Return a member of a type.

        :raises MalformedError: ``request.malformed``.
        """
        self._known.setdefault(name)
        value = self._left.pop(name, None)
        # A boolean is an int to Python, and to nobody else.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(name, expected, value)
        return value

    def text(self, name: str, most: int = _MAX_TEXT) -> str:
        """Return a text of one to ``most`` characters."""
        value: str = self.take(name, str, "text")
        if not 0 < len(value) <= most:
            _malformed(f"{self._where}{name}: got {len(value)} characters, expected 1 to {most}")
        return value

    def data(self, name: str, most: int) -> bytes:
        """Return at most so many bytes of base64url; there may be none."""
        text: str = self.take(name, str, "base64url without padding")
        try:
            data = base64url.decode(text)
        except MalformedError as error:
            _malformed(f"{self._where}{name}: {error.detail}")
        if len(data) > most:
            _malformed(f"{self._where}{name}: got {len(data)} bytes, expected at most {most}")
        return data

    def optional(self, name: str, read: Callable[[str], Any], default: Any = None) -> Any:
        """Return what ``read`` makes of a member, or the default where it is left out or null."""
        return read(name) if self.has(name) else default

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value: bool = self.take(name, bool, "true or false")
        return value

    def number(self, name: str, most: float) -> float:
        """Return a number from 0 to ``most``."""
        value: float = self.take(name, (int, float), "a number")
        if not 0 <= value <= most:
            _malformed(f"{self._where}{name}: got {value}, expected 0 to {most:g}")
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        """Return a whole number between these."""
        value: int = self.take(name, int, "a whole number")
        if not least <= value <= most:
            _malformed(f"{self._where}{name}: got {value}, expected {least} to {most}")
        return value

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """Return a text of a list, which says what was meant where it is none."""
        value = self.text(name)
        if value not in known:
            near = nearest(value, known)
            meant = f"one of {', '.join(known)}" if near is None else f"perhaps {near!r}"
            _malformed(f"{self._where}{name}: got {value[:64]!r}, expected {meant}")
        return value

    def fault(self, name: str, operation: Operation) -> str:
        """Return the name of a fault that such a call can meet."""
        self.refuse_foreign_fault(name, operation)
        known = [each for each, fault in FAULTS.items() if fault.platform == operation.platform]
        return self.one_of(name, known)

    def refuse_foreign_fault(self, name: str, operation: Operation) -> None:
        """Say whose fault it is, where such a call can't meet it.

        :raises MalformedError: ``request.malformed``.
        """
        value = self._left.get(name)
        of = FAULTS[value].platform if isinstance(value, str) and value in FAULTS else None
        if of not in {None, operation.platform}:
            _malformed(
                f"{self._where}{name}: got {value!r}, which is a fault of {of}; "
                f"{operation.value} has those of {operation.platform}, see GET /v1/faults"
            )

    def nested(self, name: str) -> "_Members":
        """Return the members of an object."""
        value = self.take(name, dict, "an object")
        return _Members(value, f"{self._where}{name}.")

    def refuse(self, name: str, expected: str, value: object) -> NoReturn:
        """Say what was got; the value itself can be long."""
        got = "nothing" if value is None else f"{type(value).__name__}"
        _malformed(f"{self._where}{name}: got {got}, expected {expected}")

    def end(self) -> None:
        """Refuse what nobody read.

        :raises MalformedError: ``request.malformed``.
        """
        for name in self._left:
            _malformed(
                f"{self._where}{name[:64]}: isn't known here; expected {', '.join(self._known)}"
            )


def _device(members: _Members, name: str = "device") -> str:
    """Return the name of a phone."""
    device = members.text(name)
    if not _DEVICE.fullmatch(device):
        _malformed(f"{name}: got {device[:64]!r}, expected 1 to 64 of letters, digits, _ and -")
    return device


def _key(members: _Members) -> ec.EllipticCurvePublicKey:
    """Return the public key: SPKI DER in base64url, or a JWK (RFC 7518 section 6.2.1)."""
    value = members.take("key", (str, dict), "SPKI DER in base64url, or a JWK")
    if isinstance(value, dict):
        return _key_of_jwk(_Members(value, "key."))
    data = _Members({"key": value}).data("key", _MAX_TEXT)
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        _malformed("key: got bytes that are no public key in SPKI DER")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        got = getattr(getattr(key, "curve", None), "name", type(key).__name__)
        _malformed(f"key: got {got}, expected a P-256 public key")
    return key


def _key_of_jwk(jwk: _Members) -> ec.EllipticCurvePublicKey:
    jwk.one_of("kty", ["EC"])
    jwk.one_of("crv", ["P-256"])
    x, y = (jwk.data(name, _COORDINATE_BYTES) for name in ("x", "y"))
    jwk.end()
    if not len(x) == len(y) == _COORDINATE_BYTES:
        _malformed(f"key: got coordinates of {len(x)} and {len(y)} bytes, expected 32 each")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1()
    )
    try:
        return numbers.public_key()
    except ValueError:
        _malformed("key: got a point that isn't on P-256")


def _android_app(context: AttesterContext, members: _Members) -> InstalledAndroidApp:
    """Return the app on an Android phone: what is given, else the only one of the file."""
    if not members.has("app"):
        return _only_app(context, InstalledAndroidApp, Platform.ANDROID)
    app = members.nested("app")
    package = app.text("package")
    digests = app.take("signing_digests", list, "a list of SHA-256 in hex")
    version = app.whole("version_code", 0, _MAX_VERSION_CODE)
    app.end()
    if not 0 < len(digests) <= _MAX_DIGESTS or not all(
        isinstance(each, str) and _DIGEST.fullmatch(each) for each in digests
    ):
        _malformed(f"app.signing_digests: expected 1 to {_MAX_DIGESTS} SHA-256, 64 hex digits each")
    return InstalledAndroidApp(package, tuple(map(bytes.fromhex, digests)), version)


def _ios_app(context: AttesterContext, members: _Members) -> InstalledIosApp:
    """Return the app on an iPhone: what is given, else the only one of the file."""
    if not members.has("app"):
        return _only_app(context, InstalledIosApp, Platform.IOS)
    app = members.nested("app")
    team, bundle, version = (app.text(name) for name in ("team_id", "bundle_id", "version"))
    environment = app.optional(
        "environment", lambda name: app.one_of(name, tuple(_ENVIRONMENTS)), "production"
    )
    app.end()
    return InstalledIosApp(team, bundle, version, _ENVIRONMENTS[environment])


_App = TypeVar("_App", InstalledAndroidApp, InstalledIosApp)


def _only_app(context: AttesterContext, kind: type[_App], platform: Platform) -> _App:
    fitting = [app for app in context.apps if isinstance(app, kind)]
    if len(fitting) != 1:
        _malformed(
            f"app: got nothing, and the file has {len(fitting)} apps for {platform.value}; name it"
        )
    return fitting[0]


async def _performed(
    context: AttesterContext,
    members: _Members,
    operation: Operation,
    device: str | None,
    perform: Callable[[], Mapping[str, Any]],
    *,
    standard: bool = True,
) -> Response:
    """Do what was asked, unless this call is to fail; the last members are read before.

    What the call itself names goes before the phone's script, which is left as it is then.

    :param device: None for one that nobody knows.
    """
    fault = members.optional("fault", lambda name: members.fault(name, operation))
    delay = members.optional("delay", lambda name: members.number(name, MAX_DELAY_SECONDS))
    members.end()
    if fault is None and delay is None and device is not None:
        scripted = context.scripts.take(device, operation)
        if scripted is not None:
            fault, delay = scripted.fault, scripted.delay
    if delay:
        await context.sleep(delay)
    try:
        if fault is not None:
            raise DeviceFaultError(fault)  # noqa: TRY301 - as where the phone itself fails.
        return json_response(200, perform())
    except DeviceFaultError as error:
        try:
            told = FAULTS[error.name].members(standard=standard)
        except ValueError as impossible:
            _malformed(f"fault: got {error.name!r}, but {impossible}")
        failed = {"name": error.name, "platform": FAULTS[error.name].platform, **told}
        return json_response(503, {"fault": failed})


def _kind(members: _Members, operation: Operation) -> str:
    """Return a kind of phone that has what is asked for."""
    fitting = [kind for kind in PHONES if operation in _operations_of(kind)]
    if not members.has("kind"):
        members.refuse("kind", f"one of {', '.join(fitting)}", None)
    kind = members.text("kind")
    if kind not in fitting:
        near = nearest(kind, fitting)
        meant = "one of GET /v1/kinds" if near is None else f"perhaps {near!r}"
        _malformed(f"kind: got {kind!r}, which has no {operation.value}; expected {meant}")
    # Before what else is missing: who takes the wrong endpoint for a fault is told so first.
    members.refuse_foreign_fault("fault", operation)
    return kind


def _operations_of(kind: str) -> tuple[Operation, ...]:
    model = PHONES[kind]
    if isinstance(model, AndroidModel):
        return (Operation.ANDROID_CHAIN,)
    if isinstance(model, PlayModel):
        return (Operation.PLAY_TOKEN,)
    return (
        Operation.APP_ATTEST_KEY,
        Operation.APP_ATTEST_ATTESTATION,
        Operation.APP_ATTEST_ASSERTION,
    )


async def android_chain(context: AttesterContext, request: Request) -> Response:
    """Return the certificate chain of a key, as a Keystore does that made it for a challenge."""
    members = _Members(request.members)
    kind = _kind(members, Operation.ANDROID_CHAIN)
    device = members.optional("device", lambda _: _device(members), _SOMEBODYS)
    app = _android_app(context, members)
    key = _key(members)
    challenge = members.data("challenge", MAX_CHALLENGE_BYTES)
    strongbox = members.optional("strongbox", members.flag)

    def perform() -> Mapping[str, Any]:
        made = context.attester.android_chain(
            kind, device, app, key, challenge, strongbox=strongbox
        )
        return {
            "chain": [base64url.encode(each) for each in made.chain],
            "security_level": SECURITY_LEVELS[made.security_level],
            "attestation_serial": made.serial,
        }

    return await _performed(context, members, Operation.ANDROID_CHAIN, device, perform)


async def play_token(context: AttesterContext, request: Request) -> Response:
    """Return a Play Integrity token over a request hash or a nonce."""
    members = _Members(request.members)
    kind = _kind(members, Operation.PLAY_TOKEN)
    device = members.optional("device", lambda _: _device(members), _SOMEBODYS)
    app = _android_app(context, members)
    standard = members.has("request_hash")
    if standard == members.has("nonce"):
        _malformed("expected request_hash (standard request) or nonce (classic request)")
    text = members.text("request_hash" if standard else "nonce", 4 * _MAX_TEXT)

    def perform() -> Mapping[str, Any]:
        token = context.attester.play_token(kind, device, app, text, standard=standard)
        return {"token": token}

    return await _performed(
        context, members, Operation.PLAY_TOKEN, device, perform, standard=standard
    )


async def app_attest_key(context: AttesterContext, request: Request) -> Response:
    """Make an App Attest key."""
    members = _Members(request.members)
    kind = _kind(members, Operation.APP_ATTEST_KEY)
    device = members.optional("device", lambda _: _device(members), _SOMEBODYS)
    app = _ios_app(context, members)

    def perform() -> Mapping[str, Any]:
        key_id = context.attester.app_attest_key(kind, device, app)
        # The one place where the vendor has its own base64: an app gets the id as text.
        return {"key_id": base64.b64encode(key_id).decode("ascii")}

    return await _performed(context, members, Operation.APP_ATTEST_KEY, device, perform)


async def app_attest_attestation(context: AttesterContext, request: Request) -> Response:
    """Attest an App Attest key, once."""
    make = context.attester.app_attest_attestation
    operation = Operation.APP_ATTEST_ATTESTATION
    return await _over_digest(context, request, operation, "attestation", make)


async def app_attest_assertion(context: AttesterContext, request: Request) -> Response:
    """Sign by an App Attest key; the counter goes up."""
    make = context.attester.app_attest_assertion
    return await _over_digest(context, request, Operation.APP_ATTEST_ASSERTION, "assertion", make)


async def _over_digest(
    context: AttesterContext,
    request: Request,
    operation: Operation,
    member: str,
    make: Callable[[bytes, bytes], bytes],
) -> Response:
    """Answer with what an App Attest key makes over a digest, under this member's name."""
    members = _Members(request.members)
    key_id = _key_id(members)
    digest = members.data("client_data_hash", _MAX_TEXT)
    device = context.attester.device_of(key_id)

    def perform() -> Mapping[str, Any]:
        return {member: base64url.encode(make(key_id, digest))}

    return await _performed(context, members, operation, device, perform)


def _key_id(members: _Members) -> bytes:
    """Return a key's id from Apple's text; one that is none names no key, which is the phone's to say."""
    try:
        return base64.b64decode(members.text("key_id"), validate=True)
    except (binascii.Error, ValueError):
        return b""


async def script_faults(context: AttesterContext, request: Request) -> Response:
    """Replace a phone's script of faults."""
    device = request.parameters["device"]
    members = _Members(request.members)
    lines = members.take("faults", list, "a list of objects")
    members.end()
    if len(lines) > MAX_SCRIPT_LINES:
        _malformed(f"faults: got {len(lines)} lines, expected at most {MAX_SCRIPT_LINES}")
    context.scripts.replace(device, [_line(at, line) for at, line in enumerate(lines)])
    return await faults_left(context, request)


def _line(at: int, line: object) -> ScriptedFault:
    """Return one line of a script."""
    if not isinstance(line, dict):
        _malformed(f"faults[{at}]: got {type(line).__name__}, expected an object")
    members = _Members(line, f"faults[{at}].")
    on = Operation(members.one_of("on", [each.value for each in Operation]))
    endless = "times" in line and line["times"] is None
    made = ScriptedFault(
        on=on,
        fault=members.optional("fault", lambda name: members.fault(name, on)),
        delay=members.optional("delay", lambda name: members.number(name, MAX_DELAY_SECONDS), 0.0),
        times=members.optional(
            "times", lambda name: members.whole(name, 1, MAX_TIMES), None if endless else 1
        ),
    )
    members.end()
    return made


async def faults_left(context: AttesterContext, request: Request) -> Response:
    """Return what is left of a phone's script."""
    lines = context.scripts.left(request.parameters["device"])
    told = [
        {"on": line.on.value, "fault": line.fault, "delay": line.delay, "times": line.times}
        for line in lines
    ]
    return json_response(200, {"faults": told})


async def list_kinds(_context: AttesterContext, _request: Request) -> Response:
    """Return the kinds of phones, and what each can be asked for."""
    rows = [
        {
            "kind": kind,
            "platform": model.platform.value,
            "operations": [each.value for each in _operations_of(kind)],
            "strongbox": isinstance(model, AndroidModel)
            and model.security is SecurityLevel.STRONG_BOX,
            "summary": model.summary,
        }
        for kind, model in PHONES.items()
    ]
    return json_response(200, {"kinds": rows})


async def list_faults(_context: AttesterContext, _request: Request) -> Response:
    """Return the faults by name, with the values of the platform's error."""
    rows = []
    for name, fault in FAULTS.items():
        for standard in (True, False) if fault.platform == "play-integrity" else (True,):
            try:
                told = fault.members(standard=standard)
            except ValueError:
                continue
            rows.append({"name": name, "platform": fault.platform, **told})
    return json_response(200, {"faults": rows})


ROUTES: Final[tuple[Route, ...]] = (
    Route("POST", "/v1/android/chain", android_chain, takes_json=True),
    Route("POST", "/v1/play/token", play_token, takes_json=True),
    Route("POST", "/v1/app-attest/keys", app_attest_key, takes_json=True),
    Route("POST", "/v1/app-attest/attestations", app_attest_attestation, takes_json=True),
    Route("POST", "/v1/app-attest/assertions", app_attest_assertion, takes_json=True),
    Route("PUT", "/v1/devices/{device}/faults", script_faults, takes_json=True),
    Route("GET", "/v1/devices/{device}/faults", faults_left),
    Route("GET", "/v1/kinds", list_kinds),
    Route("GET", "/v1/faults", list_faults),
)


class LoopbackHost:
    """Answer only who names this machine as the host: a web page that had its name point here doesn't."""

    def __init__(self, app: AsgiApplication) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one connection, or refuse it."""
        hosts = [value for name, value in scope.get("headers", ()) if name.lower() == b"host"]
        if scope["type"] != "http" or all(map(_is_loopback, hosts)):
            await self._app(scope, receive, send)
            return
        refusal = Refusal(Reason.REQUEST_HOST, "expected the host 127.0.0.1, [::1] or localhost")
        problem = render((refusal,), ref=None, reveal=True, details=True)
        start = {"type": "http.response.start", "status": problem.status}
        await send({**start, "headers": problem.headers})
        await send({"type": "http.response.body", "body": problem.body})


def _is_loopback(host: bytes) -> bool:
    name = re.sub(rb":[0-9]*\Z", b"", host)
    try:
        return Address(name.decode("ascii").strip("[]"), 0).is_loopback
    except ValueError:
        return False


def attester_app(context: AttesterContext) -> AsgiApplication:
    """Return the application that answers by this context."""
    # Whoever reaches it is the developer, who is told the details.
    expected = f"expected {', '.join(dict.fromkeys(route.path for route in ROUTES))}; GET /v1/kinds says what each phone can do"
    return LoopbackHost(
        Application(ROUTES, context, reveal=True, operator=True, not_found=expected)
    )


def _context_of(settings: Settings) -> AttesterContext:
    """Return what answers for the lab of a file."""
    clock = SystemClock()
    return AttesterContext(
        attester=Attester(authorities_of(settings), clock, SystemEntropy()),
        apps=[installed_app(app) for app in settings.apps.values()],
        clock=clock,
        sleep=asyncio.sleep,
        refusal_log=MemoryRefusalLog(clock),
    )


def attester(config: Path, host: str, port: int, as_json: bool) -> None:
    """Answer as phones' hardware and vendors do, until it is stopped."""
    settings = lab_settings(config)
    try:
        loopback = Address(host, port).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise click.BadParameter(
            f"got {host!r}, expected a loopback address such as 127.0.0.1: whoever reaches the attester "
            "can play any phone of this lab",
            param_hint="--host",
        )
    serve(_serve(settings, host, port, as_json=as_json))


async def _serve(settings: Settings, host: str, port: int, *, as_json: bool) -> None:
    wanted = until_signal()
    async with AsyncExitStack() as stack:
        server = HttpServer(attester_app(_context_of(settings)), host=host, port=port)
        await server.start()
        stack.push_async_callback(server.stop)
        url = f"http://{server.address}"
        if as_json:
            print_json({"listen": server.address, "url": url})
        else:
            click.echo(f"Phones' hardware and vendors answer at {url}. Ctrl-C stops it.")
        await wanted.wait()

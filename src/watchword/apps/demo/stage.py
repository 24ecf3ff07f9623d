"""Set the stage: the sample clinic and the third party that it asks, a clock that moves, and a deployment before them on free ports."""

import asyncio
import hmac
import json
import posixpath
import socket
import ssl
import unicodedata
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.mutual_tls import MutualTlsServer
from watchword.adapters.observer_keys import write_observer_key
from watchword.apps.compose.gates import system_ports
from watchword.apps.deployment import Deployment
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.encoding import strict_json
from watchword.lab.channel_authorities import ChannelAuthorities
from watchword.ports import Clock, Entropy
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Mode

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

API_KEY = "clinic-app-key-from-the-apk"
"""What every copy of the app carries, so that anyone who unpacks one has it."""

RECORDS = 40
"""Patients in the sample; a script walks their numbers."""

_ENTRIES = ("/v1/records/", "/v1/payments/")
"""Where an app writes: JSON behind the kind and a number."""

USERS = {"ada": "correct horse battery staple"}
"""Who can sign in, and with what."""


class ClinicApi:
    """Answer ``/health``, patients, sign-ins and what is written, as a backend that trusts its API key.

    :ivar written: the bodies that were accepted, in order.
    """

    def __init__(self) -> None:
        """Start with nothing served."""
        self.served = 0
        self.written: list[bytes] = []
        self.seen_headers: list[frozenset[str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        path = _resolved(scope["path"])
        number = path.removeprefix("/v1/patients/")
        status: int
        body: dict[str, Any]
        if path == "/health":
            status, body = 200, {"status": "up"}
        elif not hmac.compare_digest(headers.get("x-api-key", b""), API_KEY.encode()):
            status, body = 401, {"error": "api key required"}
        elif path.startswith("/v1/patients/") and number.isdigit() and int(number) < RECORDS:
            self.served += 1
            self.seen_headers.append(frozenset(headers))
            status, body = 200, {"patient": int(number), "diagnosis": "J45.0", "iban": "DE89..."}
        elif path.startswith(_ENTRIES) and scope["method"] == "POST":
            self.written.append(await _body(receive))
            status, body = 200, {"written": len(self.written[-1])}
        elif path == "/v1/login" and scope["method"] == "POST":
            status, body = _signed_in(await _body(receive))
        elif path == "/v1/headers":
            # A server that answers before a body was read may end the connection, and the answer with it.
            await _body(receive)
            status, body = 200, {name: value.decode("latin-1") for name, value in headers.items()}
        else:
            status, body = 404, {"error": "no such record"}
        raw = json.dumps(body).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(raw)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": raw})


def _resolved(path: str) -> str:
    """Return the path that is served: as many a backend does, this one takes `..`, `//`, `;` and backslashes in its stride.

    It ignores case, as Express does unless it is told otherwise, and normalises Unicode.
    """
    plain = unicodedata.normalize("NFKC", path).casefold()
    segments = (each.partition(";")[0] for each in plain.replace("\\", "/").split("/"))
    return posixpath.normpath("/" + "/".join(segments).lstrip("/"))


def _signed_in(body: bytes) -> tuple[int, dict[str, Any]]:
    """Answer a sign-in as many an API does: whoever asks often enough learns a password."""
    try:
        asked = json.loads(body)
        known = USERS.get(asked["name"], "")
        good = hmac.compare_digest(known.encode(), str(asked["password"]).encode()) and bool(known)
    except (ValueError, TypeError, KeyError):
        return 400, {"error": "expected name and password"}
    return (200, {"session": "opened"}) if good else (401, {"error": "name or password is wrong"})


async def _body(receive: Receive) -> bytes:
    """Return a request's body; this sample takes any size, the gate in front of it does not."""
    body = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body", False):
            return body


class MovableClock:
    """Implement :class:`watchword.ports.Clock`: another clock's time plus what was added."""

    def __init__(self, clock: Clock) -> None:
        """Start at the other clock's time."""
        self._clock = clock
        self._ahead = timedelta()

    def move(self, seconds: int) -> None:
        """Move the time ahead; phones, service and gate all live in it."""
        self._ahead += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """Return the demo's time as an aware datetime in UTC."""
        return self._clock.now() + self._ahead

    def timestamp(self) -> float:
        """Return the demo's time as seconds since 1970."""
        return self._clock.timestamp() + self._ahead.total_seconds()


HOST: Final = "localhost"
"""The name in its certificate; a real one has a name of its own."""

AUTHORITY: Final = "maps-ca.pem"
"""File of the authority that vouches for it."""

_SEED_BYTES = 32
_KEY_BYTES = 24


@dataclass(slots=True)
class MapService:
    """Answer ``/geocode/...`` and ``/account``, to whoever shows a key that it gave out.

    :ivar keys: the keys that it takes.
    :ivar billed: how many calls it answered.
    :ivar refused: how many it refused for want of a key.
    :ivar headers: names of the headers of the last call.
    :ivar shown: the key of the last call.
    """

    keys: set[str] = field(default_factory=set, repr=False)
    billed: int = 0
    refused: int = 0
    headers: frozenset[str] = frozenset()
    shown: str = field(default="", repr=False)

    def give_out(self, entropy: Entropy) -> str:
        """Return a new key, as the provider's console does; the older ones stay good."""
        key = f"maps-{entropy.token_bytes(_KEY_BYTES).hex()}"
        self.keys.add(key)
        return key

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        shown = headers.get("authorization", b"").removeprefix(b"Bearer ")
        self.headers, self.shown = frozenset(headers), shown.decode("latin-1")
        path, body = scope["path"], {"place": "Bad Homburg", "at": [50.2268, 8.6182]}
        if not any(hmac.compare_digest(shown, each.encode()) for each in self.keys):
            self.refused += 1
            status, body = 403, {"error": "no such key"}
        elif path == "/account":
            status, body = 200, {"invoices": "all of them"}
        elif path.startswith("/geocode/"):
            self.billed += 1
            status = 200
        else:
            status, body = 404, {"error": "no such path"}
        raw = json.dumps(body).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": raw})


def served_over_tls(
    service: MapService, directory: Path, entropy: Entropy
) -> tuple[MutualTlsServer, Path]:
    """Return a server for it, not started yet, and the file with the authority of its certificate.

    :param directory: gets both files; removed by whoever made it.
    """
    web = ChannelAuthorities(entropy.token_bytes(_SEED_BYTES)).web
    identity, authority = directory / "maps.pem", directory / AUTHORITY
    identity.write_bytes(web.server("maps", [HOST]).pem)
    identity.chmod(0o600)
    authority.write_bytes(web.root_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    return MutualTlsServer(service, tls=context, peer_state="demo.peer"), authority


APP_VERSION = 120
TEAM_ID, BUNDLE_ID, PACKAGE = "ABCDE12345", "com.example.clinic", "com.example.clinic"
SIGNING_DIGEST = bytes(range(32))

API = "clinic"
"""The API that is protected, attacked and planned for."""

MAPS_QUOTA = 100
"""Calls that one phone may make a day to the map service, on the clinic's bill."""

OBSERVER_KEY = "observer.pem"
"""File of the key that signs what a drill finds; the plan knows its public part."""

_FILE = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  token_lifetime: 5m
  state: state
  trusted_proxies: [127.0.0.1]
  enrolments: {{address: {{requests: 30, per: 10m}}}}
apps:
  clinic-ios: {{platform: ios, team_id: {team}, bundle_id: {bundle}}}
  clinic-android:
    platform: android
    package: {package}
    signing_digests: [{digest}]
    minimum_version: 100
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios, clinic-android]
    listen: 127.0.0.1:{clinic}
    upstream: http://127.0.0.1:{upstream}
    rate: {{requests: 300, per: 1m}}
    routes:
      - {{path: /health, mode: off}}
      - {{path: /maps/**, secret: maps, proof: session}}
      - {{path: /v1/records/**, level: hardware, proof: session, mode: {mode}}}
      - {{path: /v1/payments/**, level: hardware, proof: device, mode: {mode}}}
      - {{path: /**, level: hardware, mode: {mode}, minimum_versions: {{clinic-android: '100'}}}}
  billing:
    audience: https://billing.clinic.example
    apps: [clinic-ios, clinic-android]
    listen: 127.0.0.1:{billing}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - {{path: /**, mode: {mode}}}
secrets:
  keys:
    maps:
      edge:
        origin: https://localhost:{maps}
        paths: [/geocode/*]
        add: {{header: Authorization, prefix: 'Bearer '}}
        quota: {{calls: {quota}, per: 1d}}
        ca: {authority}
        private: true
drill:
  clinic:
    headers: {{x-api-key: {key}}}
    requests:
      - {{path: /v1/patients/7}}
      - {{method: POST, path: /v1/records/7, body: '{{"sum": 40, "to": "DE89"}}'}}
      - {{method: POST, path: /v1/payments/7, body: '{{"sum": 40, "to": "DE89"}}'}}
      - {{path: /v1/headers, echo: true}}
      - method: POST
        path: /v1/login
        body: '{{"name": "{{name}}", "password": "{{password}}"}}'
        login: true
plan:
  observers:
    drill: {{key: observer.jwk}}
  assets:
    patient-records:
      kind: data
      impact: 5
      because: Whoever has the key in the app reads every patient's record.
      lives_in: [backend]
      routes: [{{api: clinic, path: /v1/patients/**}}]
    one-users-data:
      kind: data
      impact: 2
      because: One patient's data, read on a phone that somebody else controls.
      lives_in: [app]
  scenarios:
    derive: false
    add:
      - asset: patient-records
        steps: [MT-A02, MT-C06, MT-B03]
        because: The key is taken out of the package; a script uses it.
      - asset: patient-records
        steps: [MT-C07, MT-C06, MT-B03]
        because: The key is read off the wire; a script uses it.
      - asset: one-users-data
        steps: [MT-A09]
        assumes: [device_control]
        because: Data is taken out of the running app.
"""


@dataclass(slots=True)
class Stage:
    """Hold the sample API and the deployment in front of it; use it from its event loop."""

    directory: Path
    clock: MovableClock
    entropy: Entropy
    clinic: ClinicApi = field(default_factory=ClinicApi)
    maps: MapService = field(default_factory=MapService)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _deployment: Deployment | None = None
    _settings: Settings | None = None
    _ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def in_directory(cls, directory: Path) -> "Stage":
        """Return a stage that is not yet set, with the system's clock made movable."""
        clock, entropy = system_ports()
        return cls(directory, MovableClock(clock), entropy)

    @property
    def settings(self) -> Settings:
        """Return the settings of the running deployment."""
        assert self._settings is not None
        return self._settings

    @property
    def open_url(self) -> str:
        """Return the URL of the API itself, without any protection."""
        return f"http://127.0.0.1:{self._ports['upstream']}"

    def port(self, name: str) -> int:
        """Return the port of ``service``, ``clinic``, ``billing``, ``upstream`` or ``maps``."""
        return self._ports[name]

    async def set_up(self) -> None:
        """Start the sample API and the third party; no deployment yet."""
        server = HttpServer(self.clinic)
        maps, _ = served_over_tls(self.maps, self.directory, self.entropy)
        for each in (server, maps):
            await each.start()
            self._stack.push_async_callback(each.stop)
        self._ports = _free_ports(["service", "clinic", "billing"])
        self._ports |= {"upstream": server.port, "maps": maps.port}
        await asyncio.to_thread(self._make_observer)

    async def deploy(self, mode: Mode) -> None:
        """Write ``watchword.yaml`` with this mode and run it; stops the deployment before."""
        if self._deployment is not None:
            await self._deployment.stop()
        file = await asyncio.to_thread(self.write, mode)
        self._settings = await asyncio.to_thread(load_settings, file)
        self._deployment = Deployment(self._settings, self.clock, self.entropy)
        await self._deployment.start()

    def write(self, mode: Mode) -> Path:
        """Write ``watchword.yaml`` with every route in this mode; nothing is started."""
        file = self.directory / "watchword.yaml"
        text = _FILE.format(
            mode=mode.value,
            team=TEAM_ID,
            bundle=BUNDLE_ID,
            package=PACKAGE,
            digest=SIGNING_DIGEST.hex(),
            key=API_KEY,
            quota=MAPS_QUOTA,
            authority=AUTHORITY,
            **self._ports,
        )
        file.write_text(text, encoding="utf-8")
        return file

    def _make_observer(self) -> None:
        """Make the key of who may prove something."""
        key = write_observer_key(self.directory / OBSERVER_KEY)
        public = strict_json.dumps(dict(jwk_from_public_key(key.public)))
        (self.directory / OBSERVER_KEY).with_suffix(".jwk").write_bytes(public)

    async def tear_down(self) -> None:
        """Stop everything; nothing stays running."""
        if self._deployment is not None:
            await self._deployment.stop()
            self._deployment = None
        await self._stack.aclose()


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    """Return a free port for each name; all are held until the last is found, so that no two are one."""
    with ExitStack() as probes:
        found: dict[str, int] = {}
        for name in names:
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found[name] = probe.getsockname()[1]
        return found

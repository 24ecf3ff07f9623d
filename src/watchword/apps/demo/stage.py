"""Set the demo's stage: a real deployment in a temporary directory, two APIs behind it."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from watchword.adapters.http_server import HttpServer
from watchword.adapters.observations import write_observer_key
from watchword.apps.compose.gates import system_ports
from watchword.apps.compose.service import Deployment
from watchword.apps.demo.clinic import API_KEY, ClinicApi
from watchword.apps.demo.clock import MovableClock
from watchword.apps.demo.maps import AUTHORITY, MapService, served_over_tls
from watchword.apps.settings import Settings, load_settings
from watchword.encoding import strict_json
from watchword.ports import Entropy
from watchword.tokens.jwk import jwk_from_public_key
from watchword.vocabulary import Mode

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

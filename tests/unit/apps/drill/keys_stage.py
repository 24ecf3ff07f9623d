"""Put a deployment that injects and delivers keys before the drill: two third-party keys, one delivered, two limits."""

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from tests.ports import free_port
from tests.unit.apps.drill.rigs import plant_decoy
from tests.unit.apps.keyed_party import KeyedParty, keyed_party

from watchword.adapters.drill_wire import resolve
from watchword.adapters.http_server import HttpServer
from watchword.apps.compose.gates import system_ports
from watchword.apps.demo.stage import API_KEY, ClinicApi
from watchword.apps.deployment import Deployment
from watchword.apps.drill.harness import Targets, open_harness
from watchword.apps.drill.run import run_drill
from watchword.apps.drill.run_plan import RunPlan, urls_of
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.drill.interface import Attack
from watchword.drill.judgements import Report
from watchword.drill.registry import ATTACKS
from watchword.drill.wire import Part

MAPS_KEY = "AIzaSyTheKeyOfTheMapServiceWhichNoAppHas"
PLACES_KEY = "pl_live_51ThePlacesKeyThatReplacesItsName"
PUSH_KEY = "push-server-key-that-goes-to-iphones-only"

ABOUT_KEYS = (
    "key-from-package",
    "lent-key-on-the-wire",
    "injected-key-oracle",
    "lent-path-unlisted",
    "lent-elsewhere",
    "lent-key-replaced",
    "delivery-on-the-wire",
    "delivery-replayed",
    "delivery-not-entitled",
    "key-grown-old",
    "canary-used",
    "limit-with-instance",
    "lent-quota",
)

WITH_OWN_CHIP = "phone-strongbox-claimed"
"""What only a policy that wants a StrongBox can show: the deployment of this stage has such a one."""

FILE = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  token_lifetime: 5m
  state: state
apps:
  clinic-ios: {{platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}}
  clinic-android:
    platform: android
    package: com.example.clinic
    signing_digests: [{digest}]
policy:
  base: balanced
  with:
    - hardware_security: {{strongbox: true}}
secrets:
  keys:
    maps:
      edge:
        origin: {third}
        paths: [/geocode/**]
        add: {{header: X-Maps-Key}}
        quota: {{calls: 24, per: 366d}}
        ca: third-ca.pem
        private: true
    places:
      edge:
        origin: {third}
        paths: [/places/**]
        replace: {{header: X-Places-Key, placeholder: wwk-places}}
        spend: {{most: 72, per: 366d, cost: 3}}
        ca: third-ca.pem
        private: true
    push:
      deliver: {{apps: [clinic-ios], level: hardware, lease: 1h}}
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios, clinic-android]
    listen: 127.0.0.1:{clinic}
    upstream: http://127.0.0.1:{upstream}
    limits:
      - {{name: patients, kind: quota, requests: 24, per: 31d, routes: [/v1/patients/**]}}
      - {{name: headers, kind: rate, requests: 20, per: 1m, routes: [/v1/headers]}}
    routes:
      - {{path: /maps/**, secret: maps, level: hardware, proof: session, mode: enforce}}
      - {{path: /where/**, secret: places, level: hardware, proof: device, mode: enforce}}
      - {{path: /v1/patients/**, level: hardware, proof: session, mode: enforce}}
      - {{path: /v1/headers, level: hardware, mode: enforce}}
      - {{path: /v1/records/**, level: hardware, proof: session, mode: enforce}}
drill:
  clinic:
    headers: {{x-api-key: {key}, x-places-key: wwk-places}}
    requests:
      - {{path: /v1/records/7, method: POST, body: '{{}}'}}
      - {{path: /v1/patients/7}}
      - {{path: /v1/headers, echo: true}}
      - {{path: '/maps/geocode/homburg?q=1', echo: true}}
      - {{path: /where/places/1}}
"""


@dataclass(slots=True)
class KeysStage:
    """Hold a running deployment and the third party behind it."""

    settings: Settings
    third: KeyedParty

    def drilled(self, attacks: Sequence[str] = ABOUT_KEYS, genuine: int = 20) -> Report:
        """Return the report of a run of these attacks; call it from a thread beside the deployment's loop."""
        plant_decoy(self.settings)
        clock, entropy = system_ports()
        api = self.settings.apis["clinic"]
        urls = urls_of(self.settings, api, None)
        targets = Targets({part: resolve(url) for part, url in urls.items()}, loopback=True)
        chosen: list[Attack] = [ATTACKS[name] for name in attacks]
        with open_harness(self.settings, api, targets, clock, entropy) as opened:
            return run_drill(
                opened, RunPlan(chosen, genuine), urls[Part.GATE], loopback=True, now=clock.now
            )


def written(directory: Path, third: KeyedParty, upstream: int) -> Path:
    """Write the deployment's file."""
    text = FILE.format(
        service=free_port(),
        clinic=free_port(),
        upstream=upstream,
        third=third.origin,
        digest="0f" * 32,
        key=API_KEY,
    )
    file = directory / "watchword.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def add_values(socket: Path) -> None:
    """Hand the three keys to the running service."""
    with OperatorClient(socket) as operator:
        for name, value in (("maps", MAPS_KEY), ("places", PLACES_KEY), ("push", PUSH_KEY)):
            operator.post("/v1/secrets", {"name": name, "value": value})
    # Gates look each half second.
    time.sleep(1.5)


@contextlib.contextmanager
def at_third_party(directory: Path) -> Iterator[KeyedParty]:
    """Run the third party that takes both keys."""
    keys = {"x-maps-key": {MAPS_KEY}, "x-places-key": {PLACES_KEY}}
    with keyed_party(directory, keys) as third:
        yield third


@contextlib.asynccontextmanager
async def keys_stage(directory: Path) -> AsyncIterator[KeysStage]:
    """Run everything in this process; the keys are there, and the gate has them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    clinic = HttpServer(ClinicApi())
    await clinic.start()
    try:
        with at_third_party(directory) as third:
            settings = load_settings(written(directory, third, clinic.port))
            deployment = Deployment(settings, *system_ports())
            await deployment.start()
            try:
                yield KeysStage(settings, third)
            finally:
                await deployment.stop()
    finally:
        await clinic.stop()
        structlog.reset_defaults()

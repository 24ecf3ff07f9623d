"""Play the demo's actors: scripts with a stolen key, and simulated phones with the real client."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx

from watchword.apps.demo.acts import Outcome
from watchword.apps.demo.clinic import API_KEY
from watchword.apps.demo.stage import APP_VERSION, BUNDLE_ID, PACKAGE, SIGNING_DIGEST, TEAM_ID
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings import Settings
from watchword.client import Proofs, ServiceRefusedError, WatchwordAuth, WatchwordClient
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.ports import Clock
from watchword.vocabulary import Platform

TIMEOUT_SECONDS = 5.0

_PROOFS = Proofs(device=["/v1/payments/**"])
"""What the app knows of the routes; every other request carries a session proof."""


@dataclass(slots=True)
class Wire:
    """Send requests as anyone could, and ask the operator why they were refused."""

    operator: OperatorClient
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
    )

    def get(self, url: str, token: str | None = None) -> Outcome:
        """Read one URL with the stolen API key, and with a token if there is one."""
        headers = {"x-api-key": API_KEY}
        if token is not None:
            headers["watchword-token"] = token
        return self.outcome(self.http.get(url, headers=headers))

    def post(self, url: str, body: Mapping[str, Any]) -> Outcome:
        """Send JSON to the service, as a script that replays what it recorded."""
        return self.outcome(self.http.post(url, json=dict(body)))

    def send(self, request: httpx.Request) -> Outcome:
        """Send a request that was caught, as it is."""
        return self.outcome(self.http.send(request))

    def outcome(self, response: httpx.Response) -> Outcome:
        """Return how it ended; the reason comes from the operator, by the opaque reference."""
        if response.is_success:
            return Outcome(f"served {response.status_code}")
        return self.refused(response.status_code, response.json().get("ref"))

    def refused(self, status: int, ref: str | None) -> Outcome:
        """Return a refusal with its first reason."""
        if ref is None:
            return Outcome(f"refused {status}")
        explained = self.operator.post("/v1/explain", {"ref": ref})
        return Outcome(f"refused {status}", explained["reasons"][0]["reason"])


@dataclass(slots=True)
class Handset:
    """Hold a simulated phone with the reference client on it.

    :ivar sent: the bodies that the client sent to the service, for those who record and replay.
    """

    client: WatchwordClient
    wire: Wire
    sent: list[tuple[str, bytes]]

    def enrol(self) -> Outcome:
        """Enrol; a refusal is an outcome, not an error."""
        try:
            self.client.enrol()
        except ServiceRefusedError as error:
            return self.wire.refused(error.problem.status, error.problem.ref)
        return Outcome("served 201")

    def renew(self) -> Outcome:
        """Ask for new tokens."""
        try:
            self.client.renew()
        except ServiceRefusedError as error:
            return self.wire.refused(error.problem.status, error.problem.ref)
        return Outcome("served 200")

    def get(self, url: str, audience: str) -> Outcome:
        """Read one URL as the app does; enrols or renews first where that is needed."""
        try:
            token = self.client.token(audience)
        except ServiceRefusedError as error:
            return self.wire.refused(error.problem.status, error.problem.ref)
        return self.wire.get(url, token)

    def get_anyway(self, url: str, audience: str) -> Outcome:
        """Read one URL as the app does during a roll-out: without a token if there is none."""
        auth = WatchwordAuth(self.client, audience, or_without=True)
        return self.wire.outcome(self.wire.http.get(url, headers={"x-api-key": API_KEY}, auth=auth))

    def read(self, url: str, audience: str) -> Outcome:
        """Read one URL with token and proof, and without the key that is in the app's other calls."""
        auth = WatchwordAuth(self.client, audience, proof=_PROOFS)
        return self.wire.outcome(self.wire.http.get(url, auth=auth))

    def write(self, url: str, audience: str, body: bytes) -> tuple[Outcome, httpx.Request]:
        """Send a body as the app does, with token and proof.

        :returns: how it ended, and the request as it went out: what an interceptor holds afterwards.
        """
        auth = WatchwordAuth(self.client, audience, proof=_PROOFS)
        response = self.wire.http.send(self._request(url, body), auth=auth)
        return self.wire.outcome(response), response.request

    def held_up(self, url: str, audience: str, body: bytes) -> httpx.Request:
        """Return what the app would send, never sent: an interceptor holds it up."""
        request = self._request(url, body)
        next(WatchwordAuth(self.client, audience, proof=_PROOFS).sync_auth_flow(request))
        return request

    def _request(self, url: str, body: bytes) -> httpx.Request:
        headers = {"x-api-key": API_KEY, "content-type": "application/json"}
        return self.wire.http.build_request("POST", url, content=body, headers=headers)

    def recorded(self, path: str) -> dict[str, Any]:
        """Return the last body that the app sent to this path of the service."""
        body = next(body for sent_to, body in reversed(self.sent) if sent_to == path)
        document: dict[str, Any] = json.loads(body)
        return document


@dataclass(slots=True)
class PhoneShop:
    """Hand out phones of each kind, all at one service."""

    settings: Settings
    authorities: LabAuthorities
    clock: Clock
    wire: Wire
    closing: ExitStack
    sold: int = 0

    def get(self, kind: str) -> Handset:
        """Return a new phone of this kind with the clinic's app on it."""
        model = PHONES[kind]
        # A phone's keys follow from its name: two people's phones have two names.
        self.sold += 1
        name = f"{kind}-{self.settings.apis['clinic'].routes[-1].mode.value}-{self.sold}"
        setup = PhoneSetup(authorities=self.authorities, clock=self.clock, name=name)
        phone = model.build(_app_for(model.platform), setup)
        recorder = _Recorder()
        client = WatchwordClient(
            self.settings.service.issuer,
            f"clinic-{model.platform.value}",
            phone,
            [api.audience for api in self.settings.apis.values()],
            clock=self.clock.timestamp,
            jitter=lambda: 0.5,
            transport=recorder,
        )
        self.closing.callback(client.close)
        return Handset(client, self.wire, recorder.sent)


class _Recorder(httpx.HTTPTransport):
    """Send requests, and keep their bodies as somebody who intercepts the channel would."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self.sent: list[tuple[str, bytes]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.url.path, request.read()))
        return super().handle_request(request)


def _app_for(platform: Platform) -> InstalledApp:
    if platform is Platform.IOS:
        return InstalledIosApp(TEAM_ID, BUNDLE_ID, str(APP_VERSION))
    return InstalledAndroidApp(PACKAGE, (SIGNING_DIGEST,), APP_VERSION)

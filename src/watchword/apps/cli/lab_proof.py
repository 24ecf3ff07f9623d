"""Choose how a lab phone proves its request, and hold it to that choice."""

from collections.abc import Callable, Generator
from typing import Final

import httpx

from watchword.apps.settings import ApiSettings
from watchword.client import WatchwordAuth, WatchwordClient
from watchword.gate.hygiene import read_path
from watchword.gate.routes import compile_routes, find_route
from watchword.reasons import Refusal
from watchword.vocabulary import Proof

AUTO: Final = "auto"
DPOP: Final = "dpop"

_ALGORITHMS: Final = (
    ('alg="hmac-sha256"', Proof.SESSION),
    ('alg="ecdsa-p256-sha256"', Proof.DEVICE),
)


def auth_of(client: WatchwordClient, api: ApiSettings, choice: str) -> WatchwordAuth:
    """Return what attaches token and proof.

    :param choice: a proof by its name, ``dpop``, or ``auto``: the proof of the route.
    """
    if choice == AUTO:
        return WatchwordAuth(client, api.audience, proof=_proof_of_route(api))
    return _OneProof(client, api.audience, choice)


def sent_proof(request: httpx.Request) -> str:
    """Return the kind of proof that a request carries: a proof by its name, or ``dpop``."""
    if "dpop" in request.headers:
        return DPOP
    parameters = request.headers.get("signature-input", "")
    for algorithm, proof in _ALGORITHMS:
        if algorithm in parameters:
            return proof.value
    return Proof.BEARER.value


def _proof_of_route(api: ApiSettings) -> Callable[[httpx.Request], Proof]:
    """Return a function that finds a request's route as the gate does."""
    table = compile_routes(api.routes)

    def choose(request: httpx.Request) -> Proof:
        path = read_path(request.url.raw_path.partition(b"?")[0])
        route = None if isinstance(path, Refusal) else find_route(table, request.method, path)
        # A session proof costs nothing, and a route that asks for none ignores it.
        return Proof.DEVICE if route and route.proof is Proof.DEVICE else Proof.SESSION

    return choose


class _OneProof(WatchwordAuth):
    """Send one kind of proof only: a route that wants another one refuses, and that is the answer."""

    def __init__(self, client: WatchwordClient, audience: str, choice: str) -> None:
        """Take the kind: a proof by its name, or ``dpop``."""
        dpop = choice == DPOP
        proof = Proof.DEVICE if dpop else Proof(choice)
        super().__init__(client, audience, proof=proof, dpop=dpop)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Go on after a refusal, but never with another kind of proof."""
        flow = super().sync_auth_flow(request)
        attempt = next(flow)
        kind = sent_proof(attempt)
        while sent_proof(attempt) == kind:
            # A copy: the next attempt is prepared in the same request, and may never be sent.
            response = yield _copy(attempt)
            try:
                attempt = flow.send(response)
            except StopIteration:
                return


def _copy(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )

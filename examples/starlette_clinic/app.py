"""A clinic's API on Starlette, with a WebSocket, that only the genuine app can call.

Run the service and the API beside each other, both on the watchword.yaml of this folder::

    watchword up
    granian --interface asgi --factory app:clinic --port 9000
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from watchword.apps.gateway import WatchwordMiddleware, gate_from, verified_claims

CONFIGURATION = Path(__file__).with_name("watchword.yaml")


async def health(_request: Request) -> JSONResponse:
    """Answer the load balancer."""
    return JSONResponse({"status": "ok"})


async def read_patient(request: Request) -> JSONResponse:
    """Return a patient's record."""
    patient = request.path_params["patient"]
    # None where nobody was verified: in off, and for what monitor and canary let pass.
    instance = verified_claims(request.scope)
    if instance is None:
        return JSONResponse({"patient": patient, "asked_by": None})
    return JSONResponse({"patient": patient, "asked_by": instance.subject, "level": instance.level})


async def live(socket: WebSocket) -> None:
    """Tell a phone what happens; the gate has decided on its handshake before this is called."""
    instance = verified_claims(socket.scope)
    await socket.accept()
    await socket.send_json({"asked_by": instance.subject if instance else None})
    await socket.close()


def clinic(configuration: Path = CONFIGURATION) -> Starlette:
    """Return the API; ``middleware`` is all that its protection takes."""
    gate = gate_from(configuration, api="clinic")
    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/patients/{patient:int}", read_patient),
            WebSocketRoute("/v1/live", live),
        ],
        middleware=[Middleware(WatchwordMiddleware, gate=gate)],
    )

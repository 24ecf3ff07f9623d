"""A clinic's API that only the genuine app can call.

Run the service and the API beside each other, both on the watchword.yaml of this folder::

    watchword up
    uvicorn --factory app:clinic --port 9000
"""

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI

from watchword.apps.gateway import WatchwordMiddleware, gate_from
from watchword.apps.gateway.dependencies import watchword_instance_if_any
from watchword.tokens.interface import TokenClaims

Instance = Annotated[TokenClaims | None, Depends(watchword_instance_if_any)]
CONFIGURATION = Path(__file__).with_name("watchword.yaml")


def clinic(configuration: Path = CONFIGURATION) -> FastAPI:
    """Return the API; the second line is all that its protection takes."""
    app = FastAPI(title="Clinic")
    app.add_middleware(WatchwordMiddleware, gate=gate_from(configuration, api="clinic"))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/patients/{patient}")
    def read_patient(patient: int, instance: Instance) -> dict[str, str | int | None]:
        # None where nobody was verified: in off, and for what monitor and canary let pass.
        return {"patient": patient, "asked_by": instance.subject if instance else None}

    return app

"""A clinic's API that only the genuine app can call.

Run the service and the API beside each other, both on the watchword.yaml of this folder::

    watchword up
    uvicorn --factory app:clinic --port 9000
"""

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header

from watchword.apps.gateway import WatchwordMiddleware, gate_from

CONFIGURATION = Path(__file__).with_name("watchword.yaml")


def clinic(configuration: Path = CONFIGURATION) -> FastAPI:
    """Return the API; the second line is all that its protection takes."""
    app = FastAPI(title="Clinic")
    app.add_middleware(WatchwordMiddleware, gate=gate_from(configuration, api="clinic"))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/patients/{patient}")
    def read_patient(
        patient: int, watchword_instance: Annotated[str, Header()]
    ) -> dict[str, str | int]:
        # The header was put there by the gate: it can be trusted, and tells installations apart.
        return {"patient": patient, "asked_by": watchword_instance}

    return app

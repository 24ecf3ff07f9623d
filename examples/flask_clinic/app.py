"""A clinic's API on Flask that only the genuine app can call.

Run the service and the API beside each other, both on the watchword.yaml of this folder::

    watchword up
    gunicorn --threads 8 "app:clinic()"
"""

from pathlib import Path

from flask import Flask, request
from flask.typing import ResponseReturnValue

from watchword.apps.gateway import WatchwordWsgiMiddleware, gate_from, verified_claims

CONFIGURATION = Path(__file__).with_name("watchword.yaml")


def clinic(configuration: Path = CONFIGURATION) -> Flask:
    """Return the API; the last line but one is all that its protection takes."""
    app = Flask("clinic")

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return {"status": "ok"}

    @app.get("/v1/patients/<int:patient>")
    def read_patient(patient: int) -> ResponseReturnValue:
        # From the middleware, and not from a header: without it in front this is an error, and no answer.
        # None where nobody was verified: in off, and for what monitor and canary let pass.
        instance = verified_claims(request.environ)
        if instance is None:
            return {"patient": patient, "asked_by": None}
        return {"patient": patient, "asked_by": instance.subject, "level": instance.level}

    @app.post("/v1/patients/<int:patient>/notes")
    def add_note(patient: int) -> ResponseReturnValue:
        # The proof covers the body: it is the one that the phone sent.
        return {"patient": patient, "note": request.get_json()["text"]}, 201

    gate = gate_from(configuration, api="clinic")
    app.wsgi_app = WatchwordWsgiMiddleware(app.wsgi_app, gate=gate)  # type: ignore[method-assign]
    return app

"""List the routes of the public listener: one line each."""

from typing import Final

from watchword.apps.service.admission import Urgency
from watchword.apps.service.endpoints.challenges import create_challenge
from watchword.apps.service.endpoints.instances import create_instance, create_tokens
from watchword.apps.service.endpoints.pins import report_failure, show_pins, show_root_list
from watchword.apps.service.endpoints.published import (
    show_description,
    show_health,
    show_keys,
    show_verdict_keys,
)
from watchword.apps.service.endpoints.secrets import create_lease
from watchword.apps.service.routing import Route

PUBLIC_ROUTES: Final = (
    Route("POST", "/v1/challenges", create_challenge, takes_json=True),
    Route("POST", "/v1/attestations", create_instance, takes_json=True, urgency=Urgency.STRANGER),
    Route("POST", "/v1/tokens", create_tokens, takes_json=True, urgency=Urgency.ENROLLED),
    Route("POST", "/v1/secrets", create_lease, takes_json=True, urgency=Urgency.ENROLLED),
    Route("GET", "/v1/pins/{app}", show_pins),
    Route("GET", "/v1/pins/{app}/roots/{version}", show_root_list),
    Route("POST", "/v1/pins/reports", report_failure, takes_body=True),
    Route("GET", "/.well-known/jwks.json", show_keys),
    Route("GET", "/.well-known/verdicts/{api}/jwks.json", show_verdict_keys),
    Route("GET", "/healthz", show_health),
    Route("GET", "/openapi.json", show_description),
)
"""The routes in the order of the API description."""

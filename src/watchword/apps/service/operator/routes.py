"""List the routes of the operator's socket: one line each."""

from typing import Final

from watchword.apps.service.operator.instances import (
    list_audit,
    list_instances,
    revoke_instance,
)
from watchword.apps.service.operator.invitations import cancel_code, create_code, list_codes
from watchword.apps.service.operator.keys import list_keys, retire_key, rotate_keys
from watchword.apps.service.operator.pins import list_pin_reports, list_pins
from watchword.apps.service.operator.refusals import explain, list_refusals, show_metrics
from watchword.apps.service.routing import Route

OPERATOR_ROUTES: Final = (
    Route("GET", "/v1/instances", list_instances),
    Route("POST", "/v1/instances/{id}/revoke", revoke_instance, takes_json=True),
    Route("POST", "/v1/test-codes", create_code, takes_json=True),
    Route("GET", "/v1/test-codes", list_codes),
    Route("POST", "/v1/test-codes/{id}/revoke", cancel_code),
    Route("GET", "/v1/audit", list_audit),
    Route("GET", "/v1/refusals", list_refusals),
    Route("GET", "/v1/pins", list_pins),
    Route("GET", "/v1/pins/reports", list_pin_reports),
    Route("GET", "/metrics", show_metrics),
    Route("POST", "/v1/explain", explain, takes_json=True),
    Route("GET", "/v1/keys", list_keys),
    Route("POST", "/v1/keys/rotate", rotate_keys),
    Route("POST", "/v1/keys/{kid}/retire", retire_key),
)
"""The routes; every POST but ``explain`` changes something and is audited with its actor."""

"""List the routes of the operator's socket: one line each."""

from typing import Final

from watchword.apps.service.operator.canaries import (
    list_alarms,
    list_canaries,
    plant_canary,
    remove_canary,
)
from watchword.apps.service.operator.instances import (
    list_audit,
    list_instances,
    revoke_instance,
)
from watchword.apps.service.operator.invitations import cancel_code, create_code, list_codes
from watchword.apps.service.operator.keys import list_keys, retire_key, rotate_keys
from watchword.apps.service.operator.pins import list_pin_reports, list_pins
from watchword.apps.service.operator.refusals import explain, list_refusals, show_metrics
from watchword.apps.service.operator.secrets import (
    add_secret,
    list_secrets,
    list_users,
    revoke_secret,
    rotate_secret,
    show_secret,
)
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
    Route("GET", "/v1/secrets", list_secrets),
    Route("POST", "/v1/secrets", add_secret, takes_json=True),
    Route("GET", "/v1/secrets/{name}", show_secret),
    Route("POST", "/v1/secrets/{name}/rotate", rotate_secret, takes_json=True),
    Route("POST", "/v1/secrets/{name}/revoke", revoke_secret, takes_json=True),
    Route("GET", "/v1/secrets/{name}/users", list_users),
    Route("GET", "/v1/canaries", list_canaries),
    Route("GET", "/v1/canaries/alarms", list_alarms),
    Route("POST", "/v1/canaries", plant_canary, takes_json=True),
    Route("POST", "/v1/canaries/{name}/remove", remove_canary),
)
"""The routes; every POST but ``explain`` changes something and is audited with its actor."""

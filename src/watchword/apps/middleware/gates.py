"""Make the gate of an API from ``watchword.yaml``; needs nothing of the service's own parts."""

from pathlib import Path

from watchword.adapters.gate_state import GateStateFile
from watchword.apps.settings import ApiSettings, ConfigurationError, Fault, Settings, load_settings
from watchword.gate.interface import GatePolicy
from watchword.gate.service import Gate
from watchword.tokens.interface import LEEWAY_SECONDS, TokenExpectation


def gate_of(settings: Settings, api: ApiSettings) -> Gate:
    """Return the gate of one API; it reads what the service publishes in the state directory."""
    policy = GatePolicy(
        api=api.name,
        expectation=TokenExpectation(
            issuer=settings.service.issuer,
            audience=api.audience,
            environment=settings.environment,
            leeway=LEEWAY_SECONDS,
        ),
        routes=api.routes,
    )
    return Gate(policy, GateStateFile(settings.service.gate_state))


def gate_from(file: str | Path, api: str) -> Gate:
    """Return the gate of the API with this name, for a middleware in your own application.

    The service must run on the same machine with the same file (``watchword up``); until it has
    published its keys, the gate refuses everything.

    :raises ConfigurationError: with every fault of the file, or when it has no such API.
    """
    settings = load_settings(Path(file))
    if api not in settings.apis:
        known = ", ".join(settings.apis)
        fault = Fault("apis", None, f"no API named {api!r}", f"one of {known}")
        raise ConfigurationError(Path(file), [fault])
    return gate_of(settings, settings.apis[api])

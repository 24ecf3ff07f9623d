"""Tell what the gate of an API is to keep, from the settings: what goes into its bundle."""

from watchword.apps.settings import ApiSettings, Settings
from watchword.gate.interface import GatePolicy
from watchword.tokens.interface import LEEWAY_SECONDS, TokenExpectation


def gate_policy(settings: Settings, api: ApiSettings) -> GatePolicy:
    """Return the policy of one API."""
    return GatePolicy(
        api=api.name,
        expectation=TokenExpectation(
            issuer=settings.service.issuer,
            audience=api.audience,
            environment=settings.environment,
            leeway=LEEWAY_SECONDS,
        ),
        routes=api.routes,
        replay=api.replay.mode,
        rate=api.rate,
        binding_header=None
        if api.binding_header is None
        else api.binding_header.lower().encode("ascii"),
    )


def gate_policies(settings: Settings) -> tuple[GatePolicy, ...]:
    """Return the policy of each API."""
    return tuple(gate_policy(settings, api) for api in settings.apis.values())

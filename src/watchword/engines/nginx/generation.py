"""Write the files of one nginx from the gate bundle of one API."""

from collections.abc import Sequence

from watchword.engines.interface import EngineFile, EngineFileKind, UnsupportedError
from watchword.engines.nginx.configuration import CONFIGURATION, SCRIPT, STATE, configuration
from watchword.engines.nginx.plan import require_supported
from watchword.engines.nginx.script import script
from watchword.engines.nginx.state import MAX_STATE_BYTES, render
from watchword.engines.places import EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.vocabulary import Mode, Proof


def generate(
    bundle: GateBundle,
    options: EngineOptions,
    now: float,  # noqa: ARG001 - every engine is given it; nginx knows the end of a key by itself.
) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :raises UnsupportedError: on what this nginx can't do exactly as the gate does.
    """
    require_supported(bundle, options)
    policy = bundle.policy
    proofs = any(
        route.proof is not Proof.BEARER and route.mode is not Mode.OFF for route in policy.routes
    )
    state = render(bundle)
    size = len(state.encode())
    if size > MAX_STATE_BYTES:
        why = f"got {size} bytes with {len(bundle.revoked)} of them, expected at most {MAX_STATE_BYTES}"
        raise UnsupportedError(policy.api, "revoked instances", why, "shorten the life of tokens")
    lua = script(policy.api, options.path(STATE), options.replay_directory, proofs=proofs)
    return (
        EngineFile(STATE, EngineFileKind.PRIVATE, state),
        EngineFile(SCRIPT, EngineFileKind.PART, lua),
        EngineFile(CONFIGURATION, EngineFileKind.ROOT, configuration(policy.api, options)),
    )


def start(options: EngineOptions) -> str:
    """Return the command with which a person starts nginx, as the user who owns the directory."""
    return f"nginx -c {options.path(CONFIGURATION)} -e {options.path('error.log')}"

"""Open the gate of an API for a process that listens, and let go of it at the end."""

from contextlib import AsyncExitStack

import structlog

from watchword.adapters.narrowings import NarrowingsFile
from watchword.apps.middleware.gates import gate_of, shared_replay
from watchword.apps.settings import ApiSettings, Settings
from watchword.gate.canary import CanaryState
from watchword.gate.service import Gate
from watchword.ports import Entropy
from watchword.reasons import WatchwordError

_log = structlog.get_logger()


def open_gate(
    stack: AsyncExitStack, settings: Settings, api: ApiSettings, entropy: Entropy
) -> Gate:
    """Return the gate of one API; a canary that narrows stands in the log, and stays narrow.

    :param stack: closes the store that gates share.
    :raises WatchwordError: when that store can't be opened.
    """
    shared = shared_replay(settings, api)
    if shared is not None:
        stack.push_async_callback(shared.close)

    kept = NarrowingsFile(settings.service.gates / f"{api.name}.canary")

    def narrowed(route: str, state: CanaryState) -> None:
        _log.error(
            "canary budget exceeded",
            api=api.name,
            route=route,
            share=state.share,
            seen=state.seen,
            refused=state.refused,
        )
        try:
            kept.keep(gate.narrowings)
        except WatchwordError as error:
            # Narrowed it is all the same; a restart would widen it again.
            _log.error("narrowed canary not kept", api=api.name, detail=str(error))

    gate = gate_of(
        settings,
        api,
        shared=shared,
        entropy=entropy,
        narrowed=kept.load(),
        on_narrowed=narrowed,
    )
    return gate

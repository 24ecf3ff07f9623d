"""Open the gate of an API for a process that listens, and let go of it at the end."""

from contextlib import AsyncExitStack

from watchword.apps.gateway.gates import KeptOfGates, kept_gate, shared_replay
from watchword.apps.settings import ApiSettings, Settings
from watchword.gate.service import Gate
from watchword.ports import Entropy


def open_gate(
    stack: AsyncExitStack, settings: Settings, api: ApiSettings, entropy: Entropy
) -> Gate:
    """Return the gate of one API; a canary that narrows stands in the log, and stays narrow.

    :param stack: closes the store that gates share, and writes what is left of counts and alarms.
    :raises WatchwordError: when that store, or what is kept of canaries and quotas, can't be opened.
    """
    shared = shared_replay(settings, api)
    if shared is not None:
        stack.push_async_callback(shared.close)
    kept = KeptOfGates(settings, api)
    stack.callback(kept.close)
    return kept_gate(settings, api, shared=shared, entropy=entropy, kept_beside=kept)

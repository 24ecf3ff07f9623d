"""Make the gate of an API from ``watchword.yaml``; needs nothing of the service's own parts."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.honeytoken_alarms import HoneytokenAlarmFile
from watchword.adapters.kept_quotas import QuotaFile
from watchword.adapters.replay import HostReplayStore, MemoryReplayStore
from watchword.adapters.rollout_states import RolloutStateFile
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.gate.decisions import RolloutState, RolloutStatus
from watchword.gate.interface import ReplayStore
from watchword.gate.service import Gate
from watchword.ports import Entropy
from watchword.reasons import WatchwordError
from watchword.vocabulary import ReplayMode

_log = structlog.get_logger()


def shared_replay(settings: Settings, api: ApiSettings) -> ReplayStore | None:
    """Return the store that the gates of an API share, None where its proofs are used up per gate.

    :raises ConfigurationError: when the address of a Valkey can't be used.
    :raises WatchwordError: when the file of this machine's gates can't be opened.
    """
    ways = api.replay
    if ways.mode is not ReplayMode.SHARED:
        return None
    if ways.url is None:
        return HostReplayStore(settings.service.gates / f"{api.name}.replay")
    # Imported here alone: a gate without a Valkey needs no redis package.
    from watchword.adapters.replay.valkey import ValkeyReplayStore  # noqa: PLC0415

    try:
        return ValkeyReplayStore(ways.url, api.audience, password=ways.password)
    except ValueError as error:
        fault = Fault(f"apis.{api.name}.replay.url", None, str(error), "redis://host:6379")
        raise ConfigurationError(settings.path, [fault]) from None


class KeptOfGates:
    """Keep what a gate learns beside its bundle: counts of quotas, and who used canary keys.

    Both are for all processes of this machine; the end of a process writes what is left, whoever closes it.
    """

    def __init__(self, settings: Settings, api: ApiSettings) -> None:
        """Open the files; they are made by the first count and the first alarm.

        :raises PrivateFileError: when the counts can't be read or trusted.
        """
        self.quotas = QuotaFile(settings.service.gates / f"{api.name}.quotas")
        self.alarms = HoneytokenAlarmFile(alarms_path(settings))

    def close(self) -> None:
        """Write what is left."""
        self.quotas.close()
        self.alarms.close()


def alarms_path(settings: Settings) -> Path:
    """Return where the gates of this machine keep who used canary keys."""
    return settings.service.gates / "alarms.sqlite"


def gate_of(
    settings: Settings,
    api: ApiSettings,
    *,
    shared: ReplayStore | None = None,
    entropy: Entropy | None = None,
    narrowed: Mapping[str, RolloutState] | None = None,
    on_narrowed: Callable[[str, RolloutStatus], None] | None = None,
    kept: KeptOfGates | None = None,
) -> Gate:
    """Return the gate of one API; it follows the bundle that the service publishes.

    :param shared: as :func:`shared_replay` returns it; whoever made it closes it.
    :param entropy: the system's generator if None.
    :param narrowed: by route, how far an earlier process had narrowed its canary.
    :param on_narrowed: is told the route whose error budget was exceeded.
    :param kept: keeps counts and alarms, None where they end with the process.
    """
    where = settings.service
    return Gate(
        GateBundleFile(where.gate_bundle(api.name), where.bundle_key, api=api.name),
        memory=MemoryReplayStore(),
        shared=shared,
        entropy=entropy or SystemEntropy(),
        narrowed=narrowed,
        on_narrowed=on_narrowed,
        quotas=None if kept is None else kept.quotas,
        alarms=None if kept is None else kept.alarms,
    )


def kept_gate(
    settings: Settings,
    api: ApiSettings,
    *,
    shared: ReplayStore | None = None,
    entropy: Entropy | None = None,
    kept_beside: KeptOfGates | None = None,
) -> Gate:
    """Return the gate of one API, which goes on after a restart with what it had learnt.

    Narrowed canaries, counts of quotas and alarms lie beside its bundle, for all processes on this machine.

    :param kept_beside: made here if None; the end of the process writes what is left then.
    :raises PrivateFileError: when a file of these can't be read or trusted.
    """
    kept = RolloutStateFile(settings.service.gates / f"{api.name}.canary")

    def narrowed(route: str, state: RolloutStatus) -> None:
        _log.error(
            "canary budget exceeded",
            api=api.name,
            route=route,
            share=state.share,
            seen=state.seen,
            refused=state.refused,
        )
        try:
            kept.keep(gate.rollout_states)
        except (WatchwordError, OSError) as error:
            # Narrowed it is all the same; a restart would widen it again.
            _log.error("narrowed canary not kept", api=api.name, detail=str(error))

    gate = gate_of(
        settings,
        api,
        shared=shared,
        entropy=entropy,
        narrowed=kept.load(),
        on_narrowed=narrowed,
        kept=kept_beside or KeptOfGates(settings, api),
    )
    return gate


def gate_from(file: str | Path, api: str) -> Gate:
    """Return the gate of the API with this name, for a middleware in your own application.

    The service must run on the same machine with the same file (``watchword up``), or ``watchword gate
    pull`` must fetch its bundles there; until the first one has come, the gate refuses everything.

    :raises ConfigurationError: with every fault of the file, or when it has no such API.
    :raises WatchwordError: when the store that its gates share, or what is kept of its canaries and quotas,
        can't be opened.
    """
    settings = load_settings(Path(file))
    if api not in settings.apis:
        known = ", ".join(settings.apis)
        fault = Fault("apis", None, f"no API named {api!r}", f"one of {known}")
        raise ConfigurationError(Path(file), [fault])
    found = settings.apis[api]
    return kept_gate(settings, found, shared=shared_replay(settings, found))


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


def system_ports() -> tuple[SystemClock, SystemEntropy]:
    """Return the real clock and the real source of randomness."""
    return SystemClock(), SystemEntropy()

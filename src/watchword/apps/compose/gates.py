"""Make the gate of an API from ``watchword.yaml``; needs nothing of the service's own parts."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.gate_refusals import GateRefusals
from watchword.adapters.honeytoken_alarms import HoneytokenAlarmFile
from watchword.adapters.kept_quotas import QuotaFile
from watchword.adapters.replay import HostReplayStore, MemoryReplayStore
from watchword.adapters.rollout_states import RolloutStateFile
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.gate.decisions import RolloutState, RolloutStatus
from watchword.gate.interface import GatePolicy, ReplayStore, Route
from watchword.gate.service import Gate
from watchword.ports import Entropy
from watchword.reasons import WatchwordError
from watchword.vocabulary import ReplayMode

_log = structlog.get_logger()
_application_log = logging.getLogger("watchword.gate")
"""The log of an application that has a gate inside, which needn't know structlog."""

_MOST_REREAD: Final = 64 * 1024
"""Most bytes of a file that is read anew for the log."""

_MOST_TOLD: Final = 5
"""Most routes that one line of the log names."""


class RouteWatch:
    """Tell in the application's log when the bundle's routes aren't those of the file that a gate was started with.

    The bundle decides: the service signs it, and gates on other machines may have an old file.  Refusing where the file asks
    for more would close an API whenever it restarts before its service does.  So whoever believes the file is told, at once
    and at each change; the file is read anew then, since a service takes changes over while it runs.
    """

    def __init__(self, file: Path, api: ApiSettings) -> None:
        """Keep what the file says."""
        self._file = file
        self._api = api
        self._told: str | None = None

    def look(self, policy: GatePolicy) -> None:
        """Compare the policy that comes into force."""
        differences = route_differences(self._api.routes, policy.routes)
        if differences and self._told is not None:
            self._read_anew()
            differences = route_differences(self._api.routes, policy.routes)
        told = "; ".join(differences[:_MOST_TOLD])
        if len(differences) > _MOST_TOLD:
            told += f"; and {len(differences) - _MOST_TOLD} more"
        if told and told != self._told:
            _application_log.warning(
                "the gate of %s goes by other routes than %s: %s. Run `watchword config apply`, or restart `watchword up` "
                "with this file; on another machine, copy the service's file here and restart the application",
                self._api.name,
                self._file,
                told,
            )
        elif not told and self._told:
            _application_log.warning(
                "the gate of %s goes by the routes of %s now", self._api.name, self._file
            )
        self._told = told

    def _read_anew(self) -> None:
        """Take the file as it stands; one that can't be read says what it said."""
        with suppress(WatchwordError, OSError):
            # Requests wait meanwhile: a file with a large plan isn't worth a line of the log.
            if self._file.stat().st_size > _MOST_REREAD:
                return
            self._api = load_settings(self._file).apis.get(self._api.name, self._api)


def route_differences(file: Sequence[Route], bundle: Sequence[Route]) -> list[str]:
    """Return in words by what the routes of a bundle differ from those of a file, in the file's order."""
    ours, theirs = _by_match(file), _by_match(bundle)
    found = []
    for match, route in ours.items():
        other = theirs.get(match)
        if other is None:
            found.append(f"{match} is {route.mode} in the file, and not in the bundle")
        elif other.mode is not route.mode:
            found.append(f"{match} is {route.mode} in the file, and {other.mode} in the bundle")
        elif other != route:
            found.append(f"{match} asks for something else in the bundle than in the file")
    found += [
        f"{match} is {route.mode} in the bundle, and not in the file"
        for match, route in theirs.items()
        if match not in ours
    ]
    if not found and list(ours) != list(theirs):
        found.append("their order differs")
    return found


def _by_match(routes: Sequence[Route]) -> dict[str, Route]:
    """Return routes by methods and pattern, without their names, which count the rows before them."""
    found: dict[str, Route] = {}
    for route in routes:
        match = f"{' '.join(sorted(route.methods))} {route.pattern}".strip()
        # Of two that match alike the first decides.
        found.setdefault(match, replace(route, name=""))
    return found


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
    on_policy: Callable[[GatePolicy], None] | None = None,
    log: GateRefusals | None = None,
) -> Gate:
    """Return the gate of one API; it follows the bundle that the service publishes.

    :param shared: as :func:`shared_replay` returns it; whoever made it closes it.
    :param entropy: the system's generator if None.
    :param narrowed: by route, how far an earlier process had narrowed its canary.
    :param on_narrowed: is told the route whose error budget was exceeded.
    :param kept: keeps counts and alarms, None where they end with the process.
    :param on_policy: is told each policy that comes into force.
    :param log: is told of refusals by a middleware that got no log of its own, and of what the gate counts beside.
    """
    where = settings.service
    return Gate(
        GateBundleFile(
            where.gate_bundle(api.name), where.bundle_key, api=api.name, on_policy=on_policy
        ),
        memory=MemoryReplayStore(),
        shared=shared,
        entropy=entropy or SystemEntropy(),
        narrowed=narrowed,
        on_narrowed=on_narrowed,
        quotas=None if kept is None else kept.quotas,
        alarms=None if kept is None else kept.alarms,
        refusal_log=log,
        tally_sink=log,
    )


def kept_gate(
    settings: Settings,
    api: ApiSettings,
    *,
    shared: ReplayStore | None = None,
    entropy: Entropy | None = None,
    kept_beside: KeptOfGates | None = None,
    on_policy: Callable[[GatePolicy], None] | None = None,
    log: GateRefusals | None = None,
) -> Gate:
    """Return the gate of one API, which goes on after a restart with what it had learnt.

    Narrowed canaries, counts of quotas and alarms lie beside its bundle, for all processes on this machine.

    :param kept_beside: made here if None; the end of the process writes what is left then.
    :param on_policy: is told each policy that comes into force.
    :param log: is told of refusals by a middleware that got no log of its own, and of what the gate counts beside.
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
        on_policy=on_policy,
        log=log,
    )
    return gate


def gate_from(file: str | Path, api: str) -> Gate:
    """Return the gate of the API with this name, for a middleware in your own application.

    The service must run on the same machine with the same file (``watchword up``), or ``watchword gate
    pull`` must fetch its bundles there; until the first one has come, the gate refuses everything.  Routes come with
    the bundle: where they aren't those of the file, the logger ``watchword.gate`` says so.  What it refuses, or lets pass in
    ``monitor``, is counted in the state directory for ``watchword metrics``.

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
    watch = RouteWatch(settings.path, found)
    shared = shared_replay(settings, found)
    clock, entropy = system_ports()
    log = GateRefusals(settings.service.gate_refusals, api, clock=clock, entropy=entropy)
    return kept_gate(settings, found, shared=shared, entropy=entropy, on_policy=watch.look, log=log)


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

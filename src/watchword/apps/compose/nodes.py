"""Make this process one of several nodes, where the settings name a store that they can share."""

import hmac
import re
import socket
from collections.abc import Callable
from typing import Final

from watchword import __version__
from watchword.adapters.keyring.file import KeyRing, Ring
from watchword.adapters.nodes import ONLY_NODE, GateLog, NodeIdentity, Nodes
from watchword.adapters.sealed_rows import ToldEverywhere
from watchword.adapters.store import EngineStore
from watchword.apps.compose.applied import ConfigurationDesk
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.sections import Configuration
from watchword.apps.settings.shared import configuration_digest
from watchword.encoding import length_prefixed
from watchword.ports import Clock, Entropy

_RUN_BYTES: Final = 7
_SERVICE_LABEL: Final = b"watchword/service/v1"
_RING_LABEL: Final = b"watchword/key-ring/v1"
_SHOWN: Final = 32


def service_digest(ring: Ring) -> str:
    """Return a digest that says which service this is, and nothing of its keys."""
    return hmac.digest(ring.pairwise_key, _SERVICE_LABEL + ring.challenge_key, "sha256").hex()[
        :_SHOWN
    ]


def ring_digest(ring: Ring) -> str:
    """Return a digest of all keys and their states, which says nothing of them."""
    parts = [ring.reference_key, ring.verdict_master, ring.bundle_key.kid.encode()]
    for key in ring.token_keys:
        parts += [key.kid.encode(), key.state.encode(), repr(key.verify_until).encode()]
    for epoch in ring.gate_epochs:
        parts += [
            str(epoch.epoch).encode(),
            epoch.state.encode(),
            epoch.master,
            repr(epoch.verify_until).encode(),
        ]
    message = _RING_LABEL + length_prefixed.join(*parts)
    return hmac.digest(ring.pairwise_key, message, "sha256").hex()[:_SHOWN]


class _Identities:
    """Say what this node is, as its keys are now."""

    def __init__(
        self, settings: Settings, keyring: KeyRing, run: int, configuration: Callable[[], str]
    ) -> None:
        self._keyring = keyring
        self._name = node_name(settings)
        self._run = run
        self._configuration = configuration
        self._ring: Ring | None = None
        self._made = self()

    def __call__(self) -> NodeIdentity:
        ring, configuration = self._keyring.ring, self._configuration()
        if ring is not self._ring or configuration != self._made.configuration:
            self._made = NodeIdentity(
                self._name,
                self._run,
                __version__,
                service_digest(ring),
                configuration,
                # Shared rows are the same for all, and each node has the newest a moment sooner or later.
                service_digest(ring) if self._keyring.version else ring_digest(ring),
            )
            self._ring = ring
        return self._made


def node_name(settings: Settings) -> str:
    """Return the node's name: the one in the file, or the machine's."""
    ways = settings.service.postgres
    if ways is not None and ways.node is not None:
        return ways.node
    machine = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")
    return machine[:63] or "node"


def _digest_of(settings: Settings, desk: ConfigurationDesk | None) -> Callable[[], str]:
    if desk is not None:
        return lambda: desk.digest
    written = configuration_digest(Configuration.read(settings.path).data)
    return lambda: written


def open_nodes(
    settings: Settings,
    store: EngineStore,
    keyring: KeyRing,
    clock: Clock,
    entropy: Entropy,
    desk: ConfigurationDesk | None = None,
) -> tuple[Nodes, GateLog | None]:
    """Return the other nodes, and what is published for all of them; the caller closes the former.

    Where that fails the store is closed.

    :param desk: knows what this node goes by; None for what its file says now.
    :raises WatchwordError: when this node may not run beside them.
    """
    address = settings.service.direct_address
    if address is None:
        return ONLY_NODE, None
    # Where the store is a file nobody waits for the driver, which need not be installed.
    from watchword.adapters.postgres.database import PostgresStore  # noqa: PLC0415
    from watchword.adapters.postgres.node import NodeSession  # noqa: PLC0415
    from watchword.adapters.postgres.publication import PublicationRows  # noqa: PLC0415

    assert isinstance(store, PostgresStore)
    run = int.from_bytes(entropy.token_bytes(_RUN_BYTES))
    try:
        identities = _Identities(settings, keyring, run, _digest_of(settings, desk))
        session = NodeSession(
            address, identities, wall=clock.timestamp, timelines=store.database.timelines
        )
    except BaseException:
        store.close()
        raise
    if keyring.version:
        keyring.hold_rotations(ToldEverywhere(session.behind))
    return session, PublicationRows(store.database, session)

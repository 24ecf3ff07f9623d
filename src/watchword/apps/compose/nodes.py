"""Make this process one of several nodes, where the settings name a store that they can share."""

import hmac
import json
import re
import socket
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from watchword import __version__
from watchword.adapters.keyring.file import KeyRing, Ring
from watchword.adapters.nodes import ONLY_NODE, GateLog, NodeIdentity, Nodes
from watchword.adapters.sealed_rows import ToldEverywhere
from watchword.adapters.store import EngineStore
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.sections import Configuration
from watchword.encoding import length_prefixed
from watchword.ports import Clock, Entropy

_OWN: Final[Mapping[str, frozenset[str]]] = {
    "service": frozenset({"listen", "state", "store", "postgres"}),
    "gates": frozenset({"listen", "certificate", "key", "client_ca"}),
    "apis": frozenset({"listen", "upstream", "authz"}),
}
"""By section, what each node has of its own: where it listens, and where its files are."""

_ALONE: Final = frozenset({"plan", "drill", "records"})
"""Sections that say nothing of who gets in."""

_RUN_BYTES: Final = 7
_SERVICE_LABEL: Final = b"watchword/service/v1"
_RING_LABEL: Final = b"watchword/key-ring/v1"
_SHOWN: Final = 32


def configuration_digest(data: Mapping[str, Any]) -> str:
    """Return a digest of what a configuration says to all nodes alike, as it is written.

    What is left out has no part in it, so that a version that knows more settings has the same.

    :param data: the plain values of the file.
    """
    shared: dict[str, Any] = {}
    for name, section in data.items():
        own = _OWN.get(name, frozenset())
        if name in _ALONE or not isinstance(section, Mapping):
            if name not in _ALONE:
                shared[name] = section
        elif name == "apis":
            shared[name] = {api: _without(each, own) for api, each in section.items()}
        else:
            shared[name] = _without(section, own)
    text = json.dumps(shared, sort_keys=True, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN]


def _without(section: Any, names: frozenset[str]) -> Any:
    if not isinstance(section, Mapping):
        return section
    return {name: value for name, value in section.items() if name not in names}


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
        self, settings: Settings, keyring: KeyRing, run: int, data: Mapping[str, Any]
    ) -> None:
        self._keyring = keyring
        self._name = node_name(settings)
        self._run = run
        self._configuration = configuration_digest(data)
        self._ring: Ring | None = None
        self._made = self()

    def __call__(self) -> NodeIdentity:
        ring = self._keyring.ring
        if ring is not self._ring:
            self._made = NodeIdentity(
                self._name,
                self._run,
                __version__,
                service_digest(ring),
                self._configuration,
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


def open_nodes(
    settings: Settings,
    store: EngineStore,
    keyring: KeyRing,
    clock: Clock,
    entropy: Entropy,
    data: Mapping[str, Any] | None = None,
) -> tuple[Nodes, GateLog | None]:
    """Return the other nodes, and what is published for all of them; the caller closes the former.

    Where that fails the store is closed.

    :param data: the plain values that the settings were made of; None for those of their file.
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
        told = Configuration.read(settings.path).data if data is None else data
        identities = _Identities(settings, keyring, run, told)
        session = NodeSession(
            address, identities, wall=clock.timestamp, timelines=store.database.timelines
        )
    except BaseException:
        store.close()
        raise
    if keyring.version:
        keyring.hold_rotations(ToldEverywhere(session.behind))
    return session, PublicationRows(store.database, session)

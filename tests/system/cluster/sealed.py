"""Run nodes that share their keys in sealed rows, each with the master key where its settings say."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.machine import patience
from tests.system.adapters.postgres.servers import UNSYNCED, Postgres, postgres
from tests.system.bundles.machines import short_directory, until
from tests.system.cluster.nodes import NAMES, Cluster, Node
from tests.unit.apps.service_process import WATCHWORD, upstream

from watchword.adapters.system import SystemEntropy
from watchword.apps.lab.phones import authorities_of
from watchword.apps.service.client import OperatorClient
from watchword.encoding import base64url

KEY_FILE: Final = "sealing.key"
IN_FILE: Final = f"{{file: {KEY_FILE}}}"
HELD: Final = "/held/records"
"""A path whose requests need a session proof, and so a gate secret; every other one takes the token alone."""

_ROUTE: Final = "      - {path: /held/**, level: software, proof: session, mode: enforce}\n"
_LAST_ROUTE: Final = "      - {path: /**"


class SealedNode(Node):
    """Be one node's machine, with the master key where the settings say."""

    def write(self, mode: str) -> None:
        """See Node."""
        super().write(mode)
        cluster = self._cluster
        assert isinstance(cluster, SealedCluster)
        text = self.file.read_text("utf-8")
        alone = f"postgres: {{node: {self.name}}}"
        assert alone in text
        ways = f"postgres: {{node: {self.name}, master_key: {cluster.master}}}"
        text = text.replace(alone, ways).replace(_LAST_ROUTE, _ROUTE + _LAST_ROUTE, 1)
        self.file.write_text(text + cluster.more, "utf-8")

    def give_key(self, key: bytes) -> None:
        """Put a master key where this node reads it."""
        file = self.directory / KEY_FILE
        file.write_text(base64url.encode(key) + "\n", "ascii")
        file.chmod(0o600)

    def rotate(self, purpose: str = "tokens") -> str:
        """Rotate the keys that sign as an operator of this node does; return the active one's name."""
        with OperatorClient(self.settings.service.operator_socket) as operator:
            return _active(operator.post(f"/v1/keys/rotate?purpose={purpose}", {}), purpose)

    def withdraw_active(self) -> None:
        """Withdraw all trust from the key that signs tokens, as an operator of this node does."""
        with OperatorClient(self.settings.service.operator_socket) as operator:
            active = _active(operator.get("/v1/keys"), "tokens")
            operator.post(f"/v1/keys/{active}/retire", {})

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this node's configuration."""
        return subprocess.run(
            [*WATCHWORD, "-c", str(self.file), *words],
            capture_output=True,
            check=False,
            text=True,
            timeout=patience(60),
        )


class SealedCluster(Cluster):
    """Hold a PostgreSQL with sealed rows, and the nodes over it."""

    def __init__(
        self, directory: Path, server: Postgres, upstream_port: int, master: str, more: str
    ) -> None:
        """Make the store; no node runs yet.

        :param master: where each node has its master key, as in the settings.
        :param more: sections of the settings.
        """
        super().__init__(directory, server, upstream_port)
        self.master = master
        self.more = more
        self.key = SystemEntropy().token_bytes(32)

    def add(self, name: str, mode: str = "enforce") -> SealedNode:
        """Add a node with the master key; it doesn't run yet."""
        node = SealedNode(self, name, mode)
        node.give_key(self.key)
        if self.nodes:
            (node.state / "lab").mkdir(mode=0o700, parents=True)
            node.state.chmod(0o700)
            # Its vendors; its keys come from the rows.
            shutil.copy2(self.nodes[0].state / "lab/seed", node.state / "lab/seed")
        self.nodes.append(node)
        return node

    @property
    def sealed(self) -> Sequence[SealedNode]:
        """Return the nodes as what they are."""
        found = [each for each in self.nodes if isinstance(each, SealedNode)]
        assert len(found) == len(self.nodes)
        return found

    def by_hand(self, statement: str) -> int:
        """Write to the tables as somebody who has the database; return how many rows it changed."""
        with self.server.admin(self.address.database) as link:
            return int(link.execute(statement.encode()).rowcount)

    def all_know_the_ring(self) -> bool:
        """Tell whether the gates of all nodes know what is prepared now."""
        (least,) = self.row("SELECT min(ring_version) FROM watchword.nodes")
        (newest,) = self.row(
            "SELECT version FROM watchword.sealed_documents WHERE purpose = 'key-ring'"
        )
        return bool(least == newest)

    def documents(self) -> list[tuple[Any, ...]]:
        """Return the sealed rows as they stand."""
        return self.rows("SELECT * FROM watchword.sealed_documents ORDER BY purpose, name")


@contextmanager
def sealed_cluster(
    nodes: int = 2, master: str = IN_FILE, more: str = "", options: Sequence[str] = UNSYNCED
) -> Iterator[SealedCluster]:
    """Run nodes over a PostgreSQL 15 whose keys are sealed rows, all of them ready."""
    with (
        postgres(*options, major=15) as server,
        upstream() as port,
        short_directory() as directory,
    ):
        made = SealedCluster(directory, server, port, master, more)
        try:
            made.add(NAMES[0]).up()
            authorities_of(made.nodes[0].settings)
            for name in NAMES[1:nodes]:
                made.add(name).begin()
            for node in made.nodes:
                until(node.is_ready, partial(node.said, "up"))
            yield made
        finally:
            made.stop()


def _active(told: Mapping[str, Any], purpose: str) -> str:
    return next(
        str(each["kid"])
        for each in told["keys"]
        if each["purpose"] == purpose and each["state"] == "active"
    )

"""Show that nodes go by what one of them applied, each with its own places, and that one that can't says so and holds nobody up."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from watchword.adapters.applied_document import AppliedDocument
from watchword.adapters.documents import FileDocument
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.compose.applied import (
    ConfigurationDesk,
    Proposal,
    StartingFile,
    read_whole,
)
from watchword.apps.service.configuration import LiveConfiguration
from watchword.apps.settings.faults import join
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.shared import configuration_digest, with_own
from watchword.apps.settings.template import TEMPLATE
from watchword.reasons import RefusedError
from watchword.vocabulary import Proof

NARROW = (
    "        level: hardware\n        proof: bearer\n",
    "        level: hardware\n        proof: device\n",
)
WIDE = ("        mode: enforce\n", "        mode: monitor\n")


@dataclass
class Node:
    """Hold a node's desk over a document that all share, and what it went by."""

    directory: Path
    name: str
    port: int
    went_by: list[Settings] = field(default_factory=list)
    missing: str = ""

    def __post_init__(self) -> None:
        """Write its file, and start with it."""
        self.file = self.directory / self.name / "watchword.yaml"
        self.file.parent.mkdir()
        self.file.write_text(TEMPLATE.replace(":9000", f":{self.port}"), "utf-8")
        document = FileDocument(self.directory / "row.json")
        files = AppliedDocument(lambda: nullcontext(document))
        text = self.file.read_bytes()
        start = StartingFile(self.file, text, read_whole(self.file, text), files, None)
        self.desk = ConfigurationDesk(start, self._require, runs=True)
        self.live = LiveConfiguration(self.desk, self._install)

    def edit(self, *changes: tuple[str, str]) -> None:
        """Change its file."""
        text = self.file.read_text("utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text, "utf-8")

    def apply(self) -> Proposal:
        """Apply its file."""
        proposal = self.desk.propose()
        self.commit(proposal)
        return proposal

    def commit(self, proposal: Proposal) -> None:
        """Put a proposal in force here."""
        self.desk.commit(proposal, self.desk.number, 5, self.name, "why", recorded=True)
        if proposal.live is not None:
            self.desk.run(proposal.live)

    def follow(self) -> None:
        """Look whether another node has applied something."""
        asyncio.run(self.live.follow())

    def _require(self, _settings: Settings) -> tuple[()]:
        if self.missing:
            raise PrivateFileError(self.missing)
        return ()

    async def _install(self, settings: Settings) -> None:
        self.went_by.append(settings)


@pytest.fixture
def nodes(tmp_path: Path) -> tuple[Node, Node]:
    """Return two nodes, each with its own upstream."""
    return Node(tmp_path, "a", 9000), Node(tmp_path, "b", 9001)


def test_a_node_goes_by_what_another_one_applied(nodes: tuple[Node, Node]) -> None:
    """With its own places; both have the same digest then, and nothing is new to either."""
    first, second = nodes
    assert first.desk.digest == second.desk.digest
    first.edit(NARROW)
    first.apply()
    assert first.desk.digest != second.desk.digest
    assert (first.desk.lags, second.desk.lags, second.desk.is_behind) == (False, True, True)
    second.follow()
    (settings,) = second.went_by
    assert settings.apis["clinic"].routes[1].proof is Proof.DEVICE
    assert settings.apis["clinic"].upstream == "http://127.0.0.1:9001"
    assert settings.path == second.file.resolve()
    assert (first.desk.digest, first.desk.number) == (second.desk.digest, second.desk.number)
    assert not second.desk.lags
    second.follow()
    assert len(second.went_by) == 1
    second.edit(NARROW)
    assert not second.desk.propose().is_new


def test_a_rollback_at_another_node(nodes: tuple[Node, Node]) -> None:
    """It brings back what the first had, and each keeps its places."""
    first, second = nodes
    before = first.desk.digest
    first.edit(NARROW)
    first.apply()
    second.follow()
    back = second.desk.propose_back()
    assert [join(each.path) for each in back.widening] == ["apis.clinic.routes[1].proof"]
    second.commit(back)
    assert second.desk.whole.settings.apis["clinic"].upstream == "http://127.0.0.1:9001"
    first.follow()
    assert first.went_by[-1].apis["clinic"].upstream == "http://127.0.0.1:9000"
    assert first.desk.digest == second.desk.digest == before
    assert first.desk.number == second.desk.number == 3


def test_of_two_nodes_at_once_one_is_refused(nodes: tuple[Node, Node]) -> None:
    """Also for the first file of all; the other one follows and compares anew."""
    first, second = nodes
    first.edit(NARROW)
    second.edit(WIDE)
    late = second.desk.propose()
    first.apply()
    with pytest.raises(RefusedError, match="another one came first"):
        second.commit(late)
    second.follow()
    assert second.desk.number == 2
    assert {join(each.path) for each in second.desk.propose().changes} == {
        "apis.clinic.routes[1].proof",
        "apis.clinic.routes[1].mode",
    }


def test_a_node_that_cannot_go_by_it_keeps_what_it_has(nodes: tuple[Node, Node]) -> None:
    """What is told to gates no longer waits for it; it looks again, and takes the next one at once."""
    first, second = nodes
    first.edit(NARROW)
    first.apply()
    second.missing = "authorities.pem: isn't there"
    before = second.desk.digest
    second.follow()
    assert (second.went_by, second.desk.digest) == ([], before)
    assert (second.desk.lags, second.desk.is_behind) == (True, False)
    second.missing = ""
    second.follow()
    assert second.went_by == []
    first.edit(WIDE)
    first.apply()
    assert second.desk.is_behind
    second.follow()
    assert second.desk.digest == first.desk.digest


def test_what_needs_a_restart_waits_at_each_node(nodes: tuple[Node, Node]) -> None:
    """The rest doesn't, and both go by the same meanwhile; a node's own places need nobody else."""
    first, second = nodes
    first.edit(NARROW, ("environment: lab", "environment: lab\nrecords: {keep: 1d}"))
    first.edit(("token_lifetime: 5m", "token_lifetime: 5m\n  trusted_proxies: [192.0.2.1]"))
    told = first.apply()
    assert {join(each.path) for each in told.waiting} == {"records", "service.trusted_proxies"}
    second.follow()
    assert [join(each.path) for each in second.desk.waiting] == ["service.trusted_proxies"]
    assert first.desk.digest == second.desk.digest
    assert second.went_by[-1].apis["clinic"].routes[1].proof is Proof.DEVICE


def test_own_places() -> None:
    """They stay, also where the other has none or more; what a node doesn't have it takes as it is."""
    own = {
        "service": {"listen": "a", "store": "x"},
        "apis": {"old": {"upstream": "a"}},
        "plan": {"mine": 1},
    }
    other = {
        "service": {"listen": "b", "postgres": {"node": "b"}, "issuer": "i"},
        "apis": {"old": {"upstream": "b", "listen": "b", "rate": 1}, "new": {"upstream": "b"}},
        "gates": {"listen": "b", "clients": {}},
        "plan": {"theirs": 1},
        "records": {},
    }
    found = with_own(own, other)
    assert found == {
        "service": {"listen": "a", "store": "x", "issuer": "i"},
        "apis": {"old": {"upstream": "a", "rate": 1}, "new": {"upstream": "b"}},
        "gates": {"listen": "b", "clients": {}},
        "plan": {"mine": 1},
    }
    assert configuration_digest(found) == configuration_digest(other)
    odds: list[dict[str, Any]] = [{"service": 1, "apis": {"old": None}}, {"apis": []}]
    for odd in odds:
        assert with_own(own, odd)["plan"] == {"mine": 1}

"""A restart widens no canary that was narrowed."""

import os
from pathlib import Path

import pytest

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.rollout_states import RolloutStateFile
from watchword.gate.decisions import RolloutState
from watchword.gate.interface import Rollout

NARROWED = {
    "clinic[0] /v1/**": RolloutState(
        Rollout(40, {"clinic-ios": "2.1"}, 2.5), 20.0, 1_795_500_000.5
    ),
    "clinic[1] /v2/**": RolloutState(Rollout(10), 0.0, 1_795_500_001.0),
}


def test_what_was_narrowed_is_there_after_a_restart(tmp_path: Path) -> None:
    """Under the settings that it was narrowed under, so that an operator can decide anew."""
    file = tmp_path / "clinic.canary"
    assert RolloutStateFile(file).load() == {}
    RolloutStateFile(file).keep(NARROWED)
    assert RolloutStateFile(file).load() == NARROWED
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"v":2,"routes":{}}',
        b'{"v":1,"routes":[]}',
        b'{"v":1,"routes":{"/":{"share":50,"tripped_at":1,"canary":{"share":50}}}}',
        b'{"v":1,"routes":{"/":{"share":5,"tripped_at":1,"canary":{"share":5,"budget":2}}}}',
        b'{"v":1,"routes":{"/":{"share":"x","tripped_at":1,"canary":{}}}}',
    ],
)
def test_a_damaged_file_is_for_an_operator(tmp_path: Path, data: bytes) -> None:
    """To start as if nothing had been narrowed would refuse those again whom the budget spared."""
    file = tmp_path / "clinic.canary"
    file.write_bytes(data)
    os.chmod(file, 0o600)  # noqa: PTH101
    with pytest.raises(PrivateFileError, match=r"clinic\.canary"):
        RolloutStateFile(file).load()


def test_a_share_that_is_not_narrower_is_damage(tmp_path: Path) -> None:
    """A share that was written by hand could widen a canary beyond what the file says."""
    file = tmp_path / "clinic.canary"
    RolloutStateFile(file).keep({"/": RolloutState(Rollout(40), 20.0, 1.0)})
    file.write_bytes(file.read_bytes().replace(b"20.0", b"40.0"))
    with pytest.raises(PrivateFileError):
        RolloutStateFile(file).load()


def test_the_smaller_share_stays_whoever_writes_last(tmp_path: Path) -> None:
    """Two processes of one gate: neither takes back what the other narrowed; new settings do."""
    file = tmp_path / "clinic.canary"
    first, second = RolloutStateFile(file), RolloutStateFile(file)
    first.keep({"/": RolloutState(Rollout(40), 10.0, 2.0)})
    second.keep(
        {"/": RolloutState(Rollout(40), 20.0, 3.0), "/b": RolloutState(Rollout(8), 4.0, 3.0)}
    )
    assert {route: each.share for route, each in first.load().items()} == {"/": 10.0, "/b": 4.0}
    second.keep({"/": RolloutState(Rollout(60), 30.0, 4.0)})
    assert first.load()["/"].share == 30.0

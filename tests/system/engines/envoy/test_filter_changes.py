"""Change which filters there are, with connections open: none of them gets routes without the filters that these need."""

import http.client
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.system.engines.envoy.test_control_plane import plane_of, publish
from tests.unit.engines.envoy import rig as rigs
from tests.unit.engines.envoy.rig import (
    Answer,
    Rig,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)
from tests.unit.engines.envoy.third_party import ThirdParty, quota, rule, value

from watchword.engines.envoy.generation import generate, table_of
from watchword.engines.envoy.options import DRAIN_SECONDS, EnvoyOptions
from watchword.engines.interface import Endpoint
from watchword.vocabulary import Level

BEFORE = [route("/v1/**"), route("/other/**")]
AFTER = [route("/v1/**", level=Level.HARDWARE), route("/maps/**", secret="maps")]


def test_an_open_connection_is_judged_by_one_table_with_its_filters_and_ends_soon(
    tmp_path: Path,
) -> None:
    """An open connection is told to end, sees no route whose filters it lacks, and is closed when it stays all the same."""
    party = ThirdParty(tmp_path)
    kept = token(level=Level.SOFTWARE)
    edges = {"maps": rule(party.port, allowances=quota(10_000))}
    after = bundle_of(AFTER, edges=edges, injected={"maps": value()}, generation=2)
    here = {"maps": ["127.0.0.1"]}
    with (
        envoy_before_api(tmp_path / "e", bundle_of(BEFORE), addresses=here) as rig,
        rig.connect() as held,
    ):

        def ask(target: bytes) -> Answer:
            held.sendall(rigs.request(target, token=kept))
            return rigs.read_answer(held)

        assert ask(b"/v1/x").status == 200
        rig.publish(after)
        until(lambda: rig.send(b"/v1/x", token=kept).status == 403)

        def told_to_end() -> bool:
            answer = ask(b"/maps/geocode/1")
            # The key's route needs filters that this connection doesn't have: what it is counted by, what strips it.
            assert (answer.status, answer.slug) == (403, "route-refused")
            return b"connection: close" in answer.head

        # New connections are taken a moment before the old listener begins to end its own.
        until(told_to_end)
        assert party.seen == []
        # The first calls wait for a handshake with the third party, which a busy machine may be late with; each of them counts in the quota.
        until(lambda: rig.send(b"/maps/geocode/1", token=kept).status == 200)

        def ended() -> bool:
            try:
                return ask(b"/v1/x").status == 0
            except (OSError, http.client.HTTPException):
                return True

        assert until(ended, DRAIN_SECONDS + 10) < DRAIN_SECONDS + 5
    party.close()


def test_the_table_s_name_follows_the_filters_alone() -> None:
    """The table keeps its name while the filters stay, and has another one with other filters."""
    options = EnvoyOptions(
        directory="/srv/envoy",
        listen=Endpoint("127.0.0.1", 8080),
        upstream=Endpoint("127.0.0.1", 8081),
        admin=Endpoint(socket="/srv/envoy/admin.sock"),
    )
    before = generate(bundle_of(BEFORE), options, 0)
    same = generate(bundle_of([route("/v2/**")], generation=7), options, 0)
    after = generate(bundle_of([route("/v1/**", level=Level.HARDWARE)]), options, 0)
    assert table_of(before) == table_of(same) != table_of(after)
    assert table_of(before).startswith("watchword-")
    assert table_of([]) == ""


def _answers(rig: Rig, kept: bytes, wanted: int) -> bool:
    return rig.send(b"/v1/x", token=kept).status == wanted


def test_going_to_other_filters_and_back_is_no_rejection(tmp_path: Path) -> None:
    """Listeners that end reject the tables of others; that is told as no fault, also when their own comes back."""
    told: list[str] = []
    path = tmp_path / "clinic.jws"
    tables = [bundle_of(BEFORE), bundle_of([route("/v1/**", level=Level.HARDWARE)])]
    publish(path, tables[0])
    (tmp_path / "e").mkdir(mode=0o700)
    kept = token(level=Level.SOFTWARE)
    with envoy_before_api(tmp_path / "e", tables[0]) as rig:
        plane = plane_of(rig, path, told)
        plane.step()
        for number in range(1, 5):
            publish(path, replace(tables[number % 2], generation=number + 1))
            until(plane.step)
            wanted = 403 if number % 2 else 200
            until(partial(_answers, rig, kept, wanted))
            plane.check()
        assert any(rig.stat(r"rds\.watchword-[^.]*\.update_rejected").values())
        assert (told, plane.faults) == ([], 0)

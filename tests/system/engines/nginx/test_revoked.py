"""Show that nginx knows who is revoked however many they are, at every worker, and what it makes of crooked files."""

import itertools
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.system.engines.nginx.rig import Rig, nginx_before_api
from tests.unit.engines.envoy.rig import bundle_of, request, route, token, until
from tests.unit.gate.simulators import CLAIMS

from watchword.adapters.system import SystemClock
from watchword.engines.interface import BULK_PREFIX
from watchword.gate.bundle import GateBundle
from watchword.gate.cuts import ALPHABET, Cut
from watchword.gate.revocations import Digests, digest_of, pack, unpack
from watchword.vocabulary import Level, Proof

BUNDLE = bundle_of([route("/v1/**")])
KEY, OTHER = b"k" * 12, b"o" * 12
SPREAD = range(3, 2**64, 2**47)
"""More than stand apart from a file of their own."""


def revoked(bundle: GateBundle, key: bytes, digests: set[int]) -> GateBundle:
    """Return the bundle with these, and many others."""
    return replace(bundle, digests=Digests(key, unpack(pack({*SPREAD, *digests}))))


def statuses(rig: Rig, pool: ThreadPoolExecutor) -> set[int]:
    """Ask often enough that each worker answers."""
    asked = [request(b"/v1/x", b"Connection: close", token=token())] * 32
    return {answer.status for answer in pool.map(rig.raw, asked)}


def test_many_are_known_at_every_worker(tmp_path: Path) -> None:
    """In the first file, on top of it, and under another key."""
    listed = revoked(BUNDLE, KEY, set())
    assert listed.digests is not None
    with (
        nginx_before_api(tmp_path, listed, workers=4) as rig,
        ThreadPoolExecutor(16) as pool,
    ):
        until(lambda: statuses(rig, pool) == {200})
        (bulk,) = tmp_path.glob(f"{BULK_PREFIX}*")
        written = bulk.stat().st_ino
        listed.digests.add([digest_of(KEY, CLAIMS.subject)])
        rig.publish(replace(listed, generation=2))
        until(lambda: 401 in statuses(rig, pool))
        assert statuses(rig, pool) == {401}
        assert bulk.stat().st_ino == written
        rig.publish(replace(revoked(BUNDLE, OTHER, {digest_of(KEY, CLAIMS.subject)}), generation=3))
        until(lambda: statuses(rig, pool) == {200})
        rig.publish(
            replace(revoked(BUNDLE, OTHER, {digest_of(OTHER, CLAIMS.subject)}), generation=4)
        )
        until(lambda: 401 in statuses(rig, pool))
        assert statuses(rig, pool) == {401}
        assert len(list(tmp_path.glob(f"{BULK_PREFIX}*"))) == 2
        rig.publish(replace(BUNDLE, generation=5))
        until(lambda: statuses(rig, pool) == {200})
        assert "changes nothing" not in rig.errors()


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_ends_of_the_file_are_found(tmp_path: Path, place: str) -> None:
    """The lowest and the highest digest, the ones that a search misses first."""
    digest = digest_of(KEY, CLAIMS.subject)
    others = (
        range(digest, digest + 10_000) if place == "first" else range(digest - 9999, digest + 1)
    )
    bundle = replace(BUNDLE, digests=Digests(KEY, array("Q", others)))
    with nginx_before_api(tmp_path, bundle) as rig:
        until(lambda: rig.send(token=token()).status == 401)
        without = array("Q", [each for each in others if each != digest])
        rig.publish(replace(BUNDLE, generation=2, digests=Digests(KEY, without)))
        until(lambda: rig.send(token=token()).status == 200)


def test_a_cut_token_is_one_that_ended_until_another_is_had(tmp_path: Path) -> None:
    """Whether it was verified before or not, and whatever proof the route asks for; others aren't met."""
    now = int(SystemClock().timestamp())
    part = ALPHABET.index(CLAIMS.subject[0]) + 1
    mine, cached = token(), token(lives=299)
    covering = (
        Cut(None, None, now + 1),
        Cut(CLAIMS.app_id, CLAIMS.level, now + 1, part),
        Cut(CLAIMS.app_id, None, now + 1),
    )
    passing = (
        Cut("another.app", None, now + 1),
        Cut(None, Level.SOFTWARE, now + 1),
        Cut(None, None, now - 5),
        *([Cut(None, None, now + 1, part - 1)] if part > 1 else []),
    )
    assert CLAIMS.level is not Level.SOFTWARE
    bundle = bundle_of([route("/v1/**"), route("/pay", proof=Proof.SESSION)])
    with nginx_before_api(tmp_path, bundle, workers=1) as rig:
        generations = itertools.count(2)

        def push(status: int, *cuts: Cut) -> None:
            rig.publish(replace(bundle, generation=next(generations), cuts=cuts))
            until(lambda: rig.send(token=cached).status == status)

        for cut in (*covering, *passing):
            met = cut in covering
            # The opposite first, so that what is asked for can't be what was before.
            push(*((200,) if met else (401, covering[0])))
            push(401 if met else 200, cut)
            assert rig.send(token=mine).status == (401 if met else 200)
            answer = rig.send(b"/pay", token=mine)
            assert rig.reason(answer) == ("token.expired" if met else "proof.missing")
            assert rig.send(token=token(issued_at=now + 1)).status == 200


def test_crooked_digests_change_nothing(tmp_path: Path) -> None:
    """Cut off, in the wrong order, twice, for others to read, or gone: what was stays, and it is told."""
    first = revoked(BUNDLE, KEY, set())
    good = revoked(BUNDLE, KEY, {digest_of(KEY, CLAIMS.subject)}).digests
    assert good is not None
    data = good.packed()
    crooked = [
        (data[:-8], 0o600),
        (data + data[-8:], 0o600),
        (data[8:16] + data[:8] + data[16:], 0o600),
        (data[:8] + data[:8] + data[16:], 0o600),
        (data, 0o644),
        (None, 0),
    ]
    name = good.parts().name
    with nginx_before_api(tmp_path, first, workers=1) as rig:
        until(lambda: rig.send(token=token()).status == 200)
        state = (tmp_path / "gate-state").read_bytes()
        assert first.digests is not None
        count = len(data) // 8
        for told, (content, mode) in enumerate(crooked):
            path = tmp_path / f"{BULK_PREFIX}{name}"
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
                path.chmod(mode)
            old = f'"base":"{first.digests.parts().name}","count":{count - 1}'.encode()
            assert old in state
            rig.write_state(state.replace(old, f'"base":"{name}","count":{count}'.encode()))
            until(lambda told=told: rig.errors().count("changes nothing") > told)  # type: ignore[misc]
            assert rig.send(token=token()).status == 200
        rig.publish(replace(BUNDLE, generation=2, digests=good))
        until(lambda: rig.send(token=token()).status == 401)


def test_what_version_0_2_0_wrote_is_read_until_ours_is_there(tmp_path: Path) -> None:
    """Workers that take the place of its own ones refuse nobody but whom it listed."""
    with nginx_before_api(tmp_path, BUNDLE, workers=1) as rig:
        until(lambda: rig.send(token=token()).status == 200)
        members, _, _ = (tmp_path / "gate-state").read_bytes().partition(b"\n")
        before = members.replace(b'"v":2', b'"v":1')
        assert before != members
        rig.write_state(b"%b\n%b \nend\n" % (before, CLAIMS.subject.encode()))
        until(lambda: rig.send(token=token()).status == 401)
        rig.write_state(b"%b\n\nend\n" % before)
        until(lambda: rig.send(token=token()).status == 200)
        rig.write_state(b"%b\n%b\nend\n" % (before, CLAIMS.subject.encode()))
        until(lambda: "a blank behind each revoked instance" in rig.errors())
        rig.publish(replace(BUNDLE, generation=2, revoked=frozenset({CLAIMS.subject})))
        until(lambda: rig.send(token=token()).status == 401)

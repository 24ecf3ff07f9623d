"""Show that Envoy knows who is revoked however many they are, at every worker, keeps cuts, and passes nobody without."""

import itertools
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.envoy.rig import (
    Rig,
    bundle_of,
    envoy_before_api,
    request,
    route,
    token,
    until,
)
from tests.unit.gate.simulators import CLAIMS

from watchword.adapters.keyring.private_file import write_private
from watchword.adapters.system import SystemClock
from watchword.apps.engines.logs.formats import read_envoy
from watchword.engines.envoy.generation import REVOCATIONS
from watchword.engines.interface import BULK_PREFIX
from watchword.gate.bundle import GateBundle
from watchword.gate.cuts import ALPHABET, Cut
from watchword.gate.revocations import Digests, digest_of, pack, unpack
from watchword.reasons import Reason
from watchword.vocabulary import Level, Proof

PAID = route("/pay", proof=Proof.SESSION, methods=frozenset({"GET"}))
BUNDLE = bundle_of([route("/v1/**"), PAID])
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


def reasons(rig: Rig) -> list[Reason | None]:
    """Return why each request in the log was refused, as an operator reads it."""
    found = map(read_envoy, rig.log())
    return [None if each is None else each.reason for each in found]


def replaced(rig: Rig, text: str) -> None:
    """Put another file in the place of the one that says who is revoked."""
    write_private(rig.directory / REVOCATIONS, text.encode())


def written(rig: Rig) -> str:
    """Return the file that says who is revoked."""
    return (rig.directory / REVOCATIONS).read_text("utf-8")


def complaints(rig: Rig) -> int:
    """Return how often a worker said that a file changes nothing."""
    return (rig.directory / "envoy.log").read_text("utf-8").count("changes nothing")


def test_many_are_known_at_every_worker(tmp_path: Path) -> None:
    """In the first file, on top of it, and under another key; nothing else is written for one more."""
    listed = revoked(BUNDLE, KEY, set())
    assert listed.digests is not None
    with (
        envoy_before_api(tmp_path / "e", listed, concurrency=4) as rig,
        ThreadPoolExecutor(16) as pool,
    ):
        assert statuses(rig, pool) == {200}
        kept = {each.name: each.read_bytes() for each in rig.directory.glob("*.yaml")}
        (bulk,) = rig.directory.glob(f"{BULK_PREFIX}*")
        listed.digests.add([digest_of(KEY, CLAIMS.subject)])
        rig.publish(replace(listed, generation=2))
        # Whoever asks once the file is there is refused, whichever worker it meets.
        assert statuses(rig, pool) == {401}
        until(lambda: set(reasons(rig)) == {Reason.TOKEN_INSTANCE_REVOKED})
        assert {each.name: each.read_bytes() for each in rig.directory.glob("*.yaml")} == kept
        assert list(rig.directory.glob(f"{BULK_PREFIX}*")) == [bulk]
        rig.publish(replace(revoked(BUNDLE, OTHER, {digest_of(KEY, CLAIMS.subject)}), generation=3))
        assert statuses(rig, pool) == {200}
        mine = {digest_of(OTHER, CLAIMS.subject)}
        rig.publish(replace(revoked(BUNDLE, OTHER, mine), generation=4))
        assert statuses(rig, pool) == {401}
        rig.publish(replace(BUNDLE, generation=5))
        assert statuses(rig, pool) == {200}
        assert complaints(rig) == 0


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_ends_of_the_file_are_found(tmp_path: Path, place: str) -> None:
    """The lowest and the highest digest, the ones that a search misses first."""
    digest = digest_of(KEY, CLAIMS.subject)
    others = (
        range(digest, digest + 10_000) if place == "first" else range(digest - 9999, digest + 1)
    )
    bundle = replace(BUNDLE, digests=Digests(KEY, array("Q", others)))
    with envoy_before_api(tmp_path / "e", bundle) as rig:
        assert rig.send(token=token()).status == 401
        without = array("Q", [each for each in others if each != digest])
        rig.publish(replace(BUNDLE, generation=2, digests=Digests(KEY, without)))
        assert rig.send(token=token()).status == 200


def test_a_cut_token_is_one_that_ended_until_another_is_had(tmp_path: Path) -> None:
    """Whatever proof the route asks for; others aren't met."""
    now = int(SystemClock().timestamp())
    part = ALPHABET.index(CLAIMS.subject[0]) + 1
    mine = token()
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
    with envoy_before_api(tmp_path / "e", BUNDLE) as rig:
        generations = itertools.count(2)
        for cut in (*covering, *passing):
            met = cut in covering
            # The opposite first, so that what is asked for can't be what was before.
            opposite = () if met else (covering[0],)
            rig.publish(replace(BUNDLE, generation=next(generations), cuts=opposite))
            assert rig.send(token=mine).status == (200 if met else 401)
            rig.publish(replace(BUNDLE, generation=next(generations), cuts=(cut,)))
            assert rig.send(token=mine).status == (401 if met else 200)
            rig.send(b"/pay", token=mine)
            why = Reason.TOKEN_EXPIRED if met else Reason.PROOF_MISSING
            until(lambda: reasons(rig)[-1:] == [why])  # noqa: B023 - it is asked here.
            assert rig.send(token=token(issued_at=now + 1)).status == 200


def test_what_a_client_says_of_itself_counts_for_nothing(tmp_path: Path) -> None:
    """Neither that its token counts nor that it is new; and the API isn't told."""
    now = int(SystemClock().timestamp())
    said = [
        b"Watchword-Counts: holds",
        b"Watchword-Issued: %d" % (now + 60),
        b"Watchword_Counts: holds",
    ]
    cut = replace(BUNDLE, cuts=(Cut(None, None, now + 1),))
    with envoy_before_api(tmp_path / "e", cut) as rig:
        assert rig.send(b"/v1/x", *said, token=token()).status == 401
        rig.publish(replace(BUNDLE, generation=2))
        assert rig.send(b"/v1/x", *said, token=token()).status == 200
        (seen,) = rig.api.seen
        assert not [name for name, _ in seen.fields if name.endswith((b"counts", b"issued"))]


def test_crooked_files_change_nothing(tmp_path: Path) -> None:
    """Cut off, in the wrong order, earlier, for others to read, or gone: what was stays, and it is told."""
    first = revoked(BUNDLE, KEY, set())
    good = revoked(BUNDLE, KEY, {digest_of(KEY, CLAIMS.subject)}).digests
    assert good is not None
    assert first.digests is not None
    data, name = good.packed(), good.parts().name
    count, old = len(data) // 8, first.digests.parts().name
    with envoy_before_api(tmp_path / "e", replace(first, generation=2), concurrency=1) as rig:
        assert rig.send(token=token()).status == 200
        state = written(rig)
        assert f"base {old} {count - 1}\n" in state
        other = state.replace(f"base {old} {count - 1}\n", f"base {name} {count}\n")
        digests = rig.directory / f"{BULK_PREFIX}{name}"
        crooked = [
            (other, data[:-8]),
            (other, data + data[-8:]),
            (other, data[8:16] + data[:8] + data[16:]),
            (other, data[:8] + data[:8] + data[16:]),
            (other, None),
            (state.removesuffix("end\n"), data),
            (state.replace("generation 2\n", "generation 1\n"), data),
            (state.replace("added ", "cut 1 64 all app\nadded "), data),
            (state.replace("added ", "added 00"), data),
            ("", data),
        ]
        for told, (text, content) in enumerate(crooked):
            if content is None:
                digests.unlink()
            else:
                write_private(digests, content)
            assert complaints(rig) == told
            replaced(rig, text)
            assert rig.send(token=token()).status == 200
            until(lambda: complaints(rig) == told + 1)  # noqa: B023 - it is asked here.
        rig.publish(replace(BUNDLE, generation=3, digests=good))
        assert rig.send(token=token()).status == 401
        (rig.directory / REVOCATIONS).unlink()
        assert rig.send(token=token()).status == 401


@pytest.mark.parametrize("harm", ["gone", "readable", "another script"])
def test_nobody_passes_before_it_is_known_who_is_revoked(tmp_path: Path, harm: str) -> None:
    """Also where the script doesn't work at all; once the file is right, Envoy goes on by itself."""
    directory = tmp_path / "e"
    path = directory / REVOCATIONS

    def spoil() -> None:
        if harm == "gone":
            path.unlink()
        elif harm == "readable":
            path.chmod(0o644)
        else:
            script = directory / "filter-counts.yaml"
            text = script.read_text("utf-8")
            before, call, behind = text.rpartition(" look(handle)\n")
            assert call
            script.write_text(f"{before} error('broken')\n{behind}", "utf-8")

    with envoy_before_api(directory, BUNDLE, then=spoil) as rig:
        for target in (b"/v1/x", b"/pay"):
            answer = rig.send(target, b"Watchword-Counts: holds", token=token())
            assert (answer.status, answer.slug) == (503, "unavailable")
        assert rig.api.seen == []
        until(lambda: reasons(rig) == [Reason.GATE_STATE_UNAVAILABLE] * 2)
        rig.publish(BUNDLE)
        until(lambda: rig.send(token=token()).status == 200)

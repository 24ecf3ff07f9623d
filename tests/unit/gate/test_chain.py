"""Show that a chain says all that a bundle does, and that no line of it can be lost, doubled, moved or forged."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import policy, route
from tests.unit.gate.test_bundle import BUNDLE as WHOLE
from tests.unit.gate.test_bundle import KEY, SERVICE

from watchword.encoding import base64url
from watchword.gate import chain
from watchword.gate.bundle import GateBundle, GateBundleError, from_jws, to_jws
from watchword.gate.chain import (
    DELTA_TYPE,
    MOST_ADDED,
    SNAPSHOT_TYPE,
    ChainError,
    ChainReader,
    delta_to_line,
    read_delta,
    read_snapshot,
    snapshot_to_line,
    tip_of,
)
from watchword.gate.revocations import digest_of, pack
from watchword.tokens import jose
from watchword.tokens.jose import SigningKey
from watchword.tokens.proofs.interface import GateSecret

DIGEST_KEY = b"d" * 12
THIEF = SigningKey.from_wide_secret(b"thief" * 13)
FIRST = replace(WHOLE, revoked=frozenset())


def of(*subjects: str) -> list[int]:
    """Return the digests of subjects."""
    return [digest_of(DIGEST_KEY, each) for each in subjects]


SNAPSHOT = snapshot_to_line(FIRST, DIGEST_KEY, pack(of("one", "two")), SERVICE)


def following(
    before: GateBundle,
    line: bytes,
    *subjects: str,
    signer: SigningKey = SERVICE,
    base: str | None = None,
    **changed: Any,
) -> tuple[GateBundle, bytes]:
    """Return the next state, and the line that makes it."""
    after = replace(before, generation=before.generation + 1, **changed)
    return after, delta_to_line(before, after, base or tip_of(line), of(*subjects), signer)


SECOND, REVOKED = following(FIRST, SNAPSHOT, "three")
THIRD, ROTATED = following(SECOND, REVOKED, secrets=(GateSecret(3, b"u" * 32),))
LINES = [SNAPSHOT, REVOKED, ROTATED]


def read(*lines: bytes) -> ChainReader:
    """Return a reader that took the lines."""
    reader = ChainReader(KEY, WHOLE.policy.api)
    reader.take(lines)
    return reader


def test_all_of_it_comes_back() -> None:
    """Every field, whichever line brought it, and who was revoked by then."""
    reader = read(*LINES)
    bundle = reader.bundle
    assert bundle == THIRD
    assert reader.tip == tip_of(ROTATED)
    assert [bundle.is_revoked(each) for each in ("one", "two", "three", "four")] == [True] * 3 + [
        False
    ]
    assert bundle.revoked_count == 3
    assert bundle.verdict_key.scalar == FIRST.verdict_key.scalar


def test_a_revocation_is_small() -> None:
    """It repeats nothing: at most 1 kB, whatever the snapshot holds."""
    assert len(REVOKED) < 1000
    many = snapshot_to_line(FIRST, DIGEST_KEY, pack(range(100_000)), SERVICE)
    assert len(many) < 11 * 100_000 + 10_000


@pytest.mark.parametrize(
    "lines",
    [
        [SNAPSHOT, ROTATED],
        [SNAPSHOT, ROTATED, REVOKED],
        [REVOKED],
        [SNAPSHOT[:-4], REVOKED],
        [b""],
        [b"x"],
    ],
)
def test_lost_and_moved_lines_are_refused(lines: list[bytes]) -> None:
    """And what stood before the first of them holds on."""
    reader = ChainReader(KEY)
    with pytest.raises(ChainError):
        reader.take(lines)
    assert reader.bundle is None or reader.bundle.generation < THIRD.generation
    reader.take(LINES)
    assert reader.bundle == THIRD


def test_doubled_lines_change_nothing() -> None:
    """Each counts once, in one call or in two."""
    reader = read(SNAPSHOT, REVOKED, REVOKED)
    assert reader.take([REVOKED]) is False
    assert reader.take([SNAPSHOT, REVOKED]) is False
    assert reader.bundle is not None
    assert reader.bundle.revoked_count == 3


def test_a_bad_line_keeps_those_before_it() -> None:
    """The revocation in front of a forged rotation counts."""
    forged = following(SECOND, REVOKED, signer=THIEF)[1]
    reader = read(SNAPSHOT)
    with pytest.raises(ChainError, match="another key"):
        reader.take([REVOKED, forged])
    assert reader.bundle == SECOND


def test_an_older_chain_is_refused() -> None:
    """Of a service that was set back, and of somebody who puts an old file back."""
    reader = read(*LINES)
    other = snapshot_to_line(SECOND, DIGEST_KEY, b"", SERVICE)
    for lines in ([other], [SNAPSHOT, REVOKED]):
        with pytest.raises(ChainError, match="expected 13 or more"):
            reader.take(lines)
    assert reader.bundle == THIRD
    floor = ChainReader(KEY, None, 11)
    with pytest.raises(ChainError, match="expected 11 or more"):
        floor.take([SNAPSHOT])
    assert floor.bundle is None
    assert floor.take([SNAPSHOT, REVOKED])


def test_another_snapshot_takes_its_place() -> None:
    """Under another key, with less in it; the policy stays the same object."""
    reader = read(*LINES)
    was = reader.bundle
    fresh = replace(THIRD, generation=20)
    line = snapshot_to_line(fresh, b"e" * 12, pack([digest_of(b"e" * 12, "nine")]), SERVICE)
    assert reader.take([line])
    assert was is not None
    assert reader.bundle is not None
    assert reader.bundle.policy is was.policy
    assert (reader.bundle.is_revoked("nine"), reader.bundle.is_revoked("one")) == (True, False)


def test_another_api_s_chain_is_refused() -> None:
    """As a whole, and in the middle."""
    other = replace(FIRST, policy=replace(policy(), api="other"))
    line = snapshot_to_line(other, DIGEST_KEY, b"", SERVICE)
    with pytest.raises(ChainError, match="expected that of"):
        read(line)
    moved = following(other, SNAPSHOT, "five")[1]
    with pytest.raises(ChainError, match="two APIs"):
        read(SNAPSHOT, moved)


def test_no_version_passes_for_the_other() -> None:
    """Neither a bundle as a line, nor a line as a bundle, nor a delta as a snapshot."""
    for line in LINES:
        with pytest.raises(GateBundleError):
            from_jws(line, KEY)
    with pytest.raises(ChainError):
        read(to_jws(WHOLE, SERVICE))
    with pytest.raises(ChainError):
        read(REVOKED + b" ")


def test_digests_that_weren_t_signed_are_refused() -> None:
    """One more, one less, none."""
    jws = SNAPSHOT.partition(b" ")[0]
    for packed in (pack(of("one")), pack(of("one", "two", "three")), b"", pack(of("one", "x"))):
        with pytest.raises(ChainError, match="those that were signed"):
            read_snapshot(jws + b" " + base64url.encode(packed).encode(), KEY)


def payload(line: bytes) -> dict[str, Any]:
    """Return what a line's JWS says."""
    found: dict[str, Any] = json.loads(
        base64url.decode(line.partition(b" ")[0].split(b".")[1].decode(), 1 << 20)
    )
    return found


def resigned(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Sign a changed line as the service would."""
    members = payload(line)
    change(members)
    typ = SNAPSHOT_TYPE if b" " in line else DELTA_TYPE
    jws = jose.assemble(json.dumps(members).encode(), typ, SERVICE).encode()
    return jws + line[len(line.partition(b" ")[0]) :]


@pytest.mark.parametrize("line", [SNAPSHOT, REVOKED], ids=["snapshot", "delta"])
def test_unknown_members_are_critical(line: bytes) -> None:
    """Unless the service says, under its signature, that a gate may ignore them."""
    before = [] if line is SNAPSHOT else [SNAPSHOT]
    where = "state" if line is SNAPSHOT else "set"
    for change in (
        lambda members: members.update(new=1),
        lambda members: members[where].update(new=1),
    ):
        with pytest.raises(ChainError, match="new, which this version doesn't know"):
            read(*before, resigned(line, change))

    def allow(members: dict[str, Any]) -> None:
        members.update(new=1, may_ignore=["new", "newer"])
        members[where].update(newer={"a": 1})

    assert read(*before, resigned(line, allow)).bundle is not None


CROOKED: Mapping[str, tuple[bytes, Callable[[dict[str, Any]], object]]] = {
    "version": (SNAPSHOT, lambda each: each.update(v=3)),
    "no policy": (SNAPSHOT, lambda each: each["state"].pop("policy")),
    "count": (SNAPSHOT, lambda each: each["revoked"].update(count=1)),
    "short key": (SNAPSHOT, lambda each: each.update(digest_key="AAAA")),
    "may_ignore": (SNAPSHOT, lambda each: each.update(may_ignore="new")),
    "no base": (REVOKED, lambda each: each.pop("base")),
    "same generation": (REVOKED, lambda each: each.update(generation=10)),
    "digests": (REVOKED, lambda each: each.update(add="AAAA")),
    "no text": (REVOKED, lambda each: each.update(add=None)),
    "policy": (ROTATED, lambda each: each["set"].update(policy={})),
}


@pytest.mark.parametrize("name", CROOKED)
def test_crooked_members(name: str) -> None:
    """Each is refused as a whole, and adds nobody."""
    line, change = CROOKED[name]
    before = LINES[: LINES.index(line)]
    reader = read(*before)
    was, count = reader.bundle, 0 if reader.bundle is None else reader.bundle.revoked_count
    with pytest.raises(ChainError):
        reader.take([resigned(line, change)])
    assert reader.bundle is was
    assert (0 if was is None else was.revoked_count) == count


def test_too_much_is_neither_made_nor_read() -> None:
    """More to add than a change has room for, and more lines than a gate keeps."""
    with pytest.raises(ChainError, match="at most 90000"):
        delta_to_line(FIRST, SECOND, tip_of(SNAPSHOT), range(MOST_ADDED + 1), SERVICE)
    big = replace(FIRST, policy=policy(*(route(f"/{n:08}" + "x" * 900) for n in range(2500))))
    with pytest.raises(ChainError, match="expected at most"):
        snapshot_to_line(big, DIGEST_KEY, b"", SERVICE)
    with pytest.raises(ChainError, match="expected at most"):
        read_snapshot(b"x" * (chain.MAX_LINE_BYTES + 1), KEY)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """As they come and signed by the service: read or refused, and never anything else."""
    for typ in (SNAPSHOT_TYPE, DELTA_TYPE):
        jws = jose.assemble(data, typ, SERVICE).encode()
        for line in (data, jws, jws + b" "):
            with suppress(ChainError):
                read_snapshot(line, KEY)
            with suppress(ChainError):
                read_delta(line, KEY, FIRST, tip_of(SNAPSHOT))

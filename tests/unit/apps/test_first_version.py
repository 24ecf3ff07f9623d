"""Show that the first version of a bundle says all that it must, and that a change of it costs little."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gate.test_bundle import BUNDLE, KEY, SERVICE

from watchword.adapters.gate_bundle import publish_bundle
from watchword.apps.service.chains import RevokedSubjects
from watchword.apps.service.first_version import FirstVersionWriter
from watchword.encoding import base64url
from watchword.gate.bundle import PIECE, GateBundle, from_jws, to_jws

STATE = replace(BUNDLE, revoked=frozenset(), digests=None)


def names(start: int, end: int) -> Sequence[str]:
    """Return names of instances."""
    return [base64url.encode(number.to_bytes(32, "big")) for number in range(start, end)]


def revoked(start: int, end: int) -> RevokedSubjects:
    """Return those who were revoked, each a second after the one before."""
    subjects = RevokedSubjects()
    subjects.add((each, float(at)) for at, each in enumerate(names(start, end), start))
    return subjects


def writer(path: Path) -> FirstVersionWriter:
    """Return the writer of a process that begins."""
    return FirstVersionWriter(path, KEY, lambda: None)


def said(path: Path) -> GateBundle:
    """Return what a gate reads."""
    return from_jws(path.read_bytes(), KEY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the bundle stands."""
    return tmp_path / "clinic.jws"


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, PIECE - 1, PIECE, 2 * PIECE + 1]), st.floats(0, 1)),
        min_size=1,
        max_size=5,
    )
)
def test_all_are_named_who_can_have_a_token(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[int, float]]
) -> None:
    """However many come and go; of the others fewer than a piece are left, and none where they are few."""
    path = tmp_path_factory.mktemp("first") / "clinic.jws"
    first, everyone, count = writer(path), RevokedSubjects(), 0
    for generation, (more, share) in enumerate(steps, 1):
        everyone.add((each, float(at)) for at, each in enumerate(names(count, count + more), count))
        count += more
        everyone.forget(everyone.first + int(len(everyone) * share))
        state = replace(STATE, generation=generation)
        first.write(state, everyone, SERVICE)
        bundle = said(path)
        kept = set(everyone)
        assert kept <= bundle.revoked
        assert len(bundle.revoked) - len(kept) < (PIECE if len(kept) > PIECE else 1)
        assert bundle == replace(state, revoked=bundle.revoked)
        assert first.says(state, everyone)
        assert first.published is not None
        assert b"".join(first.published.parts) == path.read_bytes()
        assert first.generation == first.published.generation == generation


def test_a_piece_is_encoded_once(path: Path) -> None:
    """One more revocation, and the oldest ones forgotten: what stands between is the same."""
    first, everyone = writer(path), revoked(0, 4 * PIECE)
    first.write(STATE, everyone, SERVICE)
    assert first.published is not None
    before = first.published.parts
    everyone.add([(names(9999, 10_000)[0], 9999.0)])
    everyone.forget(PIECE + 1.0)
    first.write(STATE, everyone, SERVICE)
    after = first.published.parts
    assert len(before) == 3 + 3
    assert [id(each) for each in after[1:3]] == [id(each) for each in before[2:4]]


def test_the_next_process_finds_it_as_it_should_be(path: Path) -> None:
    """It writes nothing where nothing changed, and sees each change."""
    writer(path).write(STATE, revoked(0, 1500), SERVICE)
    assert writer(path).says(STATE, revoked(0, 1500))
    assert writer(path).says(replace(STATE, generation=99, made_at=99), revoked(0, 1500))
    assert not writer(path).says(replace(STATE, reference_key=b"o" * 32), revoked(0, 1500))
    for start, end in ((0, 1499), (0, 1501), (1, 1501)):
        assert not writer(path).says(STATE, revoked(start, end))


def test_others_beside_them(path: Path) -> None:
    """They come and go, whether or not they are among them."""
    both, more = names(0, 1)[0], names(8000, 8001)[0]
    first, everyone = writer(path), revoked(0, 1500)
    beside = replace(STATE, revoked=frozenset({both, more}))
    first.write(beside, everyone, SERVICE)
    assert said(path).revoked == {*everyone, more}
    for each in (first, writer(path)):
        assert each.says(beside, everyone)
        assert not each.says(STATE, everyone)
    first.write(STATE, everyone, SERVICE)
    assert said(path).revoked == set(everyone)


def test_a_file_that_somebody_replaced(path: Path) -> None:
    """One that says the same is as good, an older one or a broken one isn't."""
    first, everyone = writer(path), revoked(0, 3)
    first.write(STATE, everyone, SERVICE)
    whole = replace(STATE, revoked=frozenset(everyone))
    publish_bundle(path, to_jws(whole, SERVICE))
    assert first.says(STATE, everyone)
    for other in (
        replace(whole, generation=STATE.generation - 1),
        replace(whole, revoked=frozenset()),
    ):
        publish_bundle(path, to_jws(other, SERVICE))
        assert not first.says(STATE, everyone)
    publish_bundle(path, b"broken")
    assert not first.says(STATE, everyone)
    path.unlink()
    assert not first.says(STATE, everyone)
    assert first.generation == STATE.generation


def test_everybody_numbered_anew(path: Path) -> None:
    """The names tell then, not the numbers."""
    first = writer(path)
    first.write(STATE, revoked(0, 1500), SERVICE)
    assert not first.says(STATE, revoked(1, 1501))
    assert first.says(STATE, revoked(0, 1500))
    first.rest()
    assert not first.says(STATE, revoked(0, 1500))
    first.write(STATE, revoked(5000, 6500), SERVICE)
    assert said(path).revoked == set(names(5000, 6500))

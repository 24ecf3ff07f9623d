"""Archives with bytes flipped, cut and doubled: whatever comes, it ends, and only with our errors."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.archive.builders import built, opened

from watchword.reasons import WatchwordError
from watchword.scan.archive.interface import Limits, MissingEntryError
from watchword.scan.archive.splits import MANIFEST

INNER = built({MANIFEST: b"\x05\x05split\0" * 3, "classes.dex": b"dex\n035\0" * 9})
SEEDS = (
    built({"a": b"some content " * 30, "b/c": b"", "d": bytes(range(256))}, comment=b"note"),
    built({"a": b"some content " * 30, "b": b"x"}, streamed=True),
    built({"base.apk": INNER, "config.apk": INNER}, method=0),
)
LIMITS = Limits(entries=50, entry_size=100_000, total_size=400_000)


def _assert_bounded(data: bytes) -> None:
    """Read everything, and hold what came out against the limits."""
    archive, _ = opened(data, limits=LIMITS)
    total = 0
    for name in archive.names:
        archive.peek(name, 8)
        archive.stored(name)
        try:
            content = archive.read(name)
        except MissingEntryError:
            assert name in archive.refused
        else:
            total += len(content)
            assert len(content) <= LIMITS.entry_size
    assert total <= LIMITS.total_size
    assert len(archive.names) <= LIMITS.entries


@given(
    seed=st.sampled_from(SEEDS),
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=12),
    cut=st.none() | st.integers(0, 5000),
)
def test_flipped_and_cut_archives_raise_nothing_foreign(
    seed: bytes, flips: list[tuple[int, int]], cut: int | None
) -> None:
    """Shows that any damage to an archive gives entries, gaps or our error."""
    data = bytearray(seed)
    for at, mask in flips:
        data[at % len(data)] ^= mask
    try:
        _assert_bounded(bytes(data[:cut]))
    except WatchwordError:
        return


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                b"PK\x01\x02",
                b"PK\x03\x04",
                b"PK\x05\x06",
                b"PK\x06\x06",
                b"PK\x06\x07",
                b"PK\x07\x08",
            ]
        )
        | st.binary(max_size=40)
        | st.sampled_from(SEEDS),
        max_size=8,
    )
)
def test_records_thrown_together_raise_nothing_foreign(pieces: list[bytes]) -> None:
    """Shows that records in any order give entries, gaps or our error."""
    try:
        _assert_bounded(b"".join(pieces))
    except WatchwordError:
        return

"""Show which heads of the audit trail a gate keeps, and that a spoiled file is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.gate_bundle.heads import (
    APART_SECONDS,
    MAX_HEADS_BYTES,
    MOST_HEADS,
    heads_from_json,
    heads_path,
    keep_heads,
    newest_head,
)
from watchword.encoding import base64url
from watchword.gate.bundle import GateBundleError
from watchword.gate.trail import AuditHead, ToldHead


def told(number: int, at: int, size: int | None = None) -> ToldHead:
    """Return a head that tells by its number which one it is."""
    text = base64url.encode(number.to_bytes(32, "big"))
    return ToldHead(number, at, AuditHead(number if size is None else size, text))


def kept(bundle: Path) -> list[int]:
    """Return the generations of the heads that are kept."""
    path = heads_path(bundle)
    return [each.generation for each in heads_from_json(path, path.read_bytes())]


def test_the_newest_is_kept_and_one_for_each_hour(tmp_path: Path) -> None:
    """Those in between go; what was told already is passed over."""
    bundle = tmp_path / "clinic.jws"
    assert newest_head(bundle) is None
    for number in range(1, 10):
        keep_heads(bundle, told(number, number * APART_SECONDS // 3))
    keep_heads(bundle, told(4, 4))
    assert kept(bundle) == [1, 4, 7, 9]
    assert newest_head(bundle) == told(9, 3 * APART_SECONDS)


def test_both_of_a_pair_that_contradicts_are_kept(tmp_path: Path) -> None:
    """However near they are to each other, and to what follows."""
    bundle = tmp_path / "clinic.jws"
    keep_heads(bundle, told(1, 1))
    before, after = told(3, 3, size=30), told(4, 4, size=20)
    keep_heads(bundle, after, [(before, after)])
    for number in range(5, 9):
        keep_heads(bundle, told(number, number, size=number * 10))
    assert kept(bundle) == [1, 3, 4, 8]


def test_there_is_an_end_to_them(tmp_path: Path) -> None:
    """The first and the newest are among those that are left, and the file stays one that is read."""
    bundle = tmp_path / "clinic.jws"
    far = 10**14
    for number in range(far, far + 2 * MOST_HEADS):
        keep_heads(bundle, told(number, 10**12 + (number - far) * APART_SECONDS))
    left = kept(bundle)
    assert left[0] == far
    assert left[-1] == far + 2 * MOST_HEADS - 1
    assert MOST_HEADS // 2 <= len(left) <= MOST_HEADS
    assert heads_path(bundle).stat().st_size < MAX_HEADS_BYTES


@pytest.mark.parametrize("bent", [b"", b"{}", b'{"v":2,"heads":[]}', b'{"v":1,"heads":[{}]}'])
def test_a_spoiled_file_isnt_written_over(tmp_path: Path, bent: bytes) -> None:
    """Who spoils it must not make the gate forget quietly."""
    bundle = tmp_path / "clinic.jws"
    keep_heads(bundle, told(1, 1))
    heads_path(bundle).write_bytes(bent)
    with pytest.raises(GateBundleError, match=r"clinic\.heads"):
        keep_heads(bundle, told(2, 2))
    assert heads_path(bundle).read_bytes() == bent
    assert newest_head(bundle) is None


@given(st.binary(max_size=200))
def test_no_bytes_end_in_another_error(data: bytes) -> None:
    """It is a file of heads, or it is refused."""
    try:
        heads_from_json(Path("clinic.heads"), data)
    except GateBundleError:
        return

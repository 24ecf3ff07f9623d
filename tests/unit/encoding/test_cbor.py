"""The CBOR reader takes what authenticators write and refuses all the rest."""

import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import cbor
from watchword.reasons import MalformedError, Reason

LIMIT = 64 * 1024

_keys = st.integers(-(2**63), 2**63) | st.text(max_size=8)
_leaves = (
    st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.booleans()
    | st.none()
)
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
).filter(lambda value: _depth(value) <= cbor.MAX_DEPTH)


def _depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 0


@given(_values)
def test_reads_what_another_encoder_writes(value: object) -> None:
    """Every plain value of cbor2 comes back as it was."""
    assert cbor.decode(cbor2.dumps(value), LIMIT) == value


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_malformed(data: bytes) -> None:
    """Whatever is read at all is read by cbor2 likewise; the rest is refused by our own error."""
    with contextlib.suppress(MalformedError):
        value, rest = cbor.decode_prefix(data, LIMIT)
        assert cbor2.loads(data[: len(data) - len(rest)]) == value


@given(_values, st.binary(min_size=1, max_size=9))
def test_prefix_leaves_the_rest(value: object, rest: bytes) -> None:
    """The bytes behind a value are handed back untouched, and refused where none may be."""
    data = cbor2.dumps(value) + rest
    assert cbor.decode_prefix(data, LIMIT) == (value, rest)
    with pytest.raises(MalformedError):
        cbor.decode(data, LIMIT)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("nothing", ""),
        ("tag", "c074323031332d30332d32315432303a30343a30305a"),
        ("half float", "f93c00"),
        ("double", "fb3ff199999999999a"),
        ("undefined", "f7"),
        ("simple value", "f0"),
        ("simple value of two bytes", "f814"),
        ("reserved length", "1c"),
        ("indefinite bytes", "5f42010243030405ff"),
        ("indefinite array", "9f01ff"),
        ("indefinite map", "bf616101ff"),
        ("break", "ff"),
        ("truncated number", "19ff"),
        ("truncated bytes", "43ffff"),
        ("length beyond the input", "5bffffffffffffffff"),
        ("array longer than the input", "9bffffffffffffffff"),
        ("map longer than the input", "bbffffffffffffffff"),
        ("duplicate key", "a2010201 03"),
        ("duplicate key in two spellings", "a20102180103"),
        ("boolean as a key", "a1f501"),
        ("bytes as a key", "a1410101"),
        ("array as a key", "a18001"),
        ("text that isn't UTF-8", "62c328"),
        ("half of a surrogate pair", "63eda080"),
        ("nested too deeply", "81" * 9 + "00"),
        ("nested without end", "81" * 2000),
    ],
)
def test_refuses(what: str, data: str) -> None:
    """Each construct outside of the plain part is refused with its reason."""
    with pytest.raises(MalformedError) as caught:
        cbor.decode(bytes.fromhex(data), LIMIT)
    assert caught.value.reason is Reason.ENCODING_CBOR, what


def test_depth_and_size_are_allowed_up_to_the_limit() -> None:
    """The caps themselves still pass, one more doesn't."""
    deepest = b"\x81" * cbor.MAX_DEPTH + b"\x00"
    assert cbor.decode(deepest, len(deepest))
    with pytest.raises(MalformedError):
        cbor.decode(deepest, len(deepest) - 1)


def test_items_are_counted_over_all_levels() -> None:
    """Thousands of items are refused after the first few, in one array or in many."""
    most = cbor2.dumps([0] * (cbor.MAX_ITEMS - 1))
    assert cbor.decode(most, LIMIT)
    pairs = dict.fromkeys(range(cbor.MAX_ITEMS // 2), 0)
    for value in ([0] * cbor.MAX_ITEMS, [[0] * 20] * 20, pairs):
        with pytest.raises(MalformedError):
            cbor.decode(cbor2.dumps(value), LIMIT)

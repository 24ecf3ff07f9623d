"""Hold parts of nginx's script to the Python that they were written after: JSON, versions."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.system.engines.nginx.bench import Bench, bench

from watchword.encoding import strict_json
from watchword.engines.lua import part
from watchword.gate.interface import is_at_least, read_version
from watchword.reasons import MalformedError

_SHOWN = """
local function shown(value)
  if value == json.NULL then return "null" end
  if value == json.FRACTION then return "~" end
  if type(value) == "boolean" then return tostring(value) end
  if type(value) == "number" then return string.format("%.17g", value) end
  if type(value) == "string" then return "'" .. ngx.encode_base64(value) .. "'" end
  local parts = {}
  for name, each in pairs(value) do
    parts[#parts + 1] = (type(name) == "number" and string.format("%05d", name) or shown(name)) .. "=" .. shown(each)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end
return function(body)
  local found = json.object(body)
  return found and shown(found) or "refused"
end
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run the reader of JSON."""
    script = "\n".join((part("nginx/01_start"), part("nginx/02_json"), _SHOWN))
    with bench(tmp_path_factory.mktemp("j"), script) as running:
        yield running


def shown(value: Any) -> str:
    """Say what the reader says of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # The script's numbers are doubles; every claim is far below their last whole number.
        return f"{float(value):.17g}"
    if isinstance(value, float):
        return "~"
    if isinstance(value, str):
        return f"'{base64.b64encode(value.encode()).decode()}'"
    if isinstance(value, list):
        members = [f"{at:05d}={shown(each)}" for at, each in enumerate(value, 1)]
    else:
        members = [f"{shown(name)}={shown(each)}" for name, each in value.items()]
    return "{" + ",".join(sorted(members)) + "}"


def expected(data: bytes) -> str:
    """Say what the gate's own reader makes of some bytes."""
    try:
        return shown(strict_json.loads(data, 2**20))
    except MalformedError:
        return "refused"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
_DOCUMENTS = st.builds(
    lambda value, plain, gap: json.dumps(value, ensure_ascii=plain, indent=gap).encode(
        "utf-8", "surrogatepass"
    ),
    st.dictionaries(st.text(max_size=3), _VALUES, max_size=4) | _VALUES,
    st.booleans(),
    st.sampled_from([None, 0, 1]),
)
_WORDS = (
    rb'{ } [ ] , : " "a" "a": {"a": 1 - 0 .5 e9 E+400 true null nul NaN -Infinity 01 1e5'.split()
)
_ESCAPED = rb'\u00e9 \ud83d \ude00 "\n" "\x"'.split()
_BYTES = (
    b" ",
    b"\t",
    b"\x0b",
    b"\xc3\xa9",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x7f",
)
_PIECES = st.lists(
    st.sampled_from([*_WORDS, *_ESCAPED, *_BYTES, b"9" * 19, b"9" * 20]), max_size=8
).map(lambda pieces: b"".join([b'{"k":', *pieces, b"}"]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a document with a byte changed, dropped or doubled."""
    data = draw(_DOCUMENTS)
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    with_byte = draw(
        st.sampled_from([b"", data[at : at + 1] * 2, *(bytes([n]) for n in b'"\\{}[],:0\x00\xff')])
    )
    return data[:at] + with_byte + data[at + 1 :]


@settings(max_examples=600, deadline=None)
@given(_DOCUMENTS | _PIECES | damaged())
@example(b"")
@example(b'{"a":1,"\\u0061":2}')
@example(b'{"a":' + b"[" * 7 + b"]" * 7 + b"}")
@example(b'{"a":' + b"[" * 8 + b"]" * 8 + b"}")
@example(b'{"a":"' + b"[" * 20 + b'"}')
@example(b'{"a":-0}')
@example(b'{"a":1}x')
@example(b"\x0b{}")
@example(b'{"a":"\x7f"}')
@example(b'{"a":"\\ud83d\\ude00"}')
@example(b'{"a":"\\ude00\\ud83d"}')
@example(b'{"a":"\\ud83d\\u0041"}')
@example(b'{"a":1,}')
@example(b'{"a":[1,]}')
@example(b'{"\xf4\x90\x80\x80":1}')
@example(b'{"a":1e308}')
@example(b'{"a":1e309}')
def test_json_is_read_as_the_gate_reads_it(reader: Bench, data: bytes) -> None:
    """The same documents are taken, and the same values are found in them."""
    assert reader.ask(data).decode() == expected(data)


def test_hostile_json_ends_in_a_refusal(reader: Bench) -> None:
    """A million brackets, digits or backslashes neither crash the worker nor pass."""
    for data in (
        b'{"a":' + b"[" * 10**6,
        b'{"a":' + b"1" * 10**6 + b"}",
        b'{"a":"' + b"\\" * 10**6,
    ):
        assert reader.ask(data) == b"refused"


_VERSION = st.lists(st.sampled_from(["0", "1", "2", "10", "01", "99"]), min_size=1, max_size=4).map(
    ".".join
)


@pytest.fixture(scope="module")
def comparer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run the comparison of versions."""
    gate = part("nginx/09_gate")
    start = gate.index("  -- Compares dotted numbers")
    functions = gate[start : gate.index("  local function standing")]
    script = (
        "local find, match, sub = string.find, string.match, string.sub\n"
        f"{functions}\nreturn function(body)\n"
        '  local one, other = match(body, "^([^ ]*) ([^ ]*)$")\n'
        "  return tostring(is_at_least(one, other))\nend\n"
    )
    with bench(tmp_path_factory.mktemp("v"), script) as running:
        yield running


@settings(max_examples=200, deadline=None)
@given(_VERSION | st.text("019.a", max_size=6), _VERSION)
@example("9" * 18, "1" + "0" * 17)
@example("9" * 19, "1")
@example("1.2.0.0", "1.2")
@example("1.2", "1.2.0.1")
@example(".".join("1" * 8), "1")
@example(".".join("1" * 9), "1")
@example("010", "9")
@example("0", "0.0")
def test_versions_are_ordered_as_the_gate_orders_them(
    comparer: Bench, version: str, minimum: str
) -> None:
    """Numbers of eighteen digits too, and what is no version passes no minimum."""
    if read_version(minimum) is not None:
        wanted = str(is_at_least(version, minimum)).lower()
        assert comparer.ask(f"{version} {minimum}".encode()).decode() == wanted

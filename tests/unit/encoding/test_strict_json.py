"""Show that JSON from strangers has one meaning, or none."""

import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason

SUITE = Path(__file__).parents[4] / "shared/vectors/adversarial/json/jsontestsuite.tar.gz"
LIMIT = 200_000


def refused(data: bytes) -> Reason:
    """Return the reason for which a document is refused."""
    with pytest.raises(MalformedError) as caught:
        strict_json.loads(data, LIMIT)
    return caught.value.reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":12345678901234567890}',
        b'{"a":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":1}x',
        b'{"a":1,}',
        b"{'a':1}",
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":' + b"[" * 9 + b"]" * 9 + b"}",
        b"[" * 100_000,
        b'{"a":' * 30_000,
    ],
    ids=range(25),
)
def test_crooked_documents(data: bytes) -> None:
    """Duplicates, NaN, huge numbers, other encodings and deep nesting are refused."""
    assert refused(data) is Reason.ENCODING_JSON


def test_brackets_in_text_are_no_nesting() -> None:
    """Depth is counted outside of strings only."""
    text = '\\"' + "[{" * 50
    assert strict_json.loads(json.dumps({"a": text}).encode(), LIMIT) == {"a": text}


def test_depth() -> None:
    """Eight levels are read, the ninth is refused, with siblings and left open."""
    assert strict_json.loads(b'{"a":' + b"[" * 7 + b"]" * 7 + b"}", LIMIT)
    assert strict_json.loads(b'{"a":[{}' + b",[[]],{}" * 50 + b"]}", LIMIT)
    for deep in (b"[" * 8 + b"]" * 8 + b"}", b'[{},{"b":' * 4 + b"[]" + b"}]" * 4 + b"}", b"[" * 9):
        with pytest.raises(MalformedError) as caught:
            strict_json.loads(b'{"a":' + deep, LIMIT)
        assert "deeper" in caught.value.refusals[0].detail


def test_limit() -> None:
    """What is too long is refused before it is parsed."""
    assert strict_json.loads(b'{"a":1}', 7) == {"a": 1}
    with pytest.raises(MalformedError):
        strict_json.loads(b'{"a":1}', 6)


def test_no_document_takes_long() -> None:
    """Unclosed strings and backslashes don't make the depth count quadratic."""
    for piece in (b'"', b"\\", b'"\\', b'\\"[', b'["'):
        before = time.perf_counter()
        refused(piece * (LIMIT // len(piece)))
        assert time.perf_counter() - before < 1


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), values))
def test_round_trip(value: dict[str, Any]) -> None:
    """What was written is read, and the standard library agrees on it."""
    data = strict_json.dumps(value)
    try:
        assert strict_json.loads(data, 10**6) == value
    except MalformedError as error:
        assert "nesting" in str(error)  # noqa: PT017 - the one thing that a written value may be.
    assert json.loads(data) == value


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Nothing but MalformedError leaves the parser; what it reads is an object."""
    try:
        assert isinstance(strict_json.loads(data, LIMIT), dict)
    except MalformedError:
        return


@pytest.mark.skipif(not SUITE.exists(), reason="the shared vectors aren't there")
def test_the_parsing_suite() -> None:
    """JSONTestSuite: every n_ is refused, every y_ is read but those with duplicate keys."""
    rejected, accepted, wrong = 0, 0, []
    with tarfile.open(SUITE) as archive:
        for member in archive.getmembers():
            name = Path(member.name).name
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or name[:2] not in {"n_", "y_"}:
                continue
            # The suite's documents may be of any kind; ours are objects.
            data = b'{"wrapped":' + file.read() + b"}"
            try:
                strict_json.loads(data, LIMIT)
                accepted += 1
                if name.startswith("n_"):
                    wrong.append(name)
            except MalformedError:
                rejected += 1
                if name.startswith("y_") and "duplicated" not in name:
                    wrong.append(name)
    assert rejected > 180
    assert accepted > 90
    assert wrong == []

"""Show that nodes share what was applied: one document, of which the second writer is refused and the oldest texts go first."""

import json
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.applied_document import (
    MOST_TEXT_BYTES,
    AppliedDocument,
    AppliedTexts,
    read_texts,
    write_texts,
)
from watchword.adapters.applied_files import MOST_KEPT, AppliedFile
from watchword.adapters.documents import FileDocument
from watchword.adapters.keyring.private_file import OtherFormatError, PrivateFileError
from watchword.reasons import Reason, RefusedError

NOTE = AppliedFile(0, "", 1_800_000_000, "alice", "because", widened=False)


def node(directory: Path) -> AppliedDocument:
    """Return what a node keeps that starts now."""
    document = FileDocument(directory / "configuration.json", 32 * 1024 * 1024)
    return AppliedDocument(lambda: nullcontext(document))


def test_another_node_has_what_was_applied(tmp_path: Path) -> None:
    """Number, hash and text, and whether the audit trail knows of it."""
    first, second = node(tmp_path), node(tmp_path)
    assert (list(second.all()), second.newest()) == ([], (0, ""))
    made = first.add(b"one", NOTE, 0)
    second.add(b"two", NOTE, 1)
    assert [each.number for each in first.all()] == [1, 2]
    assert [first.text(each) for each in second.all()] == [b"one", b"two"]
    assert first.newest() == second.newest() == (2, second.all()[1].sha256)
    assert made == second.all()[0]
    second.note_recorded(1)
    assert [each.recorded for each in first.all()] == [True, True]
    assert "configuration 2" in first.place(2)


def test_of_two_nodes_the_second_is_refused(tmp_path: Path) -> None:
    """It compared its file with what is in force no more."""
    first, second = node(tmp_path), node(tmp_path)
    first.add(b"one", NOTE, 0)
    assert second.all()
    first.add(b"two", NOTE, 1)
    with pytest.raises(RefusedError) as refused:
        second.add(b"three", NOTE, 1)
    assert refused.value.refusals[0].reason is Reason.CONFIGURATION_CONFLICT
    assert [each.number for each in second.all()] == [1, 2]


def test_the_oldest_go_first(tmp_path: Path) -> None:
    """By number, and by size; numbers go on, and what a rollback needs stays."""
    kept = node(tmp_path)
    for base in range(MOST_KEPT + 2):
        kept.add(b"%d" % base, NOTE, base)
    assert [each.number for each in kept.all()] == list(range(3, MOST_KEPT + 3))
    large = b"x" * (MOST_TEXT_BYTES // 2)
    for base in range(MOST_KEPT + 2, MOST_KEPT + 5):
        kept.add(large + b"%d" % base, NOTE, base)
    assert [each.number for each in kept.all()] == [MOST_KEPT + 4, MOST_KEPT + 5]
    gone = AppliedFile(1, "0" * 64, 0, "", "", widened=False)
    with pytest.raises(PrivateFileError, match="no configuration 1 any more"):
        kept.text(gone)


def changed(data: bytes, **members: object) -> bytes:
    """Return a document with other members."""
    return json.dumps({**json.loads(data), **members}).encode()


@pytest.mark.parametrize(
    "members",
    [
        {"files": []},
        {"files": [{}]},
        {"files": 1},
        {"texts": []},
        {"texts": ["b25l", "b25l"]},
        {"texts": ["dHdv"]},
        {"texts": ["*"]},
        {"texts": [1]},
        {"more": 1},
    ],
)
def test_what_is_something_else_is_refused(tmp_path: Path, members: dict[str, object]) -> None:
    """A text that isn't of its file, too."""
    kept = node(tmp_path)
    kept.add(b"one", NOTE, 0)
    path = tmp_path / "configuration.json"
    path.write_bytes(changed(path.read_bytes(), **members))
    with pytest.raises(PrivateFileError, match="something else"):
        node(tmp_path).all()
    with pytest.raises(PrivateFileError, match="something else"):
        kept.add(b"two", NOTE, 1)


def test_another_versions_document_is_refused_in_words(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    kept = node(tmp_path)
    kept.add(b"one", NOTE, 0)
    path = tmp_path / "configuration.json"
    path.write_bytes(changed(path.read_bytes(), v=2))
    for attempt in (kept.all, lambda: kept.add(b"two", NOTE, 1)):
        with pytest.raises(OtherFormatError):
            attempt()
    assert json.loads(path.read_bytes())["v"] == 2


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_what_is_written_is_read(texts: list[bytes]) -> None:
    """Whatever the bytes of a text are."""
    files = [
        replace(NOTE, number=number, sha256=sha256(text).hexdigest())
        for number, text in enumerate(texts, 1)
    ]
    kept = AppliedTexts(files, texts)
    assert read_texts("here", write_texts(kept)) == kept

"""Files with anchors: whatever bytes they hold, they end in anchors or in our own error."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.adapters.anchors import AnchorsError, read_lab_anchors
from watchword.apps.evidence.files import EvidenceFileError, read_anchors
from watchword.vocabulary import AnchorKind, Vendor

ROOT = forge.google().root
PEM = ROOT.certificate.public_bytes(Encoding.PEM)
ROW = {
    "name": "lab root",
    "vendor": "android-key",
    "kind": "lab",
    "spki": base64.b64encode(forge.spki(ROOT.key)).decode(),
    "subject": base64.b64encode(ROOT.certificate.subject.public_bytes()).decode(),
}
LAB = json.dumps({"kind": "lab", "anchors": [ROW]}).encode()
SCALARS = st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["lab", "production"])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries({name: st.just(value) | JSON for name, value in ROW.items()})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where each example's file is written."""
    return tmp_path_factory.mktemp("anchors") / "anchors"


@given(data=st.data(), whole=st.sampled_from([PEM, LAB, json.dumps([PEM.decode()]).encode()]))
def test_broken_anchors_raise_nothing_foreign(
    path: Path, data: st.DataObject, whole: bytes
) -> None:
    """Bytes changed, cut out or put in anywhere end in anchors of a known vendor, or in our error."""
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    try:
        anchors = read_anchors(path, [Vendor.ANDROID_KEY])
    except (AnchorsError, EvidenceFileError):
        return
    assert {anchor.vendor for anchor in anchors} <= set(Vendor)


@given(
    JSON | st.fixed_dictionaries({"kind": st.just("lab"), "anchors": st.lists(ROWS, max_size=3)})
)
def test_any_document_is_anchors_of_the_lab_or_none(document: Any) -> None:
    """Whatever JSON a file holds, each row of it is an anchor of the lab, or the file is refused."""
    try:
        anchors = read_lab_anchors(json.dumps(document).encode(), "name")
    except AnchorsError:
        return
    assert len(anchors) == len(document["anchors"])
    assert all(anchor.kind in {AnchorKind.LAB, AnchorKind.SOFTWARE} for anchor in anchors)
    assert all(isinstance(anchor.spki, bytes) for anchor in anchors)

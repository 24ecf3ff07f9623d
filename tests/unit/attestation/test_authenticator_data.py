"""Authenticator data: what is read comes from its place, and nothing but one error comes out."""

import struct
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.attestation.attestation_object import (
    LENIENT_EXTENSIONS,
    MAX_AUTHENTICATOR_DATA_BYTES,
    read_with_credential,
    read_without_credential,
)
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Distribution

READABLE = {Reason.EVIDENCE_MALFORMED, Reason.ENCODING_CBOR}
KEYS = st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=8))
VALUES = st.one_of(st.integers(-(2**63), 2**63), st.binary(max_size=16), st.text(max_size=8))
MAPS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=6)


def made(trailing: Any = None, *, flags: int = 0x40, counter: int = 0) -> bytes:
    """Return authenticator data of an attestation, with a map behind the key."""
    behind = b"" if trailing is None else cbor2.dumps(trailing)
    return forge.authenticator_data(_KEY, flags=flags, counter=counter, trailing=behind)


_KEY = forge.p256()


@given(
    counter=st.integers(0, 2**32 - 1),
    trailing=st.one_of(st.none(), MAPS),
    announced=st.booleans(),
)
def test_every_part_is_read_from_its_place(
    counter: int, trailing: dict[Any, Any] | None, announced: bool
) -> None:
    """Whatever the counter and the map: both kinds of authenticator data give them back."""
    flags = 0x40 | (0x80 if announced and trailing is not None else 0)
    data, credential = read_with_credential(made(trailing, flags=flags, counter=counter))
    head = data.rp_id_hash + struct.pack(">BI", flags, counter)
    alone = read_without_credential(head + data.trailing_raw)
    for each in (data, alone):
        assert each.counter == counter
        assert each.flags == flags
        assert each.trailing == (trailing or {})
        told = trailing is not None and not flags & 0x80
        assert each.leniencies == ((LENIENT_EXTENSIONS,) if told else ())
    assert credential.cose_key == forge.cose(_KEY)
    assert len(credential.credential_id) == 32


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    """No other exception comes out of either reader."""
    for read in (read_with_credential, read_without_credential):
        try:
            read(data)
        except MalformedError as error:
            assert error.reason in READABLE  # noqa: PT017 - either outcome is right.
        else:
            assert len(data) >= 37


@given(at=st.integers(0, 400), data=st.data())
def test_changed_bytes_are_read_or_malformed(at: int, data: st.DataObject) -> None:
    """Flipped and cut authenticator data neither crashes nor is passed off as another length."""
    good = made({"apple_bundle_version_01": "1", "apple_validation_category_01": b"\x01\0\0\0"})
    mutated = bytearray(good)
    mutated[at % len(good)] ^= 1 << data.draw(st.integers(0, 7))
    for candidate in (bytes(mutated), good[: at % len(good)]):
        try:
            read, credential = read_with_credential(candidate)
        except MalformedError as error:
            assert error.reason in READABLE  # noqa: PT017 - either outcome is right.
        else:
            size = 37 + 18 + len(credential.credential_id) + len(read.trailing_raw)
            assert size < len(candidate)


@pytest.mark.parametrize(
    ("category", "read"),
    [
        (b"\x01\x00\x00\x00", 1),
        (b"\x00\x01\x00\x00", 256),
        (b"\xff\xff\xff\xff", 2**32 - 1),
        (b"\x01", None),
        (b"", None),
        (b"\x01\x00\x00", None),
        (b"\x01\x00\x00\x00\x00", None),
        (1, 1),
        (0, 0),
        (2**32 - 1, 2**32 - 1),
        (2**32, None),
        (2**63, None),
        (-1, None),
        (-(2**63), None),
        (True, None),
        (None, None),
        ([1], None),
        ({"1": 1}, None),
        ("1", None),
    ],
)
def test_validation_category_has_its_lowest_byte_first(category: Any, read: int | None) -> None:
    """Four bytes, little-endian, or a number of 32 bits; in another form it isn't one, and says so."""
    data, _ = read_with_credential(made({"apple_validation_category_01": category}))
    assert data.validation_category == read
    known = set(range(1, 7)) | {10}
    assert (data.distribution is Distribution.UNKNOWN) == (read not in known)
    assert data.app_version is None


def test_distribution_is_named_as_apple_does() -> None:
    """Seven categories; without the member the system states none."""
    for number, way in {
        1: Distribution.OPERATING_SYSTEM,
        2: Distribution.TESTFLIGHT,
        3: Distribution.DEVELOPMENT,
        4: Distribution.APP_STORE,
        5: Distribution.ENTERPRISE,
        6: Distribution.DEVELOPER_ID,
        10: Distribution.OTHER,
    }.items():
        for category in (number, number.to_bytes(4, "little")):
            data, _ = read_with_credential(made({"apple_validation_category_01": category}))
            assert data.distribution is way
    data, _ = read_with_credential(made({"apple_bundle_version_01": "1"}))
    assert data.distribution is None


def test_size_is_capped_before_anything_is_read() -> None:
    """Oversized input is refused for its size."""
    for read in (read_with_credential, read_without_credential):
        with pytest.raises(MalformedError, match="4097 bytes"):
            read(bytes(MAX_AUTHENTICATOR_DATA_BYTES + 1))

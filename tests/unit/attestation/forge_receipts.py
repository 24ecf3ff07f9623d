"""Forge App Attest receipts, right and wrong: signed data in BER, with everything bendable."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.attestation import forge
from tests.unit.attestation.forge import Party, certify, integer, name, tlv

from watchword.ports import Anchor

MARKER = x509.ObjectIdentifier("1.2.840.113635.100.12.15")
SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
DATA = bytes.fromhex("06092a864886f70d010701")
CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
SHA256 = bytes.fromhex("300d06096086480165030402010500")
SHA384 = bytes.fromhex("300d06096086480165030402020500")
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")


def indefinite(tag: int, *parts: bytes) -> bytes:
    """Return a constructed element of indefinite length."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\x00\x00"


def octets_in_pieces(data: bytes, size: int = 1000) -> bytes:
    """Return an OCTET STRING in pieces."""
    pieces = [tlv(0x04, data[at : at + size]) for at in range(0, len(data), size)]
    return indefinite(0x24, *pieces)


def text_of(at: datetime) -> bytes:
    """Return a time as a receipt has it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


@dataclass
class Signers:
    """Play the part of Apple that signs receipts."""

    root: Party
    intermediate: Party
    signer: Party

    @property
    def anchor(self) -> Anchor:
        """Return the root as an anchor."""
        return self.root.anchor("apple-receipt")


def signers(**mutated: Mapping[str, Any]) -> Signers:
    """Return authorities for receipts; ``intermediate`` and ``signer`` mutate those certificates."""
    root = certify(name(common_name="Apple Root CA - G3"), None)
    intermediate = certify(
        name(common_name="Apple Application Integration CA 5 - G1"),
        root,
        **mutated.get("intermediate", {}),
    )
    signer = {"ca": False, "signs": False, "extensions": [(MARKER, b"\x05\x00")]}
    return Signers(
        root,
        intermediate,
        certify(
            name(common_name="Receipt Signing"),
            intermediate,
            **{**signer, **mutated.get("signer", {})},
        ),
    )


def fields(
    key_field: bytes,
    *,
    created: datetime = forge.NOW - timedelta(seconds=3),
    kind: str = "ATTEST",
    **mutated: bytes | None,
) -> dict[int, bytes]:
    """Return a receipt's fields; ``field_7=None`` leaves one out."""
    found: dict[int, bytes] = {
        2: forge.APPLE_APP.app_id.encode(),
        3: key_field,
        4: forge.BINDING,
        5: b"dG9rZW4=",
        6: kind.encode(),
        7: b"production",
        12: text_of(created),
        21: text_of(created + timedelta(days=90)),
    }
    if kind == "RECEIPT":
        found |= {17: b"2", 19: text_of(created + timedelta(days=1))}
    for key, value in mutated.items():
        number = int(key.removeprefix("field_"))
        if value is None:
            found.pop(number)
        else:
            found[number] = value
    return found


def payload(rows: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the content of a receipt."""
    return tlv(
        0x31, *(tlv(0x30, integer(number), integer(1), tlv(0x04, value)) for number, value in rows)
    )


def attribute(identifier: bytes, value: bytes) -> bytes:
    """Return a signed attribute of one value."""
    return tlv(0x30, identifier, tlv(0x31, value))


def attributes_of(content: bytes) -> list[bytes]:
    """Return the signed attributes that RFC 5652 asks for."""
    return [
        attribute(CONTENT_TYPE, DATA),
        attribute(MESSAGE_DIGEST, tlv(0x04, hashlib.sha256(content).digest())),
    ]


def sign(
    vendor: Signers,
    content: bytes,
    *,
    by: Any = None,
    message: bytes | None = None,
    attributes: list[bytes] | None = None,
    digest: bytes = SHA256,
    algorithm: bytes = ECDSA_SHA256,
    enclosed: Sequence[bytes] | None = None,
    infos: Callable[[bytes], Sequence[bytes]] = lambda info: [info],
    content_type: bytes = DATA,
    named: Party | None = None,
    definite: bool = False,
) -> bytes:
    """Return signed data over ``content``.

    :param by: the key that signs, the signer's own if None; ``message``: what it signs.
    :param infos: the signer infos, made from the right one.
    :param definite: in DER instead of BER.
    """
    wrap = tlv if definite else indefinite
    key: Any = by or vendor.signer.key
    if message is None:
        message = content if attributes is None else tlv(0x31, *sorted(attributes))
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    named = named or vendor.signer
    info = tlv(
        0x30,
        integer(1),
        tlv(
            0x30,
            named.certificate.issuer.public_bytes(),
            integer(named.certificate.serial_number),
        ),
        digest,
        *([] if attributes is None else [tlv(0xA0, *attributes)]),
        algorithm,
        tlv(0x04, signature),
    )
    if enclosed is None:
        enclosed = [vendor.signer.der, vendor.intermediate.der, vendor.root.der]
    octets = tlv(0x04, content) if definite else octets_in_pieces(content)
    signed = wrap(
        0x30,
        integer(1),
        tlv(0x31, SHA256),
        wrap(0x30, content_type, wrap(0xA0, octets)),
        wrap(0xA0, *enclosed),
        tlv(0x31, *infos(info)),
    )
    return wrap(0x30, SIGNED_DATA, wrap(0xA0, signed))


def receipt(vendor: Signers, key_field: bytes, *, signing: Any = None, **mutated: Any) -> bytes:
    """Return a receipt for a certificate or key; ``signing`` mutates :func:`sign`."""
    content = payload(list(fields(key_field, **mutated).items()))
    return sign(vendor, content, **(signing or {}))

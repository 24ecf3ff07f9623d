"""Read what people have at hand: PEM chains, roots, keys, bytes as text."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchword.adapters.anchors import AnchorSet, packaged_anchors, read_lab_anchors
from watchword.attestation.certificates import read_certificate
from watchword.encoding import der
from watchword.ports import Anchor
from watchword.reasons import ExitCode, MalformedError, WatchwordError
from watchword.vocabulary import AnchorKind

MAX_FILE_BYTES: Final = 1024 * 1024
"""Most bytes of a file with evidence, keys or roots."""

_PEM: Final = re.compile(r"-----BEGIN ([A-Z ]{1,64})-----([A-Za-z0-9+/=\s]+)-----END \1-----")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")


class EvidenceFileError(WatchwordError):
    """Report a file or a text that isn't what it was named as."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class WrittenBytes:
    """Hold bytes that a person wrote, and how they were read: hex, base64 or text."""

    data: bytes
    encoding: str

    def __str__(self) -> str:
        """Say how many bytes they are and how they were read; people see by it what went wrong."""
        return f"{len(self.data)} bytes, read as {self.encoding}"


def parse_bytes(text: str) -> WrittenBytes:
    """Return the bytes that a person wrote as hex or base64 (either alphabet, padded or not).

    Text that could be both is hex; ``hex:``, ``base64:`` and ``text:`` in front say which.

    :raises EvidenceFileError: when it is neither; base64 that leaves bits over is mistyped.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "text":
        return WrittenBytes(rest.encode(), kind)
    if not colon:
        kind, rest = "hex" if _HEX.fullmatch(text) else "base64", text
    try:
        if kind == "hex":
            return WrittenBytes(bytes.fromhex(rest), kind)
        if kind == "base64":
            standard = rest.rstrip("=").replace("-", "+").replace("_", "/")
            data = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
            if base64.b64encode(data).decode().rstrip("=") == standard:
                return WrittenBytes(data, kind)
    except (ValueError, binascii.Error):
        pass
    got = f"text that isn't {kind}" if kind in {"hex", "base64"} else "an unknown word in front"
    raise EvidenceFileError(f"got {got}, expected hex, base64, or text: in front of plain text")


def read_evidence(path: Path) -> bytes:
    """Return a file's bytes.

    :raises EvidenceFileError: when it is too large.
    :raises OSError: when it can't be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise EvidenceFileError(f"{path}: got more bytes, expected at most {MAX_FILE_BYTES} bytes")
    return data


def read_pem(data: bytes, label: str) -> tuple[bytes, ...]:
    """Return the DER of each PEM block with this label, in order; broken base64 is skipped over."""
    blocks = _PEM.findall(data.decode("ascii", "replace"))
    try:
        return tuple(base64.b64decode(body) for name, body in blocks if name == label)
    except binascii.Error:
        return ()


def read_certificates(path: Path) -> tuple[bytes, ...]:
    """Return the certificates of a PEM file, leaf first, or the one of a DER file.

    :raises EvidenceFileError: when there is none.
    """
    data = read_evidence(path)
    chain = read_pem(data, "CERTIFICATE")
    if not chain and data[:1] == b"\x30":
        chain = (data,)
    if not chain:
        raise EvidenceFileError(
            f"{path}: got no certificate, expected certificates as PEM, or one as DER"
        )
    return chain


def read_public_key(path: Path) -> bytes:
    """Return the SubjectPublicKeyInfo of a PEM or DER file.

    :raises EvidenceFileError: when it isn't one.
    """
    data = read_evidence(path)
    spki = next(iter(read_pem(data, "PUBLIC KEY")), data)
    try:
        der.sequence(der.read(spki))
    except MalformedError:
        raise EvidenceFileError(
            f"{path}: got something else, expected a public key as PEM or DER"
        ) from None
    return spki


def read_key_text(path: Path) -> bytes:
    """Return a key of the Play Console: base64, as it is shown there.

    :raises EvidenceFileError: when it isn't base64.
    """
    try:
        return base64.b64decode(read_evidence(path).strip(), validate=True)
    except binascii.Error:
        raise EvidenceFileError(
            f"{path}: got something else, expected a key of the Play Console, in base64"
        ) from None


def read_anchors(path: Path, vendors: Sequence[str]) -> tuple[Anchor, ...]:
    """Return the anchors of a lab's file, of a PEM file, or of a JSON list of PEM (``roots.json``).

    :param vendors: whose roots certificates are; a file of the lab says so itself.
    :raises EvidenceFileError: when there is none.
    """
    data = read_evidence(path)
    if data.lstrip()[:1] == b"{":
        return read_lab_anchors(data, str(path))
    if data.lstrip()[:1] == b"[":
        try:
            data = "\n".join(map(str, json.loads(data))).encode()
        except (ValueError, RecursionError):
            raise EvidenceFileError(f"{path}: expected a JSON list of PEM texts") from None
    try:
        roots = [read_certificate(block) for block in read_pem(data, "CERTIFICATE")]
    except MalformedError as error:
        raise EvidenceFileError(f"{path}: {error.detail}") from None
    if not roots:
        raise EvidenceFileError(
            f"{path}: got no certificate, expected roots as PEM, or anchors of the lab as JSON"
        )
    return tuple(
        Anchor(f"{path.name}[{index}]", vendor, AnchorKind.PRODUCTION, root.spki, root.subject)
        for index, root in enumerate(roots)
        for vendor in vendors
    )


def with_packaged(extra: Sequence[Anchor], *, replace_production: bool = False) -> AnchorSet:
    """Return the packaged anchors and ``extra``.

    :param replace_production: leave the packaged roots of those vendors out that ``extra`` has; the
        software roots stay, since they are there to be refused by name.
    """
    replaced = {anchor.vendor for anchor in extra} if replace_production else set()
    packaged = [
        anchor
        for anchor in packaged_anchors()
        if anchor.kind != AnchorKind.PRODUCTION or anchor.vendor not in replaced
    ]
    known = {anchor.spki: anchor.name for anchor in packaged_anchors()}
    named = [Anchor(known.get(a.spki, a.name), a.vendor, a.kind, a.spki, a.subject) for a in extra]
    return AnchorSet([*packaged, *named])

"""Find the signing certificates of scheme v1, which is that of JAR files: a CMS message per signer in ``META-INF``.

CMS is RFC 5652 section 5.  Nothing is verified.
"""

import re
from collections.abc import Sequence
from typing import Final

from watchword.encoding import ber, der
from watchword.reasons import WatchwordError
from watchword.scan.android.elements import AndroidFormatError

MOST_BYTES: Final = 64 * 1024
"""How large a signature may be; ordinary ones have 1 to 2 KB."""

MOST_SIGNATURES: Final = 10

_BLOCK: Final = re.compile(r"META-INF/([^/]+)\.(?:RSA|DSA|EC)", re.IGNORECASE)
_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"


def signature_files(names: Sequence[str]) -> list[str]:
    """Return the entries that hold signatures, sorted: those beside which the file stands that they sign."""
    signed = {name.upper() for name in names if name.upper().endswith(".SF")}
    found = []
    for name in names:
        match = _BLOCK.fullmatch(name)
        if match is not None and f"META-INF/{match[1]}.SF".upper() in signed:
            found.append(name)
    return sorted(found)


def signers(data: bytes) -> list[bytes]:
    """Return the certificate of each signer of a CMS message, as DER; those of their authorities are left out.

    :raises AndroidFormatError: if it is damaged, too large, or a signer's certificate isn't in it.
    """
    if len(data) > MOST_BYTES:
        raise AndroidFormatError(f"a signature of {len(data)} bytes; at most {MOST_BYTES} are read")
    try:
        found = _signers(data)
    except AndroidFormatError:
        raise
    except WatchwordError as error:
        raise AndroidFormatError("a signature that isn't a CMS message") from error
    if not found:
        raise AndroidFormatError("a signature of nobody whose certificate is in it")
    return found


def _signers(data: bytes) -> list[bytes]:
    message = der.sequence(der.read(ber.definite(data)))
    if len(message) < 2 or der.object_identifier(message[0]) != _SIGNED_DATA:
        raise AndroidFormatError("a CMS message that isn't signed data")
    fields = der.sequence(der.explicit(message[1]))
    if not fields:
        raise AndroidFormatError("signed data without anything in it")
    certificates = [
        each
        for field in fields
        if field.is_context(0)
        for each in der.children(field)
        if each.is_universal(der.SEQUENCE)
    ]
    found = [_certificate_of(info, certificates) for info in der.children(fields[-1])]
    return list(dict.fromkeys(each for each in found if each is not None))


def _certificate_of(info: der.Tlv, certificates: Sequence[der.Tlv]) -> bytes | None:
    """Return the certificate that a signer names by issuer and serial number; None if it isn't there.

    Some tools write the issuer's name in another type of string than the certificate does: then the serial number decides.
    """
    parts = der.sequence(info)
    named = der.sequence(parts[1]) if len(parts) > 1 else ()
    if len(named) != 2:
        return None
    issuer, serial = (each.raw for each in named)
    alike = None
    for certificate in certificates:
        its_issuer, its_serial = _issued(certificate)
        if its_serial == serial:
            if its_issuer == issuer:
                return certificate.raw
            alike = alike or certificate.raw
    return alike


def _issued(certificate: der.Tlv) -> tuple[bytes, bytes]:
    """Return issuer and serial number of a certificate (RFC 5280 section 4.1); empty without them."""
    outer = der.sequence(certificate)
    parts = der.sequence(outer[0]) if outer else ()
    if parts and parts[0].is_context(0):
        parts = parts[1:]
    return (parts[2].raw, parts[0].raw) if len(parts) > 2 else (b"", b"")

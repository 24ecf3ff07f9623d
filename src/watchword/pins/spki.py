"""Read pins and take them of certificates and keys.

A pin is the SHA-256 of a SubjectPublicKeyInfo as it stands in the certificate, byte for byte (RFC 7469 section 2.4).
It is cut out and never encoded anew: a second encoder that differs in one optional byte would give
another pin than every other tool, and keys that the library can't load have a pin all the same.
"""

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from cryptography import x509

from watchword.encoding import base64url, der
from watchword.pins.interface import MAX_CHAIN, PIN_BYTES
from watchword.reasons import MalformedError, Reason

MAX_FILE_BYTES: Final = 256 * 1024
"""Most bytes of a file of certificates or keys that is looked at."""

MAX_PIN_CHARACTERS: Final = 95
"""Most characters of a pin as somebody writes it: hexadecimal with colons is the longest form."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
_PREFIX: Final = "sha256/"
_BASE64_CHARACTERS: Final = 44
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----")
_VERSION_TAG: Final = 0xA0
_BIT_STRING: Final = 0x03
_BEFORE_KEY: Final = 5
"""Members of a TBSCertificate before the key, the version not counted (RFC 5280 section 4.1)."""

_CERTIFICATE_LABELS: Final = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")


class PinError(MalformedError):
    """Report a pin, a certificate or a key that can't be read."""


def read_pin(text: str) -> bytes:
    """Return the 32 bytes of a pin, however it was written down.

    Taken are ``sha256/…`` (OkHttp, HPKP), ``sha256//…`` (curl), base64 (Android, iOS, TrustKit), base64url,
    and 64 hexadecimal digits, also with colons between them.

    :raises PinError: with ``pins.pin_malformed``.
    """
    text = text.strip()
    if len(text) > MAX_PIN_CHARACTERS:
        _refuse(f"got a pin of {len(text)} characters, expected 44 of base64 or 64 of hexadecimal")
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.replace(":", ""))
    if text.lower().startswith(_PREFIX):
        text = text[len(_PREFIX) :]
        # One pin in 64 begins with a slash of its own: only the length tells it from curl's second one.
        if text.startswith("/") and len(text.rstrip("=")) == _BASE64_CHARACTERS:
            text = text[1:]
    if re.match(r"sha(1|384|512)/", text, re.IGNORECASE):
        _refuse(f"got a pin that begins with {text.partition('/')[0]}, expected SHA-256")
    return _of_base64(text)


def pin_of_spki(data: bytes) -> bytes:
    """Return the pin of a SubjectPublicKeyInfo in DER; raises PinError with ``pins.pin_malformed`` for anything else than one."""
    try:
        span = der.whole(data)
        kinds = [first for first, *_ in der.members(data, span)]
    except MalformedError as error:
        _refuse(f"got bytes that aren't a SubjectPublicKeyInfo: {error.detail}")
    if kinds != [der.FIRST_OF_SEQUENCE, _BIT_STRING]:
        _refuse("got DER that isn't a SubjectPublicKeyInfo: expected an algorithm and a key")
    return hashlib.sha256(data).digest()


def pin_of_certificate(data: bytes) -> bytes:
    """Return the pin of the key in a certificate in DER; nothing else of it is checked.

    :raises PinError: with ``pins.pin_malformed`` for anything else than a certificate.
    """
    before = {_VERSION_TAG: _BEFORE_KEY + 1}
    return _pin_within(data, lambda first: before.get(first, _BEFORE_KEY), "a certificate")


def _pin_within(data: bytes, place: Callable[[int], int], what: str) -> bytes:
    """Return the pin of the key in a signed structure in DER.

    :param place: of the key in what is signed, by the first byte of that.
    """
    try:
        body = der.members(data, der.members(data, der.whole(data))[0])
        _, start, _, end = body[place(body[0][0])]
    except (MalformedError, IndexError):
        _refuse(f"got bytes that aren't {what} in DER")
    return pin_of_spki(data[start:end])


def certificates_of(data: bytes, most: int = MAX_CHAIN) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, in its order, or the one of a DER file.

    :param most: certificates that are taken; a file with more is refused before any is read.
    :raises PinError: with ``pins.pin_malformed``; also for a file without a certificate.
    """
    return tuple(_certificate(each) for each in _certificates_der(data, most))


def pins_of_chain(data: bytes, most: int = MAX_CHAIN) -> tuple[bytes, ...]:
    """Return the pins of the certificates of a PEM or DER file, in its order; raises PinError as :func:`certificates_of` does."""
    return tuple(pin_of_certificate(each) for each in _certificates_der(data, most))


def pin_of_file(data: bytes) -> bytes:
    """Return the pin of what a PEM or DER file holds: a public key, a signing request, or the first certificate.

    :raises PinError: with ``pins.pin_malformed``; a private key is refused too: whoever hands one to a tool
        that publishes has picked up the wrong file, and should learn it from this tool rather than from a leak.
    """
    blocks = _blocks(data)
    if any(b"PRIVATE KEY" in label for label, _ in blocks):
        _refuse("got a private key, expected its public half, a certificate or a signing request")
    for label, content in blocks:
        if label == b"PUBLIC KEY":
            return pin_of_spki(content)
        if label in (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"):
            return _pin_of_request(content)
        if label in _CERTIFICATE_LABELS:
            return pin_of_certificate(content)
    if blocks:
        _refuse(f"got PEM of {blocks[0][0].decode('ascii')}, expected a key or a certificate")
    return _pin_of_der(data)


def _of_base64(text: str) -> bytes:
    standard = text.rstrip("=").replace("+", "-").replace("/", "_")
    padded = len(text) - len(standard.rstrip("="))
    if padded not in (0, 1) or len(standard) != _BASE64_CHARACTERS - 1:
        _refuse(f"got {len(text)} characters, expected 44 of base64 ({PIN_BYTES} bytes)")
    try:
        return base64url.decode(standard)
    except MalformedError:
        _refuse(f"got text that isn't base64 of {PIN_BYTES} bytes")


def _certificate(data: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        _refuse("got a certificate that can't be read")


def _certificates_der(data: bytes, most: int) -> Sequence[bytes]:
    blocks = _blocks(data)
    if not blocks:
        return (data,)
    found = [content for label, content in blocks if label in _CERTIFICATE_LABELS]
    if not found:
        _refuse(f"got PEM of {blocks[0][0].decode('ascii')}, expected certificates")
    if len(found) > most:
        _refuse(f"got {len(found)} certificates, expected at most {most}")
    return found


def _blocks(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Return label and content of each block of a PEM file; none where it isn't PEM."""
    if len(data) > MAX_FILE_BYTES:
        _refuse(f"got {len(data)} bytes, expected at most {MAX_FILE_BYTES}")
    if b"-----BEGIN " not in data:
        return ()
    found = _BLOCK.findall(data)
    if len(found) != data.count(b"-----BEGIN "):
        _refuse("got a PEM block without its end")
    try:
        return [(label, b64decode(b"".join(text.split()), validate=True)) for label, text in found]
    except binascii.Error:
        _refuse("got a PEM block that isn't base64")


def _pin_of_der(data: bytes) -> bytes:
    """Return the pin of whichever of the three it is: no two of them have the same members."""
    for read in (pin_of_certificate, _pin_of_request):
        try:
            return read(data)
        except PinError:
            continue
    return pin_of_spki(data)


def _pin_of_request(data: bytes) -> bytes:
    """Return the pin of a signing request in DER (RFC 2986 section 4)."""
    return _pin_within(data, lambda _: 2, "a signing request")


def _refuse(detail: str) -> NoReturn:
    raise PinError.because(Reason.PINS_PIN_MALFORMED, detail)

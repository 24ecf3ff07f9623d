"""Take the keys that are to be pinned from where people have them: certificates, public keys, bundles, pins as text."""

from pathlib import Path

from cryptography import x509

from watchword.apps.pins.faults import PinsError
from watchword.pins.interface import MAX_PINS
from watchword.pins.spki import (
    MAX_FILE_BYTES,
    PinError,
    certificates_of,
    pin_of_file,
    pins_of_chain,
    read_pin,
)

Source = tuple[bytes, str]
"""A pin, and a note for people on where it came from."""


def key_of_text(text: str) -> Source:
    """Return what a pin as text says, in any of the forms that tools write.

    :raises PinsError: when it is none.
    """
    try:
        return read_pin(text), ""
    except PinError as error:
        raise PinsError(f"--spki: {error.detail}") from None


def key_of_certificate(file: Path) -> Source:
    """Return the pin of the first certificate in a file, the leaf of a chain.

    :raises PinsError: when it holds none.
    """
    data = _read(file)
    try:
        leaf, *_ = certificates_of(data)
        pin, *_ = pins_of_chain(data)
    except PinError as error:
        raise PinsError(f"{file}: {error.detail}") from None
    return pin, _note(file, leaf)


def key_of_key(file: Path) -> Source:
    """Return the pin of a public key or a signing request in a file.

    :raises PinsError: when it holds none; a private key, which no tool that publishes should see, is told apart.
    """
    try:
        return pin_of_file(_read(file)), file.name
    except PinError as error:
        hint = ""
        if "private key" in error.detail:
            hint = f"; to take it: openssl pkey -in {file.name} -pubout -out {file.stem}.pub"
        raise PinsError(f"{file}: {error.detail}{hint}") from None


def keys_of_bundle(file: Path) -> tuple[Source, ...]:
    """Return the pin of each authority in a bundle, each once.

    :raises PinsError: when one of them is no authority, or there are too many to be pins of one host.
    """
    data = _read(file)
    try:
        certificates = certificates_of(data, MAX_PINS)
        pins = pins_of_chain(data, MAX_PINS)
    except PinError as error:
        raise PinsError(f"{file}: {error.detail}") from None
    found: dict[bytes, str] = {}
    for pin, certificate in zip(pins, certificates, strict=True):
        if not is_authority(certificate):
            raise PinsError(
                f"{file}: got {subject_of(certificate)}, which is no authority; expected those that may sign for this host"
            )
        found.setdefault(pin, _note(file, certificate))
    return tuple(found.items())


def subject_of(certificate: x509.Certificate) -> str:
    """Return whose certificate it is, for people."""
    try:
        return certificate.subject.rfc4514_string()[:120] or "a certificate without a subject"
    except ValueError:
        return "a certificate without a readable subject"


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether it may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _note(file: Path, certificate: x509.Certificate) -> str:
    return f"{file.name}: {subject_of(certificate)}"


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        # One more than is taken, so that the reader tells that it is too much.
        return stream.read(MAX_FILE_BYTES + 1)

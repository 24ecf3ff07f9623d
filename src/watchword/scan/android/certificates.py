"""Tell of a signing certificate what rules ask: its digest, its key, its signature's hash, its end."""

import hashlib
import warnings
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from watchword.scan.app import Certificate

UNKNOWN: Final = "unknown"
"""The kind of a key that nobody here can read."""

_KEYS: Final = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10045.2.1": "EC",
}

_HASHES: Final = {
    "1.2.840.113549.1.1.2": "md2",
    "1.2.840.113549.1.1.4": "md5",
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.3.14.3.2.29": "sha1",
    "1.2.840.10040.4.3": "sha1",
    "2.16.840.1.101.3.4.3.1": "sha224",
    "2.16.840.1.101.3.4.3.2": "sha256",
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
"""Hashes by the algorithm of the certificate's signature (RFC 3279, RFC 4055, RFC 5758)."""


def describe(data: bytes) -> Certificate:
    """Return what a certificate says; of one that can't be read, as old tools made some, its digest alone."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        with warnings.catch_warnings():
            # Serial numbers and dates that are against the rules are common in these, and of no meaning here.
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(data)
            subject = certificate.subject.rfc4514_string()
            named = certificate.signature_algorithm_oid.dotted_string
            kind, bits = _key(certificate)
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm):
        return Certificate(digest, "", UNKNOWN, None, None, None)
    return Certificate(digest, subject, kind, bits, _HASHES.get(named), _end(certificate))


def _end(certificate: x509.Certificate) -> datetime | None:
    try:
        return certificate.not_valid_after_utc
    except ValueError:
        return None


def _key(certificate: x509.Certificate) -> tuple[str, int | None]:
    """Return the kind of the key, and its bits where they can be told."""
    named = _KEYS.get(certificate.public_key_algorithm_oid.dotted_string, UNKNOWN)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return named, None
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.key_size
    return named, None

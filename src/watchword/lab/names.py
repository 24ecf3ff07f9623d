"""Name the lab's authorities, so that no person takes one of its certificates for a vendor's."""

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

MARKER: Final = "Watchword Lab - not for production"
"""Stands in the name of every authority of the lab."""


def marked_name(common_name: str) -> x509.Name:
    """Name an authority, with the marker as its organisation."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARKER),
        ]
    )

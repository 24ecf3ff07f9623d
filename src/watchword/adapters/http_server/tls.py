"""Read the files of a listener that asks callers for a certificate."""

import ssl
from pathlib import Path

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.reasons import WatchwordError


class TlsFilesError(WatchwordError):
    """Report files of certificates that can't be used; the text names them."""


def server_tls(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """Return what a listener needs for TLS 1.3 with callers' certificates.

    :param client_ca: who signs them; no other authority is believed.
    :raises TlsFilesError: when one of the files can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # Without tickets each connection shows its certificate: a session taken up again doesn't.
    context.num_tickets = 0
    load_certificate(context, certificate, key)
    load_authority(context, client_ca)
    return context


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Load a certificate and its key.

    :raises TlsFilesError: when they can't be read, don't belong together, or ask for a password.
    """
    try:
        # A password would be asked for at a terminal that isn't there.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise TlsFilesError(
            f"{certificate} and {key}: can't be used: {_reason(error)}; expected PEM files of a "
            "certificate and its key, without a password"
        ) from None


def load_authority(context: ssl.SSLContext, authority: Path) -> None:
    """Believe this authority alone.

    :raises TlsFilesError: when the file can't be used.
    """
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ValueError) as error:
        raise TlsFilesError(
            f"{authority}: can't be used: {_reason(error)}; expected a PEM file with certificates"
        ) from None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not PEM"


def require_tls_files(certificate: Path, key: Path, client_ca: Path) -> None:
    """Read the files as a start would, and keep nothing.

    :raises WatchwordError: naming the file, when one can't be used or others can read the key.
    """
    if read_private(key) is None:
        raise PrivateFileError(f"{key}: no such file")
    server_tls(certificate, key, client_ca)

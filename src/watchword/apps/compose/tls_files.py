"""Read the files of a listener that asks callers for a certificate, as its start would."""

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.apps.settings.schema import TlsFiles


def require_tls_files(files: TlsFiles) -> None:
    """Read certificate, key and authority, and keep nothing.

    :raises WatchwordError: naming the file, when one can't be used or others can read the key.
    """
    # Imported here alone: most deployments have their gates and engines on this machine.
    from watchword.adapters.http_server.mutual_tls import server_tls  # noqa: PLC0415

    if read_private(files.key) is None:
        raise PrivateFileError(f"{files.key}: no such file")
    server_tls(*files)

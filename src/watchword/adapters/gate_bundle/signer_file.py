"""Read the file with the public key by which a gate knows its service."""

import os
import stat
from pathlib import Path

from watchword.gate.bundle import MAX_SIGNER_BYTES, GateBundleError, signer_from_json
from watchword.ports import VerificationKey


def read_signer(path: Path) -> VerificationKey:
    """Return the key in ``path``.

    It is no secret, but whoever can replace it decides whose bundles are believed.

    :raises GateBundleError: when it isn't there, can be written by others, belongs to somebody
        else, or holds no such key.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise GateBundleError(
            f"{path}: the service's public key can't be read: {error.strerror}; "
            "copy signer.jwk from the service's state directory"
        ) from None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise GateBundleError(f"{path}: got something else than a regular file")
        if found.st_uid not in {0, os.geteuid()}:
            raise GateBundleError(
                f"{path}: belongs to user {found.st_uid}, expected {os.geteuid()} or root"
            )
        if found.st_mode & 0o022:
            raise GateBundleError(
                f"{path}: got mode {stat.S_IMODE(found.st_mode):04o}, expected that nobody else "
                "can write it; compare it with the service's, then chmod 600"
            )
        data = file.read(MAX_SIGNER_BYTES + 1)
    try:
        return signer_from_json(data)
    except GateBundleError as error:
        raise GateBundleError(f"{path}: {error}") from None

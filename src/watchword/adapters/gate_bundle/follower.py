"""Keep a bundle's file up to date from a service on another machine."""

from pathlib import Path

from watchword.adapters.gate_bundle.freshness import note_fresh
from watchword.adapters.gate_bundle.remote import BundleSource
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    write_private,
)
from watchword.gate.bundle import MAX_BUNDLE_BYTES, GateBundle, GateBundleError, from_jws
from watchword.ports import VerificationKey


class BundleFollower:
    """Replace the file when a newer bundle came that the service signed, and never else."""

    def __init__(self, source: BundleSource, api: str, path: Path, key: VerificationKey) -> None:
        """Keep what is followed.

        :param key: by which bundles must be signed.
        """
        self._source = source
        self._api = api
        self._path = path
        self._key = key
        self._known: GateBundle | None = None
        self._stamp: tuple[int, int, int] | None = None

    def turn(self, *, wait: bool) -> GateBundle | None:
        """Ask once, write what came, and note for the gate that the service was heard of.

        :param wait: let the service wait for a newer bundle than ours.
        :returns: the bundle that was written, None when ours is the newest.
        :raises FetchError, DeniedError: see :meth:`BundleSource.fetch`.
        :raises GateBundleError: when what came isn't signed by the service, is another API's, or
            older than ours; the file is as it was.
        :raises PrivateFileError: when the file can't be written.
        """
        written = self._turn(wait=wait)
        note_fresh(self._path)
        return written

    def _turn(self, *, wait: bool) -> GateBundle | None:
        # Asked each time: whoever removed, spoiled or put back the file finds ours again.
        stamp = _stamp(self._path)
        known = self._known if stamp is not None and stamp == self._stamp else self._in_file()
        generation = None if known is None else known.generation
        data = self._source.fetch(generation if wait else None)
        if data is None:
            self._known, self._stamp = known, stamp
            return None
        bundle = from_jws(data, self._key)
        if bundle.policy.api != self._api:
            raise GateBundleError(
                f"got the bundle of {bundle.policy.api}, expected that of {self._api}"
            )
        if known is not None and bundle == known:
            self._known, self._stamp = known, stamp
            return None
        if known is not None and bundle.generation <= known.generation:
            raise GateBundleError(
                f"got generation {bundle.generation}, expected more than {known.generation}; "
                "was the service set back to an old backup?"
            )
        write_private(self._path, data)
        self._known, self._stamp = bundle, _stamp(self._path)
        return bundle

    def _in_file(self) -> GateBundle | None:
        """Return what the file says, None if no gate would believe it."""
        try:
            data = read_private(self._path, MAX_BUNDLE_BYTES)
            return None if data is None else from_jws(data, self._key)
        except (PrivateFileError, GateBundleError):
            return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when the file is replaced or written, None where there is none."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns

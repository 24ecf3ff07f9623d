"""Follow a published bundle from a gate."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from watchword.adapters.gate_bundle.freshness import StalenessAlarm
from watchword.adapters.gate_bundle.signer_file import read_signer
from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.broker.interface import HoneytokenWatch, InjectedValue
from watchword.gate.bundle import MAX_BUNDLE_BYTES, GateBundle, GateBundleError, from_jws
from watchword.gate.interface import GatePolicy
from watchword.ports import Signer, VerificationKey
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.proofs.interface import GateSecret

LOOK_SECONDS: Final = 0.5
"""How often a gate looks at the file: a revocation holds within a second, an idle look costs
one ``stat``."""

SMALL_BYTES: Final = 64 * 1024
"""Up to so many bytes a bundle is read at once, in a millisecond; a larger one beside the requests."""

_log = logging.getLogger("watchword.gate")


class _Known:
    """Hold one bundle, and what is looked up in it at each request."""

    __slots__ = ("bundle", "keys", "secrets")

    def __init__(self, bundle: GateBundle) -> None:
        self.bundle = bundle
        self.keys = {key.kid: key for key in bundle.keys}
        self.secrets = {each.epoch: each for each in bundle.secrets}


class GateBundleFile:
    """Implement :class:`watchword.gate.interface.GateState` by following a published file.

    The last good bundle is kept: a file that is missing, broken, signed by somebody else, readable
    by others, of another API or of an older generation changes nothing (a bad update must not take
    an API down, and a restored backup must not bring a revoked key back).  What is wrong stands in
    :attr:`fault` until it is mended, and is logged once, by the logger ``watchword.gate``.  That nothing is heard of
    the service for :data:`watchword.adapters.gate_bundle.freshness.SILENT_SECONDS` is told in the same way, and changes
    nothing either.

    The file is looked at in the caller's thread, at most every :data:`LOOK_SECONDS`; requests never
    wait for a large one to be read.
    """

    def __init__(
        self,
        path: Path,
        key: VerificationKey | Path,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        api: str | None = None,
        on_policy: Callable[[GatePolicy], None] | None = None,
    ) -> None:
        """Read the file if it is there already; it may also come later.

        :param key: by which bundles must be signed, or the file with it.  That file too may come
            later; once it was read, no other key is believed before the gate starts anew.
        :param api: whose gate this is; the service signs those of all its APIs with one key, and in
            another's place a bundle would let in who may go there.  None takes what comes first.
        :param on_policy: is told each policy that comes into force, the first one too, and raises nothing.
        """
        self.fault: str | None = None
        self._path = path
        self._key = key
        self._monotonic = monotonic
        self._api = api
        self._on_policy = on_policy
        self._now: _Known | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._looking = threading.Lock()
        self._staleness = StalenessAlarm(path, monotonic)
        self._silent: str | None = None
        self._look(wait=True)

    @property
    def generation(self) -> int:
        """Return the generation of the bundle, after a look at the file where one is due."""
        if self._monotonic() >= self._next_look:
            self._look()
        return self._known().bundle.generation

    @property
    def policy(self) -> GatePolicy:
        """Return the API's policy; the same object until another bundle takes its place."""
        return self._known().bundle.policy

    def find(self, kid: str) -> VerificationKey | None:
        """Return the token key with this id, None if there is none."""
        return self._known().keys.get(kid)

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""
        return subject in self._known().bundle.revoked

    def secret(self, epoch: int) -> GateSecret | None:
        """Return the gate secret of an epoch, None if the bundle hasn't it."""
        return self._known().secrets.get(epoch)

    def injected(self, secret: str) -> InjectedValue | None:
        """Return what is added for a secret now, None while there is nothing to inject."""
        return self._known().bundle.injected.get(secret)

    @property
    def canaries(self) -> HoneytokenWatch | None:
        """Return by what canary keys are recognised, None where none is planted."""
        return self._known().bundle.canaries

    @property
    def reference_key(self) -> bytes:
        """Return the key under which references of refusals are sealed."""
        return self._known().bundle.reference_key

    @property
    def verdict_signer(self) -> Signer:
        """Return the key that signs verdicts for the API."""
        return self._known().bundle.verdict_key

    @property
    def bundle(self) -> GateBundle:
        """Return all that is known, for those who make an engine's configuration of it."""
        return self._known().bundle

    def trouble(self) -> str | None:
        """Return :attr:`fault`, or that nothing is heard, after a look where one is due, also where nobody asks."""
        if self._monotonic() >= self._next_look:
            self._look()
        return self.fault or self._silent

    def _known(self) -> _Known:
        known = self._now
        if known is None:
            raise UnavailableError(
                Reason.GATE_STATE_UNAVAILABLE, self.fault or "expected the service's gate bundle"
            )
        return known

    def _look(self, *, wait: bool = False) -> None:
        """Read the file if it changed.  Of several threads one looks, the others go on.

        :param wait: read a large one here too.
        """
        if not self._looking.acquire(blocking=False):
            return
        aside = False
        try:
            self._next_look = self._monotonic() + LOOK_SECONDS
            self._listen()
            stamp, size = self._stamp_of_file()
            if stamp is None or stamp == self._stamp:
                return
            if size <= SMALL_BYTES or wait or self._now is None:
                self._read(stamp)
            else:
                threading.Thread(target=self._read_aside, args=(stamp,), daemon=True).start()
                aside = True
        finally:
            if not aside:
                self._looking.release()

    def _read_aside(self, stamp: tuple[int, int, int]) -> None:
        try:
            self._read(stamp)
        finally:
            self._looking.release()

    def _read(self, stamp: tuple[int, int, int]) -> None:
        try:
            key = self._pinned()
            data = read_private(self._path, MAX_BUNDLE_BYTES)
            if data is None:
                return
        except (PrivateFileError, GateBundleError) as error:
            # Not marked as seen: it may have been a shortage of descriptors or of memory, and
            # a revocation that was published then must not wait for the next change.
            self._note(str(error))
            return
        try:
            self._accept(from_jws(data, key))
        except GateBundleError as error:
            self._note(f"{self._path}: {error}")
        self._stamp = stamp

    def _pinned(self) -> VerificationKey:
        if isinstance(self._key, Path):
            self._key = read_signer(self._key)
        return self._key

    def _stamp_of_file(self) -> tuple[tuple[int, int, int] | None, int]:
        """Return what changes when the file is replaced or written, None if it can't be seen."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - half the cost of Path.stat.
        except OSError as error:
            if self._now is None and isinstance(error, FileNotFoundError):
                self._note(
                    f"no bundle yet at {self._path}; `watchword up` with the same watchword.yaml, or `watchword gate pull`, writes it"
                )
            else:
                self._note(f"{self._path}: {error.strerror}")
            self._stamp = None
            return None, 0
        return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns), found.st_size

    def _accept(self, bundle: GateBundle) -> None:
        current = None if self._now is None else self._now.bundle
        api = self._api or bundle.policy.api
        if bundle.policy.api != api:
            raise GateBundleError(f"got the bundle of {bundle.policy.api}, expected that of {api}")
        if current is not None and bundle != current:
            if bundle.generation <= current.generation:
                raise GateBundleError(
                    f"got generation {bundle.generation}, expected more than {current.generation}"
                )
            if bundle.policy == current.policy:
                # The same object: whoever compiled it needs not do so again.
                bundle = replace(bundle, policy=current.policy)
        self._now, self._api = _Known(bundle), api
        if self.fault is not None:
            self.fault = None
            event = "has its first bundle" if current is None else "follows its bundle again"
            _log.warning("the gate of %s %s", bundle.policy.api, event)
        if self._on_policy is not None and (current is None or bundle.policy is not current.policy):
            self._on_policy(bundle.policy)

    def _listen(self) -> None:
        """Tell when nothing is heard of the service any more, and when it is again."""
        silent = self._staleness.look()
        if silent != self._silent:
            self._silent = silent
            _log.warning("%s: %s", self._path.stem, silent or "the service was heard of again")

    def _note(self, fault: str) -> None:
        """Tell what is wrong, once until it changes."""
        if fault != self.fault:
            self.fault = fault
            effect = (
                f"everything is refused with 503 ({Reason.GATE_STATE_UNAVAILABLE.code})"
                if self._now is None
                else "the gate keeps what it has"
            )
            _log.warning("%s: %s", effect, fault)

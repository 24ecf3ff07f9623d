"""Follow a published bundle from a gate."""

import logging
import os
import threading
import time
from collections.abc import Callable, Container
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from watchword.adapters.gate_bundle.chain_file import ChainTail, chain_path
from watchword.adapters.gate_bundle.floor import Floor, raise_floor, read_floor
from watchword.adapters.gate_bundle.freshness import StalenessAlarm
from watchword.adapters.gate_bundle.heads import keep_heads, newest_head
from watchword.adapters.gate_bundle.signer_file import read_signer
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    read_private,
    stamp_from,
)
from watchword.adapters.system import steady_seconds
from watchword.broker.interface import HoneytokenWatch, InjectedValue
from watchword.gate.bundle import (
    MAX_BUNDLE_BYTES,
    GateBundle,
    GateBundleError,
    from_jws,
)
from watchword.gate.chain import (
    VERSION,
    ChainError,
    ChainReader,
)
from watchword.gate.interface import GatePolicy
from watchword.gate.openings import Opening, OpeningCountdown, opened
from watchword.gate.trail import what_contradicts
from watchword.ports import Signer, VerificationKey
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import TokenClaims
from watchword.tokens.proofs.interface import GateSecret

LOOK_SECONDS: Final = 0.5
"""How often a gate looks at the file: a revocation holds within a second, an idle look costs
one ``stat``."""

SMALL_BYTES: Final = 64 * 1024
"""Up to so many bytes a bundle is read at once, in a millisecond; a larger one beside the requests."""

_log = logging.getLogger("watchword.gate")


FLOOR_SECONDS: Final = 60.0
"""How often it is noted how far the gate is; below that it takes nothing after a restart."""


class _Known:
    """Hold one bundle, and what is looked up in it at each request."""

    __slots__ = ("bundle", "cuts", "keys", "policy", "revoked", "secrets", "trust")

    def __init__(self, bundle: GateBundle, trust: int, policy: GatePolicy) -> None:
        self.bundle = bundle
        self.trust = trust
        self.policy = policy
        self.keys = {key.kid: key for key in bundle.keys}
        self.secrets = {each.epoch: each for each in bundle.secrets}
        self.revoked: Container[str] = bundle.revoked if bundle.digests is None else bundle.digests
        self.cuts = bundle.cuts


class GateBundleFile:
    """Implement :class:`watchword.gate.interface.GateState` by following a published file.

    The last good bundle is kept: a file that is missing, broken, signed by somebody else, readable
    by others, of another API or of an older generation changes nothing (a bad update must not take
    an API down, and a restored backup must not bring a revoked key back).  What is wrong stands in
    :attr:`fault` until it is mended, and is logged once, by the logger ``watchword.gate``.  That nothing is heard of
    the service for :data:`watchword.adapters.gate_bundle.freshness.SILENT_SECONDS` is told in the same way, and changes
    nothing either.

    Beside the bundle there may be a chain, its second version (:mod:`watchword.gate.chain`).  Once one was taken, no
    bundle of the first version is any more, nor after a restart (:mod:`watchword.adapters.gate_bundle.floor`).

    What a chain opens for a while (:mod:`watchword.gate.openings`) is in :attr:`policy` until it ends, which needs no news;
    :attr:`bundle` says what holds without it.

    The files are looked at in the caller's thread, at most every :data:`LOOK_SECONDS`; requests never
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
        steady: Callable[[], float] = steady_seconds,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Read the file if it is there already; it may also come later.

        :param key: by which bundles must be signed, or the file with it.  That file too may come
            later; once it was read, no other key is believed before the gate starts anew.
        :param api: whose gate this is; the service signs those of all its APIs with one key, and in
            another's place a bundle would let in who may go there.  None takes what comes first.
        :param on_policy: is told each policy that comes into force, the first one too, and raises nothing.
        :param steady: seconds of a clock that nobody sets and that counts sleep; openings end by it.
        :param wall: seconds since 1970; can end an opening sooner.
        """
        self.fault: str | None = None
        self._told_first = True
        self._path = path
        self._key = key
        self._monotonic = monotonic
        self._api = api
        self._on_policy = on_policy
        self._now: _Known | None = None
        self._stamp: Stamp | None = None
        self._next_look = 0.0
        self._looking = threading.Lock()
        self._staleness = StalenessAlarm(path, monotonic)
        self._silent: str | None = None
        self._chain = chain_path(path)
        self._tail = ChainTail(self._chain)
        self._chain_stamp: Stamp | None = None
        self._reader: ChainReader | None = None
        self._floor: Floor | None = None
        self._floor_due = 0.0
        self._steady = steady
        self._wall = wall
        self._countdown = OpeningCountdown()
        self._open: tuple[Opening, ...] = ()
        self._ends: float | None = None
        self._putting = threading.Lock()
        self._look(wait=True)

    @property
    def generation(self) -> int:
        """Return the generation of the bundle, after a look at the file where one is due."""
        if self._monotonic() >= self._next_look:
            self._look()
        return self._known().bundle.generation

    @property
    def trust(self) -> int:
        """Return a number that grows with each change of keys, secrets or policy, after a look where one is due."""
        if self._monotonic() >= self._next_look:
            self._look()
        ends = self._ends
        if ends is not None and self._steady() >= ends:
            self._close()
        return self._known().trust

    @property
    def policy(self) -> GatePolicy:
        """Return the API's policy, with what is open; the same object until another one is in force."""
        return self._known().policy

    def find(self, kid: str) -> VerificationKey | None:
        """Return the token key with this id, None if there is none."""
        return self._known().keys.get(kid)

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""
        return subject in self._known().revoked

    def is_cut(self, claims: TokenClaims) -> bool:
        """Tell whether an operator cut a token off, whoever holds it."""
        cuts = self._known().cuts
        return bool(cuts) and any(each.covers(claims) for each in cuts)

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

    def look_soon(self) -> None:
        """Look at the files at the next question: who wrote them is in this process.  Any thread may call."""
        self._next_look = 0.0

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
            due = self._due()
            if due is None:
                return
            size, read = due
            if size <= SMALL_BYTES or wait or self._now is None:
                read()
            else:
                threading.Thread(target=self._read_aside, args=(read,), daemon=True).start()
                aside = True
        finally:
            if not aside:
                self._looking.release()

    def _due(self) -> tuple[int, Callable[[], None]] | None:
        """Return how many bytes there are to read, and what reads them; None where nothing changed."""
        if not self._follows_chain():
            stamp = self._stamp_of(self._path, self._stamp is None)
            if stamp is None or stamp == self._stamp:
                return None
            return stamp.size, partial(self._read, stamp)
        stamp = self._stamp_of(self._chain, self._chain_stamp is None)
        if stamp is None or stamp == self._chain_stamp:
            return None
        return stamp.size - self._tail.offset(stamp), partial(self._read_chain, stamp)

    def _follows_chain(self) -> bool:
        """Tell whether the second version is followed: it is there, or ever was."""
        if self._now is not None and self._now.bundle.digests is not None:
            return True
        if self._floor is None:
            try:
                self._floor = read_floor(self._path)
            except GateBundleError as error:
                self._note(str(error))
                return True
        return self._floor.version > 1 or os.path.lexists(self._chain)

    def _read_chain(self, stamp: Stamp | None) -> None:
        """Take in the lines that are new; those before a bad one count."""
        floor = self._floor
        if floor is None:
            return
        try:
            if self._reader is None:
                current = None if self._now is None else self._now.bundle
                least = max(floor.generation, 0 if current is None else current.generation)
                self._reader = ChainReader(
                    self._pinned(), self._api, least, newest_head(self._path)
                )
            lines = self._tail.read()
        except (PrivateFileError, GateBundleError) as error:
            self._tail.forget()
            self._note(str(error))
            return
        trouble: ChainError | None = None
        try:
            self._reader.take(lines)
        except ChainError as error:
            # Read as a whole next time: whoever mends it replaces it.
            self._tail.forget()
            trouble = error
            if not self._tail.is_anew:
                # Another file may bear the number of the one that we read the beginning of: the next look shows it.
                stamp = None
        bundle = self._reader.bundle
        if bundle is not None and (self._now is None or bundle is not self._now.bundle):
            if self._now is None or self._now.bundle.digests is None:
                self._staleness = StalenessAlarm(self._chain, self._monotonic)
            self._put(bundle)
            self._note_heads(self._reader)
            self._note_floor(bundle)
        if trouble is not None:
            self._note(f"{self._chain}: {trouble}")
        elif bundle is not None:
            self._mended()
        self._chain_stamp = stamp

    def _note_heads(self, reader: ChainReader) -> None:
        """Keep how far the service's audit trail was, and tell where it wasn't continued."""
        doubts, reader.doubts = reader.doubts, []
        for before, after in doubts:
            _log.error("%s: %s", self._api, what_contradicts(before, after))
        if reader.told is None or (self._monotonic() < self._floor_due and not doubts):
            return
        try:
            keep_heads(self._path, reader.told, doubts)
        except (PrivateFileError, GateBundleError) as error:
            if doubts or self._floor_due == 0.0:
                _log.warning("how far the service's audit trail was isn't kept: %s", error)

    def _note_floor(self, bundle: GateBundle) -> None:
        now = self._monotonic()
        first = self._floor is None or self._floor.version < VERSION
        if not first and now < self._floor_due:
            return
        self._floor_due = now + FLOOR_SECONDS
        self._floor = Floor(VERSION, bundle.generation)
        try:
            raise_floor(self._path, self._floor)
        except (PrivateFileError, GateBundleError) as error:
            if first:
                _log.warning("an older bundle may be taken after a restart: %s", error)

    def _read_aside(self, read: Callable[[], None]) -> None:
        try:
            read()
        finally:
            self._looking.release()

    def _read(self, stamp: Stamp) -> None:
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

    def _stamp_of(self, path: Path, at_first: bool) -> Stamp | None:
        """Return what changes when a file is replaced or written, None if it can't be seen."""
        try:
            found = os.stat(path)  # noqa: PTH116 - half the cost of Path.stat.
        except OSError as error:
            if self._now is None and at_first and isinstance(error, FileNotFoundError):
                self._note(
                    f"no bundle yet at {path}; `watchword up` with the same watchword.yaml, or `watchword gate pull`, writes it"
                )
            else:
                self._note(f"{path}: {error.strerror}")
            self._stamp = self._chain_stamp = None
            return None
        return stamp_from(found)

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
        self._put(bundle)
        self._mended()

    def _put(self, bundle: GateBundle) -> None:
        """Go by a bundle from now on, and tell whoever asked for it which policy is in force."""
        # A request may find at this moment that an opening has ended.
        with self._putting:
            known = self._now
            self._api = bundle.policy.api
            self._countdown.take(
                bundle.generation,
                bundle.made_at,
                bundle.openings,
                steady=self._steady(),
                wall=self._wall(),
            )
            policy = self._policy_now(bundle)
            trust = bundle.generation
            if known is not None:
                same = policy is known.policy and _trusts_the_same(known.bundle, bundle)
                trust = known.trust if same else max(known.trust + 1, trust)
            self._now = _Known(bundle, trust, policy)
        written = bundle.policy
        if self._on_policy is not None and (known is None or written is not known.bundle.policy):
            self._on_policy(written)

    def _close(self) -> None:
        """Go by the policy as it is written where an opening has ended."""
        with self._putting:
            known = self._now
            if known is not None:
                policy = self._policy_now(known.bundle)
                if policy is not known.policy:
                    self._now = _Known(known.bundle, known.trust + 1, policy)

    def _policy_now(self, bundle: GateBundle) -> GatePolicy:
        """Return the policy with what is open now, and tell what opens and closes."""
        now = self._steady()
        before, self._open = self._open, self._countdown.in_force(now)
        self._ends = self._countdown.next_end(now)
        for each in self._open:
            if each not in before:
                _log.warning("%s: opened for a while, to mode %s", each.route, each.mode)
        for each in before:
            if each not in self._open:
                _log.warning("%s: closed again, it goes by its own mode", each.route)
        policy, known = opened(bundle.policy, self._open), self._now
        return known.policy if known is not None and known.policy == policy else policy

    def _mended(self) -> None:
        first, self._told_first = self._told_first, False
        if self.fault is not None:
            self.fault = None
            event = "has its first bundle" if first else "follows its bundle again"
            _log.warning("the gate of %s %s", self._api, event)

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


def _trusts_the_same(before: GateBundle, after: GateBundle) -> bool:
    """Tell whether verdicts on tokens hold on: nothing differs but who is revoked, what is cut and what is said to be open."""
    alike = replace(
        after,
        generation=before.generation,
        made_at=before.made_at,
        revoked=before.revoked,
        cuts=before.cuts,
        openings=before.openings,
    )
    return alike == before

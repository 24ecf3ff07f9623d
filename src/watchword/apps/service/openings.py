"""Keep what an operator opened for a while, so that the service's next start goes on with it and no start prolongs it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from watchword.adapters.documents import KeptDocument
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    read_private,
    require_format,
    stamp_of,
    write_private,
)
from watchword.adapters.system import boot_id, steady_seconds
from watchword.encoding import strict_json
from watchword.gate.bundle import GateBundleError, a_list, a_number, a_text, an_object
from watchword.gate.interface import GatePolicy, Route
from watchword.gate.openings import LONGEST_OPENING, MOST_OPENINGS, Opening, hindrance
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError
from watchword.vocabulary import Mode

_FORMAT: Final = 1
_MOST_BYTES: Final = 1024 * 1024
_MOST_SHOWN: Final = 5
_MEMBERS: Final = {"api", "route", "mode", "until", "made_at", "boot", "ends", "because", "by"}
_ANYWHERE: Final = "shared"
"""Stands for the machine's start in what nodes share: each counts by its own."""

_UNREADABLE: Final = (PrivateFileError, GateBundleError, MalformedError, ValueError)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HeldOpening:
    """Hold an opening as an operator made it.

    :param made_at: seconds since 1970.
    :param boot: of the machine, on which ``ends`` counts; another one ends the opening.
    :param ends: seconds of a clock that nobody sets.
    """

    api: str
    opening: Opening
    made_at: int
    boot: str
    ends: int
    because: str
    by: str

    def is_open(self, now: float, boot: str, steady: float) -> bool:
        """Tell whether it is in force: within the time that was given by either clock, neither of which prolongs it."""
        in_time = self.made_at <= now < self.opening.until
        return in_time and self.boot == boot and steady < self.ends


class OpeningBook:
    """Hold the openings of one state directory in a file, each until it ends.

    What can't be read is closed, and so is everything where the machine started anew.

    Where nodes share a document, it says what is open, and the file when each of them ends by this machine's steady clock:
    that is noted when this node first hears of one.
    """

    def __init__(
        self,
        path: Path,
        steady: Callable[[], float] = steady_seconds,
        boot: Callable[[], str] = boot_id,
        shared: KeptDocument | None = None,
    ) -> None:
        """Name the file; it is read at the first question, and whenever another process wrote it.

        :param steady: seconds of a clock that nobody sets and that counts sleep.
        :param boot: what tells this start of the machine from others.
        :param shared: what all nodes go by; None where there is one.
        """
        self._path = path
        self._steady = steady
        self._boot = boot()
        self._stamp: Stamp | None = None
        self._shared = shared
        self._shared_version: int | None = None
        self._held: tuple[HeldOpening, ...] = ()
        self._lock = threading.Lock()

    @property
    def is_shared(self) -> bool:
        """Tell whether all nodes go by it, so that any of them may change it."""
        return self._shared is not None

    def in_force(self, now: float) -> Sequence[HeldOpening]:
        """Return what is open.

        :param now: seconds since 1970.
        """
        with self._lock:
            self._follow(now)
            return self._open(now)

    def proposed(
        self, policy: GatePolicy, route: Route, mode: Mode, seconds: int, now: float
    ) -> Opening:
        """Return the opening that :meth:`begin` can begin now.

        :raises RefusedError: where the route can't be opened so, or not for so long.
        """
        if not 0 < seconds <= LONGEST_OPENING:
            raise _refusal(f"got {seconds} seconds, expected 1 to {LONGEST_OPENING}")
        if found := hindrance(route, mode):
            raise _refusal(f"{route.name} can't be opened to {mode}: {found}")
        others = [
            each
            for each in self.in_force(now)
            if each.api == policy.api and each.opening.route != route.name
        ]
        _require_few(len(others), policy.api)
        return Opening(route.name, mode, int(now) + seconds)

    def begin(self, api: str, opening: Opening, now: float, because: str, by: str) -> HeldOpening:
        """Begin an opening, in place of one of the same route.

        :raises PrivateFileError: when it can't be written; nothing is open then that wasn't.
        :raises UnavailableError: ``store.unavailable`` when a shared one can't be; likewise.
        :raises RefusedError: when other nodes opened too many meanwhile.
        """
        with self._lock:
            self._follow(now)
            ends = int(self._steady()) + opening.until - int(now)
            made = HeldOpening(api, opening, int(now), self._boot, ends, because, by)
            if self._shared is not None:
                self._change_shared(self._shared, partial(_with, made), now)
                return made
            held = (*self._without(api, opening.route, now), made)
            self._write(held)
            self._held = held
            return made

    def end(self, api: str, route: str, now: float) -> bool:
        """End an opening; tell whether the file says so too.

        Where it doesn't, a restart of the service opens it again until it ends by itself.
        """
        with self._lock:
            self._follow(now)
            self._held = self._without(api, route, now)
            try:
                if self._shared is not None:
                    self._change_shared(self._shared, partial(_except, api, route), now)
                else:
                    self._write(self._held)
            except (PrivateFileError, UnavailableError) as error:
                _log.error("the end of an opening isn't written", route=route, detail=str(error))
                return False
            return True

    def _open(self, now: float) -> tuple[HeldOpening, ...]:
        steady = self._steady()
        return tuple(each for each in self._held if each.is_open(now, self._boot, steady))

    def _without(self, api: str, route: str, now: float) -> tuple[HeldOpening, ...]:
        return tuple(
            each for each in self._open(now) if (each.api, each.opening.route) != (api, route)
        )

    def _follow(self, now: float) -> None:
        """Read what somebody else wrote."""
        self._follow_file()
        if self._shared is not None:
            self._follow_shared(self._shared, now)

    def _follow_file(self) -> None:
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        # Whatever it doesn't say yet the shared document does.
        self._shared_version = None
        try:
            data = read_private(self._path, _MOST_BYTES)
            self._held = _from_bytes(data, str(self._path))
        except _UNREADABLE as error:
            self._held = ()
            _log.warning("openings can't be read, and everything is closed", detail=str(error))

    def _follow_shared(self, shared: KeptDocument, now: float) -> None:
        """Go by the document that all nodes share, as of the last look at it."""
        version = shared.version
        if version == self._shared_version:
            return
        self._shared_version = version
        try:
            said = _from_bytes(shared.read(), shared.where)
        except _UNREADABLE as error:
            self._held = ()
            _log.warning("openings can't be read, and everything is closed", detail=str(error))
            return
        known = {_told(each): each for each in self._held}
        held = tuple(known.get(_told(each)) or self._heard(each, now) for each in said)
        if held != self._held:
            self._held = held
            try:
                self._write(held)
            except PrivateFileError as error:
                # Until the next start of this node it is known all the same.
                _log.warning("openings of other nodes can't be noted", detail=str(error))

    def _heard(self, each: HeldOpening, now: float) -> HeldOpening:
        """Return an opening of another node as it ends here: no later than it lasts, whatever the clock says."""
        left = min(each.opening.until - int(now), each.opening.until - each.made_at)
        return replace(each, boot=self._boot, ends=max(0, int(self._steady()) + left))

    def _change_shared(
        self,
        shared: KeptDocument,
        change: Callable[[tuple[HeldOpening, ...]], tuple[HeldOpening, ...]],
        now: float,
    ) -> None:
        def work(data: bytes | None) -> bytes:
            said = _from_bytes(data, shared.where)
            living = tuple(each for each in said if now < each.opening.until)
            return _as_bytes([_told(each) for each in change(living)])

        shared.change(work)
        self._follow_shared(shared, now)

    def _write(self, held: Sequence[HeldOpening]) -> None:
        self._stamp = write_private(self._path, _as_bytes(held) + b"\n")


def _with(made: HeldOpening, living: tuple[HeldOpening, ...]) -> tuple[HeldOpening, ...]:
    others = _except(made.api, made.opening.route, living)
    _require_few(sum(each.api == made.api for each in others), made.api)
    return (*others, made)


def _except(api: str, route: str, living: tuple[HeldOpening, ...]) -> tuple[HeldOpening, ...]:
    return tuple(each for each in living if (each.api, each.opening.route) != (api, route))


def _require_few(others: int, api: str) -> None:
    if others >= MOST_OPENINGS:
        raise _refusal(f"got {others} openings of {api}, expected at most {MOST_OPENINGS}")


def _told(held: HeldOpening) -> HeldOpening:
    """Return what of an opening is the same at all nodes."""
    return replace(held, boot=_ANYWHERE, ends=0)


def _as_bytes(held: Sequence[HeldOpening]) -> bytes:
    return strict_json.dumps({"v": _FORMAT, "openings": [_to_json(each) for each in held]})


def _from_bytes(data: bytes | None, where: str) -> tuple[HeldOpening, ...]:
    """Return the openings that :func:`_as_bytes` wrote, none where nothing was written yet.

    :raises PrivateFileError, GateBundleError, MalformedError, ValueError: when it isn't as it was written.
    """
    if data is None:
        return ()
    members = an_object(strict_json.loads(data, _MOST_BYTES), {"v", "openings"}, "it")
    require_format(where, members["v"], _FORMAT)
    return tuple(_held(each) for each in a_list(members["openings"], "openings"))


def find_route(policies: Sequence[GatePolicy], text: str) -> tuple[GatePolicy, Route]:
    """Return the row that an operator names: by its whole name, or by its path where one API has it once.

    :raises RefusedError: where there is none, or more than one.
    """
    rows = [(policy, route) for policy in policies for route in policy.routes]
    found = [row for row in rows if row[1].name == text] or [
        row for row in rows if row[1].pattern == text
    ]
    if len(found) == 1:
        return found[0]
    names = [repr(route.name) for _, route in found or rows]
    shown = ", ".join(names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")
    what = f"{len(found)} routes" if found else "no route"
    raise _refusal(f"got {what} of this name or path, expected one of {shown}")


def _refusal(detail: str) -> RefusedError:
    return RefusedError.because(Reason.REQUEST_MALFORMED, detail)


def _to_json(held: HeldOpening) -> dict[str, Any]:
    return {
        "api": held.api,
        "route": held.opening.route,
        "mode": held.opening.mode.value,
        "until": held.opening.until,
        "made_at": held.made_at,
        "boot": held.boot,
        "ends": held.ends,
        "because": held.because,
        "by": held.by,
    }


def _held(value: Any) -> HeldOpening:
    members = an_object(value, _MEMBERS, "each opening")
    until, made_at = (a_number(members[name], name, 1) for name in ("until", "made_at"))
    if until - made_at > LONGEST_OPENING:
        raise ValueError(f"got an opening of {until - made_at} s, expected {LONGEST_OPENING}")
    return HeldOpening(
        a_text(members["api"], "api"),
        Opening(a_text(members["route"], "route"), Mode(members["mode"]), until),
        made_at,
        a_text(members["boot"], "boot"),
        a_number(members["ends"], "ends", 0),
        a_text(members["because"], "because"),
        a_text(members["by"], "by"),
    )

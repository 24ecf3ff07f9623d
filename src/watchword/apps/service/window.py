"""Remember for how long tokens were issued, so that a revoked instance is listed until its last one has ended."""

from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.gate.bundle import GateBundleError, a_number, an_object
from watchword.reasons import MalformedError
from watchword.tokens.interface import MAX_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS

KEPT_SECONDS: Final = MAX_LIFETIME_SECONDS + MAX_LEEWAY_SECONDS
"""How long a lifetime counts after it was configured last: no token of it lives longer."""

_JUMP_SECONDS: Final = 0.5
"""By so much a clock may run ahead of a steady one from one look to the next."""

_FORMAT: Final = 1
_MOST_BYTES: Final = 256
_log = structlog.get_logger()


class PatientClock:
    """Tell the time by which things grow old: of a wall clock that is set ahead only once the longest window has passed.

    Gates go by clocks of their own: for them nothing is older because the service's clock was set.
    """

    def __init__(self) -> None:
        """Have heard of no time yet."""
        self._told: float | None = None
        self._at = 0.0
        self._ahead_since: float | None = None

    def time(self, now: float, steady: float) -> float:
        """Return the time, in seconds since 1970.

        :param now: what the wall clock says.
        :param steady: seconds that nobody sets.
        """
        expected = now if self._told is None else self._told + steady - self._at
        if now <= expected + _JUMP_SECONDS:
            told, self._ahead_since = now, None
        elif self._ahead_since is None:
            told, self._ahead_since = expected, steady
        elif steady - self._ahead_since > MAX_LIFETIME_SECONDS + MAX_LEEWAY_SECONDS:
            told, self._ahead_since = now, None
        else:
            told = expected
        self._told, self._at = told, steady
        return told


class TokenWindow:
    """Tell how long a revoked instance must be listed: the longest token lifetime of the past hour, and the widest leeway.

    A token that was issued before the configuration changed outlives the change.  So a longer lifetime of before counts for
    an hour more, also over a restart.
    """

    def __init__(self, path: Path, lifetime: int) -> None:
        """Begin with the lifetime that is configured now.

        :param path: of the file that remembers it.
        :param lifetime: in seconds.
        """
        self._path = path
        self._lifetime = lifetime
        self._before: int | None = None
        self._until = 0
        self._written = False
        self._is_told = False

    def seconds(self, now: float) -> int:
        """Return the window, in seconds.

        :param now: seconds since 1970.
        """
        if self._before is None:
            self._before, self._until = self._read(int(now))
        if now >= self._until:
            self._before = self._lifetime
        if not self._written:
            self._write()
        return max(self._before, self._lifetime) + MAX_LEEWAY_SECONDS

    def _read(self, now: int) -> tuple[int, int]:
        """Return the longest lifetime of before, and until when it counts."""
        try:
            data = read_private(self._path, _MOST_BYTES)
            if data is None:
                return MAX_LIFETIME_SECONDS, now + KEPT_SECONDS
            members = an_object(
                strict_json.loads(data, _MOST_BYTES), {"v", "lifetime", "longer", "until"}, "it"
            )
            require_format(self._path, members["v"], _FORMAT)
            last, longer, until = (
                min(a_number(members[name], name, 0), most)
                for name, most in (
                    ("lifetime", MAX_LIFETIME_SECONDS),
                    ("longer", MAX_LIFETIME_SECONDS),
                    # An instant further off than it can be was written by a clock that ran ahead.
                    ("until", now + KEPT_SECONDS),
                )
            )
        except (PrivateFileError, GateBundleError, MalformedError, ValueError) as error:
            # Too long costs some bytes, too short would let revoked ones in.
            _log.warning("the longest token lifetime is assumed", detail=str(error))
            return MAX_LIFETIME_SECONDS, now + KEPT_SECONDS
        longer = longer if until > now else 0
        if last > self._lifetime:
            return max(last, longer), now + KEPT_SECONDS
        return max(self._lifetime, longer), until

    def _write(self) -> None:
        members = {
            "v": _FORMAT,
            "lifetime": self._lifetime,
            "longer": self._before,
            "until": self._until,
        }
        try:
            write_private(self._path, strict_json.dumps(members) + b"\n")
        except PrivateFileError as error:
            if not self._is_told:
                _log.warning("the token lifetime can't be noted", detail=str(error))
            self._is_told = True
        else:
            self._written = True

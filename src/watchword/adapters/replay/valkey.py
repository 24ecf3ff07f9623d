"""Keep used proofs in a Valkey (or Redis from 6.2 on), for gates on several hosts.

What runs inside of it (a claim as one atomic step, and the closing of a store that forgot) reads the server's own clock,
which stands still while a script runs: no gate's clock decides when a claim may be forgotten.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from watchword.adapters.valkey_link import DEADLINE_SECONDS, ValkeyLink
from watchword.extras import needs
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import window
from watchword.reasons import Reason
from watchword.tokens.interface import LEEWAY_SECONDS

with needs("valkey"):
    from redis.exceptions import NoScriptError

OPEN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'closed', now + ARGV[1] * 1000, 'high', now)
return 1
"""
"""Refuse whatever may have been accepted until now.  KEYS: marker.  ARGV: window in seconds.

Sent before the claim's script is loaded, so that a server without the script (a new one, a restarted one, a
replica that took over) is closed before it can take its first claim.
"""

CLAIM: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = ARGV[2] * 1000
local till = ARGV[1] * 1000
local marker = redis.call('HMGET', KEYS[1], 'closed', 'high')
local closed, high = tonumber(marker[1]), tonumber(marker[2])
if not closed or not high or now < high - 1000 then
  closed = now + window
  redis.call('HSET', KEYS[1], 'closed', closed, 'high', now)
elseif now > high + 1000 then
  redis.call('HSET', KEYS[1], 'high', now)
end
if till <= now then return 0 end
if till > now + window then return -2 end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PXAT', till + 5000) then
  if till <= closed then return -1 end
  return 1
end
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
if till <= closed then return -1 end
return 1
"""
"""Claim a proof.  KEYS: marker, claim.  ARGV: until and window in seconds, a name of this very attempt.

1: the first; 0: used before, or stale by the server's clock; -1: the server lost its memory and can't tell
yet; -2: further ahead than it could be, so that the clocks of gate and server differ.

The marker goes with whatever takes the claims (``FLUSHALL``, a lost file), and is made anew closed.  It also
knows the latest time that was seen: a clock that went ahead has expired claims, and closes when it is back.
The attempt's name lets a gate ask again after its connection broke before the answer.
"""

FIRST: Final = 1
USED: Final = 0
FORGETFUL: Final = -1
CLOCKS_DIFFER: Final = -2


_CLAIM_SHA: Final = hashlib.sha1(  # Valkey names scripts by it.
    CLAIM.encode(), usedforsecurity=False
).hexdigest()


class ValkeyReplayStore:
    """Implement :class:`watchword.gate.interface.ReplayStore`; belongs to the loop that first claims.

    One claim is one script and one round trip.  The server's clock alone decides what is stale, so that no
    clock of a gate opens anything; where they differ by more than the leeway, nobody passes.

    A server that may have forgotten (new, restarted, flushed, failed over) refuses until every proof that
    it may have seen is stale: clients with the right time pass again after ``leeway``.
    """

    def __init__(
        self,
        url: str,
        audience: str,
        *,
        password: Path | None = None,
        leeway: int = LEEWAY_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is connected before the first claim.

        :param url: as :class:`watchword.adapters.valkey_link.ValkeyLink` takes it.
        :param audience: of the API; each has its own keys.
        :param password: a private file (mode 0600), read at each connection.
        :param leeway: the gates', in seconds; the same for all who share the store.
        :param deadline: how long a claim may take in all before nobody passes.
        :raises ValueError: when the URL holds a password or another option.
        """
        self._link = ValkeyLink(
            url,
            "replay store",
            Reason.GATE_REPLAY_UNAVAILABLE,
            full=Reason.GATE_REPLAY_FULL,
            password=password,
            deadline=deadline,
            monotonic=monotonic,
        )
        self._window = window(leeway)
        # In braces: marker and claims lie on one node of a cluster.
        prefix = f"watchword:replay:{{{quote(audience, safe='')}}}:"
        self._marker = prefix + "marker"
        self._prefix = prefix.encode("ascii")

    def __repr__(self) -> str:
        """Name the server, without user and password."""
        return f"ValkeyReplayStore({self._link.where!r})"

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.interface.ReplayStore.claim`."""
        tag, until = claim
        if not now < until <= now + self._window:
            return False
        answer = await self._link.ask(lambda: self._ask(tag, int(until)))
        if answer == FORGETFUL:
            raise self._link.unavailable(
                f"it was started or emptied less than {self._window} s ago, and can't tell yet which "
                "proofs were used"
            )
        if answer == CLOCKS_DIFFER:
            raise self._link.unavailable(
                "the clocks of gate and server differ by more than the leeway"
            )
        return answer == FIRST

    async def close(self) -> None:
        """Let go of the connections."""
        await self._link.aclose()

    async def _ask(self, tag: bytes, until: int) -> int:
        attempt = os.urandom(8)
        for _ in range(2):
            try:
                answer: int = await self._link.run(
                    "EVALSHA",
                    _CLAIM_SHA,
                    2,
                    self._marker,
                    self._prefix + tag,
                    until,
                    self._window,
                    attempt,
                )
            except NoScriptError:
                await self._link.run("EVAL", OPEN, 1, self._marker, self._window)
                await self._link.run("SCRIPT LOAD", CLAIM)
            else:
                return answer
        return FORGETFUL

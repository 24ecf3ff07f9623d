"""Count use in a Valkey (or Redis from 6.2 on), for gates on several hosts."""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from watchword.adapters.usage.counters import ends_at, lengths, tag_of, window_of
from watchword.adapters.valkey_link import DEADLINE_SECONDS, ValkeyLink
from watchword.broker.interface import Spent, Use
from watchword.extras import needs
from watchword.reasons import Reason

with needs("valkey"):
    from redis.exceptions import NoScriptError

_COUNT: Final = """
local found, back, full, latest = {}, {}, {0, 0, 0}, -1
for i = 1, #KEYS do
  local at = (i - 1) * 4
  local window, calls, spend = tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5]
  local kept = redis.call('HMGET', KEYS[i], 'w', 'c', 's')
  local w, c, s = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
  if not w or w < window then
    w, c, s = window, 0, 0
  elseif w > window + 1 then
    w = window
    back[i] = w
  end
  if ARGV[1] == 'give' then
    if kept[1] and tonumber(kept[1]) == window then
      found[i] = {w, math.max(0, c - 1), math.max(0, s - ARGV[2])}
    end
  else
    local by_calls = calls ~= '' and c + 1 > tonumber(calls)
    local ends = (w + 1) * ARGV[at + 6] / 3
    if (by_calls or (spend ~= '' and s + ARGV[2] > tonumber(spend))) and ends > latest then
      latest, full = ends, {i, by_calls and 1 or 0, w}
    end
    found[i] = {w, c + 1, s + ARGV[2]}
  end
end
if full[1] > 0 then
  for i, w in pairs(back) do
    redis.call('HSET', KEYS[i], 'w', w)
    redis.call('EXPIRE', KEYS[i], ARGV[(i - 1) * 4 + 6])
  end
  return full
end
for i = 1, #KEYS do
  if found[i] then
    redis.call('HSET', KEYS[i], 'w', found[i][1], 'c', found[i][2], 's', found[i][3])
    redis.call('EXPIRE', KEYS[i], ARGV[(i - 1) * 4 + 6])
  end
end
return full
"""
"""Count a call as one atomic step.  KEYS: a count for each length of window.  ARGV: ``take`` or ``give``, the cost; for each
count the window of now, the most calls and the most spend (empty for any), and three times its seconds, after which it is forgotten.

Returns which count had no room (from 1; 0 for none; of several the one whose window ends last), whether by calls, and its window.  The rules are those of
:mod:`watchword.adapters.usage.counters`.
"""

_COUNT_SHA: Final = hashlib.sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()
_PREFIX: Final = "watchword:usage:"


class ValkeyUsageLedger:
    """Implement :class:`watchword.broker.interface.UsageLedger`; belongs to the loop that first counts.

    A server that forgets (no persistence, a replica that took over early) gives everybody a new window: run it with
    an append-only file.
    """

    def __init__(
        self,
        url: str,
        *,
        password: Path | None = None,
        deadline: float = DEADLINE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is connected before the first call.

        :param url: as :class:`watchword.adapters.valkey_link.ValkeyLink` takes it.
        :param password: a private file (mode 0600), read at each connection.
        :param deadline: seconds that one call may take in all.
        :raises ValueError: when the URL holds a password or another option.
        """
        self._link = ValkeyLink(
            url,
            "usage ledger",
            Reason.SECRET_USAGE_UNAVAILABLE,
            password=password,
            deadline=deadline,
            monotonic=monotonic,
        )
        self._noted: dict[tuple[str, int], int] = {}

    def __repr__(self) -> str:
        """Name the server, without user and password."""
        return f"ValkeyUsageLedger({self._link.where!r})"

    async def take(self, use: Use, now: float) -> Spent | None:
        """See :meth:`watchword.broker.interface.UsageLedger.take`; waits at most 0.1 s."""

        async def count() -> list[int]:
            answer = await self._count("take", use, now)
            if not answer[0] and self._noted.get((use.secret, use.version)) != int(now):
                # Once a second is enough to tell who still uses an old version.
                await self._link.run("HSET", f"{_PREFIX}used:{use.secret}", use.version, int(now))
                self._noted[use.secret, use.version] = int(now)
            return answer

        full, by_calls, window = await self._link.ask(count)
        if not full:
            return None
        seconds = list(lengths(use))[full - 1]
        return Spent(ends_at(seconds, window) - now, by_calls=bool(by_calls))

    async def give_back(self, use: Use, now: float) -> None:
        """See :meth:`watchword.broker.interface.UsageLedger.give_back`."""
        await self._link.ask(lambda: self._count("give", use, now))

    async def versions_used(self, secret: str) -> Mapping[int, int]:
        """See :meth:`watchword.broker.interface.UsageLedger.versions_used`."""
        found: Mapping[bytes, bytes] = await self._link.ask(
            lambda: self._link.run("HGETALL", f"{_PREFIX}used:{secret}")
        )
        return {int(version): int(at) for version, at in found.items()}

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._link.aclose()

    async def _count(self, how: str, use: Use, now: float) -> list[int]:
        keys, arguments = _arguments(how, use, now)
        if not keys:
            return [0, 0, 0]
        for _ in range(2):
            try:
                answer: list[int] = await self._link.run(
                    "EVALSHA", _COUNT_SHA, len(keys), *keys, *arguments
                )
            except NoScriptError:
                await self._link.run("SCRIPT LOAD", _COUNT)
            else:
                return answer
        raise self._link.unavailable("it forgets its scripts")


def _arguments(how: str, use: Use, now: float) -> tuple[list[str], list[Any]]:
    """Return keys and arguments of the script; allowances of one length share a count, and the tighter one holds."""
    # In braces: the counts of one instance lie on one node of a cluster.
    name = f"{_PREFIX}{{{tag_of(use.secret, use.who).hex()}}}:"
    keys, arguments = [], [how, use.cost]
    for seconds in lengths(use):
        mine = [each for each in use.allowances if each.seconds == seconds]
        calls = [each.calls for each in mine if each.calls is not None]
        spend = [each.spend for each in mine if each.spend is not None]
        keys.append(f"{name}{seconds}")
        arguments += [
            window_of(seconds, now),
            min(calls, default=""),
            min(spend, default=""),
            3 * seconds,
        ]
    return keys, arguments

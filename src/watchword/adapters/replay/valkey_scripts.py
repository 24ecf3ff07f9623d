"""Hold what runs inside of Valkey: a claim as one atomic step, and the closing of a store that forgot.

Both read the server's own clock, which stands still while a script runs: no gate's clock decides when a
claim may be forgotten.  They need Valkey, or Redis from 6.2 on.
"""

from typing import Final

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

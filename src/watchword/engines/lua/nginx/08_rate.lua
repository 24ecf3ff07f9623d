-- Limits how many requests one instance may send, exactly, for all workers: the gate's own bucket, which is one number,
-- the instant from which on it is full again.
--
-- A bucket may be forgotten when it is full, and the dictionary forgets it then.  None is ever dropped to make room: where
-- there is none, a new instance has to wait.
local rate = (function()
  local C = ffi.C
  local dict = ngx.shared.watchword_rate
  if not dict then error("watchword: there is no dictionary watchword_rate") end
  -- The dictionary can't read and write in one step.  This page is made before the workers are forked, which share it.
  local page = C.mmap(nil, 4096, 3, 0x21, -1, 0)
  if ffi.cast("intptr_t", page) == -1 then error("watchword: there is no memory for a lock") end
  system.make_lock(page)
  local self = { page = page }

  -- The dictionary counts milliseconds, and takes less than one for no end at all: nothing would ever be forgotten.
  local function keep(subject, full_at, now) return dict:safe_set(subject, full_at, full_at - now + 0.001) end

  local function step(limit, subject, now)
    local full_at = dict:get(subject) or now
    if full_at < now then full_at = now end
    local after = full_at + limit.cost
    if after - now <= limit.most then
      return keep(subject, after, now) and 0 or nil
    end
    -- Written down for the sake of a clock that went back: from here on it fills.
    full_at = math.min(full_at, now + limit.seconds)
    keep(subject, full_at, now)
    return full_at + limit.cost - limit.seconds - now
  end

  -- Takes one request out of an instance's bucket.  Returns nil, or the reason and the seconds to wait.
  function self.take(limit, subject, now)
    if not system.lock(page) then return "gate.overloaded", 5 end
    local ok, wait = pcall(step, limit, subject, now)
    system.unlock(page)
    if not ok then error(wait, 0) end
    if wait == 0 then return nil end
    if not wait then return "gate.overloaded", 5 end
    return "gate.rate", math.ceil(wait)
  end
  -- The same for signatures of one token, each before it is verified: by the session's name behind a byte that no
  -- instance's name begins with.
  function self.sign(limit, session, now) return self.take(limit, "\0" .. session, now) end
  return self
end)()

-- Remembers which proofs were used, exactly, for all workers and Envoys of this user on this host.
--
-- A file in memory holds a hash table: sets of 8 entries of 16 bytes, which are 12 bytes of a keyed
-- digest of session id and nonce, and when the proof was created.  A proof has two sets and goes into the
-- emptier one, so that the table can be filled nearly whole.  The key was drawn at random when the
-- file was made and never leaves it: nobody can aim at a set to fill it.
--
-- An entry is overwritten once its proof has expired.  `horizon` is the latest creation of any proof
-- so forgotten; what was created no later may have been used, so it is refused.  Thus a clock that
-- jumps ahead and back, or two Envoys with another leeway, open nothing.
local replay = (function()
  local band, bor, bxor = bit.band, bit.bor, bit.bxor
  local min, max, floor = math.min, math.max, math.floor
  local C = ffi.C
  ffi.cdef([[
  typedef struct { int32_t a, b, c; uint32_t created; } watchword_entry;
  typedef struct {
    uint32_t magic, layout, sets, ready;
    uint32_t horizon, reserved[3];
    uint8_t key[32];
    uint64_t mutex[16];
  } watchword_header;
  ]])
  local MAGIC, LAYOUT, WAYS, PAGE = 0x57574c52, 1, 8, 4096
  local sets = OPTIONS.replay_sets
  local size = PAGE + sets * WAYS * 16
  local path = string.format("%s/watchword-replay-v%d-%d-%s-%d", OPTIONS.replay_directory, LAYOUT, sets,
    OPTIONS.api, C.geteuid())

  local function make(header)
    local source = assert(io.open("/dev/urandom", "rb"))
    local key = source:read(32)
    source:close()
    if not key or #key ~= 32 then error("watchword: there is no randomness") end
    ffi.fill(header, PAGE)
    header.magic, header.layout, header.sets = MAGIC, LAYOUT, sets
    ffi.copy(header.key, key, 32)
    -- A new table knows of no proof that was used before it was made.
    header.horizon = os.time() - 1
    system.make_lock(header.mutex)
    header.ready = 1
  end

  local fd = system.open_private(path, 0x42)
  local header, memory
  local made, message = pcall(function()
    -- Whoever comes first makes the table while the others wait here, for two seconds at most.
    local tries = 0
    while C.flock(fd, 6) ~= 0 do
      tries = tries + 1
      if tries > 200 then error("watchword: " .. path .. " stays locked by another process") end
      C.poll(nil, 0, 10)
    end
    -- Memory is reserved now: a full file system must stop the load, not kill Envoy at some request.
    -- Once only: where a file system can't reserve, the C library writes, into a table that is in use.
    if system.size(fd) ~= size then
      local problem = C.posix_fallocate(fd, 0, size)
      if problem ~= 0 then
        error("watchword: " .. path .. ": " .. size .. " bytes can't be reserved, error " .. problem)
      end
    end
    -- Shared, and all pages at once: else thousands of requests would each wait for a page.
    memory = C.mmap(nil, size, 3, 0x8001, fd, 0)
    if ffi.cast("intptr_t", memory) == -1 then
      error("watchword: " .. path .. " can't be mapped, error " .. ffi.errno())
    end
    memory = ffi.gc(memory, function(address) C.munmap(address, size) end)
    header = ffi.cast("watchword_header *", memory)
    if header.ready ~= 1 then make(header) end
    if header.magic ~= MAGIC or header.layout ~= LAYOUT or header.sets ~= sets then
      error("watchword: " .. path .. " isn't a replay table of this version; remove it while no Envoy runs")
    end
  end)
  -- The mapping keeps the file open, and with it the lock: closing alone would not give it back.
  C.flock(fd, 8)
  C.close(fd)
  if not made then error(message) end

  local entries = ffi.cast("watchword_entry *", ffi.cast("uint8_t *", memory) + PAGE)
  local mutex, mask = header.mutex, sets - 1
  local keyed = sha.fresh()
  sha.begin(keyed, ffi.string(header.key, 32) .. string.rep("\0", 32))

  local self = { path = path, memory = memory }

  -- Records a proof; returns nil if it is the first, else the reason.
  --
  -- Session id, a zero byte and nonce are the `length` bytes in the scratch buffer.  `life` is how many
  -- seconds a proof is accepted after its creation, leeway included.
  function self.claim(length, created, now, life)
    sha.resume(keyed, 64, length)
    local digest = sha.result
    local a, b, c = digest[0], digest[1], digest[2]
    local first, second = band(digest[3], mask) * WAYS, band(digest[4], mask) * WAYS
    -- Entries created before this are dead.
    local living = floor(now - life) + 1

    -- An owner that was killed in the middle of one claim: its proof never passed, and what it left half written is
    -- at worst one entry that nobody matches.
    if not system.lock(mutex) then return "gate.replay_unavailable" end
    -- No branch on what is free: that is different each time, and the compiler would write another path for
    -- each case.  `dead` is 1 or 0; a place is an index plus 1, and 0 while there is none.
    local seen, free_first, free_second, at_first, at_second = false, 0, 0, 0, 0
    for way = 0, WAYS - 1 do
      local entry = entries[first + way]
      if bor(bxor(entry.a, a), bxor(entry.b, b), bxor(entry.c, c)) == 0 then seen = true end
      local dead = max(0, min(1, living - entry.created))
      free_first, at_first = free_first + dead, max(at_first, dead * (first + way + 1))
      entry = entries[second + way]
      if bor(bxor(entry.a, a), bxor(entry.b, b), bxor(entry.c, c)) == 0 then seen = true end
      dead = max(0, min(1, living - entry.created))
      free_second, at_second = free_second + dead, max(at_second, dead * (second + way + 1))
    end
    local reason
    if seen or created <= header.horizon then
      reason = "proof.replayed"
    else
      local at = free_first >= free_second and at_first or at_second
      if at == 0 then
        reason = "gate.replay_full"
      else
        local entry = entries[at - 1]
        if entry.created > header.horizon then header.horizon = entry.created end
        entry.created = created
        entry.a, entry.b, entry.c = a, b, c
      end
    end
    system.unlock(mutex)
    return reason
  end
  return self
end)()

-- Knows which tokens count no more though they haven't ended: of revoked instances, and those that an operator cut off.
--
-- Who is revoked is told by digests, the first 8 bytes of SHA-256 over a key and a token's subject.  Up to millions of them
-- stand in a file of their own, which changes seldom; those that came since are handed over beside it.
--
-- Whoever includes this has put `sha` and `system` before.
local revocations = (function()
  local bswap, bxor, rshift, tohex = bit.bswap, bit.bxor, bit.rshift, bit.tohex
  local C = ffi.C
  local MAX_BYTES = 67108864
  -- Turns the sign of a word: signed numbers then stand in the order of unsigned ones.
  local SIGN = bit.tobit(0x80000000)
  local self = {}

  local function want(condition, what)
    if not condition then error("expected " .. what, 0) end
    return condition
  end

  -- Says whether the words are pairs in ascending order, none twice; each is turned so that it can be compared.
  local function in_order(words, count)
    local high, low = SIGN, -math.huge
    for at = 0, 2 * count - 1, 2 do
      local first, second = bxor(bswap(words[at]), SIGN), bxor(bswap(words[at + 1]), SIGN)
      if first < high or first == high and second <= low then return false end
      words[at], words[at + 1] = first, second
      high, low = first, second
    end
    return true
  end

  local function freed(memory, size)
    if memory then C.munmap(ffi.gc(memory, nil), size) end
  end

  -- Returns memory with the digests of a file.  It lies outside of Lua's heap, where a collector would walk over it, and
  -- is given back at once: two of them are there while one takes the place of the other.
  local function loaded(path, count)
    local fd, size = system.open_private(path, 0)
    local memory
    local ok, fault = pcall(function()
      want(size == 8 * count and size <= MAX_BYTES, 8 * count .. " bytes in " .. path)
      memory = C.mmap(nil, size, 3, 0x22, -1, 0)
      if ffi.cast("intptr_t", memory) == -1 then
        memory = nil
        error("watchword: there is no memory for digests", 0)
      end
      memory = ffi.gc(memory, function(pointer) C.munmap(pointer, size) end)
      local words = ffi.cast("int32_t *", memory)
      want(system.fill(fd, ffi.cast("uint8_t *", memory), size) == size, "a file that nobody writes to")
      want(in_order(words, count), "digests in ascending order in " .. path)
    end)
    C.close(fd)
    if not ok then
      freed(memory, size)
      error(fault, 0)
    end
    return memory, size
  end

  -- Returns by digits which digests a text lists, each with a blank behind it.
  local function listed(text)
    local found, count = {}, 0
    for digits in string.gmatch(text, "([0-9a-f]+) ") do
      want(#digits == 16, "16 digits in each digest")
      found[digits], count = true, count + 1
    end
    want(#text == 17 * count, "digests with a blank behind each")
    return found
  end

  -- Returns who is revoked.
  --
  -- `key` is 24 hexadecimal digits, `added` a text of digests, `path` the file with `count` others, nil where there is none;
  -- `before` is who was revoked until now: what has the same path is the same file.
  function self.read(key, added, path, count, before)
    want(type(key) == "string" and #key == 24 and not string.find(key, "%X"), "a key of digests")
    local list = { added = listed(added), path = path, count = count }
    list.key = string.gsub(key, "..", function(pair) return string.char(tonumber(pair, 16)) end)
    if not path then
      list.count = 0
    elseif before and before.path == path and before.count == count then
      list.memory, list.size, list.words = before.memory, before.size, before.words
    else
      list.memory, list.size = loaded(path, count)
      list.words = ffi.cast("const int32_t *", list.memory)
    end
    return list
  end

  -- Gives back what nobody reads any more, once `list` has taken the place of `before`.
  function self.release(before, list)
    if before and before.memory ~= list.memory then freed(before.memory, before.size) end
  end

  -- Says whether a subject is revoked, as `list` tells.
  function self.has(list, subject)
    if list.names then return list.names[subject] ~= nil end
    sha.digest(list.key .. subject)
    local high, low = sha.result[0], sha.result[1]
    if list.added[tohex(high) .. tohex(low)] then return true end
    high, low = bxor(high, SIGN), bxor(low, SIGN)
    local words, from, to = list.words, 0, list.count
    while from < to do
      local middle = rshift(from + to, 1)
      local first = words[2 * middle]
      if first < high or first == high and words[2 * middle + 1] < low then
        from = middle + 1
      else
        to = middle
      end
    end
    return from < list.count and words[2 * from] == high and words[2 * from + 1] == low
  end

  local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

  -- Says whether one of the cuts covers a token: of all apps or this one, of all levels or this one, issued before, and of
  -- an instance of the parts that are cut so far.
  function self.cut(cuts, subject, app, level, issued)
    for _, each in ipairs(cuts) do
      if issued < each.before and (not each.app or each.app == app) and (not each.level or each.level == level) then
        -- What begins otherwise is of the first part.
        local part = string.find(ALPHABET, string.sub(subject, 1, 1), 1, true) or 1
        if part <= each.share then return true end
      end
    end
    return false
  end
  return self
end)()

-- SHA-256 (FIPS 180-4) and HMAC (RFC 2104).  A state is an int32_t[8].
--
-- There is one scratch buffer.  Bytes enter it through ffi.copy and ffi.fill alone: the compiler
-- takes pointers of different types for different memory, and only these calls are a barrier.
local sha = (function()
  local band, bor, bxor = bit.band, bit.bor, bit.bxor
  local bswap, ror, rshift, tobit = bit.bswap, bit.ror, bit.rshift, bit.tobit
  local copy, fill = ffi.copy, ffi.fill

  local CAPACITY = 65536
  local WORDS = ffi.new("int32_t[?]", CAPACITY / 4 + 32)
  local BYTES = ffi.cast("uint8_t *", WORDS)
  local STOP = "\128"
  local SCHEDULE = ffi.new("int32_t[64]")
  local ROUND = ffi.new("int32_t[64]")
  local INITIAL = ffi.new("int32_t[8]")

  -- The constants are the first 32 bits of the fractions of cube and square roots of primes
  -- (FIPS 180-4, 4.2.2 and 5.3.3); a double has the 53 bits that this needs.  The self-test below
  -- would show a wrong one.
  do
    local found, candidate = 0, 2
    while found < 64 do
      local prime = true
      for divisor = 2, math.floor(math.sqrt(candidate)) do
        if candidate % divisor == 0 then prime = false break end
      end
      if prime then
        local cube = candidate ^ (1 / 3)
        ROUND[found] = tobit(math.floor((cube % 1) * 4294967296))
        if found < 8 then
          INITIAL[found] = tobit(math.floor((math.sqrt(candidate) % 1) * 4294967296))
        end
        found = found + 1
      end
      candidate = candidate + 1
    end
  end

  -- Takes the 16 words at `offset` of the scratch buffer into the state.
  local function compress(state, offset)
    local w, k = SCHEDULE, ROUND
    for i = 0, 15 do w[i] = bswap(WORDS[offset + i]) end
    for i = 16, 63 do
      local x, y = w[i - 15], w[i - 2]
      w[i] = tobit(w[i - 16] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3)) + w[i - 7]
        + bxor(ror(y, 17), ror(y, 19), rshift(y, 10)))
    end
    local a, b, c, d = state[0], state[1], state[2], state[3]
    local e, f, g, h = state[4], state[5], state[6], state[7]
    -- Eight rounds at a time: the variables change places by name, not by assignment.
    for i = 0, 56, 8 do
      h = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(g, band(e, bxor(f, g))) + k[i] + w[i])
      d = tobit(d + h)
      h = tobit(h + bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bor(band(a, b), band(c, bor(a, b))))
      g = tobit(g + bxor(ror(d, 6), ror(d, 11), ror(d, 25)) + bxor(f, band(d, bxor(e, f))) + k[i + 1] + w[i + 1])
      c = tobit(c + g)
      g = tobit(g + bxor(ror(h, 2), ror(h, 13), ror(h, 22)) + bor(band(h, a), band(b, bor(h, a))))
      f = tobit(f + bxor(ror(c, 6), ror(c, 11), ror(c, 25)) + bxor(e, band(c, bxor(d, e))) + k[i + 2] + w[i + 2])
      b = tobit(b + f)
      f = tobit(f + bxor(ror(g, 2), ror(g, 13), ror(g, 22)) + bor(band(g, h), band(a, bor(g, h))))
      e = tobit(e + bxor(ror(b, 6), ror(b, 11), ror(b, 25)) + bxor(d, band(b, bxor(c, d))) + k[i + 3] + w[i + 3])
      a = tobit(a + e)
      e = tobit(e + bxor(ror(f, 2), ror(f, 13), ror(f, 22)) + bor(band(f, g), band(h, bor(f, g))))
      d = tobit(d + bxor(ror(a, 6), ror(a, 11), ror(a, 25)) + bxor(c, band(a, bxor(b, c))) + k[i + 4] + w[i + 4])
      h = tobit(h + d)
      d = tobit(d + bxor(ror(e, 2), ror(e, 13), ror(e, 22)) + bor(band(e, f), band(g, bor(e, f))))
      c = tobit(c + bxor(ror(h, 6), ror(h, 11), ror(h, 25)) + bxor(b, band(h, bxor(a, b))) + k[i + 5] + w[i + 5])
      g = tobit(g + c)
      c = tobit(c + bxor(ror(d, 2), ror(d, 13), ror(d, 22)) + bor(band(d, e), band(f, bor(d, e))))
      b = tobit(b + bxor(ror(g, 6), ror(g, 11), ror(g, 25)) + bxor(a, band(g, bxor(h, a))) + k[i + 6] + w[i + 6])
      f = tobit(f + b)
      b = tobit(b + bxor(ror(c, 2), ror(c, 13), ror(c, 22)) + bor(band(c, d), band(e, bor(c, d))))
      a = tobit(a + bxor(ror(f, 6), ror(f, 11), ror(f, 25)) + bxor(h, band(f, bxor(g, h))) + k[i + 7] + w[i + 7])
      e = tobit(e + a)
      a = tobit(a + bxor(ror(b, 2), ror(b, 13), ror(b, 22)) + bor(band(b, c), band(d, bor(b, c))))
    end
    state[0], state[1] = tobit(state[0] + a), tobit(state[1] + b)
    state[2], state[3] = tobit(state[2] + c), tobit(state[3] + d)
    state[4], state[5] = tobit(state[4] + e), tobit(state[5] + f)
    state[6], state[7] = tobit(state[6] + g), tobit(state[7] + h)
  end

  -- Ends a message of `total` bytes of which the last `pending` ones stand in the scratch buffer.
  local function finish(state, pending, total)
    local blocks = rshift(pending + 8, 6) + 1
    copy(BYTES + pending, STOP, 1)
    fill(BYTES + pending + 1, blocks * 64 - pending - 1)
    WORDS[blocks * 16 - 1] = bswap(tobit(total * 8))
    for block = 0, blocks - 1 do compress(state, block * 16) end
  end

  local self = { CAPACITY = CAPACITY }
  local INNER, OUTER = ffi.new("int32_t[8]"), ffi.new("int32_t[8]")
  self.result, self.scratch = OUTER, BYTES

  -- Puts a digest's 32 bytes into the scratch buffer at a word.
  local function place(state, offset)
    for i = 0, 7 do WORDS[offset + i] = bswap(state[i]) end
  end

  -- Takes whole blocks of `prefix`; returns the state, the bytes left over, and the length.
  local function begin(state, prefix)
    local whole = #prefix - #prefix % 64
    if #prefix > CAPACITY then error("watchword: a message is too long") end
    copy(BYTES, prefix, #prefix)
    for offset = 0, whole / 4 - 1, 16 do compress(state, offset) end
    return string.sub(prefix, whole + 1)
  end

  function self.fresh()
    local state = ffi.new("int32_t[8]")
    copy(state, INITIAL, 32)
    return state
  end
  self.begin = begin

  -- Ends the message of a kept state, `length` bytes of which stand in the scratch buffer; the digest is
  -- left in self.result.
  function self.resume(kept, kept_bytes, length)
    copy(OUTER, kept, 32)
    finish(OUTER, length, kept_bytes + length)
  end

  function self.bytes(state)
    place(state, 0)
    return ffi.string(BYTES, 32)
  end

  function self.digest(message)
    if #message > CAPACITY - 128 then error("watchword: a message is too long") end
    copy(BYTES, message, #message)
    self.resume(INITIAL, 0, #message)
    return self.bytes(OUTER)
  end

  -- Returns the states after the padded key (RFC 2104, section 4: they are worth keeping).
  function self.pads(key)
    if #key > 64 then key = self.digest(key) end
    local states = {}
    for index, pad in ipairs({ 0x36363636, 0x5c5c5c5c }) do
      local state = self.fresh()
      fill(BYTES, 64)
      copy(BYTES, key, #key)
      for i = 0, 15 do WORDS[i] = bxor(WORDS[i], pad) end
      compress(state, 0)
      states[index] = state
    end
    return states[1], states[2]
  end

  -- Ends a MAC whose last `length` bytes stand in the scratch buffer already; `inner` has taken `taken`
  -- bytes before (the pad's block counted).
  function self.end_mac(inner, taken, length, outer)
    if length > CAPACITY - 128 then error("watchword: a message is too long") end
    copy(INNER, inner, 32)
    finish(INNER, length, taken + length)
    copy(OUTER, outer, 32)
    place(INNER, 0)
    finish(OUTER, 32, 96)
  end

  function self.mac(inner, message, outer)
    if #message > CAPACITY - 128 then error("watchword: a message is too long") end
    copy(BYTES, message, #message)
    self.end_mac(inner, 64, #message, outer)
  end

  function self.hmac(key, message)
    local inner, outer = self.pads(key)
    self.mac(inner, message, outer)
    return self.bytes(OUTER)
  end

  -- RFC 4231, sections 4.2, 4.3 and 4.7: a machine or compiler on which they fail gets no gate.
  local function hex(text)
    return (string.gsub(text, ".", function(c) return string.format("%02x", string.byte(c)) end))
  end
  local cases = {
    { string.rep("\11", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { string.rep("\170", 131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
  }
  for _, case in ipairs(cases) do
    -- Over and over, so that the compiled code is tested too and not the interpreter alone.
    for _ = 1, 100 do
      if hex(self.hmac(case[1], case[2])) ~= case[3] then error("watchword: the SHA-256 self-test failed") end
    end
  end
  return self
end)()

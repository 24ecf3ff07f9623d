-- Base64 (RFC 4648), canonical spellings alone: of several texts for the same bytes one is taken.
local base64 = (function()
  local band, bor, bxor, lshift, rshift = bit.band, bit.bor, bit.bxor, bit.lshift, bit.rshift
  local COMMON = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

  local function values(alphabet)
    local table_of = ffi.new("int32_t[256]")
    for code = 0, 255 do table_of[code] = -1 end
    for place = 1, 64 do table_of[string.byte(alphabet, place)] = place - 1 end
    return table_of
  end
  local STANDARD, URL = values(COMMON .. "+/"), values(COMMON .. "-_")
  local LETTERS = ffi.new("uint8_t[64]")
  ffi.copy(LETTERS, COMMON .. "+/", 64)
  local OUT = ffi.new("uint8_t[4096]")

  -- Decodes `length` characters (no padding) at a pointer; returns the number of bytes, nil if they aren't
  -- canonical.
  local function decode(text, length, from)
    local left = band(length, 3)
    if left == 1 or length > 4096 then return nil end
    local written, bad, whole = 0, 0, length - left
    for at = 0, whole - 1, 4 do
      local a, b, c, d = from[text[at]], from[text[at + 1]], from[text[at + 2]], from[text[at + 3]]
      bad = bor(bad, a, b, c, d)
      local group = bor(lshift(a, 18), lshift(b, 12), lshift(c, 6), d)
      OUT[written] = band(rshift(group, 16), 255)
      OUT[written + 1] = band(rshift(group, 8), 255)
      OUT[written + 2] = band(group, 255)
      written = written + 3
    end
    if left > 0 then
      local a, b = from[text[whole]], from[text[whole + 1]]
      local c = left == 3 and from[text[whole + 2]] or 0
      bad = bor(bad, a, b, c)
      -- Bits beyond the last byte must be zero: with others the same bytes would have a second text.
      if left == 2 and band(b, 15) ~= 0 or left == 3 and band(c, 3) ~= 0 then return nil end
      local group = bor(lshift(a, 18), lshift(b, 12), lshift(c, 6))
      OUT[written] = band(rshift(group, 16), 255)
      written = written + 1
      if left == 3 then OUT[written] = band(rshift(group, 8), 255) written = written + 1 end
    end
    if bad < 0 then return nil end
    return written
  end

  local self = {}

  local function decoded(text, first, length, from)
    local written = decode(ffi.cast("const uint8_t *", text) + first, length, from)
    return written and ffi.string(OUT, written)
  end

  -- Decodes standard base64 whose padding the caller has compared; nil if it isn't canonical.
  function self.standard(text, first, length) return decoded(text, first, length, STANDARD) end

  -- Decodes base64url without padding; nil if it isn't canonical.
  function self.url(text) return decoded(text, 0, #text, URL) end

  -- Encodes a string as base64url without padding.
  function self.encode_url(data)
    local letters, out = COMMON .. "-_", {}
    for start = 1, #data, 3 do
      local a, b, c = string.byte(data, start, start + 2)
      local group = bor(lshift(a, 16), lshift(b or 0, 8), c or 0)
      for place = 0, c and 3 or b and 2 or 1 do
        local value = band(rshift(group, 18 - 6 * place), 63)
        out[#out + 1] = string.sub(letters, value + 1, value + 1)
      end
    end
    return table.concat(out)
  end

  local function differ(text, at, group)
    return bor(
      bxor(text[at], LETTERS[band(rshift(group, 18), 63)]),
      bxor(text[at + 1], LETTERS[band(rshift(group, 12), 63)]),
      bxor(text[at + 2], LETTERS[band(rshift(group, 6), 63)]),
      bxor(text[at + 3], LETTERS[band(group, 63)]))
  end
  -- Compares three words with their 16 characters.
  local function differ_words(text, at, a, b, c)
    return bor(
      differ(text, at, rshift(a, 8)),
      differ(text, at + 4, bor(lshift(a, 16), rshift(b, 16))),
      differ(text, at + 8, bor(lshift(b, 8), rshift(c, 24))),
      differ(text, at + 12, c))
  end

  -- Compares the 32 bytes of a state with their 44 characters at a pointer.  It encodes rather than
  -- decodes, so that one spelling fits; and it doesn't say how far two MACs agree, since there is nothing
  -- in between that could stop.
  function self.equals(state, text)
    local g, h = state[6], state[7]
    local last = lshift(h, 8)
    return bor(
      differ_words(text, 0, state[0], state[1], state[2]),
      differ_words(text, 16, state[3], state[4], state[5]),
      differ(text, 32, rshift(g, 8)),
      differ(text, 36, bor(lshift(g, 16), rshift(h, 16))),
      bxor(text[40], LETTERS[band(rshift(last, 18), 63)]),
      bxor(text[41], LETTERS[band(rshift(last, 12), 63)]),
      bxor(text[42], LETTERS[band(rshift(last, 6), 63)]),
      bxor(text[43], 61)) == 0
  end
  return self
end)()

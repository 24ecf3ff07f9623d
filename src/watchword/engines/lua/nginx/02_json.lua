-- JSON (RFC 8259), as strict as the gate's own reader: one object, UTF-8, no name twice, no depth beyond 8, no integer of
-- more than 19 digits, no half of a surrogate pair, no number beyond all bounds.
local json = (function()
  local find, match, sub, byte, char = string.find, string.match, string.sub, string.byte, string.char
  local MAX_DEPTH, MAX_DIGITS = 8, 19
  local ENDS_TEXT = '["\\%z\1-\31]'
  local ESCAPES = {
    [34] = '"', [92] = "\\", [47] = "/", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t",
  }
  -- `NULL` stands for null.  A number with a fraction or an exponent is one that no claim has, so that its value is
  -- dropped: `FRACTION` stands for all of them.
  local self = { NULL = {}, FRACTION = {} }
  local text, at

  local function refuse(expected) error("expected " .. expected .. " at byte " .. at, 0) end

  -- Says whether bytes are UTF-8 (RFC 3629, section 4): no longer form than needed, no surrogates.
  function self.is_utf8(bytes)
    local place = find(bytes, "[\128-\255]")
    while place do
      local first, second = byte(bytes, place, place + 1)
      local more, low, high = 0, 0x80, 0xbf
      if first >= 0xc2 and first <= 0xdf then more = 1
      elseif first >= 0xe0 and first <= 0xef then
        more = 2
        if first == 0xe0 then low = 0xa0 elseif first == 0xed then high = 0x9f end
      elseif first >= 0xf0 and first <= 0xf4 then
        more = 3
        if first == 0xf0 then low = 0x90 elseif first == 0xf4 then high = 0x8f end
      else
        return false
      end
      if not second or second < low or second > high then return false end
      for behind = place + 2, place + more do
        local code = byte(bytes, behind)
        if not code or code < 0x80 or code > 0xbf then return false end
      end
      place = find(bytes, "[\128-\255]", place + more + 1)
    end
    return true
  end

  local function encoded(code)
    if code < 0x80 then return char(code) end
    local low = 0x80 + code % 64
    local rest = (code - code % 64) / 64
    if code < 0x800 then return char(0xc0 + rest, low) end
    local middle = 0x80 + rest % 64
    rest = (rest - rest % 64) / 64
    if code < 0x10000 then return char(0xe0 + rest, middle, low) end
    return char(0xf0 + (rest - rest % 64) / 64, 0x80 + rest % 64, middle, low)
  end

  local function unit(place)
    local digits = match(text, "^%x%x%x%x", place)
    if not digits then refuse("four hexadecimal digits") end
    return tonumber(digits, 16)
  end

  -- Returns what a \u stands for, and where it ends.
  local function escaped(place)
    local code = unit(place)
    if code < 0xd800 or code > 0xdfff then return encoded(code), place + 4 end
    if code > 0xdbff or sub(text, place + 4, place + 5) ~= "\\u" then refuse("a pair of surrogates") end
    local second = unit(place + 6)
    if second < 0xdc00 or second > 0xdfff then refuse("a pair of surrogates") end
    return encoded(0x10000 + (code - 0xd800) * 0x400 + second - 0xdc00), place + 10
  end

  local function literal()
    local from = at + 1
    local stop = find(text, ENDS_TEXT, from)
    if stop and byte(text, stop) == 34 then
      at = stop + 1
      return sub(text, from, stop - 1)
    end
    local pieces = {}
    while true do
      local code = stop and byte(text, stop)
      if code ~= 34 and code ~= 92 then refuse("a text that ends") end
      pieces[#pieces + 1] = sub(text, from, stop - 1)
      if code == 34 then
        at = stop + 1
        return table.concat(pieces)
      end
      local kind = byte(text, stop + 1)
      if kind == 117 then
        pieces[#pieces + 1], from = escaped(stop + 2)
      else
        pieces[#pieces + 1] = ESCAPES[kind or 0] or refuse("an escape")
        from = stop + 2
      end
      stop = find(text, ENDS_TEXT, from)
    end
  end

  local function number()
    local whole = match(text, "^-?0", at) or match(text, "^-?[1-9]%d*", at)
    if not whole then refuse("a value") end
    local from = at
    at = at + #whole
    local fraction = match(text, "^%.%d+", at) or ""
    at = at + #fraction
    local exponent = match(text, "^[eE][+-]?%d+", at) or ""
    at = at + #exponent
    if fraction == "" and exponent == "" then
      if #match(whole, "%d+") > MAX_DIGITS then refuse("at most 19 digits") end
      -- A zero has no sign here, as it has none for whole numbers elsewhere.
      return tonumber(whole) + 0
    end
    local value = tonumber(sub(text, from, at - 1))
    if not value or value == math.huge or value == -math.huge then refuse("a number within bounds") end
    return self.FRACTION
  end

  local function blank() at = find(text, "[^ \t\r\n]", at) or #text + 1 end

  -- Reads what stands between an opening sign and its closing one.
  local function list(close, item)
    at = at + 1
    blank()
    if byte(text, at) == close then
      at = at + 1
      return
    end
    while true do
      item()
      blank()
      local code = byte(text, at)
      if code ~= close and code ~= 44 then refuse("a comma or the end") end
      at = at + 1
      if code == close then return end
      blank()
    end
  end

  local WORDS = { [116] = { "true", true }, [102] = { "false", false }, [110] = { "null", self.NULL } }

  local function value(depth)
    local code = byte(text, at)
    if code == 34 then return literal() end
    local word = WORDS[code]
    if word then
      if sub(text, at, at + #word[1] - 1) ~= word[1] then refuse("a value") end
      at = at + #word[1]
      return word[2]
    end
    if code ~= 123 and code ~= 91 then return number() end
    if depth >= MAX_DEPTH then refuse("at most 8 levels") end
    local found = {}
    if code == 91 then
      list(93, function() found[#found + 1] = value(depth + 1) end)
      return found
    end
    list(125, function()
      if byte(text, at) ~= 34 then refuse("a name") end
      local name = literal()
      blank()
      if byte(text, at) ~= 58 then refuse("a colon") end
      if found[name] ~= nil then refuse("each name once") end
      at = at + 1
      blank()
      found[name] = value(depth + 1)
    end)
    return found
  end

  local function object(given)
    text, at = given, 1
    if not self.is_utf8(text) then refuse("UTF-8") end
    blank()
    if byte(text, at) ~= 123 then refuse("an object") end
    local found = value(0)
    blank()
    if at <= #text then refuse("the end") end
    return found
  end

  -- Returns the object, or nil and what is wrong; no message quotes what was read.
  function self.object(given)
    local ok, found = pcall(object, given)
    text = nil
    if ok then return found end
    return nil, found
  end
  return self
end)()

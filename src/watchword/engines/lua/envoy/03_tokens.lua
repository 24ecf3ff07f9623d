-- Knows what proofs of a token are verified with.  Envoy's own filter `jwt_authn` has verified the token
-- before; to hand its claims over would cost more at each request than all that is done here, so that they
-- are read here, once for each token.
--
-- A script that is put behind nothing must not take anybody's token.  So the signature is verified here
-- too, once; but a stream can import one key alone (a second import gives the first key back), and a
-- device proof needs that.  There the mark is asked for that `jwt_authn` left.
local tokens = (function()
  local find, match, sub, byte, char = string.find, string.match, string.sub, string.byte, string.char
  ffi.cdef([[
  typedef struct {
    double ends, epoch, epoch_ends;
    int32_t inner[8], outer[8];
    uint32_t signs, taken, tail_size, prepared, session_size, session_end_size, device_end_size;
    uint8_t tail[64], session[64], session_end[96], device_end[80], point[64];
  } watchword_token;
  ]])
  local self = {}

  -- JSON (RFC 8259) of a verified token, as strict as it need be: no null, no name twice.  A string with
  -- an escape is none that is used here; it becomes a control character, which every check refuses.
  local function decode(text)
    local at, value = 1, nil
    local function blank() at = find(text, "[^ \t\r\n]", at) or #text + 1 end
    local function literal()
      local from, to, found = find(text, '^"([^"\\%c]*)"', at)
      if from then at = to + 1 return found end
      local place = at + 1
      while true do
        place = find(text, '["\\%c]', place)
        local code = place and byte(text, place)
        if code == 34 then at = place + 1 return "\1" end
        if code ~= 92 then error("a string") end
        place = place + 2
      end
    end
    local function list(depth, close, item)
      at = at + 1
      blank()
      if byte(text, at) == close then at = at + 1 return end
      while true do
        blank()
        item(depth)
        blank()
        local code = byte(text, at)
        at = at + 1
        if code == close then return end
        if code ~= 44 then error("a comma") end
      end
    end
    function value(depth)
      if depth > 8 then error("depth") end
      local code = byte(text, at)
      if code == 34 then return literal() end
      local found = {}
      if code == 123 then
        list(depth + 1, 125, function(inside)
          if byte(text, at) ~= 34 then error("a name") end
          local name = literal()
          blank()
          if byte(text, at) ~= 58 or found[name] ~= nil then error("a colon, a name once") end
          at = at + 1
          blank()
          found[name] = value(inside)
        end)
        return found
      elseif code == 91 then
        list(depth + 1, 93, function(inside) found[#found + 1] = value(inside) end)
        return found
      end
      local word = match(text, "^[%w.+-]+", at)
      if not word then error("a value") end
      at = at + #word
      if word == "true" then return true elseif word == "false" then return false end
      if not match(word, "^-?%d+%.?%d*[eE]?[+-]?%d*$") then error("a number") end
      return tonumber(word) or error("a number")
    end
    blank()
    local found = value(0)
    blank()
    if at <= #text or type(found) ~= "table" then error("an object") end
    return found
  end

  local function text(value)
    if type(value) ~= "string" or value == "" or #value > 1024 or find(value, "%c") then return nil end
    return value
  end
  local function integer(number)
    -- DER (X.690, 8.3): no needless leading zero, and one where the first bit is set.
    local start = match(number, "^%z*()")
    if start > 1 and (start > #number or byte(number, start) > 127) then start = start - 1 end
    number = sub(number, start)
    if byte(number, 1) > 127 then number = "\0" .. number end
    return "\2" .. char(#number) .. number
  end
  local SPKI = "\48\89\48\19\6\7\42\134\72\206\61\2\1\6\8\42\134\72\206\61\3\1\7\3\66\0\4"

  -- Says whether `pair` (r and s, 64 bytes) is an ES256 signature; `point` is x and y.
  function self.is_signed(handle, point, pair, message)
    local der = integer(sub(pair, 1, 32)) .. integer(sub(pair, 33))
    der = "\48" .. char(#der) .. der
    local key = handle:importPublicKey(SPKI .. point, 91):get()
    return handle:verifySignature("sha256", key, der, #der, message, #message) == true
  end

  local function was_verified(handle)
    local found = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
    return found ~= nil and type(found["watchword"]) == "table"
  end

  local function claims_of(handle, kind, token)
    local head, payload, signature = match(token, "^([A-Za-z0-9_-]+)%.([A-Za-z0-9_-]+)%.([A-Za-z0-9_-]+)$")
    if not head or #token > 2048 or #signature ~= 86 then return nil, "token.malformed" end
    local point, pair = secrets.keys[head], base64.url(signature)
    if not point then return nil, "token.key_unknown" end
    if kind ~= "session" then
      if not was_verified(handle) then return nil, "token.missing" end
    elseif not pair or not self.is_signed(handle, point, pair, head .. "." .. payload) then
      return nil, "token.signature"
    end
    local json = base64.url(payload)
    local ok, claims = pcall(decode, json or "")
    if not ok then return nil, "token.malformed" end
    return claims
  end

  local function fill(entry, handle, kind, token)
    local claims, reason = claims_of(handle, kind, token)
    if not claims then return reason end
    local issuer, audience = text(claims.iss), text(claims.aud)
    local subject, session = text(claims.sub), claims.sid
    local epoch, ends = claims.epo, claims.exp
    local jwk = type(claims.cnf) == "table" and claims.cnf.jwk
    if not (subject and type(epoch) == "number" and type(ends) == "number" and type(jwk) == "table") then
      return "token.malformed"
    end
    if issuer ~= secrets.issuer then return "token.issuer" end
    if audience ~= secrets.audience then return "token.audience" end
    if type(session) ~= "string" or #session < 16 or #session > 64 or find(session, "[^A-Za-z0-9_-]")
      or jwk.kty ~= "EC" or jwk.crv ~= "P-256" or type(jwk.x) ~= "string" or type(jwk.y) ~= "string" then
      return "token.malformed"
    end
    local x, y = base64.url(jwk.x), base64.url(jwk.y)
    if not x or not y or #x ~= 32 or #y ~= 32 then return "token.malformed" end
    entry.ends, entry.epoch, entry.prepared = ends, epoch, 0
    -- Whether the device's own signature stands for a session proof.
    entry.signs = claims.prf == "device" and 1 or 0
    ffi.copy(entry.point, x .. y, 64)
    ffi.copy(entry.session, session, #session)
    entry.session_size = #session
    local session_end = '";alg="hmac-sha256";keyid="' .. session .. '"'
    ffi.copy(entry.session_end, session_end, #session_end)
    entry.session_end_size = #session_end
    local thumbprint, secret = prepared.device(entry, jwk), secrets.by_epoch[epoch]
    if secret then prepared.session(entry, secret, claims, thumbprint, token) end
    return nil
  end

  -- Two generations bound the memory: what was not used while one filled up is forgotten.
  local LIMIT, SIZE = OPTIONS.cached_tokens, ffi.sizeof("watchword_token")
  local entries, memory = prepared.room(2 * LIMIT)
  self.memory = memory
  local current, previous, count, base = {}, {}, 0, 0

  local function turn()
    current, previous, count, base = {}, current, 0, LIMIT - base
  end

  local function remember(handle, kind, token)
    -- Turning over gives the older half away, in which the entry may lie; but nothing is written there yet.
    local old = previous[token]
    if count >= LIMIT then turn() end
    local place = base + count
    if old then
      ffi.copy(entries + place, entries + old, SIZE)
    else
      ffi.fill(entries + place, SIZE)
      local reason = fill(entries[place], handle, kind, token)
      if reason then return nil, reason end
    end
    current[token], count = place, count + 1
    return entries[place]
  end

  -- Returns the entry of the request's token, or nil and why it has none.
  function self.find(handle, kind, token)
    local place = current[token]
    if place then return entries[place] end
    return remember(handle, kind, token)
  end
  return self
end)()

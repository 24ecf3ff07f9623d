-- Verifies the two proofs that a request can carry (RFC 9421, one strict profile).
--
-- Whoever includes this has put `OPTIONS` (leeway, life), `sha`, `base64`, `replay` and `tokens` (is_signed) before.
local proofs = (function()
  local bor = bit.bor
  local sub, find, match, gsub = string.sub, string.find, string.match, string.gsub
  ffi.cdef("int memcmp(const void *one, const void *other, size_t length);")
  local C, cast, copy = ffi.C, ffi.cast, ffi.copy
  local BYTES = ffi.typeof("const uint8_t *")
  local NAMES = '"watchword-token" "@method" "@authority" "@path" "@query"'
  local BODY_NAMES = NAMES .. ' "content-digest"'
  local MIDDLE = ';nonce="'
  local OPENING = "watchword=:"
  local ALGORITHMS = { session = "hmac-sha256", device = "ecdsa-p256-sha256" }
  local LENGTHS = { session = 56, device = 100 }
  local LONGEST_INPUT = 512
  -- The two forms of a Signature-Input: without a body, and over the digest of one.
  local function form(names)
    local start = "watchword=(" .. names .. ");created="
    return { names = names, start = start, middle_at = #start + 10, nonce_at = #start + 10 + #MIDDLE }
  end
  local BARE, DIGESTED = form(NAMES), form(BODY_NAMES)
  local DIGEST = '\n"content-digest": '
  local AUTHORITY, PATH, QUERY = '\n"@authority": ', '\n"@path": ', '\n"@query": ?'
  local PARAMETERS = '\n"@signature-params": '

  -- 0 where a character may stand in a nonce.
  local OUTSIDE = ffi.new("int32_t[256]")
  for code = 0, 255 do OUTSIDE[code] = find(string.char(code), "[A-Za-z0-9_-]") and 0 or 1 end

  local KEY_ID = '[^%c "\\\128-\255]+'
  local LOOSE = '^watchword=%(([^()]*)%);created=(%d+);nonce="([A-Za-z0-9_-]+)";alg="(' .. KEY_ID .. ')";keyid="('
    .. KEY_ID .. ')"$'

  local function is_component(item)
    local name, rest = match(item, '^"([a-z0-9@_*-]+)"(.*)$')
    if not name or #name > 64 then return false end
    while rest ~= "" do
      local parameter, behind = match(rest, "^;([a-z*][a-z0-9_.*-]*)(.*)$")
      if not parameter or #parameter > 32 then return false end
      rest = behind
      if sub(rest, 1, 1) == "=" then
        local quoted, after = match(rest, '^="([^"\\]*)"(.*)$')
        if not quoted then quoted, after = match(rest, "^=%?([01])(.*)$") end
        if not quoted then quoted, after = match(rest, "^=(%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?)(.*)$") end
        if not quoted or #quoted > 64 then return false end
        rest = after
      end
    end
    return true
  end

  -- Says why a signature doesn't hold: it can't be read, or it is somebody else's.
  local function signature_fault(kind, signature)
    local padding = kind == "session" and 1 or 2
    local size = LENGTHS[kind]
    if #signature == size and sub(signature, 1, 11) == OPENING
      and sub(signature, -1 - padding) == string.rep("=", padding) .. ":"
      and base64.standard(signature, 11, size - 12 - padding) then
      return "proof.signature"
    end
    if find(sub(signature, 1, 129), ",", 1, true) then return "proof.ambiguous" end
    return "proof.malformed"
  end

  -- Says what is wrong with headers that aren't of the one form, in the order in which every engine does.
  -- Everything here runs for refusals alone.
  local function fault(kind, shape, input, signature)
    if find(gsub(sub(input, 1, LONGEST_INPUT + 1), '"[^"\\]*"', ""), ",", 1, true) then return "proof.ambiguous" end
    if #input > LONGEST_INPUT then return "proof.malformed" end
    local components, created, nonce, algorithm, key = match(input, LOOSE)
    if not components or #created ~= 10 or #nonce < 16 or #nonce > 64 or #algorithm > 64 or #key > 128 then
      return "proof.malformed"
    end
    if components ~= shape.names or algorithm ~= ALGORITHMS[kind] then
      if components ~= "" then
        for item in string.gmatch(components .. " ", "(.-) ") do
          if not is_component(item) then return "proof.malformed" end
        end
      end
      if algorithm ~= ALGORITHMS[kind] then return "proof.algorithm" end
      return "proof.components"
    end
    if #signature ~= LENGTHS[kind] then return signature_fault(kind, signature) end
    return "proof.key"
  end

  local self = {}

  -- Verifies a proof.  Returns nil or the reason; when the proof was made; how long its nonce is.
  --
  -- `digest` is the Content-Digest of a request that has a body, nil where it has none.  That it is a digest, and that
  -- of the body, is for the caller.
  function self.verify(handle, kind, entry, token, input, signature, method, authority, path, query, now, digest)
    local session = kind == "session"
    local shape = digest and DIGESTED or BARE
    local START, MIDDLE_AT, NONCE_AT = shape.start, shape.middle_at, shape.nonce_at
    local text, size = cast(BYTES, input), #input
    local ending, ending_size = entry.session_end, entry.session_end_size
    if not session then ending, ending_size = entry.device_end, entry.device_end_size end
    local nonce_size = size - NONCE_AT - ending_size
    -- What is fixed is compared where it must stand, so that there is nothing to parse.
    if nonce_size < 16 or nonce_size > 64 or size > LONGEST_INPUT or #signature ~= LENGTHS[kind]
      or C.memcmp(text, START, #START) ~= 0 or C.memcmp(text + MIDDLE_AT, MIDDLE, #MIDDLE) ~= 0
      or C.memcmp(text + (size - ending_size), ending, ending_size) ~= 0 then
      return fault(kind, shape, input, signature)
    end
    local created, bad = 0, 0
    for at = #START, MIDDLE_AT - 1 do
      local digit = text[at] - 48
      if digit < 0 or digit > 9 then bad = 1 end
      created = created * 10 + digit
    end
    for at = NONCE_AT, NONCE_AT + nonce_size - 1 do bad = bor(bad, OUTSIDE[text[at]]) end
    if bad ~= 0 then return fault(kind, shape, input, signature) end
    if now < created - OPTIONS.leeway then return "proof.early" end
    if now >= created + OPTIONS.life then return "proof.expired" end

    if session then
      if entry.prepared == 0 or now >= entry.epoch_ends then return "proof.epoch" end
      -- The message is put together where it is hashed; the token's line was hashed long ago.
      local out, at = sha.scratch, entry.tail_size
      copy(out, entry.tail, 64)
      copy(out + at, method, #method)
      at = at + #method
      copy(out + at, AUTHORITY, #AUTHORITY)
      at = at + #AUTHORITY
      copy(out + at, authority, #authority)
      at = at + #authority
      copy(out + at, PATH, #PATH)
      at = at + #PATH
      copy(out + at, path, #path)
      at = at + #path
      copy(out + at, QUERY, #QUERY)
      at = at + #QUERY
      copy(out + at, query, #query)
      at = at + #query
      if digest then
        copy(out + at, DIGEST, #DIGEST)
        at = at + #DIGEST
        copy(out + at, digest, #digest)
        at = at + #digest
      end
      copy(out + at, PARAMETERS, #PARAMETERS)
      at = at + #PARAMETERS
      copy(out + at, text + 10, size - 10)
      at = at + size - 10
      sha.end_mac(entry.inner, entry.taken, at, entry.outer)
      local given = cast(BYTES, signature)
      if C.memcmp(given, OPENING, 11) ~= 0 or given[55] ~= 58 or not base64.equals(sha.result, given + 11) then
        return signature_fault(kind, signature)
      end
    else
      local pair = sub(signature, 1, 11) == OPENING and sub(signature, -3) == "==:"
        and base64.standard(signature, 11, 86)
      local base = pair and '"watchword-token": ' .. token .. '\n"@method": ' .. method .. AUTHORITY .. authority
        .. PATH .. path .. QUERY .. query .. (digest and DIGEST .. digest or "") .. PARAMETERS .. sub(input, 11)
      if not pair or not tokens.is_signed(handle, ffi.string(entry.point, 64), pair, base) then
        return signature_fault(kind, signature)
      end
    end
    return nil, created, nonce_size
  end

  -- Records a verified proof's nonce; returns nil if it is the first, else the reason.
  function self.claim(entry, input, nonce_size, created, now, digest)
    local NONCE_AT = digest and DIGESTED.nonce_at or BARE.nonce_at
    local out, size = sha.scratch, entry.session_size
    copy(out, entry.session, 64)
    ffi.fill(out + size, 1)
    copy(out + size + 1, cast(BYTES, input) + NONCE_AT, nonce_size)
    return replay.claim(size + 1 + nonce_size, created, now, OPTIONS.life)
  end
  return self
end)()

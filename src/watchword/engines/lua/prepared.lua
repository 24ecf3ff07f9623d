-- Prepares, once for each token, what of its proofs is the same for all its requests.
--
-- Whoever includes this has put `sha`, `base64` and `system` before, and says what a `watchword_token` is: it has the
-- members that are filled here.
local prepared = (function()
  local char = string.char
  local function prefixed(value)
    local size = #value
    return char(0, 0, (size - size % 256) / 256, size % 256) .. value
  end
  local self = {}

  -- Returns memory for entries, and what keeps it.  They lie outside of Lua's heap, where a collector would walk through
  -- them over and over; each worker's are its own.
  function self.room(count)
    local size = count * ffi.sizeof("watchword_token")
    local memory = ffi.C.mmap(nil, size, 3, 0x22, -1, 0)
    if ffi.cast("intptr_t", memory) == -1 then error("watchword: there is no memory for tokens") end
    return ffi.cast("watchword_token *", memory), ffi.gc(memory, function(pointer) ffi.C.munmap(pointer, size) end)
  end

  -- Prepares the end of a device proof's Signature-Input; returns the thumbprint of the instance's key.
  function self.device(entry, jwk)
    -- RFC 7638, section 3: the members that make the key, in this order, without white space.
    local thumbprint = base64.encode_url(sha.digest(
      '{"crv":"P-256","kty":"EC","x":"' .. jwk.x .. '","y":"' .. jwk.y .. '"}'))
    local device_end = '";alg="ecdsa-p256-sha256";keyid="' .. thumbprint .. '"'
    ffi.copy(entry.device_end, device_end, #device_end)
    entry.device_end_size = #device_end
    return thumbprint
  end

  -- Prepares the MAC of session proofs: its key, and how its message begins.
  function self.session(entry, secret, claims, thumbprint, token)
    sha.mac(secret.inner, "watchword/session/v1" .. prefixed(claims.iss) .. prefixed(claims.aud) .. prefixed(claims.sid)
      .. prefixed(thumbprint) .. "\1", secret.outer)
    local inner, outer = sha.pads(sha.bytes(sha.result))
    local prefix = '"watchword-token": ' .. token .. '\n"@method": '
    local tail = sha.begin(inner, prefix)
    ffi.copy(entry.inner, inner, 32)
    ffi.copy(entry.outer, outer, 32)
    ffi.copy(entry.tail, tail, #tail)
    entry.tail_size, entry.taken = #tail, 64 + #prefix - #tail
    entry.epoch_ends, entry.prepared = secret.ends, 1
  end
  return self
end)()

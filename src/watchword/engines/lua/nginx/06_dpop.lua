-- Verifies DPoP proofs (RFC 9449) on the routes that take them: method, URL and token, signed by the instance's own key.
-- They cover neither query nor body.
local dpop = (function()
  local find, lower, match, sub = string.find, string.lower, string.match, string.sub
  local MAX_PROOF, MAX_TIME = 2048, 2 ^ 40
  local HEADER = { typ = true, alg = true, jwk = true }
  local PORTS = { https = ":443", http = ":80" }
  local self = {}

  -- Refuses what isn't one proof, and tells two in one header, with a comma in between.
  local function unlike_one(proof)
    return find(sub(proof, 1, MAX_PROOF + 1), ",", 1, true) and "proof.ambiguous" or "proof.malformed"
  end

  -- Returns x and y of the key in the header, or nil and the reason.
  local function point_of(head)
    local decoded = base64.url(head)
    local members = decoded and json.object(decoded)
    if not members or not tokens.has_exactly(members, HEADER) or members.typ ~= "dpop+jwt" then
      return nil, "proof.malformed"
    end
    if members.alg ~= "ES256" then return nil, "proof.algorithm" end
    local jwk = tokens.object(members.jwk)
    -- Above all no "d": a proof that brings its private key along proves nothing.
    if not tokens.has_exactly(jwk, tokens.KEY_MEMBERS) or type(jwk.x) ~= "string" or type(jwk.y) ~= "string" then
      return nil, "proof.malformed"
    end
    local x, y = base64.url(jwk.x), base64.url(jwk.y)
    if jwk.kty ~= "EC" or jwk.crv ~= "P-256" or not x or not y then return nil, "proof.key" end
    return x .. y
  end

  local function is_nonce(value)
    return type(value) == "string" and #value >= 16 and #value <= 64 and not find(value, "[^A-Za-z0-9_-]")
  end

  -- Returns what the payload says after the form of every member was checked, nil where it has another.
  local function claims_of(payload)
    local decoded = base64.url(payload)
    local found = decoded and json.object(decoded)
    if not found then return nil end
    local count = 0
    for _ in pairs(found) do count = count + 1 end
    local issued = found.iat
    if count ~= (found.nonce == nil and 5 or 6) or type(issued) ~= "number" or issued < 0 or issued > MAX_TIME
      or not is_nonce(found.jti) or found.nonce ~= nil and not is_nonce(found.nonce)
      or type(found.htm) ~= "string" or type(found.htu) ~= "string" or type(found.ath) ~= "string" then
      return nil
    end
    return found
  end

  local function without(text, ending)
    return sub(text, -#ending) == ending and sub(text, 1, -1 - #ending) or text
  end

  -- Says whether a URL is the request's, its own query and fragment left aside (RFC 3986, section 6.2.3).
  local function is_target(url, host, path, allow_http)
    if url == "https://" .. host .. path then return true end
    local scheme, rest = match(match(match(url, "^[^#]*"), "^[^?]*"), "^(%a+)://(.*)$")
    scheme = scheme and lower(scheme)
    local port = PORTS[scheme or ""]
    if not port or scheme == "http" and not allow_http then return false end
    local authority, found = match(rest, "^([^/%z\1-\32\127-\255]+)(.*)$")
    if not authority then return false end
    if found == "" then found = "/" end
    return found == path and not find(found, "[^!-~]") and without(lower(authority), port) == without(host, port)
  end

  local function verify(state, key, entry, token, proof, target, host, at)
    if #proof > MAX_PROOF then return unlike_one(proof) end
    if find(proof, "[\128-\255]") then return "proof.malformed" end
    local head, payload, signature = match(proof, "^([^.]*)%.([^.]*)%.([^.]*)$")
    if not head then return unlike_one(proof) end
    local point, reason = point_of(head)
    if not point then return reason end
    if point ~= ffi.string(entry.point, 64) then return "proof.key" end
    local pair = base64.url(signature)
    if not pair or #pair ~= 64 then return "proof.malformed" end
    if not tokens.is_signed(key, point, pair, head .. "." .. payload) then return "proof.signature" end
    local claims = claims_of(payload)
    if not claims then return "proof.malformed" end
    if at < claims.iat - OPTIONS.leeway then return "proof.early" end
    if at >= claims.iat + OPTIONS.life then return "proof.expired" end
    if claims.htm ~= target.method or not is_target(claims.htu, host, target.path, state.environment == "lab") then
      return "proof.target"
    end
    if claims.ath ~= base64.encode_url(sha.digest(token)) then return "proof.token" end
    return nil, claims
  end

  -- Verifies a proof and claims it; returns nil or the reason.
  function self.prove(state, key, entry, token, proof, target, host, at)
    local reason, claims = verify(state, key, entry, token, proof, target, host, at)
    if reason then return reason end
    local out, size, jti = sha.scratch, entry.session_size, claims.jti
    ffi.copy(out, entry.session, 64)
    ffi.fill(out + size, 1)
    ffi.copy(out + size + 1, jti, #jti)
    return replay.claim(size + 1 + #jti, claims.iat, at, OPTIONS.life)
  end
  return self
end)()

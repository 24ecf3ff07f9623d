-- Verifies tokens, every claim as the gate does, and remembers what proofs of each are verified with.
--
-- What is remembered dies with the state that it rests on, and ends with the token or its key, whatever comes first.  So
-- a verdict needs no shorter life: to verify the same bytes by the same key again would find the same.  Where a state
-- differs from the one before in who is revoked and what is cut, that alone is looked up anew, at the token's next use.
local tokens = (function()
  local find, match, sub, gsub = string.find, string.match, string.sub, string.gsub
  local min, max = math.min, math.max
  ffi.cdef([[
  typedef struct {
    double valid_from, ends, epoch_ends, issued, counts_in;
    int32_t inner[8], outer[8];
    uint32_t rank, signs, taken, tail_size, prepared, session_size, session_end_size, device_end_size;
    uint8_t tail[64], session[64], session_end[160], device_end[80], point[64];
  } watchword_token;
  ]])
  local RANKS = states.RANKS
  local MAX_TOKEN, MAX_TIME, MAX_LIFE = 2048, 2 ^ 40, 3600
  local HEADER_MEMBERS = { alg = true, kid = true, typ = true }
  local KEY_MEMBERS = { kty = true, crv = true, x = true, y = true }
  local KEY_ID = '^[^%c "\\\128-\255]+$'
  -- By place: whose token it is, by whom its requests are counted, what the API is told of that, of which app and version, to what it is bound, and the
  -- instance's key.
  local self = { subjects = {}, counted = {}, results = {}, apps = {}, versions = {}, bindings = {}, keys = {} }
  local subjects, results, apps, versions = self.subjects, self.results, self.apps, self.versions
  local bindings, keys, counted = self.bindings, self.keys, self.counted
  local state

  -- Proofs are verified with the key that is handed over in place of a request, or made anew of its point.
  function self.is_signed(key, point, pair, message)
    return crypto.is_signed(key or crypto.key(point), pair, message)
  end

  local function text(value)
    if type(value) ~= "string" or value == "" then return nil end
    if #value > 256 then
      local _, continued = gsub(value, "[\128-\191]", "")
      if #value - continued > 256 then return nil end
    end
    return value
  end
  local function visible(value)
    return text(value) and #value <= 256 and not find(value, "[^!-~]") and value or nil
  end
  local function whole(value)
    return type(value) == "number" and value >= 0 and value <= MAX_TIME and value or nil
  end
  local function object(value)
    return type(value) == "table" and value ~= json.NULL and value ~= json.FRACTION and value or {}
  end
  self.object, self.KEY_MEMBERS = object, KEY_MEMBERS
  local function has_exactly(value, names)
    for name in pairs(value) do if not names[name] then return false end end
    for name in pairs(names) do if value[name] == nil then return false end end
    return true
  end
  self.has_exactly = has_exactly

  -- Returns the key that a header names, or nil and why there is none.
  local function key_of(head, decoded)
    local known = state.heads[head]
    if known then return known end
    -- Another spelling of a header of ours, or none of ours at all.
    local members = json.object(decoded)
    if not members or not has_exactly(members, HEADER_MEMBERS) or members.alg ~= "ES256"
      or members.typ ~= OPTIONS.token_type or not text(members.kid)
      or #gsub(members.kid, "[\128-\191]", "") > 64 then
      return nil, "token.malformed"
    end
    known = state.kids[members.kid]
    if not known then return nil, "token.key_unknown" end
    return known
  end

  -- Returns the claims of a token whose signature holds, and its key; or nil and the reason.
  local function verified(token, now)
    if #token > MAX_TOKEN then return nil, "token.malformed" end
    local head, payload, signature = match(token, "^([A-Za-z0-9_-]*)%.([A-Za-z0-9_-]*)%.([A-Za-z0-9_-]*)$")
    if not head then return nil, "token.malformed" end
    local decoded, content, pair = base64.url(head), base64.url(payload), base64.url(signature)
    if not (decoded and content and pair) then return nil, "token.malformed" end
    local key, reason = key_of(head, decoded)
    if #pair ~= 64 or reason == "token.malformed" then return nil, "token.malformed" end
    if not key then return nil, reason end
    if now >= key.ends then return nil, "token.key_retired" end
    if not crypto.is_signed(key.key, pair, sub(token, 1, #head + 1 + #payload)) then return nil, "token.signature" end
    local claims = json.object(content)
    if not claims then return nil, "token.malformed" end
    return claims, key
  end

  -- Returns x and y of the instance's key and the key itself; nil where the claim isn't a P-256 key.
  local function instance_key(claims)
    local jwk = object(object(claims.cnf).jwk)
    if not has_exactly(jwk, KEY_MEMBERS) or jwk.kty ~= "EC" or jwk.crv ~= "P-256" or type(jwk.x) ~= "string"
      or type(jwk.y) ~= "string" or #jwk.x ~= 43 or #jwk.y ~= 43 then
      return nil
    end
    local x, y = base64.url(jwk.x), base64.url(jwk.y)
    local key = x and y and crypto.key(x .. y)
    return key and jwk, key, key and x .. y
  end

  local function has_form(claims)
    local issued, ends, app = whole(claims.iat), whole(claims.exp), object(claims.app)
    return issued and ends and ends > issued and ends - issued <= MAX_LIFE
      and (claims.nbf == nil or whole(claims.nbf))
      and text(claims.iss) and text(claims.aud) and visible(claims.sub) and text(claims.jti)
      and (claims.env == "prod" or claims.env == "lab")
      and visible(app.id) and (app.ver == nil or text(app.ver))
      and RANKS[text(claims.lvl) or ""] and text(claims.sid) and whole(claims.epo)
      and (claims.bnd == nil or text(claims.bnd)) and (claims.dev == nil or visible(claims.dev))
  end

  -- What of a proof's Signature-Input and MAC is the same for all requests of the token.
  local function prepare(entry, claims, jwk, token)
    local session, secret = claims.sid, state.secrets[claims.epo]
    -- Used proofs are told apart by the session's name; a long one by its digest, which is as good.
    local name = #session <= 64 and session or sha.digest(session)
    ffi.copy(entry.session, name, #name)
    entry.session_size = #name
    -- A name that no Signature-Input can hold ends in a byte that no field can.
    local session_end = "\0"
    if #session <= 128 and find(session, KEY_ID) then
      session_end = '";alg="hmac-sha256";keyid="' .. session .. '"'
    end
    ffi.copy(entry.session_end, session_end, #session_end)
    entry.session_end_size = #session_end
    local thumbprint = prepared.device(entry, jwk)
    if secret then prepared.session(entry, secret, claims, thumbprint, token) end
  end

  local function fill(place, entry, token, now)
    local claims, key = verified(token, now)
    if not claims then return key end
    local jwk, own_key, point = instance_key(claims)
    if not jwk or not has_form(claims) then return "token.malformed" end
    if claims.iss ~= state.issuer then return "token.issuer" end
    if claims.aud ~= state.audience then return "token.audience" end
    if claims.env ~= state.environment then return "token.environment" end
    local ends = claims.exp + state.leeway
    if now >= ends then return "token.expired" end
    local from = max(claims.iat, claims.nbf or claims.iat) - state.leeway
    if now < from then return "token.early" end
    entry.valid_from, entry.ends = from, min(ends, key.ends)
    entry.rank, entry.issued, entry.counts_in = RANKS[claims.lvl], claims.iat, -1
    -- Whether the device's own signature stands for a session proof.
    entry.signs = claims.prf == "device" and 1 or 0
    ffi.copy(entry.point, point, 64)
    prepare(entry, claims, jwk, token)
    subjects[place], apps[place] = claims.sub, claims.app.id
    -- By the device where the token names it: instances of one device share its rate.
    counted[place] = claims.dev or claims.sub
    -- Three fields as the value of the first one, since each variable that is set costs as much as a look-up of the
    -- token.  None of them can hold a line break: `visible` and the known levels see to that.
    results[place] = claims.sub .. "\r\nWatchword-Level: " .. claims.lvl .. "\r\nWatchword-App: " .. claims.app.id
    versions[place], bindings[place] = claims.app.ver or false, claims.bnd or false
    keys[place] = (state.has_device or entry.signs == 1) and own_key or false
    return nil
  end

  -- Two generations bound the memory: what was not used while one filled up is forgotten.
  local LIMIT, SIZE = OPTIONS.cached_tokens, ffi.sizeof("watchword_token")
  local entries, memory = prepared.room(2 * LIMIT)
  self.memory = memory
  local current, previous, count, base = {}, {}, 0, 0

  -- From here on tokens are judged by another state: everything is forgotten, but where it differs only in who is revoked
  -- and what is cut.
  function self.judge_by(new_state)
    local same = state and state.trust and state.trust == new_state.trust
    state = new_state
    if same then return end
    current, previous, count = {}, {}, 0
    for place in pairs(keys) do keys[place] = false end
  end

  local function remember(token, now)
    -- Turning over gives the older half away, in which the entry may lie; but nothing is written there yet.
    local old = current[token] or previous[token]
    if count >= LIMIT then current, previous, count, base = {}, current, 0, LIMIT - base end
    local place = base + count
    local entry = entries[place]
    if old and now >= entries[old].valid_from and now < entries[old].ends then
      ffi.copy(entries + place, entries + old, SIZE)
      subjects[place], results[place], apps[place] = subjects[old], results[old], apps[old]
      counted[place] = counted[old]
      versions[place], bindings[place], keys[place] = versions[old], bindings[old], keys[old]
    else
      ffi.fill(entry, SIZE)
      local reason = fill(place, entry, token, now)
      if reason then
        current[token], previous[token] = nil, nil
        return nil, reason
      end
    end
    current[token], count = place, count + 1
    return place, entry
  end

  -- Says why a token that was verified doesn't count in this state; it stays remembered, or a flood of it would cost a
  -- curve each time.
  local function ended(place, entry)
    if revocations.has(state.revoked, subjects[place]) then return "token.instance_revoked" end
    if revocations.cut(state.cuts, subjects[place], apps[place], entry.rank, entry.issued) then return "token.expired" end
    entry.counts_in = state.number
    return nil
  end

  -- Returns the place and the entry of a token, or nil and the reason why it is refused.
  function self.find(token, now)
    local place = current[token]
    local entry = place and entries[place]
    if not place or now < entry.valid_from or now >= entry.ends then
      place, entry = remember(token, now)
      if not place then return nil, entry end
    end
    if entry.counts_in ~= state.number then
      local reason = ended(place, entry)
      if reason then return nil, reason end
    end
    return place, entry
  end
  return self
end)()

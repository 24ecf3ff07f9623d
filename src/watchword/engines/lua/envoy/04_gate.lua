-- Puts it together: one decision for each request, and everything but a pass is a refusal.
do
  local find, sub, lower, match = string.find, string.sub, string.lower, string.match
  local PASS = {}
  -- "either": a session proof, or the device's own signature where the token says that it stands for one.
  local KINDS = { session = true, device = true, either = true }
  local SIGNED = ';alg="ecdsa-p256-sha256"'
  local UNIQUE = { "watchword-token", "signature-input", "signature", "dpop" }
  local LONGEST = sha.CAPACITY / 2
  -- The collector walks over every remembered token; it waits until the heap is four times what is alive.
  collectgarbage("setpause", 400)
  local CAUSES = {
    ["gate.internal"] = "the route doesn't say which proof it wants (filter_context)",
    ["gate.replay_full"] = "the replay table has no place left; raise replay_sets",
    ["gate.replay_unavailable"] = "the replay table's lock can't be taken",
  }

  -- Says why a request lacks a readable proof: a header is there twice, or not at all.
  local function absent(headers)
    for _, name in ipairs(UNIQUE) do
      if headers:getNumValues(name) > 1 then return "request.header_duplicated" end
    end
    if not headers:get("watchword-token") then return "token.missing" end
    if not headers:get("signature-input") and not headers:get("signature") then return "proof.missing" end
    if headers:get("dpop") then return "proof.ambiguous" end
    return "proof.malformed"
  end

  local function announces_body(headers)
    local length = headers:get("content-length")
    return length ~= nil and length ~= "0" or headers:get("transfer-encoding") ~= nil
  end

  local function check(handle)
    local kind = handle:filterContext():get("proof")
    if not KINDS[kind] then return "gate.internal" end
    local headers = handle:headers()
    local token, input = headers:get("watchword-token"), headers:get("signature-input")
    local signature = headers:get("signature")
    if not (token and input and signature) then return absent(headers) end
    if headers:get("dpop") then return "proof.ambiguous" end
    if announces_body(headers) then return "proof.components" end
    local method, authority, target = headers:get(":method"), headers:get(":authority"), headers:get(":path")
    if not (method and authority and target) then return "request.malformed" end
    if #token + #input + #signature + #authority + #target + #method > LONGEST then
      return "request.headers_too_large"
    end
    local query = ""
    local mark = find(target, "?", 1, true)
    if mark then target, query = sub(target, 1, mark - 1), sub(target, mark + 1) end

    local now = handle:timestamp() / 1000
    local entry, reason = tokens.find(handle, kind, token)
    local created, nonce_size
    if entry then
      if now >= entry.ends + OPTIONS.leeway then
        reason = "token.expired"
      else
        local proof = kind
        if kind == "either" then
          -- The filter of rates stands in front, so that a flood costs no curve beyond the rate.
          proof = entry.signs == 1 and find(input, SIGNED, 1, true) and "device" or "session"
        end
        reason, created, nonce_size = proofs.verify(handle, proof, entry, token, input, signature, method,
          lower(authority), target, query, now)
      end
    end
    if reason then
      -- Two headers arrive as one with a comma, which no form has: say what it is.
      for _, name in ipairs(UNIQUE) do
        if headers:getNumValues(name) > 1 then return "request.header_duplicated" end
      end
      return reason
    end

    -- HTTP/2 may bring a body that no header announces.  This waits for it, so what was got from the
    -- handle before is gone afterwards, and other requests came in between: nothing is kept but strings
    -- and numbers.  Only a request with a true proof gets here.
    local body = handle:body()
    if body then
      if body:length() > 0 or handle:trailers() then return "proof.components" end
      now = handle:timestamp() / 1000
      if now >= created + OPTIONS.life then return "proof.expired" end
      entry, reason = tokens.find(handle, kind, token)
      if not entry then return reason end
    end
    reason = proofs.claim(entry, input, nonce_size, created, now)
    if reason then return reason end
    return PASS
  end

  -- Answers like every other enforcement point of the gate (RFC 9457); what is told apart is in the metadata
  -- `watchword`, which the access log writes.
  local function refuse(handle, reason)
    local public = REFUSALS[reason] or REFUSALS["gate.internal"]
    pcall(function() handle:streamInfo():dynamicMetadata():set("watchword", "reason", reason) end)
    local known, id = pcall(function() return handle:headers():get("x-request-id") end)
    id = known and id and #id <= 64 and match(id, "^[A-Za-z0-9-]+$")
    local headers = {
      [":status"] = public.status, ["content-type"] = "application/problem+json", ["cache-control"] = "no-store",
      ["www-authenticate"] = public.challenge, ["retry-after"] = public.retry_after,
    }
    handle:respond(headers, "{" .. (id and '"ref":"' .. id .. '",' or "") .. public.rest)
  end

  -- Tells an operator why, at most once a second for each reason; never what was in a request.
  local told = {}
  local function complain(handle, reason, detail)
    local now = os.time()
    if told[reason] == now then return end
    told[reason] = now
    handle:logErr("watchword: " .. reason .. ": " .. sub(string.gsub(tostring(detail), "%c", " "), 1, 300))
  end

  function envoy_on_request(handle)
    local ok, outcome = pcall(check, handle)
    if ok and outcome == PASS then return end
    local detail = CAUSES[outcome]
    if not ok then outcome, detail = "gate.internal", outcome end
    if detail then pcall(complain, handle, outcome, detail) end
    refuse(handle, outcome)
  end
end

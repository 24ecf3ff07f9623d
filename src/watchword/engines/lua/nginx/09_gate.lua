-- Puts it together: one decision for each request, and everything but a pass is a refusal.
local gate = (function()
  local find, match, sub, byte = string.find, string.match, string.sub, string.byte
  local now, var, get_headers = ngx.now, ngx.var, ngx.req.get_headers
  local DIGEST = "^sha%-256=:([A-Za-z0-9+/]+)=:$"
  local SIGNED = ';alg="ecdsa-p256-sha256"'
  local PASS, WATCHED = {}, {}
  local STATUSES = { unsupported = true, offline = true, device = true, refused = true }
  local self = {}
  -- The collector walks over every remembered token; it waits until the heap is three times what is alive.
  collectgarbage("setpause", 300)

  states.on_change = function(state)
    tokens.judge_by(state)
    head.forget()
  end

  -- Returns the 32 bytes that a Content-Digest states, nil where it isn't one canonical SHA-256 (RFC 9530, section 2).
  local function stated_digest(value)
    local text = #value <= 128 and match(value, DIGEST)
    return text and #text == 43 and base64.standard(text, 0, 43) or nil
  end

  local function body_digest()
    local data = ngx.req.get_body_data()
    if data then
      return #data, crypto.digest_of(function()
        local piece = data
        data = nil
        return piece
      end)
    end
    local name = ngx.req.get_body_file()
    if not name then return 0, crypto.digest_of(function() return nil end) end
    local file, size = assert(io.open(name, "rb")), 0
    local digest = crypto.digest_of(function()
      local piece = file:read(65536)
      size = size + (piece and #piece or 0)
      return piece
    end)
    file:close()
    return size, digest
  end

  local function has_body(headers)
    local length = rawget(headers, "content-length")
    return rawget(headers, "transfer-encoding") ~= nil or length ~= nil and find(length, "[^0]") ~= nil
  end

  -- Says why a request has no readable proof.
  local function absent(input, signature, other)
    if not input and not signature then return "proof.missing" end
    if other then return "proof.ambiguous" end
    return "proof.malformed"
  end

  -- Verifies the proof that the route asks for and the body that it covers, and claims it.  Returns nil, or the reason and seconds to
  -- wait.
  local function prove(state, headers, target, token, place, entry, at)
    local route, kind = target.route, target.route.kind
    local input = rawget(headers, "signature-input")
    if kind == "session" and entry.signs == 1 and input and find(input, SIGNED, 1, true) then
      -- The device's own signature stands for a session proof.  It costs a curve, so that it takes its room first.
      local reason, wait = rate.sign(state.signatures, ffi.string(entry.session, entry.session_size), at)
      if reason then return reason, wait end
      kind = "device"
    end
    -- As the gate does: no proof can hold, whatever it looks like.
    if kind == "session" and (entry.prepared == 0 or at >= entry.epoch_ends) then return "proof.epoch" end
    local signature = rawget(headers, "signature")
    local other, host = rawget(headers, "dpop"), head.authority(rawget(headers, "host"))
    if other and route.dpop and route.kind == "device" then
      if input or signature then return "proof.ambiguous" end
      return dpop.prove(state, tokens.keys[place], entry, token, other, target, host, at)
    end
    if not input or not signature or other then return absent(input, signature, other) end
    local digest, stated
    if has_body(headers) then
      digest = rawget(headers, "content-digest") or ""
      stated = stated_digest(digest)
      if not stated then return "proof.digest" end
    end
    if #token + #input + #signature + #host + #target.path + #target.query + #(digest or "") > sha.CAPACITY / 2 then
      return "request.headers_too_large"
    end
    local reason, created, nonce_size = proofs.verify(tokens.keys[place], kind, entry, token, input, signature,
      target.method, host, target.path, target.query, at, digest)
    if reason then return reason end
    if not digest then return proofs.claim(entry, input, nonce_size, created, at) end

    -- Held until it was compared, and so no more than the route allows.  Only a true proof gets here.
    local length = rawget(headers, "content-length")
    if length and tonumber(length) > route.max_body then return "request.body_too_large" end
    ngx.req.read_body()
    -- Other requests came in between: nothing is kept but strings and numbers.
    local size, found = body_digest()
    if size > route.max_body then return "request.body_too_large" end
    if found ~= stated then return "proof.body" end
    at = now()
    if at >= created + OPTIONS.life then return "proof.expired" end
    if not states.current(at) then return "gate.state_unavailable" end
    place, entry = tokens.find(token, at)
    if not place then return entry end
    if kind == "session" and (entry.prepared == 0 or at >= entry.epoch_ends) then return "proof.epoch" end
    return proofs.claim(entry, input, nonce_size, created, at, digest)
  end

  -- Compares dotted numbers without reading them as numbers, of which 18 digits are too many for a double.
  local function numbers(version)
    if #version > 160 or not find(version, "^%d[%d.]*$") or find(version, "..", 1, true) or sub(version, -1) == "." then
      return nil
    end
    local found = {}
    for digits in string.gmatch(version, "%d+") do
      if #digits > 18 then return nil end
      found[#found + 1] = match(digits, "^0*(%d*)$")
    end
    if #found > 8 then return nil end
    while found[#found] == "" do found[#found] = nil end
    return found
  end

  local function is_at_least(version, minimum)
    local got, needed = version and numbers(version), numbers(minimum)
    if not got or not needed then return false end
    for at = 1, math.max(#got, #needed) do
      local one, other = got[at] or "", needed[at] or ""
      if #one ~= #other then return #one > #other end
      if one ~= other then return one > other end
    end
    return true
  end

  local function standing(route, place, entry)
    if entry.rank < route.rank then return "gate.level" end
    local minimum = route.versions and route.versions[tokens.apps[place]]
    if minimum and not is_at_least(tokens.versions[place], minimum) then return "gate.app_version" end
    return nil
  end

  -- Carries out what comes after the route was found.  Returns nil or the reason, seconds to wait, whose token
  -- it is, and what the API is told of that.
  local function check(state, headers, target, at)
    local route = target.route
    local token = rawget(headers, "watchword-token")
    if not token then return "token.missing" end
    local place, entry = tokens.find(token, at)
    if not place then return entry end
    local subject = tokens.subjects[place]
    if state.binding_header then
      local value, bound = head.only(headers, state.binding_header), tokens.bindings[place]
      if not value or not bound or base64.encode_url(sha.digest(value)) ~= bound then
        return "token.binding", nil, subject
      end
    end
    if entry.rank < route.rank or route.versions then
      local reason = standing(route, place, entry)
      if reason then return reason, nil, subject, not route.kind and tokens.results[place] end
    end
    local results = tokens.results[place]
    if route.kind then
      local reason, wait = prove(state, headers, target, token, place, entry, at)
      if reason then return reason, wait, subject end
      -- A body may have taken its time: what passes counts now, by the rate of now.
      at, state = now(), states.held()
    end
    if state.rate then
      local reason, wait = rate.take(state.rate, tokens.counted[place], at)
      return reason, wait, subject, results
    end
    return nil, nil, subject, results
  end

  local function note(reason, details)
    var.watchword_reason, var.watchword_details, var.watchword_log = reason, details, "1"
    var.watchword_milliseconds = tostring(math.floor((now() - ngx.req.start_time()) * 1000 + 0.5))
  end

  -- Writes down why an app sends no token, by its own word; one beside a token leaves nothing to be claimed.
  local function claim(route, status, token)
    var.watchword_route = route.name
    var.watchword_claimed = not token and STATUSES[status] and status or "invalid"
    note("", "")
  end

  -- Returns PASS, or the reason and the seconds to wait; a route that only watches passes in any case.
  local function decide()
    local at = now()
    local headers, more = get_headers(head.MAX_FIELDS)
    if more then return "request.headers_too_large" end
    local reason = head.clean(headers)
    if reason then return reason end
    local status = head.status
    local state = states.current(at)
    if not state then return "gate.state_unavailable" end
    local target
    target, reason = head.target(state, var.request)
    if not target then return reason end
    local route = target.route
    if status then claim(route, status, rawget(headers, "watchword-token")) end
    if route.mode == "off" then
      if not target.reported then return PASS end
      var.watchword_route = route.name
      return WATCHED, "gate.route_ambiguous"
    end
    if route.kind then
      -- Where a proof is asked for, its fields are the gate's.
      ngx.req.clear_header("signature")
      ngx.req.clear_header("signature-input")
      if rawget(headers, "dpop") then ngx.req.clear_header("dpop") end
    end
    local wait, subject, results
    reason, wait, subject, results = check(state, headers, target, at)
    if not reason and not target.reported then
      var.watchword_results = results
      return PASS
    end
    reason = reason or "gate.route_ambiguous"
    var.watchword_route, var.watchword_known = route.name, subject or ""
    if route.mode == "enforce" then return reason, wait end
    if results then var.watchword_results = results end
    return WATCHED, reason
  end

  -- Answers like every other enforcement point of the gate (RFC 9457); what is told apart is in the access log.
  local function refuse(reason, details, wait)
    local public = REFUSALS[reason] or REFUSALS["gate.internal"]
    pcall(note, reason, details)
    local status = tonumber(public.status)
    local known, id = pcall(function() return var.request_id end)
    local body = "{" .. (known and id and '"ref":"' .. id .. '",' or "") .. public.rest
    ngx.status = status
    local fields = ngx.header
    fields["content-type"], fields["cache-control"] = "application/problem+json", "no-store"
    fields["www-authenticate"] = public.challenge
    fields["retry-after"] = wait and tostring(wait) or public.retry_after
    fields["content-length"] = #body
    ngx.print(body)
    return ngx.exit(status)
  end

  -- Tells an operator what went wrong inside, at most once a second.
  local told = 0
  local function complain(detail)
    local second = ngx.time()
    if told == second then return end
    told = second
    faults.tell(detail)
  end

  -- Methods that nginx may send once more where the API had closed a kept connection: RFC 9110, section 9.2.2, says
  -- that this changes nothing, and nginx knows the other two.  What it doesn't know it would repeat as well.
  local KNOWN = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, POST = true, PATCH = true }
  local function pass_on()
    if not KNOWN[ngx.req.get_method()] then return ngx.exec("@watchword_once") end
  end

  -- Whatever throws in here is a refusal.
  function self.access()
    local ok, outcome, more = pcall(decide)
    if ok and outcome == PASS then return pass_on() end
    if ok and outcome == WATCHED then
      ok, outcome = pcall(note, more, "watchword_watched")
      if ok then return pass_on() end
    end
    if not ok then
      pcall(complain, outcome)
      outcome, more = "gate.internal", nil
    end
    return refuse(outcome, "watchword_refused", more)
  end

  local BY_STATUS = {
    [404] = "gate.route_unknown", [405] = "gate.protocol", [408] = "request.timeout", [413] = "request.body_too_large",
    [414] = "request.headers_too_large", [431] = "request.headers_too_large",
    [500] = "gate.internal", [502] = "gate.upstream", [503] = "gate.upstream", [504] = "gate.upstream",
  }

  -- Words what nginx itself refuses, or what no API answered.
  function self.answer()
    local status = ngx.status
    local reason = BY_STATUS[status] or "request.malformed"
    return refuse(reason, "nginx_" .. status)
  end

  -- Starts a worker.
  function self.start()
    states.look(now())
    faults.write()
    -- So that a worker without requests takes a push too, and tells what is wrong with it.
    local made, fault = ngx.timer.every(OPTIONS.look_seconds, function(ending)
      if not ending then states.look(now()) end
      faults.write()
    end)
    if not made then error("watchword: there is no timer: " .. tostring(fault)) end
  end
  return self
end)()

return gate

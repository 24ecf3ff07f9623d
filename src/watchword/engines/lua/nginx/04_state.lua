-- Reads what the gate must know: keys, secrets, revoked instances and the route table, in a private file, so that a push
-- needs no reload and no open connection is judged by what was.  Where many are revoked, it names a second one, which
-- holds most of their digests.
--
-- Each worker looks at the file once in `OPTIONS.look_seconds`.  It takes a new one whole or not at all: a broken file,
-- or one of an earlier generation, changes nothing and is told to the operator.  Before the first one nobody passes.
local states = (function()
  local sub, match, gsub, find = string.sub, string.match, string.gsub, string.find
  local C = ffi.C
  local MAX_BYTES = 33554432
  local RANKS = { none = 0, software = 1, verified = 2, hardware = 3 }
  local PROOFS = { bearer = true, session = true, device = true }
  local MODES = { off = true, monitor = true, enforce = true }
  local path = OPTIONS.state_file
  local self = { RANKS = RANKS, generation = -1 }
  -- How many states this worker took; each has its number.
  local taken_so_far = 0
  local current, seen = nil, false
  local looked_at = -math.huge
  -- The latest generation that any worker took.  The others look at once then: what one of them refuses, none lets pass.
  -- This page is made before the workers are forked, which share it.
  local page = C.mmap(nil, 4096, 3, 0x21, -1, 0)
  if ffi.cast("intptr_t", page) == -1 then error("watchword: there is no memory that workers share") end
  local latest = ffi.cast("double *", page)
  latest[0] = -1

  local function unhex(digits)
    return (gsub(digits, "..", function(pair) return string.char(tonumber(pair, 16)) end))
  end
  local function want(condition, what)
    if not condition then error("expected " .. what, 0) end
    return condition
  end
  local function text(value, what)
    return want(type(value) == "string" and value ~= "" and value, what)
  end
  local function whole(value, what)
    return want(type(value) == "number" and value >= 0 and value % 1 == 0 and value, what)
  end
  local function list(value, what)
    return want(type(value) == "table" and value ~= json.NULL and value ~= json.FRACTION and value, what)
  end
  local function ending(value, what)
    -- An end is text, since a time with a fraction is no whole number; "-" is no end.
    if value == "-" then return math.huge end
    return want(type(value) == "string" and match(value, "^%d+%.%d+$") and tonumber(value), what)
  end

  local function keys_of(members)
    local heads, kids = {}, {}
    for _, each in ipairs(list(members, "keys")) do
      local point = want(type(each.point) == "string" and #each.point == 128 and not find(each.point, "%X")
        and unhex(each.point), "a key's point")
      local key = { key = want(crypto.key(point), "a point of P-256"), ends = ending(each.ends, "a key's end") }
      want(kids[text(each.kid, "a key's id")] == nil, "each key once")
      heads[text(each.head, "a key's header")], kids[each.kid] = key, key
    end
    return heads, kids
  end

  local function secrets_of(members)
    local by_epoch = {}
    for _, each in ipairs(list(members, "secrets")) do
      want(by_epoch[whole(each.epoch, "an epoch")] == nil, "each epoch once")
      want(type(each.secret) == "string" and #each.secret == 64 and not find(each.secret, "%X"), "a secret")
      local inner, outer = sha.pads(unhex(each.secret))
      by_epoch[each.epoch] = { inner = inner, outer = outer, ends = ending(each.ends, "an epoch's end") }
    end
    return by_epoch
  end

  local function set_of(members, what)
    local found = {}
    for _, each in ipairs(list(members, what)) do found[text(each, what)] = true end
    return found
  end

  -- Returns who is revoked, by the names in a line, each with a blank behind it: version 0.2.0 wrote such files, and the
  -- workers that take its place read one until theirs is there.
  local function names_of(line)
    local found, at = {}, 1
    local blank = find(line, " ", at, true)
    while blank do
      found[sub(line, at, blank - 1)] = true
      at = blank + 1
      blank = find(line, " ", at, true)
    end
    want(at > #line, "a blank behind each revoked instance")
    return { names = found }
  end

  local function revoked_of(members, line)
    if members.v == 1 then return names_of(line) end
    local named = list(members.revoked, "who is revoked")
    local base, count = want(type(named.base) == "string" and named.base, "the name of digests"), nil
    if base ~= "" then
      want(#base == 16 and not find(base, "[^0-9a-f]"), "16 digits as the name of digests")
      count = whole(named.count, "how many digests there are")
      base = match(path, "^(.*/)") .. "revoked-" .. base
    end
    return revocations.read(named.key, line, base ~= "" and base or nil, count, current and current.revoked)
  end

  -- Returns by sign what it is folded to; both stand in a text, in hexadecimal digits.
  local function signs_of(signs)
    local found = {}
    for sign, plain in string.gmatch(want(type(signs) == "string" and signs, "signs"), "(%x+)=(%x+) ") do
      found[unhex(sign)] = unhex(plain)
    end
    return found
  end

  local function spellings_of(row)
    local found = {}
    for at, each in ipairs(list(row.spellings, "a route's spellings")) do
      found[at] = { judge = whole(each.judge, "who judges"), rivals = {} }
      for position, rival in ipairs(list(each.rivals, "rivals")) do found[at].rivals[position] = whole(rival, "a rival") end
    end
    return found
  end

  local function route_of(row)
    local route = {
      name = text(row.name, "a route's name"), segments = list(row.segments, "a route's segments"),
      methods = set_of(row.methods, "a route's methods"), versions = list(row.versions, "a route's versions"),
      max_body = whole(row.max_body, "a route's max_body"),
      rank = want(RANKS[row.level], "a level"), proof = want(PROOFS[row.proof] and row.proof, "a proof"),
      mode = want(MODES[row.mode] and row.mode, "a mode"),
    }
    want(type(row.open_ended) == "boolean" and type(row.dpop) == "boolean", "what a route takes")
    for _, segment in ipairs(route.segments) do text(segment, "a segment") end
    route.folded, route.spellings = list(row.folded, "a route's folded segments"), spellings_of(row)
    want(#route.folded == #route.segments, "as many folded segments")
    for _, segment in ipairs(route.folded) do text(segment, "a folded segment") end
    for _, version in pairs(route.versions) do text(version, "a version") end
    route.open_ended, route.dpop = row.open_ended, row.dpop
    if next(route.methods) == nil then route.methods = nil end
    if next(route.versions) == nil then route.versions = nil end
    if route.proof ~= "bearer" then route.kind = route.proof end
    return route
  end

  local function cuts_of(members)
    local found = {}
    for at, each in ipairs(list(members, "cuts")) do
      local cut = { before = whole(each.before, "when a cut was made"), share = whole(each.share, "a cut's share") }
      if each.app ~= json.NULL then cut.app = text(each.app, "a cut's app") end
      if each.level ~= json.NULL then cut.level = want(RANKS[each.level], "a cut's level") end
      found[at] = cut
    end
    return found
  end

  local function rate_of(rate)
    local requests, seconds = whole(rate.requests, "rate"), whole(rate.seconds, "rate")
    want(requests > 0 and seconds > 0, "a rate")
    -- As the gate's own bucket: sums of floats must not eat its last request.
    local cost = seconds / requests
    return { seconds = seconds, cost = cost, most = seconds + cost / 100 + requests * 2 ^ -22 }
  end

  local function state_of(members)
    want(members.v == 1 or members.v == 2, "v 2")
    local state = {
      generation = whole(members.generation, "generation"),
      issuer = text(members.issuer, "issuer"), audience = text(members.audience, "audience"),
      environment = text(members.environment, "environment"), leeway = whole(members.leeway, "leeway"),
      secrets = secrets_of(members.secrets), routes = {},
    }
    state.heads, state.kids = keys_of(members.keys)
    for at, row in ipairs(list(members.routes, "routes")) do
      state.routes[at] = route_of(row)
      state.has_device = state.has_device or row.proof == "device"
    end
    for _, route in ipairs(state.routes) do
      for _, spelling in ipairs(route.spellings) do
        want(spelling.judge == 0 or state.routes[spelling.judge], "a row that judges")
        for _, rival in ipairs(spelling.rivals) do want(state.routes[rival], "a row that is a rival") end
      end
    end
    state.signs = signs_of(members.signs)
    if members.binding_header ~= json.NULL then
      state.binding_header = text(members.binding_header, "the name of a header")
    end
    state.cuts, state.trust = {}, false
    if members.v == 2 then
      state.cuts, state.trust = cuts_of(members.cuts), text(members.trust, "what else than revocations holds")
    end
    if members.rate ~= json.NULL then state.rate = rate_of(list(members.rate, "rate")) end
    state.signatures = rate_of(list(members.signatures, "signatures"))
    return state
  end

  local function taken()
    -- Three lines: the object, digests of revoked instances, and what tells a whole file from one that was cut off.
    local data = system.contents(path, MAX_BYTES)
    local first = find(data, "\n", 1, true)
    want(first and first < #data - 4 and sub(data, -5) == "\nend\n", "a last line that says end")
    local members, fault = json.object(sub(data, 1, first - 1))
    if not members then error(fault, 0) end
    local state = state_of(members)
    want(state.generation >= self.generation, "generation " .. self.generation .. " or a later one")
    state.revoked = revoked_of(members, sub(data, first + 1, -6))
    return state
  end

  -- Called with each state that is taken.
  function self.on_change() end

  function self.look(now)
    looked_at = now
    local mark = system.mark(path)
    if mark == seen then return end
    seen = mark
    local ok, found = pcall(taken)
    if ok then
      local before = current
      taken_so_far = taken_so_far + 1
      found.number = taken_so_far
      current, self.generation = found, found.generation
      if latest[0] < found.generation then latest[0] = found.generation end
      OPTIONS.leeway, OPTIONS.life = found.leeway, OPTIONS.proof_life + found.leeway
      self.on_change(found)
      if before then revocations.release(before.revoked, found.revoked) end
    else
      -- Told once for each file, by each worker; no message quotes what is in it.
      faults.tell(path .. " changes nothing: " .. tostring(found))
    end
  end

  -- Returns the state that was taken last, without a look.
  function self.held() return current end

  -- Returns the state, nil before the first one.
  function self.current(now)
    local age = now - looked_at
    -- A clock that went back must not stop it from looking.
    if age >= OPTIONS.look_seconds or age < 0 or latest[0] > self.generation then self.look(now) end
    return current
  end
  return self
end)()

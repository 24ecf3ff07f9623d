-- Refuses heads that two servers could read in two ways, and takes out what is the gate's.
--
-- nginx refuses NUL, a lone CR, folded lines, white space before a colon, two lengths, a length beside a coding and two
-- hosts by itself; what it lets pass is judged here.
local head = (function()
  local find, gsub, lower, match, sub, byte = string.find, string.gsub, string.lower, string.match, string.sub, string.byte
  local MAX_FIELDS, MAX_FIELD, MAX_ALL, MAX_PATH, MAX_QUERY = 100, 8192, 16384, 8192, 8192
  local MAX_MEMORY = 2048
  local self = { MAX_FIELDS = MAX_FIELDS }

  -- What a field is, by its lower-case name: nothing special, one that decides, the same with another sign for a
  -- hyphen, one that only a gate may state, a list of what ends here, none at all, or what an app says of itself where
  -- it sends no token.
  local PLAIN, DECIDING, DISGUISED, STATED, CONNECTION, MALFORMED, STATUS = 0, 1, 2, 3, 4, 5, 6
  local CLAIMED = "watchword-status"
  local REASONS = {
    ["watchword-token"] = "request.header_duplicated", ["dpop"] = "request.header_duplicated",
    ["signature"] = "request.header_duplicated", ["signature-input"] = "request.header_duplicated",
    ["content-digest"] = "request.header_duplicated", ["authorization"] = "request.header_duplicated",
    ["host"] = "request.host", ["content-length"] = "request.framing", ["transfer-encoding"] = "request.framing",
  }
  local OURS = {
    ["watchword-instance"] = true, ["watchword-level"] = true, ["watchword-app"] = true, ["watchword-verdict"] = true,
    ["watchword-api"] = true,
    -- For whose sake frameworks serve another path or method than the one that was judged.
    ["x-envoy-original-path"] = true, ["x-http-method"] = true, ["x-http-method-override"] = true,
    ["x-method-override"] = true, ["x-original-host"] = true, ["x-original-method"] = true, ["x-original-uri"] = true,
    ["x-original-url"] = true, ["x-override-url"] = true, ["x-rewrite-url"] = true, ["x-forwarded-method"] = true,
    ["x-forwarded-path"] = true, ["x-forwarded-prefix"] = true, ["x-forwarded-uri"] = true,
  }
  -- What a gateway says of the client's side, beside X-Forwarded-*; nginx states X-Forwarded-For itself.
  local WHENCE = { ["forwarded"] = true, ["x-real-ip"] = true }
  -- What clients name in Connection every day.
  local HOP_BY_HOP = {
    ["close"] = true, ["http2-settings"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
    ["trailer"] = true, ["upgrade"] = true,
  }

  -- CGI and WSGI make one variable of a-b and a_b, and some servers of a.b too.
  local function canonical(name) return (gsub(name, "[!#$%%&'*+.^_`|~]", "-")) end

  local function kind_of(name)
    if not find(name, "^[!#$%%&'*+.^_`|~0-9a-z-]+$") then return MALFORMED end
    local plain = canonical(name)
    if plain == CLAIMED then return STATUS end
    if OURS[plain] or WHENCE[plain] or find(plain, "x-forwarded-", 1, true) == 1 then return STATED end
    if REASONS[plain] then return plain == name and DECIDING or DISGUISED end
    return plain == "connection" and CONNECTION or PLAIN
  end

  -- Remembers a function of short texts, in bounded memory.
  local function remembered(work)
    local known, count = {}, 0
    return function(given)
      local found = known[given]
      if found ~= nil then return found end
      found = work(given)
      if #given <= 256 then
        if count >= MAX_MEMORY then known, count = {}, 0 end
        known[given], count = found, count + 1
      end
      return found
    end
  end

  local kind, alike = remembered(kind_of), remembered(canonical)

  -- Returns the value of a header that occurs once and under no second spelling, which the API might read instead.
  function self.only(headers, name)
    local plain, found = alike(name), nil
    for other, value in pairs(headers) do
      if alike(other) == plain then
        if other ~= name or type(value) ~= "string" then return nil end
        found = value
      end
    end
    return found
  end

  -- Returns a host in lower case, false where it isn't one of a name and perhaps a port.
  self.authority = remembered(function(host)
    local name, port = match(host, "^(%[[0-9A-Fa-f:.]+%])(.*)$")
    if not name then name, port = match(host, "^([A-Za-z0-9._~-]+)(.*)$") end
    if not name or not (port == "" or find(port, "^:%d%d?%d?%d?%d?$")) then return false end
    return lower(host)
  end)

  local HARMLESS = {
    ["keep-alive"] = true, ["close"] = true, ["upgrade"] = true, ["keep-alive, upgrade"] = true,
    ["upgrade, keep-alive"] = true,
  }

  -- Takes out what Connection names, so that nothing behind removes a verified header in its name.
  local function carry_out(headers, named)
    local options = {}
    for _, value in ipairs(type(named) == "table" and named or { named }) do
      for option in string.gmatch(value .. ",", "([^,]*),") do
        -- From the end on: an expression that tries each place would look at every blank behind it again and again.
        local first = find(option, "[^ \t]")
        if first then options[canonical(lower(match(option, "^.*[^ \t]", first)))] = true end
      end
    end
    for option in pairs(options) do
      if not HOP_BY_HOP[option] and not OURS[option] and option ~= CLAIMED then return "request.framing" end
    end
    -- A handshake's Upgrade is for the application.
    options.connection, options.upgrade = true, nil
    for name in pairs(headers) do
      if options[canonical(name)] then
        ngx.req.clear_header(name)
        headers[name] = nil
      end
    end
    return nil
  end

  -- Looks again where a field has no value: to nginx a line without a colon is one.
  local function has_lines()
    for line in string.gmatch(match(ngx.req.raw_header(true), "^[%z\r\n]*(.*)$") or "", "([^\n]*)\n") do
      if not find(line, "^%s*$") and not find(line, "^[^:%s]+:") then return false end
    end
    return true
  end

  local function framing(length, coding)
    if length and (coding or not find(length, "^%d+$") or #length > 18) then return "request.framing" end
    if coding and lower(coding) ~= "chunked" then return "request.framing" end
    return nil
  end

  -- Judges the fields and takes out what can't stay; returns the reason if they can't be read in one way only.  What an
  -- app says of itself is in `self.status` until the next call, nil where it says nothing.
  function self.clean(headers)
    self.status = nil
    local all, named, reason, empty = 0, nil, nil, false
    for name, value in pairs(headers) do
      local what = kind(name)
      if type(value) == "string" then
        local size = #name + #value
        if size > MAX_FIELD then return "request.headers_too_large" end
        all = all + size
        if value == "" then empty = true end
      else
        for at = 1, #value do
          local size = #name + #value[at]
          if size > MAX_FIELD then return "request.headers_too_large" end
          all = all + size
          if value[at] == "" then empty = true end
        end
        if what == DECIDING then reason = reason or REASONS[name] end
      end
      if what ~= PLAIN and what ~= DECIDING then
        if what == CONNECTION then
          -- Under another sign it is a field like others, which ends here too.
          if name == "connection" then named = value else ngx.req.clear_header(name) end
        elseif what == STATED then
          ngx.req.clear_header(name)
        elseif what == STATUS then
          ngx.req.clear_header(name)
          self.status = not self.status and type(value) == "string" and value or "invalid"
        else
          reason = reason or "request.malformed"
        end
      end
    end
    if all > MAX_ALL then return "request.headers_too_large" end
    if reason then return reason end
    if empty and not has_lines() then return "request.malformed" end
    local host = rawget(headers, "host")
    if not host or not self.authority(host) then return "request.host" end
    reason = framing(rawget(headers, "content-length"), rawget(headers, "transfer-encoding"))
    if reason then return reason end
    if named and not (type(named) == "string" and HARMLESS[lower(named)]) then return carry_out(headers, named) end
    return nil
  end

  -- Returns the decoded segments of a raw path, or nil: see the gate's own reading of paths.
  local function segments_of(path)
    if find(path, "[^!-~]") or find(path, "[\\;#?]") then return nil end
    local encoded = find(path, "%", 1, true) ~= nil
    if encoded then
      local _, signs = gsub(path, "%%", "")
      local _, escapes = gsub(path, "%%%x%x", "")
      if signs ~= escapes then return nil end
    end
    local segments = {}
    for raw in string.gmatch(sub(path, 2) .. "/", "([^/]*)/") do segments[#segments + 1] = raw end
    if segments[#segments] == "" then segments[#segments] = nil end
    for at = 1, #segments do
      local raw = segments[at]
      local segment = encoded and gsub(raw, "%%(%x%x)", function(pair) return string.char(tonumber(pair, 16)) end) or raw
      if segment == "" or segment == "." or segment == ".." then return nil end
      if segment ~= raw and (find(segment, "[%z\1-\31\127/\\;#?]") or find(segment, "\194[\128-\159]")
        or find(segment, "%%%x%x") or not json.is_utf8(segment)) then
        return nil
      end
      segments[at] = segment
    end
    return segments
  end

  local SIGN = "[\194-\244][\128-\191]+"

  -- Returns a segment as other spellings have it in common.  In the locale of C, which nginx has, `lower` is on the
  -- letters of ASCII.  Some servers take a capital I with a dot for an i, others for an i with a dot.
  local function folded_of(state, segment)
    return (gsub(lower((gsub(segment, SIGN, state.signs))), "i\204\135", "i"))
  end

  -- Tells whether a server that normalises Unicode finds another separator in a path, or a segment of dots.
  local function has_separator(state, segments)
    for _, segment in ipairs(segments) do
      if find(segment, "[\128-\255]") then
        for sign in string.gmatch(segment, SIGN) do
          if find(state.signs[sign] or "", "[/\\;#?%%]") then return true end
        end
        if not find(folded_of(state, segment), "[^.]") then return true end
      end
    end
    return false
  end

  local function matches(route, method, segments, wanted)
    if route.methods and not route.methods[method] then return false end
    if #segments < #wanted or #segments > #wanted and not route.open_ended then return false end
    for at = 1, #wanted do
      if wanted[at] ~= "*" and wanted[at] ~= segments[at] then return false end
    end
    return true
  end

  local function fits(state, spelling, method, segments, folded)
    for _, at in ipairs(spelling.rivals) do
      local rival = state.routes[at]
      if not matches(rival, method, folded, rival.folded) or matches(rival, method, segments, rival.segments) then
        return false
      end
    end
    return true
  end

  -- Returns the position of the row that judges a path of a row: the strictest that it belongs to in any spelling.  0 where there is none; and whether that is only reported, since none of them refuses anybody.
  local function judge_of(state, at, method, segments)
    local spellings, folded = state.routes[at].spellings, nil
    for _, spelling in ipairs(spellings) do
      if not folded then
        folded = {}
        for position, segment in ipairs(segments) do folded[position] = folded_of(state, segment) end
      end
      if fits(state, spelling, method, segments, folded) then return spelling.judge, spelling.judge == at end
    end
    return at, false
  end

  -- Returns the target of a request line, or nil and why there is none.
  local function resolve(state, line)
    local method, target = match(line, "^([^ ]+) ([^ ]+) HTTP/1%.[01]$")
    if not method or #method > 32 or not find(method, "^[A-Z][A-Z-]*$") then return nil, "request.malformed" end
    if method == "CONNECT" or method == "TRACE" then return nil, "gate.protocol" end
    -- A target with a host of its own names one that Host doesn't, and nginx would take it.
    if byte(target, 1) ~= 47 then return nil, "request.path_ambiguous" end
    local path, query = target, ""
    local mark = find(target, "?", 1, true)
    if mark then path, query = sub(target, 1, mark - 1), sub(target, mark + 1) end
    if #path > MAX_PATH or #query > MAX_QUERY then return nil, "request.headers_too_large" end
    local segments = segments_of(path)
    if not segments or has_separator(state, segments) then return nil, "request.path_ambiguous" end
    for at, route in ipairs(state.routes) do
      if matches(route, method, segments, route.segments) then
        local judge, reported = judge_of(state, at, method, segments)
        if judge == 0 then return nil, "gate.route_ambiguous" end
        return { route = state.routes[judge], method = method, path = path, query = query, reported = reported }
      end
    end
    return nil, "gate.route_unknown"
  end

  local lines, count = {}, 0

  -- Forgets which route a request belongs to: there is another table.
  function self.forget() lines, count = {}, 0 end

  function self.target(state, line)
    local found = lines[line]
    if found then return found end
    local reason
    found, reason = resolve(state, line)
    if found and #line <= 256 then
      if count >= MAX_MEMORY then lines, count = {}, 0 end
      lines[line], count = found, count + 1
    end
    return found, reason
  end
  return self
end)()

-- Marks each request by whether its token still counts: an instance may have been revoked, and a token cut off.  The filter
-- behind this one refuses whatever isn't marked, so that a fault here lets nobody pass.
--
-- Who is revoked stands in a private file.  Each worker looks at it with each request: what one of them refuses, none lets
-- pass.  It takes a new one whole or not at all: a broken file, or one of an earlier generation, changes nothing and is told
-- to the operator.  Before the first one nobody passes.
do
  local match, sub, gmatch = string.match, string.sub, string.gmatch
  local path = OPTIONS.state_file
  local MAX_BYTES = 1048576
  local current, seen = nil, false

  local function want(condition, what)
    if not condition then error("expected " .. what, 0) end
    return condition
  end

  local function cuts_of(lines)
    local found = {}
    for line in gmatch(lines, "[^\n]+") do
      local before, share, level, app = match(line, "^cut (%d+) (%d+) (%l+) ([!-~]+)$")
      want(before and (app == "all" or match(app, "^:.")), "a cut")
      found[#found + 1] = {
        before = tonumber(before), share = tonumber(share),
        level = level ~= "all" and level or nil, app = app ~= "all" and sub(app, 2) or nil,
      }
    end
    return found
  end

  local function taken()
    local generation, key, base, count, cuts, added = match(system.contents(path, MAX_BYTES),
      "^watchword%-envoy%-revocations 1\ngeneration (%d+)\nkey (%x+)\nbase (%S+) (%d+)(\n.-)added ([0-9a-f ]*)\nend\n$")
    generation = tonumber(want(generation, "lines from the format to the end"))
    want(not current or generation >= current.generation, "a generation that isn't earlier")
    want(base == "-" or #base == 16 and not match(base, "[^0-9a-f]"), "16 digits as the name of digests")
    local file = base ~= "-" and match(path, "^(.*/)") .. "revoked-" .. base or nil
    local list = revocations.read(key, added, file, tonumber(count), current and current.revoked)
    return { generation = generation, cuts = cuts_of(cuts), revoked = list }
  end

  local function look(handle)
    local mark = system.mark(path)
    if mark == seen then return end
    seen = mark
    local ok, found = pcall(taken)
    if ok then
      local before = current
      current = found
      if before then revocations.release(before.revoked, found.revoked) end
    else
      -- Told once for each file, by each worker; no message quotes what is in it.
      handle:logErr("watchword: " .. path .. " changes nothing: " .. tostring(found))
    end
  end

  function envoy_on_request(handle)
    look(handle)
    if not current then return end
    local headers = handle:headers()
    local subject, mark = headers:get("watchword-instance"), "holds"
    if not subject then return end
    if revocations.has(current.revoked, subject) then
      mark = "revoked"
    elseif #current.cuts > 0 then
      -- A token that doesn't say when it was issued is older than any cut.
      local issued = tonumber(headers:get("watchword-issued") or "") or 0
      local app, level = headers:get("watchword-app"), headers:get("watchword-level")
      if revocations.cut(current.cuts, subject, app, level, issued) then mark = "cut" end
    end
    headers:replace("watchword-counts", mark)
  end
end

-- Reads the private file: keys of tokens, gate secrets by epoch, revoked instances.  They stand in a file of their
-- own since whatever stands in this script can be read at Envoy's admin endpoint.
local secrets = (function()
  local path = OPTIONS.private_file
  local fd, size = system.open_private(path, 0)
  ffi.C.close(fd)
  if size > 16777216 then error("watchword: " .. path .. " has more than 16 MiB") end
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()

  local self = { revoked = {}, by_epoch = {}, keys = {} }
  local line_number, ended = 0, false
  local function refuse(expected)
    error("watchword: " .. path .. " line " .. line_number .. ": expected " .. expected)
  end
  local function unhex(digits)
    return (string.gsub(digits, "..", function(pair) return string.char(tonumber(pair, 16)) end))
  end
  local heads = { "watchword%-envoy%-secrets (1)", "generation (%d+)", "issuer ([^%c ]+)", "audience ([^%c ]+)" }
  local names = { "format", "generation", "issuer", "audience" }
  for line in string.gmatch(text, "([^\n]*)\n") do
    line_number = line_number + 1
    if ended then refuse("nothing after the end") end
    if line_number <= 4 then
      local value = string.match(line, "^" .. heads[line_number] .. "$")
      if not value then refuse(names[line_number]) end
      self[names[line_number]] = value
    elseif line == "end" then
      ended = true
    else
      local subject = string.match(line, "^revoked ([A-Za-z0-9_-]+)$")
      local head, point = string.match(line, "^key ([A-Za-z0-9_-]+) (%x+)$")
      if subject then
        self.revoked[subject] = true
      elseif head then
        if #point ~= 128 or self.keys[head] then refuse("each key once, with 128 digits") end
        self.keys[head] = unhex(point)
      else
        local epoch, till, digits = string.match(line, "^secret (%d+) ([%d.-]+) (%x+)$")
        local ends = till == "-" and math.huge or tonumber(till or "")
        if not ends or #digits ~= 64 then refuse("a key, a secret, a revoked subject or the end") end
        local key = tonumber(epoch)
        if self.by_epoch[key] then refuse("each epoch once") end
        local inner, outer = sha.pads(unhex(digits))
        self.by_epoch[key] = { inner = inner, outer = outer, ends = ends }
      end
    end
  end
  -- A file that was cut off would lack revoked instances.
  if not ended or string.sub(text, -4) ~= "end\n" then refuse("a last line that says end") end
  -- Each script names its generation: together they are what the service published, or nothing.
  if self.generation ~= OPTIONS.generation then refuse("generation " .. OPTIONS.generation) end
  return self
end)()

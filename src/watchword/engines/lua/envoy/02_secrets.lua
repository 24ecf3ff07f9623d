-- Reads the private file: keys of tokens, and gate secrets by epoch.  They stand in a file of their own since whatever
-- stands in this script can be read at Envoy's admin endpoint.
local secrets = (function()
  local path = OPTIONS.private_file
  local text = system.contents(path, 1048576)
  local self = { by_epoch = {}, keys = {} }
  local line_number, ended = 0, false
  local function refuse(expected)
    error("watchword: " .. path .. " line " .. line_number .. ": expected " .. expected)
  end
  local function unhex(digits)
    return (string.gsub(digits, "..", function(pair) return string.char(tonumber(pair, 16)) end))
  end
  local heads = { "watchword%-envoy%-secrets (2)", "issuer ([^%c ]+)", "audience ([^%c ]+)" }
  local names = { "format", "issuer", "audience" }
  for line in string.gmatch(text, "([^\n]*)\n") do
    line_number = line_number + 1
    if ended then refuse("nothing after the end") end
    if line_number <= 3 then
      local value = string.match(line, "^" .. heads[line_number] .. "$")
      if not value then refuse(names[line_number]) end
      self[names[line_number]] = value
    elseif line == "end" then
      ended = true
    else
      local head, point = string.match(line, "^key ([A-Za-z0-9_-]+) (%x+)$")
      if head then
        if #point ~= 128 or self.keys[head] then refuse("each key once, with 128 digits") end
        self.keys[head] = unhex(point)
      else
        local epoch, till, digits = string.match(line, "^secret (%d+) ([%d.-]+) (%x+)$")
        local ends = till == "-" and math.huge or tonumber(till or "")
        if not ends or #digits ~= 64 then refuse("a key, a secret or the end") end
        local key = tonumber(epoch)
        if self.by_epoch[key] then refuse("each epoch once") end
        local inner, outer = sha.pads(unhex(digits))
        self.by_epoch[key] = { inner = inner, outer = outer, ends = ends }
      end
    end
  end
  -- A file that was cut off would lack secrets.
  if not ended or string.sub(text, -4) ~= "end\n" then refuse("a last line that says end") end
  return self
end)()

-- Watchword: the gate's decision, made inside nginx's Lua module.
--
-- `init_by_lua` loads this once, before the workers are forked; whatever throws here keeps nginx from starting.  What
-- it returns are the three functions that the configuration calls.
local ffi = require("ffi")
local bit = require("bit")

if ffi.os ~= "Linux" or not (ffi.arch == "x64" or ffi.arch == "arm64") or not ffi.abi("le") then
  error("watchword: this script was written for Linux on x86-64 and arm64")
end

-- Tells an operator what is wrong, never what was in a request.  It is written by a timer, since whatever is written for
-- a request gets the request line beside it, and with that the query.
local faults = (function()
  local waiting, count = {}, 0
  local self = {}

  function self.tell(text)
    -- The first ones say it all: a fault of each request must not fill a disk.
    if count >= 4 then return end
    count = count + 1
    waiting[count] = string.sub(string.gsub(tostring(text), "%c", " "), 1, 600)
  end

  function self.write()
    for at = 1, count do ngx.log(ngx.ALERT, "watchword: ", waiting[at]) end
    waiting, count = {}, 0
  end
  return self
end)()

-- Watchword: the gate's decision, made inside nginx's Lua module.
--
-- `init_by_lua` loads this once, before the workers are forked; whatever throws here keeps nginx from starting.  What
-- it returns are the three functions that the configuration calls.
local ffi = require("ffi")
local bit = require("bit")

if ffi.os ~= "Linux" or not (ffi.arch == "x64" or ffi.arch == "arm64") or not ffi.abi("le") then
  error("watchword: this script was written for Linux on x86-64 and arm64")
end

-- Watchword, inside Envoy's stock Lua filter.
--
-- A script that throws while a worker loads it would leave the filter out, and each request would
-- pass unchecked.  So the first statement is a gate that is shut; only the last one opens it.
function envoy_on_request(handle)
  handle:respond({
    [":status"] = "503",
    ["content-type"] = "application/problem+json",
    ["cache-control"] = "no-store",
    ["retry-after"] = "5",
  }, '{"status":503,"title":"Temporarily unavailable","type":"urn:watchword:problem:unavailable"}')
end

local ffi = require("ffi")
local bit = require("bit")

if ffi.os ~= "Linux" or not (ffi.arch == "x64" or ffi.arch == "arm64") or not ffi.abi("le") then
  error("watchword: this script was written for Linux on x86-64 and arm64")
end

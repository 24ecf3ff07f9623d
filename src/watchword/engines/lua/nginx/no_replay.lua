-- No route asks for a proof, so that there is no table of used ones.  Should a push bring such a route before nginx was
-- told to read its configuration anew, that route is closed.
local replay = { claim = function() return "gate.replay_unavailable" end }

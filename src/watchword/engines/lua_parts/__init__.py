"""Hold the Lua that more than one engine runs, and write what all of them are told of refusals."""

"""Write the configuration of an nginx without Lua, which asks ``/authz`` about every request."""

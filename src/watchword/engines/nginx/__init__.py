"""Write nginx's configuration, and the Lua with which it makes the gate's decision."""

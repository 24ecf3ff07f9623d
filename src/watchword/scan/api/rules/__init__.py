"""Hold the rules over descriptions of APIs, one in each file."""

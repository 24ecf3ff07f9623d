"""Show counters to whoever scrapes them."""

"""Show pages in the browser, on loopback, to whoever started the command: one guard, one kit of templates and styles."""

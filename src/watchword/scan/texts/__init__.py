"""Read bundles and assets as text: what an attacker's ``strings`` and ``grep`` would show him.  Pure."""

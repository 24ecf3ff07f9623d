"""Answer the operator's requests, which come over a socket that only the service's user can open."""

"""Tie one request to the instance that a token was issued to (protocol, section 5)."""

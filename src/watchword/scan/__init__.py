"""Read a built app and an API description as an attacker would.  Pure: packages are opened by an adapter."""

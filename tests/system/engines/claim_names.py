"""Name the claims of a token, for tests that mutate them."""

from typing import Final

CLAIM_NAMES: Final = (
    *("iss", "aud", "sub", "iat", "exp", "jti", "env", "app", "lvl", "cnf", "sid", "epo", "bnd"),
    "nbf",
)
"""Those that the service writes, and one that it doesn't and a gate looks at all the same."""

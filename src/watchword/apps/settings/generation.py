"""Name the policy generation of an API: what proofs of it are bound to."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def generation_of(api_name: str, data: Mapping[str, Any]) -> str:
    """Return the generation of an API's protection: SHA-256 in hex.

    It covers the API's section and the ``policy`` section as they are written, and nothing else: an
    edit of a route's mode makes a proof of that API stale, an edit of another API doesn't.
    Comments, spacing and the order of keys don't count; the order of routes does, as the first match decides.

    :param api_name: its name under ``apis``.
    :param data: the plain values of the whole file.
    :raises KeyError: where the file has no such API.
    """
    covered = {"api": data["apis"][api_name], "policy": data.get("policy")}
    canonical = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()

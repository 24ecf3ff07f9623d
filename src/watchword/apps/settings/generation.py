"""Name the policy generation of an API: what proofs of it are bound to."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_SETS: Final = frozenset({"signing_digests"})
"""Lists of an app's section in which the order decides nothing."""


def generation_of(api_name: str, data: Mapping[str, Any]) -> str:
    """Return the generation of an API's protection: SHA-256 in hex.

    It covers what decides who is let in there, as it is written: the environment, the API's section, the sections of
    the apps that may call it, and the ``policy`` section.  An edit of a route's mode or of such an app's
    signing certificates makes a proof of that API stale, an edit of another API or of an app that may not call it doesn't.
    So does an edit of a key under ``secrets`` that its routes add.  Comments, spacing, the order of keys, of the API's
    apps and of an app's certificates don't count; the order of routes does, as the first match decides.

    :param api_name: its name under ``apis``.
    :param data: the plain values of the whole file; what is malformed counts as it is written.
    :raises KeyError: where the file has no such API.
    """
    api = data["apis"][api_name]
    callers = api.get("apps") if isinstance(api, Mapping) else None
    if isinstance(callers, list):
        api = {**api, "apps": _sorted(callers)}
    covered = {
        # Left out, it is prod for the plan.
        "environment": data.get("environment", "prod"),
        "api": api,
        "apps": _sections(callers, data.get("apps")),
        "policy": data.get("policy"),
    }
    lent = _lent(api, data.get("secrets"))
    if lent:
        covered["secrets"] = lent
    return hashlib.sha256(_canonical(covered).encode("ascii")).hexdigest()


def _lent(api: Any, secrets: Any) -> dict[str, Any]:
    """Return the sections of the keys that the API's routes add: where a key may go decides who can use it."""
    keys = secrets.get("keys") if isinstance(secrets, Mapping) else None
    routes = api.get("routes") if isinstance(api, Mapping) else None
    named = [
        route["secret"]
        for route in (routes if isinstance(routes, list) else ())
        if isinstance(route, Mapping) and isinstance(route.get("secret"), str)
    ]
    return {name: keys.get(name) for name in named} if isinstance(keys, Mapping) else {}


def _sections(callers: Any, apps: Any) -> dict[str, Any]:
    """Return the sections of the apps that may call, None for one that has none."""
    known = apps if isinstance(apps, Mapping) else {}
    names = [each for each in callers if isinstance(each, str)] if isinstance(callers, list) else []
    return {name: _unordered(known.get(name)) for name in names}


def _unordered(section: Any) -> Any:
    """Return an app's section with its sets in one order, and digests in one spelling."""
    if not isinstance(section, Mapping):
        return section
    return {
        key: _sorted(map(_spelt, value)) if key in _SETS and isinstance(value, list) else value
        for key, value in section.items()
    }


def _spelt(digest: Any) -> Any:
    """Return a digest as all ways to write it come to."""
    return digest.replace(":", "").lower() if isinstance(digest, str) else digest


def _sorted(values: Any) -> list[Any]:
    """Return values of any kind in one order, each once."""
    return [json.loads(each) for each in sorted(set(map(_canonical, values)))]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

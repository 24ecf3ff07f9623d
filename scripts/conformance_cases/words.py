"""Hold the few words in which the cases are written."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

ROUTES: list[Json] = [
    {"name": "health", "pattern": "/health", "methods": ["GET"], "mode": "off"},
    {"name": "open", "pattern": "/open/**", "mode": "off"},
    {"name": "watched", "pattern": "/watched/**", "level": "hardware", "mode": "monitor"},
    {
        "name": "watched-session",
        "pattern": "/watched-session/**",
        "proof": "session",
        "mode": "monitor",
    },
    {"name": "bearer", "pattern": "/bearer/**"},
    {"name": "verified", "pattern": "/verified/**", "level": "verified"},
    {"name": "hardware", "pattern": "/hardware/**", "level": "hardware"},
    {
        "name": "versioned",
        "pattern": "/versioned/**",
        "minimum_versions": {"conformance-app": "2.0.1"},
    },
    {"name": "session", "pattern": "/session/**", "proof": "session"},
    {
        "name": "session-small",
        "pattern": "/session-small/**",
        "proof": "session",
        "max_body": 256,
    },
    {
        "name": "session-hardware",
        "pattern": "/session-hardware/**",
        "proof": "session",
        "level": "hardware",
    },
    {"name": "device", "pattern": "/device/**", "proof": "device"},
    {"name": "dpop", "pattern": "/dpop/**", "proof": "device", "dpop": True},
    {"name": "canary", "pattern": "/canary/**", "level": "hardware", "mode": "canary"},
    {"name": "read", "pattern": "/read/**", "methods": ["GET"]},
    {"name": "first-open", "pattern": "/first/open", "methods": ["GET"]},
    {"name": "first", "pattern": "/first/**", "proof": "device"},
    # Paths that a server which ignores case, or normalises Unicode, takes for those of another row.
    {"name": "fold-health", "pattern": "/fold/health", "methods": ["GET"], "mode": "off"},
    {"name": "fold-hardware", "pattern": "/fold/sess/**", "level": "hardware"},
    {
        "name": "fold-inner",
        "pattern": "/fold/mixed/in/**",
        "minimum_versions": {"conformance-app": "2.0.1"},
    },
    {"name": "fold-mixed", "pattern": "/fold/mixed/**", "level": "hardware"},
    {"name": "fold-me", "pattern": "/fold/users/me"},
    {"name": "fold-user", "pattern": "/fold/users/*", "level": "hardware"},
    {"name": "fold-of-any", "pattern": "/fold/*/kiss/**", "level": "hardware"},
    {"name": "fold-post", "pattern": "/fold/post", "methods": ["POST"], "level": "hardware"},
    {
        "name": "fold-watched-inner",
        "pattern": "/fold/seen/in/**",
        "proof": "session",
        "mode": "monitor",
    },
    {
        "name": "fold-watched",
        "pattern": "/fold/seen/**",
        "level": "hardware",
        "mode": "monitor",
    },
    {"name": "fold-off-watched", "pattern": "/fold/free/in/**", "mode": "monitor"},
    {"name": "fold-off-guarded", "pattern": "/fold/free/at/**"},
    {"name": "fold-off", "pattern": "/fold/free/**", "mode": "off"},
    {"name": "fold-rest", "pattern": "/fold/**"},
    {"name": "fold-session", "pattern": "/fold-session/in/**", "proof": "session"},
    {
        "name": "fold-session-watched",
        "pattern": "/fold-session/**",
        "proof": "session",
        "mode": "monitor",
    },
    {"name": "fold-device", "pattern": "/fold-device/in/**", "proof": "device"},
    {"name": "fold-dpop", "pattern": "/fold-device/**", "proof": "device", "dpop": True},
]

ENGINE = [0, 400, 408, 411, 413, 414, 431, 501, 505]
"""Statuses with which HTTP servers refuse what they can't read; 0: closed without an answer."""

ANY_REFUSAL = [*ENGINE, 401, 403, 404, 405]


def refused(reason: str | None, *statuses: int) -> Json:
    """Return that a request must be refused."""
    return {"decision": "refuse", "reason": reason, "statuses": list(statuses)}


def malformed(reason: str, *more: int) -> Json:
    """Return that a request must be refused, by the gate or by the server in front."""
    return {"decision": "refuse", "reason": reason, "statuses": sorted({*ENGINE, *more})}


def passed(**more: Any) -> Json:
    """Return that a request must pass."""
    return {"decision": "pass", **more}


def contained(**more: Any) -> Json:
    """Return that a request may pass or be refused, but nothing that is hidden in it may."""
    return {"decision": "contain", **more}


def request(target: str, expect: Json, **parts: Any) -> Json:
    """Return one request."""
    return {"target": target, "expect": expect, **parts}


def case(identity: str, note: str, *requests: Json, needs: tuple[str, ...] = ()) -> Json:
    """Return one case; its row is the first that its first target belongs to."""
    path = requests[0]["target"].partition("?")[0]
    named = next(
        (
            row["name"]
            for row in ROUTES
            if path == row["pattern"]
            or (
                path.startswith(row["pattern"].removesuffix("**")) and row["pattern"].endswith("**")
            )
        ),
        None,
    )
    asked = list(needs)
    if named in {"dpop", "canary"} and named not in asked:
        asked.append(named)
    if named is not None and named.startswith("session"):
        asked.append("session")
    if named in {"device", "first"}:
        asked.append("device")
    if (
        any("body" in each for each in requests)
        and named is not None
        and any(row["name"] == named and row.get("proof", "bearer") != "bearer" for row in ROUTES)
    ):
        asked.append("body-digest")
    made: Json = {"id": identity, "note": note, "route": named}
    if asked:
        made["needs"] = asked
    made["requests"] = list(requests)
    return made

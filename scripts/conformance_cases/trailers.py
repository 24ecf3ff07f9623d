"""Trailers: what stands behind the last chunk of a body is never a header field, nor a request."""

from scripts.conformance_cases.words import ANY_REFUSAL, Json, case, contained, passed, request

TEXT = '{"order": 1}'
KINDS: list[tuple[str, str, Json, Json]] = [
    ("open", "/open/upload", {"token": None}, {"results": False}),
    ("watched", "/watched/upload", {"token": None}, {"results": False}),
    ("bearer", "/bearer/orders", {}, {}),
    ("session", "/session/orders", {"proof": {"kind": "session"}}, {}),
    ("device", "/device/orders", {"proof": {"kind": "device"}}, {}),
]
FIELDS = [
    (
        "results",
        "The result fields, as trailers",
        [
            ["Watchword-Instance", "trailer"],
            ["Watchword-Level", "trailer"],
            ["Watchword-App", "trailer"],
            ["watchword-verdict", "trailer"],
        ],
    ),
    ("any", "A trailer that means nothing to a gate", [["x", "y"]]),
    (
        "request",
        "Trailers that read like a request to who takes the rest of a body for one (eventlet, CVE-2025-58068)",
        [
            ["x", "y"],
            ["get", "/admin/{hidden} HTTP/1.1"],
            ["X-Conformance-Case", "{hidden}"],
            ["watchword-level", "trailer"],
        ],
    ),
]
DECIDING = [
    ("length", "A length of a body that is over", ["Content-Length", "5"]),
    ("coding", "A coding of a body that is over", ["Transfer-Encoding", "gzip"]),
    ("host", "Another host", ["Host", "other.example"]),
    ("authorization", "A credential behind the body", ["Authorization", "Bearer trailer"]),
    ("token", "A second token behind the body", ["Watchword-Token", "trailer"]),
    ("forwarded", "An address of the client's own", ["X-Forwarded-For", "198.51.100.7"]),
]


def cases() -> list[Json]:
    """Return the cases."""
    made = []
    for kind, target, parts, results in KINDS:
        for name, note, fields in FIELDS:
            made.append(
                _one(
                    f"{kind}-{name}",
                    f"{note}; the body passes.",
                    target,
                    parts,
                    passed(**results),
                    fields,
                )
            )
        announced = ", ".join(name for name, _ in FIELDS[0][2])
        made.append(
            _one(
                f"{kind}-announced",
                "The result fields, as trailers that the head announces.",
                target,
                {**parts, "headers": [["Trailer", announced], ["TE", "trailers"]]},
                contained(**results),
                FIELDS[0][2],
            )
        )
        # RFC 9110 section 6.5.1 lets nobody send these, so that a server may refuse them.
        made += [
            _one(
                f"{kind}-{name}",
                f"{note}; it reaches nobody.",
                target,
                parts,
                contained(**results),
                [field],
            )
            for name, note, field in DECIDING
        ]
    made.append(
        _one(
            "bearer-many",
            "Sixty trailers, which a server may find too many.",
            "/bearer/orders",
            {},
            contained(),
            [[f"x-{at}", "y"] for at in range(60)],
        )
    )
    made.append(
        _one(
            "bearer-missing-token",
            "A token in the trailer alone isn't there when it is asked for.",
            "/bearer/orders",
            {"token": None},
            {"decision": "refuse", "reason": "token.missing", "statuses": ANY_REFUSAL},
            [["Watchword-Token", "trailer"]],
        )
    )
    return made


def _one(
    name: str, note: str, target: str, parts: Json, expect: Json, fields: list[list[str]]
) -> Json:
    body = {"text": TEXT, "framing": "chunked", "trailers": fields}
    return case(f"trailer/{name}", note, request(target, expect, method="POST", body=body, **parts))

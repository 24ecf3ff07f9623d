"""Choose the header fields that cross the proxy (RFC 9110 section 7.6.1)."""

from collections.abc import Iterable, Sequence

from watchword.gate.hygiene import canonical_name, is_client_side
from watchword.gate.lending import FIELDS_OF_THE_HOST, PREFIXES_OF_THE_HOST

Fields = list[tuple[bytes, bytes]]

VIA = (b"via", b"1.1 watchword")
"""Says to the API that a gateway forwarded the request (RFC 9110 section 7.6.3)."""

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Answered by the server in front, which asks for the body when it is wanted.
_ANSWERED_HERE = frozenset({b"expect"})


def request_fields(
    received: Iterable[tuple[bytes, bytes]], *, client: str | None, scheme: str
) -> Fields:
    """Return the fields that the API gets.

    The client's Host is kept: APIs build links and choose tenants by it.  Names are
    compared as CGI does (:func:`watchword.gate.hygiene.canonical_name`).

    :param client: address of the connection's other end, None on a Unix socket.
    :param scheme: ``http`` or ``https``, as the connection came in.
    """
    received = [(name.lower(), value) for name, value in received]
    dropped = _HOP_BY_HOP | _ANSWERED_HERE | _named_by_connection(received)
    fields = [
        field
        for field in received
        # What the proxy states itself: a client that could say where it comes from would choose the
        # address that the API limits, logs or trusts.
        if (canonical := canonical_name(field[0])) not in dropped and not is_client_side(canonical)
    ]
    if any(name == b"transfer-encoding" for name, _ in received):
        # The gate let nothing through but chunked; this hop is framed anew.
        fields.append((b"transfer-encoding", b"chunked"))
    if client is not None:
        fields.append((b"x-forwarded-for", client.encode("ascii", "replace")))
    fields.append((b"x-forwarded-proto", scheme.encode("ascii", "replace")))
    fields.extend((b"x-forwarded-host", value) for name, value in received if name == b"host")
    fields.append(VIA)
    return fields


def response_fields(received: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return the fields that the client gets, in the API's order, duplicates kept."""
    received = [(name.lower(), value) for name, value in received]
    dropped = _HOP_BY_HOP | _named_by_connection(received)
    return [field for field in received if field[0] not in dropped]


def lent_response_fields(received: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return the fields of a third party's answer that the client gets.

    Those that speak for the host stay behind: the client takes them for the API's.  A cookie would be sent to the API
    with every later request, or stand in the place of the session's; ``Alt-Svc`` would lead elsewhere.

    A cache in front of the gate knows nothing of tokens: what it kept it would hand to whoever asks, so that
    nobody but the client may keep an answer.
    """
    fields, keeping = [], [b"private"]
    for name, value in response_fields(received):
        if name == b"cache-control":
            keeping.append(value)
        elif name not in FIELDS_OF_THE_HOST and not name.startswith(PREFIXES_OF_THE_HOST):
            fields.append((name, value))
    return [*fields, (b"cache-control", b", ".join(keeping))]


def has_body(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request with these fields has a body (RFC 9112 section 6.3)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in fields
    )


def _named_by_connection(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    return frozenset(
        option.strip(b" \t").lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    )

"""Define one request and one response of the service's two applications."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason


@dataclass(frozen=True, slots=True)
class Request:
    """Hold a request after its headers, path and body were found to be in order; its repr shows no body.

    :param parameters: what stood in the place of ``{name}`` in the route's path.
    :param query: single-valued; an argument that occurs twice was refused.
    :param members: the JSON object of the body; empty where the route takes none.
    :param body: the body as it came; empty where the route takes none.
    :param headers: names in lower case.
    :param address: the prefix of the client's address, None where it isn't known (:mod:`.client_addresses`).
    :param peer: the names in the caller's certificate, where the listener asks for one.
    """

    parameters: Mapping[str, str]
    query: Mapping[str, str]
    members: Mapping[str, Any] = field(repr=False)
    headers: Mapping[bytes, bytes]
    peer: tuple[str, ...] = ()
    body: bytes = field(default=b"", repr=False)
    address: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """Hold an answer; content-length is added where it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


def json_response(status: int, value: Any, cache: bytes = b"no-store") -> Response:
    """Return a JSON answer; nothing is cached unless ``cache`` says so."""
    headers = ((b"content-type", b"application/json"), (b"cache-control", cache))
    return Response(status, strict_json.dumps(value), headers)


def require_members(members: Mapping[str, Any], *names: str) -> None:
    """Refuse a body that has other members than these.

    :raises MalformedError: ``request.malformed``.
    """
    if members.keys() != set(names):
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected exactly the members {', '.join(names)}"
        )


def text_member(members: Mapping[str, Any], name: str, limit: int) -> str:
    """Return a member that is text of 1 to ``limit`` characters.

    :raises MalformedError: ``request.malformed``.
    """
    value = members[name]
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected {name} to be text of 1 to {limit} characters"
        )
    return value

"""Tell an engine of a refusal in fields, where it can pass on neither its status nor its body."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from watchword.encoding import strict_json
from watchword.reasons import Refusal

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

REF_HEADER: Final = b"watchword-ref"
"""Carries the reference beside the body that has it too, for logs that see fields alone."""

_PRIVATE: Final = b"watchword-refused-"
"""What only the engine may know: such fields leave no other way than to an engine that keeps them to itself."""

_OK: Final = 200
_TELLABLE: Final = 403
_MAX_PROBLEM_BYTES: Final = 64 * 1024


def fields_of(
    refusals: Sequence[Refusal], body: bytes, *, route: str = "", subject: str = ""
) -> tuple[tuple[bytes, bytes], ...]:
    """Return what an engine's log says of a refusal, and which the sender of the request must not see.

    :param body: the problem, of which the reference is repeated in a field.
    :param route: the route's name, empty where none was found.
    :param subject: the instance whose token was verified, empty where none was.
    """
    # The first decides the class, and is what logs have one member for; the reference holds all.
    reason = refusals[0].reason.code if refusals else ""
    ref = strict_json.loads(body, _MAX_PROBLEM_BYTES).get("ref", "")
    return (
        (REF_HEADER, _value(str(ref))),
        (_PRIVATE + b"reason", _value(reason)),
        (_PRIVATE + b"route", _value(route)),
        (_PRIVATE + b"instance", _value(subject)),
    )


def _value(text: str) -> bytes:
    """Return a text as it can stand in a field; names of routes may hold anything."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text).encode("ascii")


def without_private(send: Send) -> Send:
    """Return a ``send`` for engines that pass an answer on as it is; only a refusal has what they mustn't know."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and message["status"] != _OK:
            message = {**message, "headers": _public(message["headers"])}
        return send(message)

    return sending


def in_fields(send: Send) -> Send:
    """Return a ``send`` that makes of every refusal a 403 with status and problem in fields."""
    started: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != _OK:
            started.append(message)
        elif started:
            await _send_told(started.pop(), message.get("body", b""), send)
        else:
            await send(message)

    return sending


async def _send_told(start: Message, body: bytes, send: Send) -> None:
    headers = [
        field for field in start["headers"] if field[0] not in {b"content-type", b"content-length"}
    ]
    headers += [
        (_PRIVATE + b"status", str(start["status"]).encode()),
        (_PRIVATE + b"problem", body),
        (b"content-length", b"0"),
    ]
    await send({**start, "status": _TELLABLE, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _public(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [field for field in headers if not field[0].startswith(_PRIVATE)]

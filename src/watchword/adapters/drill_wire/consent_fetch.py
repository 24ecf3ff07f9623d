"""Fetch a target's consent: from its pinned address, by one request, and nothing that the answer leads to."""

import ssl
import threading
from pathlib import Path
from typing import Final

from watchword.adapters.drill_wire.exchange import Outcome, exchange, request_head
from watchword.adapters.drill_wire.origin import Origin, shown
from watchword.adapters.drill_wire.stream import Limit, OutOfTimeError, open_stream, tls_context
from watchword.drill.consent import MAX_BYTES, PATH, ConsentError, ConsentFault
from watchword.drill.wire import Answer, Call, Part

FETCH_SECONDS: Final = 5.0
"""How long it may take as a whole."""

_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_MEDIA_TYPE: Final = "application/json"


def fetch_consent(
    origin: Origin,
    *,
    ca: Path | None = None,
    seconds: float = FETCH_SECONDS,
    stop: threading.Event | None = None,
) -> bytes:
    """Return the document that a target serves at :data:`PATH`; nobody has read it yet.

    1. The answer is a 200.  A redirect isn't followed: what it leads to is somebody else's word.
    2. It is ``application/json``: a host of user pages serves what its users wrote as text or HTML.
    3. It is whole and has at most :data:`MAX_BYTES`.

    :param ca: as for :class:`HttpWire`.
    :raises ConsentError: with :attr:`ConsentFault.UNSERVED`.
    :raises AddressError: when ``ca`` can't be used.
    """
    call = Call(Part.GATE, "GET", PATH, (("Connection", "close"), ("Accept", _MEDIA_TYPE)))
    head = request_head(call, origin, ())
    limit = Limit(seconds, stop or threading.Event())
    tls = tls_context(ca) if origin.scheme == "https" else None
    try:
        stream = open_stream(origin, tls, limit)
        try:
            outcome = exchange(stream, call, head, limit, MAX_BYTES)
        finally:
            stream.close()
    except OutOfTimeError:
        raise _unserved(origin, f"nothing in {seconds:g} s") from None
    except ssl.SSLCertVerificationError as error:
        why = f"a certificate that doesn't hold for {origin.name}: {error.verify_message}"
        raise _unserved(origin, why) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise _unserved(origin, f"no connection to {origin.address}: {why}") from None
    return _checked(origin, outcome)


def _checked(origin: Origin, outcome: Outcome) -> bytes:
    """Return the body of an answer that is as it must be."""
    answer: Answer = outcome.answer
    if answer.status == 0:
        raise _unserved(origin, "no answer")
    if answer.status in _REDIRECTS:
        raise _unserved(origin, f"{answer.status}, a redirect, which isn't followed")
    if answer.status != _OK:
        raise _unserved(origin, f"status {answer.status}")
    media_type = answer.header("content-type") or "none"
    if media_type.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise _unserved(origin, f"content type {shown(media_type[:80])}")
    if (answer.header("content-encoding") or "identity").strip().lower() != "identity":
        raise _unserved(origin, "a coding that wasn't asked for")
    if not outcome.whole:
        raise _unserved(origin, f"an answer that isn't whole, or has more than {MAX_BYTES} bytes")
    return answer.body


def _unserved(origin: Origin, got: str) -> ConsentError:
    return ConsentError(
        ConsentFault.UNSERVED,
        f"{origin.text}{PATH}",
        got,
        f"a 200 of {_MEDIA_TYPE} with the owner's consent",
        "the owner of this target serves there what `watchword drill consent --key drill.jwk "
        f"--origin {origin.text}` prints",
    )

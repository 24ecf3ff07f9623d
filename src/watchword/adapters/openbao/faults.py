"""Tell what is wrong with OpenBao, in words for an operator; never with what it said itself.

The texts of its answers and of the libraries' errors may quote what was sent: a value, or the token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from watchword.extras import needs
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

with needs("openbao"):
    import requests
    import urllib3

STANDBY_STATUSES: Final = frozenset({301, 302, 303, 307, 308, 472, 473})
"""A standby that can't forward sends its callers elsewhere; 472 and 473 are how health checks say standby."""

_SEALED: Final = "is sealed"


class AnswerError(Exception):
    """Report an answer that isn't a success.

    :ivar status: of HTTP.
    :ivar errors: what the backend said; only ever compared, never shown.
    :ivar body: the answer's members, empty where it had none.
    """

    def __init__(self, status: int, errors: Sequence[str], body: dict[str, Any]) -> None:
        """Keep the answer; the text tells its status alone."""
        self.status = status
        self.errors = tuple(errors)
        self.body = body
        super().__init__(f"got status {status}")

    @property
    def is_nothing(self) -> bool:
        """Tell whether the backend itself says that nothing is there: with no errors, and nothing else.

        A 404 of whatever stands in front of it, or in its place, mustn't look like a store that was emptied.
        """
        return self.status == 404 and self.body == {"errors": []}

    def says(self, words: str) -> bool:
        """Tell whether one of the errors has these words, in whatever case."""
        return any(words.lower() in each.lower() for each in self.errors)


class TooLargeError(Exception):
    """Report an answer that was longer than it may be; the rest was left unread."""


class UnexpectedResponseError(MalformedError):
    """Report an answer of OpenBao's that isn't JSON as we take it: it keeps whatever others put there."""


class DecryptError(Exception):
    """Report a ciphertext that the backend doesn't open."""


class UnsignedError(Exception):
    """Report a version of a key that the backend doesn't sign by; the text names it."""


class AbandonedError(OSError):
    """Report that nobody waits for an answer any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Hold what is wrong.

    :param text: for the operator.
    :param is_down: whether it would fail for every caller: the backend itself, and not one request.
    """

    text: str
    is_down: bool


def unavailable(where: str, text: str) -> UnavailableError:
    """Return the error that callers get.

    :param where: names the backend.
    """
    return UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, f"{where}: {text}")


def fault_of(error: Exception, seconds: float) -> Fault:
    """Return what an error of one question means.

    :param seconds: how long it could take.
    """
    if isinstance(error, AnswerError):
        return _fault_of_answer(error)
    if isinstance(error, TooLargeError):
        return Fault(str(error), is_down=True)
    if isinstance(error, DecryptError):
        return Fault(
            "doesn't open what it got: it was changed, or made by another key or for something else",
            is_down=False,
        )
    if isinstance(error, UnsignedError):
        text = f"doesn't sign by {error}: is it there, or was another backup restored?"
        return Fault(text, is_down=False)
    if isinstance(error, RefusedError):
        return Fault("got an answer that isn't OpenBao's", is_down=True)
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return Fault("its certificate isn't trusted, or it speaks no TLS", is_down=True)
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return no_answer(seconds)
    return Fault(f"can't be reached ({type(error).__name__})", is_down=True)


def no_answer(seconds: float) -> Fault:
    """Return that an answer didn't come in time."""
    return Fault(f"no answer within {seconds:g} s", is_down=True)


def _fault_of_answer(error: AnswerError) -> Fault:
    if error.status in STANDBY_STATUSES:
        return Fault(
            "is a standby that sends us elsewhere with our token; name the active node",
            is_down=True,
        )
    if error.status == 503:
        text = "is sealed; unseal it" if error.says(_SEALED) else "says that it is down (503)"
        return Fault(text, is_down=True)
    if error.status == 501:
        return Fault("isn't initialised", is_down=True)
    if error.status in {401, 403}:
        text = "permission denied: the token ended or was revoked, or its policy doesn't allow this"
        return Fault(text, is_down=False)
    if error.status == 429:
        return Fault("refuses us for asking too often (429)", is_down=True)
    if error.status >= 500:
        return Fault(f"got status {error.status}", is_down=True)
    return Fault(
        f"got status {error.status}: is the engine mounted there, of the right version, with this key?",
        is_down=False,
    )

"""Say what went wrong on the way to a token; there is never a placeholder instead of one.

::

    ClientError
    +-- ServiceUnavailableError    no answer, or "later": the same call may succeed later
    +-- DeviceError                the phone's hardware can't, or not now
    +-- CodeSpentError             a test instance that would have to enrol again, and has no code
    +-- SecretUnopenedError        the service sealed a secret, and this device can't open it
    +-- SecretsClosedError         the app let go of its secrets already
    +-- OutcomeUnknownError        a request to an API may have been carried out, and wasn't sent again
    +-- LengthRequiredError        a body without a length was refused, and is too large to be kept
    +-- UnreadableAnswerError      an answer that isn't the service's (a captive portal, a wrong URL)
    +-- ServiceRefusedError        the service said no, and why
        +-- ChallengeRefusedError      also a fresh challenge was refused
        +-- EvidenceRefusedError       final: this phone, app or key doesn't pass
        +-- InstanceRefusedError       final: this instance was revoked
        +-- InstanceUnknownError       the service doesn't know this instance
        +-- SecretRefusedError         this secret isn't handed out to this instance (any more)
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from watchword.public_classes import PublicClass
from watchword.reasons import ExitCode, WatchwordError


@dataclass(frozen=True, slots=True)
class Problem:
    """Hold the service's problem document (RFC 9457).

    :param status: HTTP status.
    :param slug: the public class, for example ``evidence-refused``.
    :param ref: what support needs to find the reason; None if none came.
    :param reasons: dotted reason codes; only a lab service tells them.
    :param now: the sender's time, whole seconds since 1970; None if it told none.
    :param signed: the service's signature over a final refusal, a compact JWS that nobody has checked.
    :param place: in the line of those who enrol, to be brought back; None if there is none, or what can't be one.
    """

    status: int
    slug: str
    title: str
    ref: str | None = None
    reasons: tuple[str, ...] = ()
    now: int | None = None
    signed: str | None = None
    place: str | None = None

    def __str__(self) -> str:
        """Render in one line, with the reference that support asks for."""
        reasons = f" ({', '.join(self.reasons)})" if self.reasons else ""
        ref = f"; ref {self.ref}" if self.ref else ""
        return f"{self.status} {self.slug}: {self.title}{reasons}{ref}"


class ClientError(WatchwordError):
    """Root of the client's errors."""


class ServiceUnavailableError(ClientError):
    """Report that the service couldn't be reached, or asked to come back later.

    :param attempts: how often it was tried, 0 while the service asked to be left alone.
    :param retry_after: seconds that the service asked for, or what is left of them; None if it named none.
    """

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, cause: str, attempts: int, retry_after: float | None = None) -> None:
        self.cause = cause
        self.attempts = attempts
        self.retry_after = retry_after
        super().__init__(f"the service is not available after {attempts} attempt(s): {cause}")

    def again(self, left: float) -> Self:
        """Return the error of a call that didn't ask, since the service's pause has ``left`` seconds to go."""
        return type(self)(self.cause, 0, left)


class UnreadableAnswerError(ClientError):
    """Report an answer that doesn't follow the protocol; nothing was concluded from it."""


class OutcomeUnknownError(ClientError):
    """Report a request whose answer was lost or whose proof was used: the API may have carried it out.

    It is no error of the HTTP library's on purpose: those are what retries are made on.

    :ivar method: of the request.
    :ivar origin: scheme, host and port of the API.
    """

    def __init__(self, method: str, origin: str, why: str) -> None:
        self.method = method
        self.origin = origin
        super().__init__(
            f"the outcome of {method} to {origin} is unknown ({why}): it wasn't sent again; "
            "ask the API whether it was carried out, or send an Idempotency-Key to have it repeated"
        )


class LengthRequiredError(ClientError):
    """Report that a body without a length was refused, and is larger than what is kept to be sent again.

    :ivar limit: most bytes that are kept.
    """

    def __init__(self, method: str, origin: str, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{method} to {origin} needs a Content-Length, and its body is a stream of more than "
            f"{limit} bytes: send the body with a length"
        )


class DeviceErrorKind(StrEnum):
    """Say what a failure of the device means for the client; each platform's own errors are one of these."""

    UNSUPPORTED = "unsupported"
    """This phone can't attest, or can't do what was asked, and won't by itself."""

    KEY_LOST = "key_lost"
    """The keys are gone or useless for good: a restored backup, a changed screen lock, a wiped keystore."""

    TRANSIENT = "transient"
    """The vendor's server or the keystore is busy; the same call with the same keys may succeed soon."""

    LOCKED = "locked"
    """The phone waits for its user, who has to unlock it."""

    OFFLINE = "offline"
    """The hardware needs the network first, and there is none."""

    FAULT = "fault"
    """Anything else; new keys may help, once."""


_DEVICE_WORDS: dict[DeviceErrorKind, str] = {
    DeviceErrorKind.UNSUPPORTED: "this device can't attest",
    DeviceErrorKind.KEY_LOST: "this device lost the app's keys",
    DeviceErrorKind.TRANSIENT: "this device's keystore or its vendor is busy",
    DeviceErrorKind.LOCKED: "this device is locked",
    DeviceErrorKind.OFFLINE: "this device's keystore needs the network",
    DeviceErrorKind.FAULT: "this device's keystore failed",
}


class DeviceError(ClientError):
    """Report what the device couldn't do; raised by a :class:`watchword.client.Device`, and handed on to the app.

    :ivar kind: what it means.
    :ivar detail: the platform's own words or code, without anything secret.
    :ivar retry_after: seconds that the vendor asks to wait, after which the platform's part asked again itself; nothing is
        repeated before.  None where it names none: what is busy is asked again by the client's own pauses.
    """

    exit_code = ExitCode.UNAVAILABLE

    def __init__(
        self, kind: DeviceErrorKind, detail: str = "", retry_after: float | None = None
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(_DEVICE_WORDS[kind] + (f": {detail}" if detail else ""))

    def again(self) -> Self:
        """Return the same error, to be raised anew."""
        return type(self)(self.kind, self.detail, self.retry_after)


class CodeSpentError(ClientError):
    """Report that a test instance can't enrol again: each operator code enrols one, once."""

    def __init__(self) -> None:
        super().__init__(
            "this test instance has no operator code left to enrol with: "
            "`watchword instances invite` makes another"
        )


class SecretUnopenedError(ClientError):
    """Report that this device can't open a secret that was sealed to its key; the lease counts all the same."""

    def __init__(self, name: str) -> None:
        super().__init__(f"this device can't open the secret {name!r}, which was sealed to its key")


class SecretsClosedError(ClientError):
    """Report that secrets were closed before this call or while it waited; nothing was handed to the app."""

    def __init__(self) -> None:
        super().__init__("the secrets were closed")


class ServiceRefusedError(ClientError):
    """Report that the service refused; ``problem`` holds what it said.

    :ivar signed: whether the service signed it, over what was sent: such a final refusal outlasts the process.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.signed = False
        super().__init__(f"the service refused: {problem}")

    def again(self) -> Self:
        """Return the same error, to be raised anew."""
        error = type(self)(self.problem)
        error.signed = self.signed
        return error


class ChallengeRefusedError(ServiceRefusedError):
    """Report that the challenge was expired, used or not the service's own."""


class EvidenceRefusedError(ServiceRefusedError):
    """Report that the evidence doesn't pass; trying again with the same phone soon is of no use."""


class InstanceRefusedError(ServiceRefusedError):
    """Report that this instance may not have tokens any more, for example since it was revoked."""


class InstanceUnknownError(ServiceRefusedError):
    """Report that the service has no such instance, for example after it was set up anew."""


class SecretRefusedError(ServiceRefusedError):
    """Report that a secret isn't handed to this instance: unknown, not for this app or level, or revoked.

    Which of them it is only the operator knows, by the problem's ``ref``.
    """


_BY_SLUG: dict[str, type[ServiceRefusedError]] = {
    PublicClass.CHALLENGE_REFUSED.slug: ChallengeRefusedError,
    PublicClass.EVIDENCE_REFUSED.slug: EvidenceRefusedError,
    PublicClass.INSTANCE_REFUSED.slug: InstanceRefusedError,
    PublicClass.INSTANCE_UNKNOWN.slug: InstanceUnknownError,
    PublicClass.SECRET_REFUSED.slug: SecretRefusedError,
}


def refusal(problem: Problem) -> ServiceRefusedError:
    """Return the error that fits the problem's class."""
    return _BY_SLUG.get(problem.slug, ServiceRefusedError)(problem)

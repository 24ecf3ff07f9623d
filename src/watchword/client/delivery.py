"""Read a secret out of the service's answer (docs/sealed-delivery.md).

Written from that page; shares no code with the service that seals.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

from watchword.client.device import ResilientDevice
from watchword.client.errors import SecretUnopenedError, UnreadableAnswerError
from watchword.client.phrases import Answered
from watchword.client.statement import binding_of
from watchword.encoding import base64url, length_prefixed
from watchword.reasons import MalformedError

MAX_LEASE_SECONDS: Final = 31 * 86400
"""Longest lease that is believed; the service's own are 30 days at most."""

_LABEL: Final = b"watchword/secret/v1\x00"
_MAX_NUMBER: Final = 2**53
_LEASE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEALED: Final = re.compile(r"[A-Za-z0-9_-]{1,8192}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold a secret that was handed to this instance, and for how long.

    :param value: in UTF-8; who lets go of it overwrites it.
    :param expires_at: when it must be forgotten, on this device's boot clock.
    :param refetch_at: from then on it is fetched again, while it may still be used.
    """

    value: bytearray = field(repr=False)
    version: int
    lease: str
    expires_at: float
    refetch_at: float


def read_delivery(
    answered: Answered, app: str, name: str, refetch_share: float, device: ResilientDevice
) -> Delivery:
    """Return the secret of an answer, opened by the device's seal key.

    :param refetch_share: the part of the lease after which the secret is fetched again, 0 to 1.
    :raises UnreadableAnswerError: if anything is missing, of another type or about another secret.
    :raises SecretUnopenedError: if the device can't open it.
    """
    answer = answered.answer
    try:
        _matching(answer["name"], re.compile(re.escape(name)))
        version, lease = _number(answer["version"]), _matching(answer["lease"], _LEASE)
        left, end = _seconds(answer["expires_in"]), _number(answer["expires_at"])
        sealed = base64url.decode(_matching(answer["sealed"], _SEALED))
    except (TypeError, KeyError, MalformedError):
        raise UnreadableAnswerError(
            "got an answer without the secret that was asked for, its version and its lease"
        ) from None
    info = (
        _LABEL
        + binding_of(answered.statement)
        + length_prefixed.join(
            *(each.encode() for each in (app, name, str(version), lease, str(end)))
        )
    )
    opened = device.open_sealed(info, sealed)
    if opened is None:
        raise SecretUnopenedError(name)
    return Delivery(
        value=bytearray(opened),
        version=version,
        lease=lease,
        expires_at=answered.sent_at + left,
        refetch_at=answered.sent_at + left * refetch_share,
    )


def _seconds(value: Any) -> float:
    """Return a positive number of seconds that a lease may have, or raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not math.isfinite(value) or not 0 < value <= MAX_LEASE_SECONDS:
        raise TypeError
    return float(value)


def _number(value: Any) -> int:
    """Return a positive whole number that every JSON reader keeps exactly, or raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _MAX_NUMBER:
        raise TypeError
    return value


def _matching(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise TypeError
    return value

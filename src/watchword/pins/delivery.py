"""Define what is handed out to apps: the newest published set of each, and the root lists that lead to it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from watchword.pins.interface import PinSet, RootList

SET_MEDIA_TYPE: Final = "application/watchword-pins+jwt"
"""The media type of a signed set: its JWS type, as RFC 7515 section 4.1.9 spells it out."""

ROOTS_MEDIA_TYPE: Final = "application/jose+json"
"""The media type of a root list: a JWS in JSON (RFC 7515 section 9.2.1)."""


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """Hold a set as it is handed out.

    :param data: as it was signed.
    """

    pin_set: PinSet
    data: bytes

    @property
    def tag(self) -> str:
        """Return what changes with each byte: the same version may be signed again by another key."""
        return hashlib.sha256(self.data).hexdigest()[:32]


class PublishedPins(Protocol):
    """Say what is published; nothing here waits, and nothing gets older."""

    @property
    def apps(self) -> frozenset[str]:
        """Return the apps that anything is published for, or may be."""

    def newest(self, app: str) -> PublishedSet | None:
        """Return an app's newest set, None where there is none that counts."""

    def root_list(self, version: int) -> bytes | None:
        """Return a root list as it was signed, None where there is none of this version."""

    @property
    def roots(self) -> RootList | None:
        """Return the newest root list, None before the first."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Return what keeps newer ones from being handed out: by app, under ``""`` for root lists."""


@dataclass(frozen=True, slots=True)
class NothingPublished:
    """Implement :class:`PublishedPins` for a deployment that pins no host."""

    apps: frozenset[str] = frozenset()
    roots: RootList | None = None

    @property
    def faults(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def newest(self, app: str) -> PublishedSet | None:  # noqa: ARG002 - the port's.
        """Return None."""
        return None

    def root_list(self, version: int) -> bytes | None:  # noqa: ARG002 - the port's.
        """Return None."""
        return None

"""Be the reference client: what an app does to get tokens, in Python.

Face of the package; mobile ports implement the same rules (docs/client.md).
"""

from watchword.client.auth import TOKEN_HEADER, WatchwordAuth
from watchword.client.client import WatchwordClient
from watchword.client.device import Device
from watchword.client.errors import (
    ChallengeRefusedError,
    ClientError,
    EvidenceRefusedError,
    InstanceRefusedError,
    InstanceUnknownError,
    Problem,
    ServiceRefusedError,
    ServiceUnavailableError,
    UnreadableAnswerError,
)

__all__ = [
    "TOKEN_HEADER",
    "ChallengeRefusedError",
    "ClientError",
    "Device",
    "EvidenceRefusedError",
    "InstanceRefusedError",
    "InstanceUnknownError",
    "Problem",
    "ServiceRefusedError",
    "ServiceUnavailableError",
    "UnreadableAnswerError",
    "WatchwordAuth",
    "WatchwordClient",
]

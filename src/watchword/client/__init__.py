"""Be the reference client: what an app does to get tokens and to prove its requests.

Face of the package; mobile ports implement the same rules (docs/client.md).
"""

from watchword.extras import needs

with needs("client"):
    from watchword.client.attempts import STATUS_HEADER, TOKEN_HEADER
    from watchword.client.auth import WatchwordAuth
    from watchword.client.choice import ProofChoice, Proofs
    from watchword.client.client import WatchwordClient
    from watchword.client.device import Device
    from watchword.client.errors import (
        ChallengeRefusedError,
        ClientError,
        CodeSpentError,
        DeviceError,
        DeviceErrorKind,
        EvidenceRefusedError,
        InstanceRefusedError,
        InstanceUnknownError,
        LengthRequiredError,
        OutcomeUnknownError,
        Problem,
        SecretRefusedError,
        SecretsClosedError,
        SecretUnopenedError,
        ServiceRefusedError,
        ServiceUnavailableError,
        UnreadableAnswerError,
    )
    from watchword.client.invited import TestInstanceDevice
    from watchword.client.proofs import content_digest
    from watchword.client.secrets import DeliveredSecrets
    from watchword.client.transport import AsyncWatchwordTransport, WatchwordTransport

__all__ = [
    "STATUS_HEADER",
    "TOKEN_HEADER",
    "AsyncWatchwordTransport",
    "ChallengeRefusedError",
    "ClientError",
    "CodeSpentError",
    "DeliveredSecrets",
    "Device",
    "DeviceError",
    "DeviceErrorKind",
    "EvidenceRefusedError",
    "InstanceRefusedError",
    "InstanceUnknownError",
    "LengthRequiredError",
    "OutcomeUnknownError",
    "Problem",
    "ProofChoice",
    "Proofs",
    "SecretRefusedError",
    "SecretUnopenedError",
    "SecretsClosedError",
    "ServiceRefusedError",
    "ServiceUnavailableError",
    "TestInstanceDevice",
    "UnreadableAnswerError",
    "WatchwordAuth",
    "WatchwordClient",
    "WatchwordTransport",
    "content_digest",
]

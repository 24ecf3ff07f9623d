"""Name an instance to an API so that two APIs can't compare notes (pairwise ``sub``)."""

import hmac

from watchword.encoding import base64url, length_prefixed

_LABEL = b"watchword/subject/v1"


def pairwise_subject(instance_id: str, audience: str, key: bytes) -> str:
    """Return the subject of an instance at one audience: 43 characters of base64url.

    Without the key nobody can tell which instance it is, nor whether two subjects of two
    audiences belong together.

    :param key: the service's pairwise key; another key makes strangers of all instances.
    """
    message = _LABEL + length_prefixed.join(instance_id.encode(), audience.encode())
    return base64url.encode(hmac.digest(key, message, "sha256"))

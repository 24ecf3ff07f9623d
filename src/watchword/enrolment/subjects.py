"""Name an instance and its device to an API so that two APIs can't compare notes (pairwise ``sub`` and ``dev``)."""

import hmac

from watchword.encoding import base64url, length_prefixed

_LABEL = b"watchword/subject/v1"
_DEVICE_LABEL = b"watchword/device/v1"


def pairwise_subject(instance_id: str, audience: str, key: bytes) -> str:
    """Return the subject of an instance at one audience: 43 characters of base64url.

    Without the key nobody can tell which instance it is, nor whether two subjects of two
    audiences belong together.

    :param key: the service's pairwise key; another key makes strangers of all instances.
    """
    message = _LABEL + length_prefixed.join(instance_id.encode(), audience.encode())
    return base64url.encode(hmac.digest(key, message, "sha256"))


def pairwise_device(device_key: bytes, app: str, audience: str, key: bytes) -> str:
    """Return what the instances of one app on one device share at one audience: 43 characters of base64url.

    A gate counts by it and learns nothing else: not the device, not which device it is at another audience, and
    not whether another app is on it.

    :param device_key: what the evidence names the device by; it never leaves the service.
    """
    message = _DEVICE_LABEL + length_prefixed.join(device_key, app.encode(), audience.encode())
    return base64url.encode(hmac.digest(key, message, "sha256"))

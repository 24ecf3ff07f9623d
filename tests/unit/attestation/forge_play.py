"""Forge Google Play: tokens made by joserfc, right and wrong, with keys made for this run.

No real token is public together with the keys that open it: everything here has the shape that Google's pages
describe, and another implementation's bytes.
"""

import base64
import copy
import json
import warnings
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey
from tests.unit.attestation import forge

from watchword.attestation.interface import Expected, PlayKeys, Trust

ROOT = Path(__file__).parents[3]
DECRYPTION = bytes(range(100, 132))
SIGNING = ec.generate_private_key(ec.SECP256R1())
KEYS = PlayKeys(DECRYPTION, forge.spki(SIGNING))
EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)
REQUESTED = forge.NOW - timedelta(seconds=3)

JWE_HEADER = {"alg": "A256KW", "enc": "A256GCM"}
JWS_HEADER = {"alg": "ES256"}


def trust(keys: PlayKeys | None = KEYS) -> Trust:
    """Return trust in these keys for the app of the tests."""
    return Trust(forge.trust().anchors, play_keys={} if keys is None else {forge.PACKAGE: keys})


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def payload(**changes: Any) -> dict[str, Any]:
    """Return the payload of a good standard verdict.

    :param changes: ``deviceIntegrity__deviceAttributes={...}`` sets a member; None leaves it out.
    """
    document: dict[str, Any] = {
        "requestDetails": {
            "requestPackageName": forge.PACKAGE,
            "requestHash": b64(forge.BINDING),
            "timestampMillis": str(int(REQUESTED.timestamp() * 1000)),
        },
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED",
            "packageName": forge.PACKAGE,
            "certificateSha256Digest": [b64(forge.SIGNER)],
            "versionCode": "42",
        },
        "deviceIntegrity": {
            "deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"],
            "recentDeviceActivity": {"deviceActivityLevel": "LEVEL_2"},
            "deviceAttributes": {"sdkVersion": 35},
            "deviceRecall": {
                "values": {"bitFirst": True, "bitSecond": False, "bitThird": True},
                "writeDates": {"yyyymmFirst": 202601, "yyyymmThird": 202512},
            },
        },
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
        "environmentDetails": {
            "appAccessRiskVerdict": {"appsDetected": ["KNOWN_INSTALLED", "UNKNOWN_CAPTURING"]},
            "playProtectVerdict": "NO_ISSUES",
        },
    }
    document = copy.deepcopy(document)
    for path, value in changes.items():
        *parents, name = path.split("__")
        parent = document
        for each in parents:
            parent = parent[each]
        if value is None:
            parent.pop(name, None)
        else:
            parent[name] = value
    return document


def signed(
    content: bytes,
    header: Mapping[str, Any] = JWS_HEADER,
    key: Any = SIGNING,
) -> bytes:
    """Return a compact JWS by joserfc; ``key`` may be bytes, for HMAC."""
    made = OctKey.import_key(key) if isinstance(key, bytes) else _ec_key(key)
    algorithms = [str(header["alg"])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of bad keys and algorithms; we mean them.
        return jws.serialize_compact(dict(header), content, made, algorithms=algorithms).encode()


def sealed(
    plaintext: bytes, header: Mapping[str, Any] = JWE_HEADER, key: bytes = DECRYPTION
) -> bytes:
    """Return a compact JWE by joserfc."""
    algorithms = [str(header["alg"]), str(header["enc"]), "DEF"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = OctKey.import_key(key)
        return jwe.encrypt_compact(dict(header), plaintext, made, algorithms=algorithms).encode()


def token(**changes: Any) -> bytes:
    """Return a token over a payload with changes."""
    return sealed(signed(json.dumps(payload(**changes)).encode()))


def open_elsewhere(data: bytes, keys: PlayKeys = KEYS) -> bytes | None:
    """Return what joserfc reads in a token with the algorithms that it should have, None if nothing."""
    try:
        outer = jwe.decrypt_compact(
            data, OctKey.import_key(keys.decryption), algorithms=["A256KW", "A256GCM"]
        )
        assert outer.plaintext is not None
        inner = jws.deserialize_compact(
            outer.plaintext, ECKey.import_key(pem(keys.verification)), algorithms=["ES256"]
        )
    except Exception:  # noqa: BLE001 - whatever it raises, it didn't accept.
        return None
    return bytes(inner.payload)


def pem(spki: bytes) -> bytes:
    """Return a public key in PEM."""
    body = base64.encodebytes(spki)
    return b"-----BEGIN PUBLIC KEY-----\n" + body + b"-----END PUBLIC KEY-----\n"


def _ec_key(key: ec.EllipticCurvePrivateKey) -> ECKey:
    return ECKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

"""Exchange App Attest receipts at Apple's server."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from watchword.encoding import base64url
from watchword.ports import Clock, Fetcher, FetchRequest, FetchResponse
from watchword.reasons import Reason, RefusedError, UnavailableError, WatchwordError
from watchword.tokens.jose import sign
from watchword.vocabulary import AppAttestEnvironment

LIFETIME: Final = 15 * 60
"""Seconds that one token is used for; Apple takes none that is older than 20 minutes."""


class TeamKeyError(WatchwordError):
    """Report a file that isn't the private key Apple gave the team."""


@dataclass(slots=True)
class TeamKey:
    """Hold a team's key; the token that was signed last is used again while it is young.

    :param team_id: ten characters, ``iss`` of the token; ``key_id``: ten characters, its ``kid``.
    """

    team_id: str
    key_id: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    _token: str = field(default="", init=False, repr=False)
    _issued_at: int = field(default=0, init=False, repr=False)

    def token(self, now: int) -> str:
        """Return a token for the ``Authorization`` header (RFC 7515, RFC 7518 section 3.4).

        :param now: seconds since 1970.
        """
        if not self._token or not 0 <= now - self._issued_at < LIFETIME:
            self._token, self._issued_at = self._sign(now), now
        return self._token

    def forget(self) -> None:
        """Sign anew next time: Apple didn't take the last token."""
        self._token = ""

    def _sign(self, now: int) -> str:
        header = {"alg": "ES256", "kid": self.key_id, "typ": "JWT"}
        signing_input = ".".join(
            base64url.encode(json.dumps(part, separators=(",", ":")).encode())
            for part in (header, {"iss": self.team_id, "iat": now})
        )
        return f"{signing_input}.{base64url.encode(sign(self.key, signing_input.encode()))}"


def read_team_key(data: bytes, team_id: str, key_id: str, name: str) -> TeamKey:
    """Return the key in the bytes of a ``.p8`` file (PKCS#8 in PEM).

    :param name: the file's name, for the error.
    :raises TeamKeyError: when it isn't an unencrypted P-256 key.
    """
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TeamKeyError(f"{name}: expected the .p8 file from Apple, unencrypted") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TeamKeyError(f"{name}: got a key of another kind, expected one on P-256")
    return TeamKey(team_id, key_id, key)


PRODUCTION: Final = "https://data.appattest.apple.com"
DEVELOPMENT: Final = "https://data-development.appattest.apple.com"
PATH: Final = "/v1/attestationData"

MAX_RECEIPT_BYTES: Final = 64 * 1024
"""Most bytes of a receipt in base64; real ones have about 5,500."""

_SOON: Final = 60
_LATER: Final = 3600
_LONGEST: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class AppleTeamApp:
    """Hold how the receipts of one app are exchanged.

    :param server: origin of Apple's server or a simulated one, without a path.
    """

    key: TeamKey
    server: str


class AppleReceiptServer:
    """Exchange receipts over HTTPS; what comes back isn't verified here.

    Whoever stores it must hold it to the one before:
    :func:`watchword.attestation.receipts.examine_refreshed`.
    """

    def __init__(self, fetcher: Fetcher, clock: Clock, apps: Mapping[str, AppleTeamApp]) -> None:
        """Keep the ways of each app, by its name in the configuration."""
        self._fetcher = fetcher
        self._clock = clock
        self._apps = dict(apps)

    async def refresh(self, app: str, receipt: bytes) -> bytes | None:
        """Return a newer receipt for an app, None if there is none yet.

        :raises RefusedError: ``app_attest.receipt`` when Apple won't have this receipt.  A wrong server, or
            whatever stands before Apple's, says the same: it isn't the last word.
        :raises UnavailableError: ``vendor.unavailable`` otherwise; ``retry_after`` says when to try.
            The app isn't configured, Apple doesn't take the team's key, limits the rate, or is down.
        """
        way = self._apps.get(app)
        if way is None:
            raise _unavailable(f"no way to refresh the receipts of {app} is configured", _LATER)
        response = await self._fetcher.fetch(
            FetchRequest(
                method="POST",
                url=f"{way.server}{PATH}",
                headers={
                    "authorization": way.key.token(int(self._clock.timestamp())),
                    "content-type": "text/plain",
                },
                body=base64.b64encode(receipt),
            )
        )
        status = response.status
        if status == 200:
            return _receipt(response.body)
        if status == 304:
            return None
        if status in {400, 404}:
            raise RefusedError.because(
                Reason.APP_ATTEST_RECEIPT, f"Apple's server answered {status} to a receipt"
            )
        if status in {401, 403}:
            # A matter of the configuration or of this machine's clock; asking on and on won't help.
            way.key.forget()
            raise _unavailable(
                f"Apple's server answered {status}: it doesn't take the key {way.key.key_id} of "
                f"team {way.key.team_id}",
                _LATER,
            )
        raise _unavailable(f"Apple's server answered {status}", _retry_after(response))


def server_of(server: str, environment: AppAttestEnvironment) -> str:
    """Return the server for an app's environment: each takes the receipts of its own only.

    A server other than Apple's for production, such as a simulated one, stays as it is.
    """
    if server == PRODUCTION and environment is AppAttestEnvironment.DEVELOPMENT:
        return DEVELOPMENT
    return server


def _receipt(body: bytes) -> bytes:
    """Return the receipt in the answer's base64."""
    if len(body) > MAX_RECEIPT_BYTES:
        raise _unavailable(f"Apple's server answered with {len(body)} bytes", _LATER)
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise _unavailable("Apple's server answered with something else than base64", _LATER) from (
            None
        )


def _retry_after(response: FetchResponse) -> int:
    """Return the seconds that the server asks to wait, within bounds; dates aren't read."""
    text = response.headers.get("retry-after", "")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return _SOON
    return min(max(int(text), 1), _LONGEST)


def _unavailable(detail: str, retry_after: int) -> UnavailableError:
    return UnavailableError(Reason.VENDOR_UNAVAILABLE, detail, retry_after)

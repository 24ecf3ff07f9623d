"""Ask Apple's server for newer receipts (Apple, "Assessing fraud risk")."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from watchword.adapters.apple_receipts.team_key import TeamKey
from watchword.ports import Clock, Fetcher, FetchRequest, FetchResponse
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import AppAttestEnvironment

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

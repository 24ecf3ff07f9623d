"""Make what opens Play Integrity tokens out of the settings: keys of our own, or Google's decoder."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import read_private
from watchword.adapters.play_decoder import (
    BoundedDecoder,
    GooglePlayDecoder,
    ServiceAccount,
    read_service_account,
)
from watchword.apps.settings import Settings
from watchword.apps.settings.schema import PlaySettings
from watchword.attestation.certificates import load_p256
from watchword.attestation.interface import AndroidApp, PlayKeys
from watchword.attestation.play_tokens import KEY_BYTES
from watchword.ports import Clock, Entropy, Fetcher, PlayDecoder
from watchword.reasons import WatchwordError

MAX_KEY_FILE_BYTES: Final = 4096
"""Most bytes of a file with one key; the longer of the two has 124 characters."""


class PlayKeyError(WatchwordError):
    """Report a file that doesn't hold what the Play Console gave out; its text holds nothing of it."""


def play_keys_of(settings: Settings) -> dict[str, PlayKeys]:
    """Return the response encryption keys of each package that has some, where vendors are trusted.

    :raises WatchwordError: when a file is missing, readable by others, or holds something else.
    """
    if not settings.trust_vendors:
        # A lab that trusts its own Google alone must not open tokens of the real one.
        return {}
    keys = {}
    for play in settings.play.values():
        if play.decryption_key is not None and play.verification_key is not None:
            keys[play.package] = PlayKeys(
                decryption=_decryption_key(play.decryption_key),
                verification=_verification_key(play.verification_key),
            )
    return keys


def require_play_files(play: PlaySettings) -> None:
    """Read each file that one app's section names, and keep nothing.

    :raises WatchwordError: when one is missing, readable by others, or holds something else.
    """
    if play.decryption_key is not None and play.verification_key is not None:
        _decryption_key(play.decryption_key)
        _verification_key(play.verification_key)
    if play.service_account is not None:
        _account(play.service_account)


def lab_play_keys(settings: Settings, seed: bytes) -> dict[str, PlayKeys]:
    """Return the keys of the lab's Google for Android apps; only a lab has that seed.

    An app whose tokens come from the real Google, in a lab that trusts both, isn't among them.
    """
    from watchword.lab.google_play import GooglePlay  # noqa: PLC0415 - production has no lab.

    google = GooglePlay(seed)
    keys = PlayKeys(google.decryption_key, google.verification_key)
    real = set(settings.play) if settings.trust_vendors else set()
    apps = [app.identity for name, app in settings.apps.items() if name not in real]
    return {app.package: keys for app in apps if isinstance(app, AndroidApp)}


def configured_play_keys(settings: Settings, entropy: Entropy) -> dict[str, PlayKeys]:
    """Return all keys that open tokens here without asking anybody: of a lab's Google, and own ones.

    :raises WatchwordError: as :func:`play_keys_of` does.
    """
    keys = play_keys_of(settings)
    if not settings.trust_lab:
        return keys
    from watchword.adapters.lab_store import load_or_create  # noqa: PLC0415 - as above.

    seed = load_or_create(settings.service.state_dir, entropy).seed
    return lab_play_keys(settings, seed) | keys


def play_decoders_of(
    settings: Settings, fetcher: Fetcher, clock: Clock
) -> Mapping[str, PlayDecoder]:
    """Return who decodes the tokens of each package that has a service account.

    Packages with one account share its access tokens.

    :param fetcher: for Google's decoder alone: whoever sends tokens keeps its connections busy.
    :raises WatchwordError: when a file is missing, readable by others, or isn't an account's.
    """
    if not settings.trust_vendors:
        return {}
    by_file: dict[Path, PlayDecoder] = {}
    decoders: dict[str, PlayDecoder] = {}
    for play in settings.play.values():
        file = play.service_account
        if file is None:
            continue
        if file not in by_file:
            by_file[file] = BoundedDecoder(GooglePlayDecoder(_account(file), fetcher, clock))
        decoders[play.package] = by_file[file]
    return decoders


def _account(file: Path) -> ServiceAccount:
    return read_service_account(_private(file), str(file))


def _decryption_key(file: Path) -> bytes:
    key = _base64(_private(file))
    if key is None or len(key) != KEY_BYTES:
        raise PlayKeyError(f"{file}: expected the decryption key, {KEY_BYTES} bytes in base64")
    return key


def _verification_key(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise PlayKeyError(f"{file}: can't be read: {error.strerror}") from None
    key = _base64(data)
    if key is None or load_p256(key) is None:
        raise PlayKeyError(f"{file}: expected the verification key, a key on P-256 in base64")
    return key


def _private(file: Path) -> bytes:
    data = read_private(file)
    if data is None:
        raise PlayKeyError(f"{file}: is gone")
    return data


def _base64(data: bytes) -> bytes | None:
    """Return the bytes of one line of base64, None of anything else."""
    try:
        return base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None

"""Read the files that ``watchword.yaml`` names, as a start would, and tell what is wrong with them."""

from collections.abc import Iterator

from watchword.adapters.revocation import StatusListError, load_status_lists
from watchword.apps.play import require_play_files
from watchword.apps.settings import ConfigurationError, Fault, Settings
from watchword.apps.wiring import team_key_of
from watchword.reasons import WatchwordError


def require_key_files(settings: Settings) -> None:
    """Read each vendor's key and each snapshot of a status list, and keep nothing.

    Not a part of reading the file: gates read it too, as users who may not read these keys.

    :raises ConfigurationError: with every file that stops a start.
    """
    faults = list(_faults(settings))
    if faults:
        raise ConfigurationError(settings.path, faults)


def _faults(settings: Settings) -> Iterator[Fault]:
    for index, snapshot in enumerate(settings.revocation.snapshots):
        expected = "a file with Google's attestation status list, as it was fetched"
        try:
            load_status_lists([snapshot])
        except StatusListError as error:
            yield Fault(f"trust.revocation_lists[{index}]", None, str(error), expected)
        except OSError as error:
            got = f"{snapshot}: {error.strerror}"
            yield Fault(f"trust.revocation_lists[{index}]", None, got, expected)
    for name, receipts in settings.receipts.items():
        try:
            team_key_of(receipts)
        except WatchwordError as error:
            expected = "the .p8 file of the team's key, for this user alone (mode 0600)"
            yield Fault(f"apps.{name}.receipts.key", None, str(error), expected)
    # A lab that trusts its own Google alone doesn't read them.
    for name, play in settings.play.items() if settings.trust_vendors else ():
        try:
            require_play_files(play)
        except WatchwordError as error:
            expected = "what the Play Console gave out, secrets for this user alone (mode 0600)"
            yield Fault(f"apps.{name}.play_integrity", None, str(error), expected)

"""Read the files that ``watchword.yaml`` names, as a start would, and tell what is wrong with them."""

from collections.abc import Iterator

from watchword.adapters.revocation import StatusListError, load_status_lists
from watchword.apps.compose.gate_policies import EdgeAuthoritiesError, edge_rule
from watchword.apps.compose.play import require_play_files
from watchword.apps.compose.service import team_key_of
from watchword.apps.compose.tls_files import require_tls_files
from watchword.apps.settings import ConfigurationError, Fault, Settings
from watchword.apps.settings.validated import AuthzSettings, TlsFiles
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
    if settings.gates is not None:
        yield from _tls_files("gates", settings.gates.tls)
    for name, api in settings.apis.items():
        if api.authz is not None:
            yield from _authz_files(f"apis.{name}.authz", api.authz)
    yield from _edge_files(settings)
    # A lab that trusts its own Google alone doesn't read them.
    for name, play in settings.play.items() if settings.trust_vendors else ():
        try:
            require_play_files(play)
        except WatchwordError as error:
            expected = "what the Play Console gave out, secrets for this user alone (mode 0600)"
            yield Fault(f"apps.{name}.play_integrity", None, str(error), expected)


def _edge_files(settings: Settings) -> Iterator[Fault]:
    for name, edge in ({} if settings.secrets is None else settings.secrets.edges).items():
        try:
            edge_rule(edge)
        except EdgeAuthoritiesError as error:
            expected = "PEM with the certificates of who signs for the origin"
            yield Fault(f"secrets.keys.{name}.edge.ca", None, str(error), expected)


def _authz_files(path: str, authz: AuthzSettings) -> Iterator[Fault]:
    if authz.tls is not None:
        yield from _tls_files(path, authz.tls)
    if authz.credential is not None:
        # Imported here alone: most deployments have no other server in front.
        from watchword.apps.gateway.authz.application import Credential  # noqa: PLC0415

        try:
            Credential.read(authz.credential)
        except WatchwordError as error:
            expected = "a file with the secret, for this user alone (mode 0600)"
            yield Fault(f"{path}.credential", None, str(error), expected)


def _tls_files(path: str, files: TlsFiles) -> Iterator[Fault]:
    try:
        require_tls_files(files)
    except WatchwordError as error:
        expected = "PEM files, the key for this user alone (mode 0600)"
        yield Fault(path, None, str(error), expected)

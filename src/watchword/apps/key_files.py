"""Read each file of keys, certificates and lists that the settings name, as a start does, and keep nothing."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    require_parents,
    require_private,
)
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.schema import AuthzConfig, EdgeSettings, Settings, TlsFiles
from watchword.broker.interface import EdgeRule
from watchword.reasons import WatchwordError

MAX_AUTHORITIES_BYTES: Final = 64 * 1024
"""Most bytes of a file of authorities: some 30 certificates.  It travels to gates in the bundle."""


class EdgeAuthoritiesError(WatchwordError):
    """Report a file of authorities that a secret's origin can't be known by."""


def edge_rule(edge: EdgeSettings) -> EdgeRule:
    """Return into which calls a secret is injected, with the authorities out of their file.

    :raises EdgeAuthoritiesError: when that can't be read or holds anything else than certificates.
    """
    return edge.rule if edge.ca is None else replace(edge.rule, ca=_authorities(edge.ca))


def _authorities(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_AUTHORITIES_BYTES + 1)
        if len(data) > MAX_AUTHORITIES_BYTES:
            raise EdgeAuthoritiesError(f"{file}: got more than {MAX_AUTHORITIES_BYTES} bytes")
        text = data.decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise EdgeAuthoritiesError(f"{file}: expected certificates in PEM") from None
    except OSError as error:
        raise EdgeAuthoritiesError(f"{file}: {error.strerror}") from None
    if "PRIVATE KEY" in text:
        # It would be on its way to every gate.
        raise EdgeAuthoritiesError(f"{file}: got a private key, expected certificates alone")
    return text


def require_key_files(settings: Settings) -> None:
    """Read each vendor's key and each snapshot of a status list, and keep nothing.

    Not a part of reading the file: gates read it too, as users who may not read these keys.

    :raises ConfigurationError: with every file that stops a start.
    """
    faults = list(_faults(settings))
    if faults:
        raise ConfigurationError(settings.path, faults)


def require_private_state(settings: Settings) -> None:
    """See to it that what is kept is this user's alone, as a start does; nothing is made or changed.

    :raises ConfigurationError: with each directory and file that stops a start.
    """
    paths = settings.service
    found: list[Fault] = []

    def look(check: Callable[[Path], None], path: Path, expected: str) -> None:
        try:
            check(path)
        except PrivateFileError as error:
            found.append(Fault("service.state", None, str(error), expected))

    look(require_parents, paths.state_dir, "a place that nobody else can change")
    for directory in (paths.state_dir, paths.gates) if not found else ():
        # Of what is in a directory that others can change nothing is told beside that.
        if not found and directory.exists():
            look(private_directory, directory, "a directory for this user alone")
    if not found:
        for path in _kept_files(settings):
            look(require_private, path, "a file for this user alone")
    if found:
        raise ConfigurationError(settings.path, found)


def _kept_files(settings: Settings) -> Iterator[Path]:
    """Yield each private file that a start reads, as far as its place is known."""
    paths = settings.service
    yield from (paths.keyring, paths.secrets, paths.canaries)
    yield from (paths.rollback_detector, paths.revocations)
    for api in settings.apis:
        for ending in ("canary", "quotas", "replay"):
            yield paths.gates / f"{api}.{ending}"


def _faults(settings: Settings) -> Iterator[Fault]:
    """Yield what stops a start; what reads a kind of file is loaded where one is named."""
    if settings.revocation.snapshots:
        yield from _snapshots(settings)
    if settings.receipts or settings.play:
        yield from _vendor_keys(settings)
    if settings.gates is not None:
        yield from _tls_faults("gates", settings.gates.tls)
    for name, api in settings.apis.items():
        if api.authz is not None:
            yield from _authz_files(f"apis.{name}.authz", api.authz)
    yield from _edge_files(settings)


def _snapshots(settings: Settings) -> Iterator[Fault]:
    # Many name none.
    from watchword.adapters.revocation import StatusListError, load_status_lists  # noqa: PLC0415

    for index, snapshot in enumerate(settings.revocation.snapshots):
        expected = "a file with Google's attestation status list, as it was fetched"
        try:
            load_status_lists([snapshot])
        except StatusListError as error:
            yield Fault(f"trust.revocation_lists[{index}]", None, str(error), expected)
        except OSError as error:
            got = f"{snapshot}: {error.strerror}"
            yield Fault(f"trust.revocation_lists[{index}]", None, got, expected)


def _vendor_keys(settings: Settings) -> Iterator[Fault]:
    # What verifies evidence, and thirty rules of policy, stand behind it.
    from watchword.apps.compose.vendors import require_play_files, team_key_of  # noqa: PLC0415

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


def _edge_files(settings: Settings) -> Iterator[Fault]:
    for name, edge in ({} if settings.secrets is None else settings.secrets.edges).items():
        try:
            edge_rule(edge)
        except EdgeAuthoritiesError as error:
            expected = "PEM with the certificates of who signs for the origin"
            yield Fault(f"secrets.keys.{name}.edge.ca", None, str(error), expected)


def _authz_files(path: str, authz: AuthzConfig) -> Iterator[Fault]:
    if authz.tls is not None:
        yield from _tls_faults(path, authz.tls)
    if authz.credential is not None:
        # The gate and its server stand behind it.
        from watchword.apps.gateway.authz.application import Credential  # noqa: PLC0415

        try:
            Credential.read(authz.credential)
        except WatchwordError as error:
            expected = "a file with the secret, for this user alone (mode 0600)"
            yield Fault(f"{path}.credential", None, str(error), expected)


def _tls_faults(path: str, files: TlsFiles) -> Iterator[Fault]:
    # Beside it stand the servers.
    from watchword.adapters.http_server.tls import require_tls_files  # noqa: PLC0415

    try:
        require_tls_files(*files)
    except WatchwordError as error:
        expected = "PEM files, the key for this user alone (mode 0600)"
        yield Fault(path, None, str(error), expected)

"""Turn the options of ``watchword verify evidence`` into what the verifier takes."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from watchword.adapters.clock import SystemClock
from watchword.adapters.revocation import load_status_lists
from watchword.apps.evidence_files import (
    EvidenceFileError,
    parse_bytes,
    read_anchors,
    read_evidence,
    with_packaged,
)
from watchword.apps.settings import load_settings
from watchword.attestation.formats.app_attest import read_credential_id
from watchword.attestation.interface import (
    AndroidApp,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Trust,
)
from watchword.vocabulary import AppAttestEnvironment


def read_app_attest(file: Path, key_id: str | None) -> tuple[AppAttestAttestation, tuple[str, ...]]:
    """Return an App Attest attestation; without a key id its own credential id stands in."""
    data = read_evidence(file)
    if key_id is not None:
        return AppAttestAttestation(data, _bytes("--key-id", key_id)), ()
    return AppAttestAttestation(data, read_credential_id(data)), ("key_id",)


def find_binding(options: dict[str, Any]) -> bytes | None:
    """Return what the evidence must be bound to, None where nothing was given."""
    challenge, client_data_hash = options["challenge"], options["client_data_hash"]
    is_apple = options["format_"] == "app-attest"
    if client_data_hash is not None and (challenge is not None or not is_apple):
        raise click.UsageError("--client-data-hash goes with app-attest, without --challenge.")
    if client_data_hash is not None:
        return _digest("--client-data-hash", client_data_hash)
    if challenge is None:
        return None
    data = _bytes("--challenge", challenge)
    return hashlib.sha256(data).digest() if is_apple else data


def _bytes(option: str, text: str) -> bytes:
    """Return the bytes of an option."""
    try:
        return parse_bytes(text)
    except EvidenceFileError as error:
        raise click.UsageError(f"{option}: {error}.") from None


def _digest(option: str, text: str) -> bytes:
    """Return a SHA-256 digest; with one of another length nothing could ever match."""
    digest = _bytes(option, text)
    if len(digest) != hashlib.sha256().digest_size:
        raise click.UsageError(f"{option}: got {len(digest)} bytes, expected SHA-256.")
    return digest


def find_app(config: Path, options: dict[str, Any]) -> AppRegistration | None:
    """Return the app to expect: from the configuration, or from options; None for none."""
    if options["app_name"] is not None:
        apps = load_settings(config).apps
        if options["app_name"] not in apps:
            raise click.UsageError(f"--app: expected one of {', '.join(sorted(apps))}.")
        return apps[options["app_name"]]
    team_id, bundle_id = options["team_id"], options["bundle_id"]
    if (team_id is None) != (bundle_id is None):
        raise click.UsageError("--team-id and --bundle-id go together.")
    if (options["package"] is None) != (not options["signing_digest"]):
        raise click.UsageError("--package and --signing-digest go together.")
    if team_id is not None:
        name = "DEVELOPMENT" if options["development"] else "PRODUCTION"
        identity = AppleApp(team_id, bundle_id, AppAttestEnvironment[name])
        return AppRegistration("command line", identity)
    if options["package"] is not None:
        digests = frozenset(_digest("--signing-digest", each) for each in options["signing_digest"])
        return AppRegistration("command line", AndroidApp(options["package"], digests))
    return None


def find_trust(options: dict[str, Any]) -> Trust:
    """Return packaged anchors with those that were named, and the status lists."""
    vendor = {"app-attest": "apple-app-attest"}.get(options["format_"], options["format_"])
    extra = [anchor for path in options["anchors"] for anchor in read_anchors(path, [vendor])]
    revocation = load_status_lists(options["status"]) if options["status"] else None
    return Trust(with_packaged(extra), revocation)


def find_instant(text: str | None) -> datetime:
    """Return the instant to verify at; a time without an offset is UTC."""
    if text is None:
        return SystemClock().now()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            "--at: expected ISO 8601, for example 2026-04-20T19:13:12Z."
        ) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)

"""Turn the options of ``watchword verify evidence`` into what the verifier takes."""

import hashlib
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import click

from watchword.adapters.revocation import load_status_lists
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.vendors import configured_play_keys
from watchword.apps.evidence.files import (
    EvidenceFileError,
    WrittenBytes,
    parse_bytes,
    read_anchors,
    read_certificates,
    read_evidence,
    read_key_text,
    with_packaged,
)
from watchword.apps.evidence.policy_choice import load_policy
from watchword.apps.settings import load_settings
from watchword.attestation.attestation_object import read_credential_id
from watchword.attestation.formats import android_key, app_attest, play_integrity
from watchword.attestation.interface import (
    AndroidApp,
    AndroidKeyChain,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Attestation,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    PlayKeys,
    Trust,
)
from watchword.policy.interface import Policy
from watchword.policy.registry import BALANCED
from watchword.vocabulary import AppAttestEnvironment, Vendor

_VENDORS = {
    app_attest.NAME: (Vendor.APPLE_APP_ATTEST, Vendor.APPLE_RECEIPT),
    android_key.NAME: (Vendor.ANDROID_KEY,),
    play_integrity.NAME: (),
}

_ALONE = (
    ("at", ("public_key",)),
    ("anchors", ("public_key",)),
    ("status", ("public_key",)),
    ("policy", ("public_key",)),
    ("key_id", ("public_key",)),
    ("challenge", ("client_data_hash",)),
    ("package", ("team_id", "app_name")),
    ("team_id", ("app_name",)),
)
"""Options that mean nothing beside those named with them."""

_TOGETHER = (
    ("team_id", "bundle_id"),
    ("bundle_id", "team_id"),
    ("package", "signing_digest"),
    ("signing_digest", "package"),
    ("development", "team_id"),
    ("decryption_key", "verification_key"),
    ("verification_key", "decryption_key"),
)
"""Options that mean nothing without the one named with them."""

_OF_FORMAT = {
    app_attest.NAME: ("client_data_hash", "key_id", "public_key"),
    android_key.NAME: ("status",),
    play_integrity.NAME: ("decryption_key", "verification_key"),
}
"""Options that mean something with one format alone."""


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """Hold what a person gave on the command line, by the names of the options."""

    format_: str
    file: Path
    challenge: str | None = None
    client_data_hash: str | None = None
    key_id: str | None = None
    public_key: Path | None = None
    app_name: str | None = None
    team_id: str | None = None
    bundle_id: str | None = None
    development: bool = False
    package: str | None = None
    signing_digest: tuple[str, ...] = ()
    decryption_key: Path | None = None
    verification_key: Path | None = None
    at: str | None = None
    anchors: tuple[Path, ...] = ()
    status: tuple[Path, ...] = ()
    policy: str | None = None

    @property
    def given(self) -> frozenset[str]:
        """Return the names of the options that were given."""
        absent: tuple[object, ...] = (None, False, ())
        return frozenset(f.name for f in fields(self) if getattr(self, f.name) not in absent)

    def require_sense(self) -> None:
        """Refuse options that would be passed over in silence.

        :raises click.UsageError: naming the options that don't go together.
        """
        given = self.given
        foreign = [n for f, names in _OF_FORMAT.items() if f != self.format_ for n in names]
        for name in foreign:
            if name in given:
                raise click.UsageError(f"{_flag(name)} means nothing with {self.format_}.")
        for name, others in _ALONE:
            for other in others:
                if {name, other} <= given:
                    raise click.UsageError(f"{_flag(name)} and {_flag(other)} exclude each other.")
        for name, other in _TOGETHER:
            if name in given and other not in given:
                raise click.UsageError(f"{_flag(name)} needs {_flag(other)}.")
        if self.public_key is not None and not {"challenge", "client_data_hash"} & given:
            raise click.UsageError("An assertion needs --challenge or --client-data-hash.")

    def written_binding(self) -> WrittenBytes | None:
        """Return the bytes of --challenge or --client-data-hash as they were read, None for none."""
        if self.client_data_hash is not None:
            return _digest("--client-data-hash", self.client_data_hash)
        return None if self.challenge is None else _bytes("--challenge", self.challenge)

    def binding(self) -> bytes | None:
        """Return what the evidence must be bound to, None where nothing was given."""
        written = self.written_binding()
        if written is None:
            return None
        is_hashed = self.client_data_hash is not None or self.format_ != app_attest.NAME
        return written.data if is_hashed else hashlib.sha256(written.data).digest()

    def app(self, config: Path) -> AppRegistration | None:
        """Return the app to expect: from the configuration, or from options; None for none."""
        if self.app_name is not None:
            apps = load_settings(config).apps
            if self.app_name not in apps:
                raise click.UsageError(f"--app: expected one of {', '.join(sorted(apps))}.")
            return apps[self.app_name]
        if self.team_id is not None and self.bundle_id is not None:
            name = "DEVELOPMENT" if self.development else "PRODUCTION"
            identity = AppleApp(self.team_id, self.bundle_id, AppAttestEnvironment[name])
            return AppRegistration("command line", identity)
        if self.package is not None:
            digests = [_digest("--signing-digest", each).data for each in self.signing_digest]
            return AppRegistration("command line", AndroidApp(self.package, frozenset(digests)))
        return None

    def expected(self, app: AppRegistration | None) -> Expected:
        """Return what the evidence must fit; how old it is means something only at a given time."""
        return Expected(self.binding(), app, fresh=self.at is not None)

    def trust(self, app: AppRegistration | None, config: Path) -> Trust:
        """Return packaged anchors with those that were named, the status lists, and the app's keys.

        Keys of an app in the configuration are read there, a lab's are its Google's.
        """
        vendors = _VENDORS[self.format_]
        extra = [anchor for path in self.anchors for anchor in read_anchors(path, vendors)]
        revocation = load_status_lists(self.status) if self.status else None
        keys: dict[str, PlayKeys] = {}
        if self.decryption_key is not None and self.verification_key is not None:
            # Without an app that is expected, the keys are for whichever app the token is of.
            keys["" if app is None else app.app_id] = PlayKeys(
                read_key_text(self.decryption_key), read_key_text(self.verification_key)
            )
        elif self.app_name is not None and self._is_play_token():
            keys = configured_play_keys(load_settings(config), SystemEntropy())
        return Trust(with_packaged(extra), revocation, play_keys=keys)

    def _is_play_token(self) -> bool:
        """Tell whether keys are needed; what Google decoded is JSON, and whoever has it may lack them."""
        is_play = self.format_ == play_integrity.NAME
        return is_play and not read_evidence(self.file).lstrip().startswith(b"{")

    def chosen_policy(self, config: Path) -> Policy:
        """Return the policy that was named, else that of the configuration where it names the app."""
        if self.policy is not None:
            return load_policy(self.policy)
        return BALANCED if self.app_name is None else load_settings(config).policy

    def instant(self) -> datetime:
        """Return the instant to verify at."""
        return SystemClock().now() if self.at is None else parse_instant(self.at)

    def attestation(self) -> tuple[Attestation, tuple[str, ...]]:
        """Return the evidence in the file by its format, and what nothing was given to compare it with."""
        if self.format_ == android_key.NAME:
            return AndroidKeyChain(read_certificates(self.file)), ()
        if self.format_ == play_integrity.NAME:
            data = read_evidence(self.file).strip()
            if data.startswith(b"{"):
                return PlayIntegrityPayload(data), ("signature",)
            return PlayIntegrityToken(data), ()
        data = read_evidence(self.file)
        if self.key_id is not None:
            return AppAttestAttestation(data, _bytes("--key-id", self.key_id).data), ()
        # Its own credential id stands in then.
        return AppAttestAttestation(data, read_credential_id(data)), ("key_id",)


def parse_instant(text: str) -> datetime:
    """Return the instant of ``--at``; a time without an offset is UTC.

    :raises click.UsageError: when it isn't one.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            "--at: expected ISO 8601, for example 2026-04-20T19:13:12Z."
        ) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _flag(name: str) -> str:
    """Return an option as it is written."""
    return "--" + {"app_name": "app"}.get(name, name).replace("_", "-")


def _bytes(option: str, text: str) -> WrittenBytes:
    """Return the bytes of an option."""
    try:
        return parse_bytes(text)
    except EvidenceFileError as error:
        raise click.UsageError(f"{option}: {error}.") from None


def _digest(option: str, text: str) -> WrittenBytes:
    """Return a SHA-256 digest; with one of another length nothing could ever match."""
    digest = _bytes(option, text)
    if len(digest.data) != hashlib.sha256().digest_size:
        raise click.UsageError(f"{option}: got {digest}, expected the 32 bytes of SHA-256.")
    return digest

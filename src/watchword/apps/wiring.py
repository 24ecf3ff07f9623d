"""Put the parts together from the settings: the one place that knows every constructor."""

from collections.abc import Sequence
from typing import Final

import structlog

from watchword.adapters.anchors import trusted_anchors
from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.keyring.private_file import PrivateFileError, private_directory
from watchword.adapters.refusal_log.memory import MemoryRefusalLog
from watchword.adapters.revocation import load_status_lists
from watchword.adapters.store.sqlite import SqliteStore
from watchword.apps.service.service import Service, build_service
from watchword.apps.settings import Settings
from watchword.attestation.interface import Trust
from watchword.enrolment.evidence import RegisteredFormats
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.ports import Anchor, Clock, Entropy
from watchword.tokens.interface import LEEWAY_SECONDS
from watchword.vocabulary import Level

MINIMUM_LEVEL: Final = Level.HARDWARE
"""The level that instances need: the only one that App Attest and key attestation grant so far."""

_log = structlog.get_logger()


def trust_of(settings: Settings, entropy: Entropy) -> Trust:
    """Return whom the verifier believes; makes the lab's authorities on first use.

    :raises WatchwordError: when a revocation list or the lab can't be read, or when lab anchors
        were to be trusted outside of the lab environment.
    """
    lab: Sequence[Anchor] = ()
    if settings.trust_lab:
        # Imported here alone: production runs without the lab and without its packages.
        from watchword.adapters.lab_store import load_or_create  # noqa: PLC0415

        lab = load_or_create(settings.service.state_dir, entropy).anchors()
    anchors = trusted_anchors(settings.trust_vendors, lab, settings.environment)
    lists = settings.revocation_lists
    return Trust(anchors, load_status_lists(lists) if lists else None)


def enrolment_policy(settings: Settings) -> EnrolmentPolicy:
    """Return what enrolment knows from the file."""
    return EnrolmentPolicy(
        issuer=settings.service.issuer,
        environment=settings.environment,
        apps=settings.apps,
        audiences={
            app: frozenset(api.audience for api in settings.apis.values() if app in api.apps)
            for app in settings.apps
        },
        minimum_level=MINIMUM_LEVEL,
        token_lifetime=settings.service.token_lifetime,
    )


def service_of(
    settings: Settings, *, clock: Clock, entropy: Entropy, refusal_log: MemoryRefusalLog
) -> Service:
    """Return the service over its store and key ring, both made on the first start.

    :raises WatchwordError: when keys or store can't be read, written or trusted.
    """
    paths = settings.service
    private_directory(paths.state_dir)
    if paths.database.exists() and not paths.keyring.exists():
        # New keys would make strangers of all instances, without a word.
        raise PrivateFileError(
            f"{paths.keyring}: is gone while {paths.database.name} is there; restore both from a "
            f"backup, or remove {paths.database.name} too for a new start"
        )
    if paths.keyring.exists() and not paths.database.exists():
        # Every instance enrols again by itself; a person may have a backup that spares them that.
        _log.warning(
            "store is gone", file=str(paths.database), detail="an empty one takes its place"
        )
    keyring = FileKeyRing(
        paths.keyring,
        environment=settings.environment,
        grace=paths.token_lifetime + LEEWAY_SECONDS,
        now=clock.timestamp(),
        entropy=entropy,
    )
    return build_service(
        policy=enrolment_policy(settings),
        verifier=RegisteredFormats(trust_of(settings, entropy)),
        store=SqliteStore(paths.database),
        keyring=keyring,
        refusal_log=refusal_log,
        gate_state=paths.gate_state,
        clock=clock,
        entropy=entropy,
    )


def system_ports() -> tuple[SystemClock, SystemEntropy]:
    """Return the real clock and the real source of randomness."""
    return SystemClock(), SystemEntropy()

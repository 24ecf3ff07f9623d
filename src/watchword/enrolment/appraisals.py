"""Define what is known of one appraisal after it was made, so that it can be recorded and replayed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration, Attestation
from watchword.policy.interface import Circumstances, Policy, Verdict
from watchword.ports import Anchor, RevocationEntry, RevocationStatus
from watchword.reasons import Refusal


@dataclass(frozen=True, slots=True)
class NotedStatus:
    """Hold what a status list said while one piece of evidence was verified, and say it again.

    :param entries: by serial in hex; serials that were asked for in vain aren't here.
    """

    digest: str
    known: bool
    entries: Mapping[str, RevocationEntry]

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry that there was for a serial, None if there was none."""
        return self.entries.get(serial_hex)

    def is_known(self, now: datetime) -> bool:  # noqa: ARG002 - it was known, or not, at its own time.
        """Tell whether the list was recent enough to answer, then."""
        return self.known


@dataclass(slots=True)
class StatusNotes:
    """Pass questions on to a status list and note the answers.

    The list may be replaced by a newer one at any moment; whoever asks again later may get another
    answer than the one that decided.
    """

    inner: RevocationStatus
    _entries: dict[str, RevocationEntry] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Return the list's digest."""
        return self.inner.digest

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the list's entry for a serial, and note it."""
        entry = self.inner.find(serial_hex)
        if entry is not None:
            self._entries[serial_hex] = entry
        return entry

    def is_known(self, now: datetime) -> bool:
        """Tell whether the list is recent enough to answer."""
        return self.inner.is_known(now)

    def noted(self, now: datetime) -> NotedStatus:
        """Return what was answered so far."""
        return NotedStatus(self.inner.digest, self.inner.is_known(now), dict(self._entries))


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Hold one appraisal of evidence that enrols: what went in, and what came out.

    :param members: the evidence as it was sent.
    :param evidence: what was verified; not what was sent where a vendor decoded it.
    :param claims: None where the evidence couldn't be read far enough; true only where
        ``verification`` is empty.
    :param verification: what the format refused; policy wasn't asked then, and the verdict repeats it.
    :param anchors: all that the verifier could have believed.
    :param status: None where no status list is asked.
    """

    at: datetime
    members: Mapping[str, Any] = field(repr=False)
    evidence: Attestation = field(repr=False)
    binding: bytes
    app: AppRegistration
    claims: UnverifiedClaims | None
    verification: tuple[Refusal, ...]
    anchors: tuple[Anchor, ...]
    status: NotedStatus | None
    policy: Policy
    circumstances: Circumstances
    verdict: Verdict


class AppraisalLog(Protocol):
    """Keep appraisals for people who want to know later why an instance was let in or not."""

    def record(self, appraisal: Appraisal, instance_id: str | None) -> None:
        """Keep an appraisal, if there is room.  Never raises: an enrolment doesn't hang on it.

        :param instance_id: the instance that it enrolled, None if it enrolled none.
        """

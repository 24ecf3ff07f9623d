"""Define why something was refused: the one enumeration that code, tests, docs and metrics share.

A :class:`Reason` is dotted, machine-readable and never reused for another meaning.  Each has a category (who can
act on it), a public class (all that a stranger is told) and a heading in ``docs/reasons.md``.  The HTTP status
hangs on the public class, so that two reasons of one class can't be told apart by their status.

The error tree::

    WatchwordError
    +-- RefusedError            evidence, a token or a request was refused; carries Refusals
    |   +-- MalformedError      input that could not be read at all
    +-- UnavailableError        a store or a vendor can't answer now; carries a Reason
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import ClassVar, Self

from watchword.public_classes import Category, PublicClass

_C = Category
_P = PublicClass


class Reason(Enum):
    """Name one cause of a refusal: (dotted code, category, public class)."""

    # What arrives at any listener.
    REQUEST_MALFORMED = ("request.malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)
    REQUEST_FRAMING = ("request.framing", _C.MALFORMED, _P.REQUEST_MALFORMED)
    REQUEST_HOST = ("request.host", _C.MALFORMED, _P.REQUEST_MALFORMED)
    REQUEST_HEADER_DUPLICATED = ("request.header_duplicated", _C.MALFORMED, _P.REQUEST_MALFORMED)
    REQUEST_HEADERS_TOO_LARGE = ("request.headers_too_large", _C.MALFORMED, _P.HEADERS_TOO_LARGE)
    REQUEST_PATH_AMBIGUOUS = ("request.path_ambiguous", _C.MALFORMED, _P.REQUEST_MALFORMED)
    REQUEST_LENGTH_REQUIRED = ("request.length_required", _C.MALFORMED, _P.LENGTH_REQUIRED)
    REQUEST_BODY_TOO_LARGE = ("request.body_too_large", _C.MALFORMED, _P.BODY_TOO_LARGE)
    REQUEST_MEDIA_TYPE = ("request.media_type", _C.MALFORMED, _P.MEDIA_TYPE)
    REQUEST_TIMEOUT = ("request.timeout", _C.TIME, _P.REQUEST_TIMEOUT)
    REQUEST_NOT_FOUND = ("request.not_found", _C.CONTENT, _P.NOT_FOUND)
    REQUEST_METHOD = ("request.method", _C.CONTENT, _P.METHOD_NOT_ALLOWED)

    # Generic encodings.
    ENCODING_BASE64URL = ("encoding.base64url", _C.MALFORMED, _P.REQUEST_MALFORMED)
    ENCODING_JSON = ("encoding.json", _C.MALFORMED, _P.REQUEST_MALFORMED)
    ENCODING_CBOR = ("encoding.cbor", _C.MALFORMED, _P.REQUEST_MALFORMED)
    ENCODING_DER = ("encoding.der", _C.MALFORMED, _P.REQUEST_MALFORMED)

    # The client statement (protocol, section 1).
    STATEMENT_MALFORMED = ("statement.malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)
    STATEMENT_VERSION = ("statement.version", _C.CONTENT, _P.REQUEST_MALFORMED)
    STATEMENT_PURPOSE = ("statement.purpose", _C.CONTENT, _P.EVIDENCE_REFUSED)
    STATEMENT_ISSUER = ("statement.issuer", _C.CONTENT, _P.EVIDENCE_REFUSED)
    STATEMENT_AUDIENCE = ("statement.audience", _C.CONTENT, _P.EVIDENCE_REFUSED)
    STATEMENT_APP_UNKNOWN = ("statement.app_unknown", _C.CONTENT, _P.EVIDENCE_REFUSED)
    STATEMENT_KEY = ("statement.key", _C.CONTENT, _P.REQUEST_MALFORMED)

    # The challenge (protocol, section 2).
    CHALLENGE_MALFORMED = ("challenge.malformed", _C.MALFORMED, _P.CHALLENGE_REFUSED)
    CHALLENGE_UNKNOWN = ("challenge.unknown", _C.TRUST, _P.CHALLENGE_REFUSED)
    CHALLENGE_EXPIRED = ("challenge.expired", _C.TIME, _P.CHALLENGE_REFUSED)
    CHALLENGE_USED = ("challenge.used", _C.CONTENT, _P.CHALLENGE_REFUSED)
    CHALLENGE_SUPERSEDED = ("challenge.superseded", _C.TIME, _P.CHALLENGE_REFUSED)

    # Evidence of any format.
    EVIDENCE_MALFORMED = ("evidence.malformed", _C.MALFORMED, _P.EVIDENCE_REFUSED)
    EVIDENCE_FORMAT_UNKNOWN = ("evidence.format_unknown", _C.CONTENT, _P.EVIDENCE_REFUSED)
    EVIDENCE_PLATFORM = ("evidence.platform", _C.CONTENT, _P.EVIDENCE_REFUSED)
    ATTESTATION_BINDING = ("attestation.binding", _C.CONTENT, _P.EVIDENCE_REFUSED)
    ATTESTATION_CHAIN_LENGTH = ("attestation.chain_length", _C.MALFORMED, _P.EVIDENCE_REFUSED)
    ATTESTATION_CHAIN_NAME = ("attestation.chain_name", _C.TRUST, _P.EVIDENCE_REFUSED)
    ATTESTATION_CHAIN_SIGNATURE = ("attestation.chain_signature", _C.TRUST, _P.EVIDENCE_REFUSED)
    ATTESTATION_CHAIN_NOT_CA = ("attestation.chain_not_ca", _C.TRUST, _P.EVIDENCE_REFUSED)
    ATTESTATION_CERTIFICATE_EXPIRED = (
        "attestation.certificate_expired",
        _C.TIME,
        _P.EVIDENCE_REFUSED,
    )
    ATTESTATION_CERTIFICATE_EARLY = ("attestation.certificate_early", _C.TIME, _P.EVIDENCE_REFUSED)
    ATTESTATION_ANCHOR_UNKNOWN = ("attestation.anchor_unknown", _C.TRUST, _P.EVIDENCE_REFUSED)
    ATTESTATION_ANCHOR_SOFTWARE = ("attestation.anchor_software", _C.TRUST, _P.EVIDENCE_REFUSED)
    ATTESTATION_REVOKED = ("attestation.revoked", _C.TRUST, _P.EVIDENCE_REFUSED)
    ATTESTATION_KEY_UNSUPPORTED = ("attestation.key_unsupported", _C.CONTENT, _P.EVIDENCE_REFUSED)
    EVIDENCE_SIGNATURE = ("evidence.signature", _C.TRUST, _P.EVIDENCE_REFUSED)
    EVIDENCE_AGE = ("evidence.age", _C.TIME, _P.EVIDENCE_REFUSED)
    EVIDENCE_OPERATOR_CODE = ("evidence.operator_code", _C.TRUST, _P.EVIDENCE_REFUSED)

    # Android key attestation.
    ANDROID_KEY_DESCRIPTION_MISSING = (
        "android.key_description_missing",
        _C.CONTENT,
        _P.EVIDENCE_REFUSED,
    )
    ANDROID_KEY_DESCRIPTION_MISPLACED = (
        "android.key_description_misplaced",
        _C.TRUST,
        _P.EVIDENCE_REFUSED,
    )
    ANDROID_ATTEST_KEY = ("android.attest_key", _C.TRUST, _P.EVIDENCE_REFUSED)
    ANDROID_SIGNATURE = ("android.signature", _C.TRUST, _P.EVIDENCE_REFUSED)

    # Apple App Attest.
    APP_ATTEST_KEY_ID = ("app_attest.key_id", _C.CONTENT, _P.EVIDENCE_REFUSED)
    APP_ATTEST_COUNTER = ("app_attest.counter", _C.CONTENT, _P.EVIDENCE_REFUSED)
    APP_ATTEST_ENVIRONMENT = ("app_attest.environment", _C.CONTENT, _P.EVIDENCE_REFUSED)
    APP_ATTEST_RECEIPT = ("app_attest.receipt", _C.CONTENT, _P.EVIDENCE_REFUSED)
    APP_ATTEST_RECEIPT_SIGNATURE = ("app_attest.receipt_signature", _C.TRUST, _P.EVIDENCE_REFUSED)
    APP_ATTEST_RECEIPT_AGE = ("app_attest.receipt_age", _C.TIME, _P.EVIDENCE_REFUSED)
    APP_ATTEST_SIGNATURE = ("app_attest.signature", _C.TRUST, _P.EVIDENCE_REFUSED)

    # Play Integrity.
    PLAY_TOKEN = ("play.token", _C.MALFORMED, _P.EVIDENCE_REFUSED)
    PLAY_DECRYPTION = ("play.decryption", _C.TRUST, _P.EVIDENCE_REFUSED)
    PLAY_SIGNATURE = ("play.signature", _C.TRUST, _P.EVIDENCE_REFUSED)
    PLAY_PACKAGE = ("play.package", _C.CONTENT, _P.EVIDENCE_REFUSED)
    PLAY_AGE = ("play.age", _C.TIME, _P.EVIDENCE_REFUSED)
    PLAY_UNCONFIGURED = ("play.unconfigured", _C.UNAVAILABLE, _P.UNAVAILABLE)

    # Appraisal.
    POLICY_APP_ID = ("policy.app_id", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_SIGNING_DIGEST = ("policy.signing_digest", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_APP_VERSION = ("policy.app_version", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_SECURITY_LEVEL = ("policy.security_level", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_ROOT_OF_TRUST_MISSING = ("policy.root_of_trust_missing", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_BOOTLOADER_UNLOCKED = ("policy.bootloader_unlocked", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_BOOT_UNVERIFIED = ("policy.boot_unverified", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_BOOT_SELF_SIGNED = ("policy.boot_self_signed", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_KEY_ORIGIN = ("policy.key_origin", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_KEY_PURPOSE = ("policy.key_purpose", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_BOOT_KEY = ("policy.boot_key", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_PATCH_LEVEL = ("policy.patch_level", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_COHERENCE = ("policy.coherence", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_PROVISIONING = ("policy.provisioning", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_ATTEST_KEY = ("policy.attest_key", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_SUSPENDED = ("policy.suspended", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_REVOCATION_UNKNOWN = ("policy.revocation_unknown", _C.UNAVAILABLE, _P.UNAVAILABLE)
    POLICY_RECEIPT = ("policy.receipt", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_APPLE_PLATFORM = ("policy.apple_platform", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_KEY_ACCESS = ("policy.key_access", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_DISTRIBUTION = ("policy.distribution", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_APPLE_SYSTEM = ("policy.apple_system", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_RISK_METRIC = ("policy.risk_metric", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_DEVICE_VELOCITY = ("policy.device_velocity", _C.UNAVAILABLE, _P.UNAVAILABLE)
    POLICY_SERIAL_FAN_OUT = ("policy.serial_fan_out", _C.UNAVAILABLE, _P.UNAVAILABLE)
    POLICY_APP_RECOGNITION = ("policy.app_recognition", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_DEVICE_INTEGRITY = ("policy.device_integrity", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_LICENSING = ("policy.licensing", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_SDK_VERSION = ("policy.sdk_version", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_RECENT_ACTIVITY = ("policy.recent_activity", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_APP_ACCESS_RISK = ("policy.app_access_risk", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_PLAY_PROTECT = ("policy.play_protect", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_DEVICE_RECALL = ("policy.device_recall", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_PROVIDER_VERDICT = ("policy.provider_verdict", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_UNACCOUNTED = ("policy.unaccounted", _C.POLICY, _P.EVIDENCE_REFUSED)
    POLICY_LEVEL = ("policy.level", _C.POLICY, _P.EVIDENCE_REFUSED)

    # Instances.
    INSTANCE_UNKNOWN = ("instance.unknown", _C.CONTENT, _P.INSTANCE_UNKNOWN)
    INSTANCE_REVOKED = ("instance.revoked", _C.POLICY, _P.INSTANCE_REFUSED)
    INSTANCE_EXISTS = ("instance.exists", _C.CONTENT, _P.INSTANCE_REFUSED)
    INSTANCE_APP = ("instance.app", _C.CONTENT, _P.INSTANCE_REFUSED)
    INSTANCE_COUNTER = ("instance.counter", _C.CONTENT, _P.CHALLENGE_REFUSED)
    INSTANCE_WITHDRAWN = ("instance.withdrawn", _C.TRUST, _P.INSTANCE_REFUSED)
    INSTANCE_ATTESTATION_STALE = ("instance.attestation_stale", _C.TIME, _P.INSTANCE_UNKNOWN)
    INSTANCE_TEST = ("instance.test", _C.POLICY, _P.INSTANCE_REFUSED)
    INSTANCE_EXPIRED = ("instance.expired", _C.TIME, _P.INSTANCE_REFUSED)

    # Tokens at the gate (protocol, section 4).
    TOKEN_MISSING = ("token.missing", _C.CONTENT, _P.TOKEN_REQUIRED)
    TOKEN_MALFORMED = ("token.malformed", _C.MALFORMED, _P.TOKEN_REFUSED)
    TOKEN_KEY_UNKNOWN = ("token.key_unknown", _C.TRUST, _P.TOKEN_REFUSED)
    TOKEN_KEY_RETIRED = ("token.key_retired", _C.TRUST, _P.TOKEN_REFUSED)
    TOKEN_SIGNATURE = ("token.signature", _C.TRUST, _P.TOKEN_REFUSED)
    TOKEN_ISSUER = ("token.issuer", _C.CONTENT, _P.TOKEN_REFUSED)
    TOKEN_AUDIENCE = ("token.audience", _C.CONTENT, _P.TOKEN_REFUSED)
    TOKEN_ENVIRONMENT = ("token.environment", _C.CONTENT, _P.TOKEN_REFUSED)
    TOKEN_EXPIRED = ("token.expired", _C.TIME, _P.TOKEN_REFUSED)
    TOKEN_EARLY = ("token.early", _C.TIME, _P.TOKEN_REFUSED)
    TOKEN_INSTANCE_REVOKED = ("token.instance_revoked", _C.POLICY, _P.TOKEN_REFUSED)
    TOKEN_BINDING = ("token.binding", _C.CONTENT, _P.TOKEN_REFUSED)

    # Proofs of possession (protocol, section 5).
    PROOF_MISSING = ("proof.missing", _C.CONTENT, _P.PROOF_REQUIRED)
    PROOF_AMBIGUOUS = ("proof.ambiguous", _C.MALFORMED, _P.PROOF_REFUSED)
    PROOF_MALFORMED = ("proof.malformed", _C.MALFORMED, _P.PROOF_REFUSED)
    PROOF_COMPONENTS = ("proof.components", _C.CONTENT, _P.PROOF_REFUSED)
    PROOF_ALGORITHM = ("proof.algorithm", _C.CONTENT, _P.PROOF_REFUSED)
    PROOF_KEY = ("proof.key", _C.TRUST, _P.PROOF_REFUSED)
    PROOF_EPOCH = ("proof.epoch", _C.TRUST, _P.TOKEN_REFUSED)
    PROOF_EXPIRED = ("proof.expired", _C.TIME, _P.PROOF_REFUSED)
    PROOF_EARLY = ("proof.early", _C.TIME, _P.PROOF_REFUSED)
    PROOF_SIGNATURE = ("proof.signature", _C.TRUST, _P.PROOF_REFUSED)
    PROOF_TARGET = ("proof.target", _C.CONTENT, _P.PROOF_REFUSED)
    PROOF_TOKEN = ("proof.token", _C.CONTENT, _P.PROOF_REFUSED)
    PROOF_DIGEST = ("proof.digest", _C.MALFORMED, _P.PROOF_REFUSED)
    PROOF_BODY = ("proof.body", _C.CONTENT, _P.PROOF_REFUSED)
    PROOF_REPLAYED = ("proof.replayed", _C.CONTENT, _P.PROOF_USED)
    PROOF_NONCE = ("proof.nonce", _C.TIME, _P.PROOF_NONCE)

    # The gate itself.
    GATE_LEVEL = ("gate.level", _C.POLICY, _P.LEVEL_INSUFFICIENT)
    GATE_APP_VERSION = ("gate.app_version", _C.POLICY, _P.LEVEL_INSUFFICIENT)
    GATE_RATE = ("gate.rate", _C.POLICY, _P.RATE_LIMITED)
    GATE_QUOTA = ("gate.quota", _C.POLICY, _P.RATE_LIMITED)
    GATE_REPLAY_FULL = ("gate.replay_full", _C.UNAVAILABLE, _P.UNAVAILABLE)
    GATE_REPLAY_UNAVAILABLE = ("gate.replay_unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    GATE_OVERLOADED = ("gate.overloaded", _C.UNAVAILABLE, _P.UNAVAILABLE)
    GATE_CALLER = ("gate.caller", _C.TRUST, _P.ROUTE_REFUSED)
    GATE_BUNDLE = ("gate.bundle", _C.TRUST, _P.ROUTE_REFUSED)
    GATE_ROUTE_UNKNOWN = ("gate.route_unknown", _C.POLICY, _P.ROUTE_REFUSED)
    GATE_ROUTE_AMBIGUOUS = ("gate.route_ambiguous", _C.POLICY, _P.ROUTE_REFUSED)
    GATE_PROTOCOL = ("gate.protocol", _C.POLICY, _P.ROUTE_REFUSED)
    GATE_STATE_UNAVAILABLE = ("gate.state_unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    GATE_INTERNAL = ("gate.internal", _C.UNAVAILABLE, _P.INTERNAL)
    GATE_UPSTREAM = ("gate.upstream", _C.UNAVAILABLE, _P.UPSTREAM_UNREACHABLE)

    # Verdicts that a gate signs for the API behind it (protocol, section 7).
    VERDICT_MISSING = ("verdict.missing", _C.CONTENT, _P.ROUTE_REFUSED)
    VERDICT_MALFORMED = ("verdict.malformed", _C.MALFORMED, _P.ROUTE_REFUSED)
    VERDICT_SIGNATURE = ("verdict.signature", _C.TRUST, _P.ROUTE_REFUSED)
    VERDICT_AUDIENCE = ("verdict.audience", _C.CONTENT, _P.ROUTE_REFUSED)
    VERDICT_TARGET = ("verdict.target", _C.CONTENT, _P.ROUTE_REFUSED)
    VERDICT_TIME = ("verdict.time", _C.TIME, _P.ROUTE_REFUSED)

    # Pins: what is read of them, what an installed app takes, and what may be published.
    PINS_PIN_MALFORMED = ("pins.pin_malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)
    PINS_HOST_MALFORMED = ("pins.host_malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)
    PINS_SET_MALFORMED = ("pins.set_malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)
    PINS_SET_KEY = ("pins.set_key", _C.TRUST, _P.PINS_REFUSED)
    PINS_SET_SIGNATURE = ("pins.set_signature", _C.TRUST, _P.PINS_REFUSED)
    PINS_SET_APP = ("pins.set_app", _C.CONTENT, _P.PINS_REFUSED)
    PINS_SET_OLD = ("pins.set_old", _C.TIME, _P.PINS_REFUSED)
    PINS_SET_DIFFERS = ("pins.set_differs", _C.TRUST, _P.PINS_REFUSED)
    PINS_SET_EXPIRED = ("pins.set_expired", _C.TIME, _P.PINS_REFUSED)
    PINS_SET_EARLY = ("pins.set_early", _C.TIME, _P.PINS_REFUSED)
    PINS_SET_LIFETIME = ("pins.set_lifetime", _C.TIME, _P.PINS_REFUSED)
    PINS_ROOTS_MALFORMED = ("pins.roots_malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)
    PINS_ROOTS_THRESHOLD = ("pins.roots_threshold", _C.TRUST, _P.PINS_REFUSED)
    PINS_ROOTS_VERSION = ("pins.roots_version", _C.CONTENT, _P.PINS_REFUSED)
    PINS_ROOTS_BEHIND = ("pins.roots_behind", _C.TIME, _P.PINS_REFUSED)
    PINS_ROOTS_EXPIRED = ("pins.roots_expired", _C.TIME, _P.PINS_REFUSED)
    PINS_MISMATCH = ("pins.mismatch", _C.TRUST, _P.PINS_REFUSED)
    PINS_CLOSED = ("pins.closed", _C.TIME, _P.PINS_REFUSED)
    PINS_PUBLISH_LOCKOUT = ("pins.publish_lockout", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_FLEET = ("pins.publish_fleet", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_BACKUP = ("pins.publish_backup", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_UNSEEN = ("pins.publish_unseen", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_CERTIFICATE = ("pins.publish_certificate", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_UNTRIED = ("pins.publish_untried", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_WEAKER = ("pins.publish_weaker", _C.POLICY, _P.PINS_REFUSED)
    PINS_PUBLISH_REPORTS = ("pins.publish_reports", _C.POLICY, _P.PINS_REFUSED)
    PINS_REPORT_MALFORMED = ("pins.report_malformed", _C.MALFORMED, _P.REQUEST_MALFORMED)

    # Secrets: what an operator does with them, what is injected at the edge, what is handed to instances.
    SECRET_VALUE = ("secret.value", _C.MALFORMED, _P.REQUEST_MALFORMED)
    SECRET_UNKNOWN = ("secret.unknown", _C.CONTENT, _P.NOT_FOUND)
    SECRET_EXISTS = ("secret.exists", _C.CONTENT, _P.SECRET_CONFLICT)
    SECRET_CONFLICT = ("secret.conflict", _C.TIME, _P.SECRET_CONFLICT)
    SECRET_REVOKED = ("secret.revoked", _C.POLICY, _P.SECRET_REFUSED)
    SECRET_NOT_DELIVERED = ("secret.not_delivered", _C.POLICY, _P.SECRET_REFUSED)
    SECRET_APP = ("secret.app", _C.POLICY, _P.SECRET_REFUSED)
    SECRET_LEVEL = ("secret.level", _C.POLICY, _P.SECRET_REFUSED)
    SECRET_PATH = ("secret.path", _C.POLICY, _P.ROUTE_REFUSED)
    SECRET_PLACEHOLDER = ("secret.placeholder", _C.CONTENT, _P.REQUEST_MALFORMED)
    SECRET_QUOTA = ("secret.quota", _C.POLICY, _P.RATE_LIMITED)
    SECRET_SPEND = ("secret.spend", _C.POLICY, _P.RATE_LIMITED)
    SECRET_USAGE_UNAVAILABLE = ("secret.usage_unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    SECRET_UNAVAILABLE = ("secret.unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    SECRET_ADDRESS = ("secret.address", _C.UNAVAILABLE, _P.UPSTREAM_UNREACHABLE)
    SECRET_STREAM = ("secret.stream", _C.UNAVAILABLE, _P.UPSTREAM_UNREACHABLE)
    SECRET_CANARY = ("secret.canary", _C.TRUST, _P.TOKEN_REFUSED)
    SECRET_STORE_UNAVAILABLE = ("secret.store_unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)

    # What an operator does with the configuration.
    CONFIGURATION_FAULTY = ("configuration.faulty", _C.CONTENT, _P.REQUEST_MALFORMED)
    CONFIGURATION_WIDENS = ("configuration.widens", _C.POLICY, _P.REQUEST_MALFORMED)
    CONFIGURATION_CONFLICT = ("configuration.conflict", _C.TIME, _P.REQUEST_MALFORMED)

    # The service.
    KEY_UNKNOWN = ("key.unknown", _C.CONTENT, _P.NOT_FOUND)
    VENDOR_UNAVAILABLE = ("vendor.unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    STORE_UNAVAILABLE = ("store.unavailable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    SERVICE_OVERLOADED = ("service.overloaded", _C.UNAVAILABLE, _P.UNAVAILABLE)
    ENROLMENT_LIMIT = ("enrolment.limit", _C.UNAVAILABLE, _P.UNAVAILABLE)
    ENROLMENT_LATER = ("enrolment.later", _C.UNAVAILABLE, _P.UNAVAILABLE)
    SERVICE_CLOCK = ("service.clock", _C.UNAVAILABLE, _P.UNAVAILABLE)
    SERVICE_UNREACHABLE = ("service.unreachable", _C.UNAVAILABLE, _P.UNAVAILABLE)
    SERVICE_INTERNAL = ("service.internal", _C.UNAVAILABLE, _P.INTERNAL)

    @property
    def code(self) -> str:
        """Return the dotted code, for example ``token.expired``."""
        return self.value[0]

    @property
    def category(self) -> Category:
        """Return who can act on it."""
        return self.value[1]

    @property
    def public(self) -> PublicClass:
        """Return all that a refused client is told."""
        return self.value[2]

    @classmethod
    def from_code(cls, code: str) -> "Reason":
        """Return the reason with this dotted code; raise KeyError if there is none."""
        return _BY_CODE[code]


_BY_CODE = {reason.code: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Refusal:
    """State one cause: the reason, and what was got and expected.

    ``detail`` never holds a secret, a token, a key or a device identifier, and it is for
    operators: it doesn't leave the service in a response.
    """

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        """Render as ``code: detail``."""
        return f"{self.reason.code}: {self.detail}" if self.detail else self.reason.code


def codes(refusals: Iterable[Refusal]) -> list[str]:
    """Return the codes of refusals, each once, in order."""
    return list(dict.fromkeys(refusal.reason.code for refusal in refusals))


def lasting_first(refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """Return refusals with those that pass by themselves behind all others, which decide then what a client is told."""
    return tuple(sorted(refusals, key=lambda each: each.reason.public is PublicClass.UNAVAILABLE))


class ExitCode(IntEnum):
    """Say how a command ends that an error stops.

    ``refused``: what was asked for was judged, and the answer is no.  ``usage``: an option, a file or a key that the user
    named can't be used.  ``unavailable``: something that it needs doesn't answer now, the file system among it.
    """

    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3


class WatchwordError(Exception):
    """Root of every error that Watchword raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED
    is_report: ClassVar[bool] = False
    """Whether its text is a report of several lines, which a person is shown as it stands."""


class RefusedError(WatchwordError):
    """Report that something was refused, with every cause that was found (at least one)."""

    signed: str | None = None
    """What the service signed for the client to keep (protocol, section 7); None where it signed nothing."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """Keep the refusals; raise ValueError if there are none."""
        if not refusals:
            raise ValueError("a refusal needs at least one reason")
        self.refusals = tuple(refusals)
        super().__init__("; ".join(str(refusal) for refusal in self.refusals))

    @classmethod
    def because(cls, reason: Reason, detail: str = "") -> Self:
        """Make an error of this class with a single cause."""
        return cls((Refusal(reason, detail),))

    @property
    def reason(self) -> Reason:
        """Return the first cause."""
        return self.refusals[0].reason

    @property
    def detail(self) -> str:
        """Return the first cause's detail, for an error of another kind to repeat."""
        return self.refusals[0].detail


class MalformedError(RefusedError):
    """Report input that could not be read at all, before any judgement on what it says."""

    def as_reason(self, reason: Reason, what: str = "") -> Self:
        """Return this error under the reason of whatever held the input, ``what`` naming the part."""
        return self.because(reason, f"{what}: {self.detail}" if what else self.detail)


class UnavailableError(WatchwordError):
    """Report that a store or a vendor can't answer now; the caller may try again later."""

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, reason: Reason, detail: str, retry_after: int = 5) -> None:
        """Keep the reason, an operator's detail, and the seconds after which to try again."""
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(f"{reason.code}: {detail}")

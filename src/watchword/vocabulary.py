"""Define the words that every package shares: level, mode, proof, environment, platform.

Ground floor: imports nothing of Watchword.  The words are those of ``docs/glossary.md``.
"""

from enum import Enum, StrEnum


class Level(StrEnum):
    """Say how firmly a vendor vouches for an instance; ordered by :meth:`rank`.

    ``hardware``: a key in a TEE, StrongBox or Secure Enclave under a vendor's root.
    ``verified``: a vendor's verdict without an attested key.
    ``software``: a genuine key or verdict on a system that nobody vouches for, or that is too old.
    ``none``: nothing, or something that was refused.
    """

    HARDWARE = "hardware"
    VERIFIED = "verified"
    SOFTWARE = "software"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Return 3 for ``hardware`` down to 0 for ``none``."""
        return _LEVEL_RANKS[self]

    def satisfies(self, needed: "Level") -> bool:
        """Tell whether this level is at least ``needed``."""
        return self.rank >= needed.rank


_LEVEL_RANKS = {Level.NONE: 0, Level.SOFTWARE: 1, Level.VERIFIED: 2, Level.HARDWARE: 3}


class Mode(StrEnum):
    """Say what a route does with a refusal.

    ``off``: nothing is checked.  ``monitor``: the refusal is counted and the request passes.
    ``canary``: as ``enforce`` for a share of the instances, as ``monitor`` for everybody else.
    ``enforce``: the request is refused.
    """

    OFF = "off"
    MONITOR = "monitor"
    CANARY = "canary"
    ENFORCE = "enforce"


class Proof(StrEnum):
    """Say what ties one request to the instance.

    ``bearer``: the token alone.  ``session``: an HMAC under a key that was sealed to the instance.
    ``device``: a signature by the instance's own key, which never leaves its hardware.
    """

    BEARER = "bearer"
    SESSION = "session"
    DEVICE = "device"


class ClaimedStatus(StrEnum):
    """Say why an app sends no token, by its own word (``Watchword-Status``).

    ``unsupported``: the phone can't attest.  ``offline``: the service can't be reached.  ``device``: key store, App Attest
    or Play failed.  ``refused``: the service refused for good.
    """

    UNSUPPORTED = "unsupported"
    OFFLINE = "offline"
    DEVICE = "device"
    REFUSED = "refused"


class ReplayMode(StrEnum):
    """Say how often one proof can pass, where several gates stand in front of an API.

    ``shared``: once, over all gates that share a store.  ``affine``: once, since a proof carries a
    nonce of the one gate that takes it.  ``local``: once for each gate.
    """

    SHARED = "shared"
    AFFINE = "affine"
    LOCAL = "local"


class Environment(StrEnum):
    """Say which world a deployment belongs to; tokens of one are refused in the other."""

    PROD = "prod"
    LAB = "lab"


class Platform(StrEnum):
    """Name the operating system that an app is built for."""

    IOS = "ios"
    ANDROID = "android"


class ApplePlatform(StrEnum):
    """Name the system of Apple's that an instance runs on, as far as its certificate says.

    ``unknown``: it says another name than these, contradicts itself, or leaves out what it should say.
    """

    IOS = "ios"
    IPADOS = "ipados"
    MACOS = "macos"
    MAC_CATALYST = "mac_catalyst"
    VISIONOS = "visionos"
    TVOS = "tvos"
    WATCHOS = "watchos"
    UNKNOWN = "unknown"


class Distribution(StrEnum):
    """Say by which way an app came onto an Apple device: the system's validation category.

    ``enterprise`` covers ad hoc builds too, since Apple has one category for both.  ``unknown``: a category
    that Apple doesn't name, or what is none.
    """

    OPERATING_SYSTEM = "operating_system"
    TESTFLIGHT = "testflight"
    DEVELOPMENT = "development"
    APP_STORE = "app_store"
    ENTERPRISE = "enterprise"
    DEVELOPER_ID = "developer_id"
    OTHER = "other"
    UNKNOWN = "unknown"


class Vendor(StrEnum):
    """Name whose roots an anchor belongs to."""

    APPLE_APP_ATTEST = "apple-app-attest"
    APPLE_RECEIPT = "apple-receipt"
    ANDROID_KEY = "android-key"


class Withdrawal(StrEnum):
    """Name what a vendor's status list says of a certificate.

    REVOKED is for good, and takes every instance with it; SUSPENDED may be taken back.  Evidence under any other
    word is refused too.
    """

    REVOKED = "REVOKED"
    SUSPENDED = "SUSPENDED"


class AnchorKind(StrEnum):
    """Say what an anchor vouches for.

    ``production``: the vendor's genuine devices.  ``software``: nothing but software, and known for
    it.  ``lab``: simulated devices, in a lab environment only.
    """

    PRODUCTION = "production"
    SOFTWARE = "software"
    LAB = "lab"


class Purpose(StrEnum):
    """Say what a statement and its challenge are for (protocol, section 1)."""

    ENROL = "enrol"
    RENEW = "renew"
    SECRET = "secret"  # noqa: S105 - a word.


class AppAttestEnvironment(Enum):
    """Name Apple's two App Attest environments; one never passes for the other.

    The value is the AAGUID that authenticator data carries
    (Apple, "Validating apps that connect to your server", step 8).
    """

    PRODUCTION = b"appattest\x00\x00\x00\x00\x00\x00\x00"
    DEVELOPMENT = b"appattestdevelop"

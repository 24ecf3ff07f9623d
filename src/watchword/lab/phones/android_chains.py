"""Put an Android phone's certificates together: the ordinary way, by a legal attest key, or forged.

Each scheme is one function, and one line in :data:`SCHEMES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from watchword.lab.android_authorities import issue_leaf
from watchword.lab.android_authorities import sub_keybox as issue_sub_keybox
from watchword.lab.certificates import Authority, Usage
from watchword.lab.phones.interface import InstalledAndroidApp
from watchword.lab.phones.key_description import Boot, Purpose, Statement, key_description


@dataclass(frozen=True, slots=True)
class Bench:
    """Hold what a phone has at hand when an app asks for a chain.

    :param issuer: the phone's attestation key; ``above``: its certificate and those above, as DER.
    :param key: the app's key; ``further``: another key of the same app.
    :param locked: the root of trust of a phone in its maker's state.
    """

    issuer: Authority
    above: tuple[bytes, ...]
    key: ec.EllipticCurvePrivateKey
    further: ec.EllipticCurvePrivateKey
    statement: Statement
    locked: Boot
    unlocked: Boot
    app: InstalledAndroidApp
    challenge: bytes
    now: datetime

    def describe(
        self, statement: Statement | None = None, app: InstalledAndroidApp | None = None
    ) -> bytes:
        """Return a KeyDescription over the challenge; None stands for what is true."""
        return key_description(
            statement or self.statement,
            challenge=self.challenge,
            app=app or self.app,
            now=self.now,
        )


class Scheme(StrEnum):
    """Name how the certificates below the attestation key come about."""

    PLAIN = "plain"
    STRAY_NULL = "stray-null"
    ZERO_BYTE = "zero-byte"
    ATTEST_KEY = "attest-key"
    FOREIGN_ATTEST_KEY = "foreign-attest-key"
    FORGED = "forged"
    FORGED_BY_BOTH = "forged-by-both"
    MOVED = "moved"
    UNTITLED = "untitled"
    SUB_KEYBOX = "sub-keybox"


def plain(bench: Bench) -> tuple[bytes, ...]:
    """Have the attestation key certify the app's key: what nearly every phone does."""
    return (issue_leaf(bench.issuer, bench.key.public_key(), bench.describe()),)


def stray_null(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with Titan M's two surplus bytes, at which strict parsers stop."""
    return (bench.issuer.sign_with_stray_null(*plain(bench)),)


def zero_byte(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with Huawei's extension of CRL addresses, whose content is a single zero byte."""
    addresses = x509.UnrecognizedExtension(x509.CRLDistributionPoints.oid, b"\x00")
    leaf = issue_leaf(
        bench.issuer, bench.key.public_key(), bench.describe(), further=((addresses, False),)
    )
    return (leaf,)


def untitled(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with an issuer that is named by its number alone, without its title (Keymaster 3)."""
    subject = bench.issuer.certificate.subject
    numbered = x509.Name([each for each in subject if each.oid != NameOID.TITLE])
    leaf = issue_leaf(bench.issuer, bench.key.public_key(), bench.describe(), issuer_name=numbered)
    return (leaf,)


def attest_key(bench: Bench) -> tuple[bytes, ...]:
    """Have a key of the app with purpose ATTEST_KEY, and no other, certify the app's key (KeyMint).

    Legal and stated by the hardware; whether such an app key is enough is for a policy.
    """
    return _below_attest_key(bench, bench.statement)


def foreign_attest_key(bench: Bench) -> tuple[bytes, ...]:
    """Have it certified by an attest key whose hardware states another root of trust."""
    return _below_attest_key(bench, replace(bench.statement, boot=bench.unlocked))


def _below_attest_key(bench: Bench, attester: Statement) -> tuple[bytes, ...]:
    attester = replace(attester, purposes=(Purpose.ATTEST_KEY,))
    above = issue_leaf(
        bench.issuer,
        bench.further.public_key(),
        bench.describe(attester),
        usage=Usage.CERTIFICATES,
    )
    leaf = issue_leaf(_as_issuer(above, bench), bench.key.public_key(), bench.describe())
    return leaf, above


def forged(bench: Bench) -> tuple[bytes, ...]:
    """Sign a further certificate with an attested signing key, and state whatever is wanted in it.

    The attack on verifiers that take the description from the first certificate without a look at the
    others: the phone is unlocked and the attested key belongs to the attacker's own app.
    """
    return _forged_by(bench, (Purpose.SIGN,))


def forged_by_both(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with a key that may sign and attest; KeyMint refuses to make one.

    The attack on verifiers that only look for ATTEST_KEY among the purposes.
    """
    return _forged_by(bench, (Purpose.SIGN, Purpose.ATTEST_KEY))


def _forged_by(bench: Bench, purposes: tuple[Purpose, ...]) -> tuple[bytes, ...]:
    own_app = InstalledAndroidApp("com.example.attacker", (bytes(32),))
    true = bench.describe(replace(bench.statement, purposes=purposes), own_app)
    usage = Usage.CERTIFICATES if Purpose.ATTEST_KEY in purposes else Usage.DATA
    honest = issue_leaf(bench.issuer, bench.further.public_key(), true, usage=usage)
    wanted = bench.describe(replace(bench.statement, boot=bench.locked))
    return issue_leaf(_as_issuer(honest, bench), bench.key.public_key(), wanted), honest


def moved(bench: Bench) -> tuple[bytes, ...]:
    """Sign a further certificate without any description.

    The attack on verifiers that take the description nearest to the root: it is true, and says nothing of
    the leaf's key, which lives in software.
    """
    honest = issue_leaf(bench.issuer, bench.further.public_key(), bench.describe())
    return issue_leaf(_as_issuer(honest, bench), bench.key.public_key(), None), honest


def sub_keybox(bench: Bench) -> tuple[bytes, ...]:
    """Have a key that leaked certify an attestation key of the thief's own, and that one the app's.

    The attack on verifiers that don't count: its serial is in no status list, and there can be one for each
    buyer.
    """
    own = issue_sub_keybox(bench.issuer, "StrongBox")
    return issue_leaf(own, bench.key.public_key(), bench.describe()), own.der


def _as_issuer(certificate: bytes, bench: Bench) -> Authority:
    """Let the app's further key sign certificates, whether or not it may."""
    return Authority(x509.load_der_x509_certificate(certificate), bench.further)


SCHEMES: Final[Mapping[Scheme, Callable[[Bench], tuple[bytes, ...]]]] = MappingProxyType(
    {
        Scheme.PLAIN: plain,
        Scheme.STRAY_NULL: stray_null,
        Scheme.ZERO_BYTE: zero_byte,
        Scheme.ATTEST_KEY: attest_key,
        Scheme.FOREIGN_ATTEST_KEY: foreign_attest_key,
        Scheme.FORGED: forged,
        Scheme.FORGED_BY_BOTH: forged_by_both,
        Scheme.MOVED: moved,
        Scheme.UNTITLED: untitled,
        Scheme.SUB_KEYBOX: sub_keybox,
    }
)
"""Name of each scheme, and what makes the certificates below the attestation key's own."""

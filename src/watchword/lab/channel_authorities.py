"""Play the authorities of the web, and the one that an interceptor brings: TLS servers whose keys come from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from watchword.lab.certificates import LONG, Authority, Validity, marked_name
from watchword.lab.keys import derive_key, derive_serial


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """Hold what a TLS server shows and proves.

    :param chain: its certificate and the authorities' between it and the root, as DER; the root is left out, as servers do.
    """

    chain: tuple[bytes, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def spki(self) -> bytes:
        """Return its SubjectPublicKeyInfo as DER."""
        return _spki(self.key)

    @property
    def pem(self) -> bytes:
        """Return key and chain as servers load them, the key first."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + b"".join(_pem(each) for each in self.chain)


@dataclass(frozen=True, slots=True)
class WebAuthority:
    """Hold a root of the web and the authority below it that signs servers."""

    seed: bytes = field(repr=False)
    label: str
    root: Authority
    issuing: Authority

    @property
    def root_pem(self) -> bytes:
        """Return the root's certificate as clients trust it."""
        return _pem(self.root.der)

    @property
    def root_and_key_pem(self) -> bytes:
        """Return the root's key and certificate, as an interception proxy is set up with."""
        key = self.root.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.root_pem

    @property
    def spki(self) -> bytes:
        """Return the SubjectPublicKeyInfo of the root as DER."""
        return _spki(self.root.key)

    def server(
        self, key: str, names: Sequence[str], validity: Validity = LONG, serial: str = ""
    ) -> TlsIdentity:
        """Issue a server's certificate.

        :param key: label of its key: two certificates of one label are a renewal with the same key.
        :param serial: tells certificates of one key apart.
        """
        private = derive_key(self.seed, f"server/{key}", ec.SECP256R1())
        leaf = self.issuing.issue_leaf(
            subject=marked_name(names[0]),
            key=private.public_key(),
            serial=derive_serial(self.seed, f"server/{self.label}/{key}/{serial}"),
            validity=validity,
            extensions=(
                (x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False),
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                (x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False),
                (
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(
                        self.issuing.key.public_key()
                    ),
                    False,
                ),
            ),
        )
        return TlsIdentity((leaf, self.issuing.der), private)


@dataclass(frozen=True)
class ChannelAuthorities:
    """Hold the authorities of a channel, each made when it is first needed.

    ``web``: the one that the API's certificates come from.  ``other_web``: another one that the platform trusts as well.
    ``interceptor``: one that the phone's owner had it trust.  ``stranger``: one that nobody trusts.
    """

    seed: bytes = field(repr=False)

    @cached_property
    def web(self) -> WebAuthority:
        """Return the authority of the API's certificates."""
        return self._authority("web")

    @cached_property
    def other_web(self) -> WebAuthority:
        """Return another authority of the platform."""
        return self._authority("other-web")

    @cached_property
    def interceptor(self) -> WebAuthority:
        """Return the authority of the phone's owner."""
        return self._authority("interceptor")

    @cached_property
    def stranger(self) -> WebAuthority:
        """Return an authority that nobody trusts."""
        return self._authority("stranger")

    def _authority(self, label: str) -> WebAuthority:
        root_name = marked_name(f"Lab Channel {label} Root")
        root = Authority.self_signed(self.seed, f"channel/{label}", root_name, ec.SECP256R1())
        name = marked_name(f"Lab Channel {label} CA 1")
        issuing = root.subordinate(self.seed, f"channel/{label}/1", name, ec.SECP256R1())
        return WebAuthority(self.seed, label, root, issuing)


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _pem(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)

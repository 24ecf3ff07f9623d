"""pyca/cryptography's collection of odd certificates, CRLs and requests: none may make a reader of ours fail."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import Case, CaseSet, Must, Outside, Suite
from watchword.attestation.certificates import Certificate, read_certificate
from watchword.pins.spki import PinError, pin_of_certificate
from watchword.reasons import MalformedError

NO_VERDICT = Outside(
    "no-verdict",
    "The collection says of no certificate whether it is a good one. Readers of ours may read it or refuse it, and do nothing else.",
    unjudged=True,
)

_BEGIN: Final = b"-----BEGIN "
_LABELS: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
_SUFFIXES: Final = frozenset({".pem", ".der"})
_READERS: Final[tuple[Callable[[Certificate], Any], ...]] = (
    Certificate.window,
    Certificate.basic_constraints,
    Certificate.may_sign_certificates,
    Certificate.subject_attributes,
    lambda certificate: certificate.is_signed_by(certificate.spki),
)


def read(file: SuiteFile) -> CaseSet | None:
    """Return the one case of a file in PEM or DER under ``custom``."""
    if file.path.suffix not in _SUFFIXES or "custom" not in file.path.parts:
        return None
    return CaseSet("pyca x509/custom", _cases(file))


def _cases(file: SuiteFile) -> Iterator[Case]:
    data, label = file.data, b"CERTIFICATE"
    if _BEGIN in data:
        _, label, text, *_ = data[data.index(_BEGIN) :].split(b"-----")
        data, label = b64decode(b"".join(text.split())), label.removeprefix(b"BEGIN ")
    outside = NO_VERDICT if label in _LABELS else None
    must = Must.REJECT if outside is None else Must.EITHER
    yield Case(file.path.name, must, partial(_is_read, data), outside)


def _is_read(data: bytes) -> bool:
    """Read everything of a certificate; whatever can't be read is refused, at whichever step."""
    refused = 0
    try:
        pin_of_certificate(data)
    except PinError:
        refused += 1
    certificate = read_certificate(data)
    for look in _READERS:
        try:
            look(certificate)
        except MalformedError:
            refused += 1
    return refused == 0


SUITE = Suite(
    title="pyca x509/custom",
    source="github.com/pyca/cryptography, `vectors/cryptography_vectors/x509/custom`",
    layout="`*.pem` and `*.der` under `custom`",
    held="the readers of certificates and pins; CRLs and private keys must be refused",
    read=read,
    outside=(NO_VERDICT,),
)

"""Run other verifiers on the same evidence: pyattest and py_webauthn, at a moment that is given.

Neither takes a time as an argument everywhere, so that their clocks (and nothing of ours) are set for the
length of a call: pyattest's ``ValidationContext`` takes a ``moment``; py_webauthn says itself that
``_generate_new_cert_store`` is there to be replaced in tests.  They are loaded when they are first used, since
they are installed for tests alone.
"""

import asyncio
import base64
import importlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from importlib import util
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

ORIGIN = "https://clinic.example"
RP_ID = "clinic.example"


def are_installed() -> bool:
    """Tell whether both peers are there."""
    return all(util.find_spec(name) is not None for name in ("pyattest", "webauthn"))


@cache
def module(name: str) -> Any:
    """Load a module of a peer; what it warns of while it is loaded is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Set a member of a peer's module for the length of a block."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def pyattest_at(now: datetime) -> Iterator[None]:
    """Let pyattest verify at ``now``."""
    verifier = module("pyattest.verifiers.apple_attestation")
    context = module("pyhanko_certvalidator").ValidationContext
    with _replaced(verifier, "ValidationContext", partial(context, moment=now)):
        yield


@contextmanager
def webauthn_at(now: datetime) -> Iterator[None]:
    """Let py_webauthn verify at ``now``."""
    validator = importlib.import_module("webauthn.helpers.validate_certificate_chain")
    store = module("OpenSSL.crypto").X509Store

    def set_to_now() -> Any:
        made = store()
        made.set_time(now)
        return made

    with _replaced(validator, "_generate_new_cert_store", set_to_now):
        yield


@dataclass(frozen=True)
class Pyattest:
    """Verify App Attest with pyattest; the root is its own packaged one unless another is given."""

    key_id: bytes
    app_id: str
    production: bool
    root: bytes | None = None

    def _config(self) -> Any:
        config = module("pyattest.configs.apple").AppleConfig
        return config(self.key_id, self.app_id, self.production, self.root)

    def attest(self, attestation: bytes, challenge: bytes) -> None:
        """Raise what it raises; the clock is set by :func:`pyattest_at`."""
        made = module("pyattest.attestation").Attestation(attestation, challenge, self._config())
        asyncio.run(made.verify())

    async def attest_within_loop(self, attestation: bytes, challenge: bytes) -> None:
        """Do the same within a loop that runs, so that none is started for each call."""
        made = module("pyattest.attestation").Attestation(attestation, challenge, self._config())
        await made.verify()

    def renew(self, assertion: bytes, client_data_hash: bytes, public_key: bytes) -> None:
        """Raise what it raises."""
        key = load_der_public_key(public_key)
        made = module("pyattest.assertion").Assertion
        made(assertion, client_data_hash, key, self._config()).verify()


def outcome(work: Any, *arguments: Any) -> str:
    """Return ``accepts``, or the name of the exception with which a peer refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - peers raise what they like.
            return type(error).__name__
    return "accepts"


def pem(certificate: bytes) -> bytes:
    """Return a certificate as py_webauthn compares roots: PEM as OpenSSL writes it."""
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)


def der(certificate: bytes) -> bytes:
    """Return a certificate in PEM as DER."""
    return x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)


def client_data(challenge: bytes) -> bytes:
    """Return client data as a browser writes it."""
    text = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
    return json.dumps({"type": "webauthn.create", "challenge": text, "origin": ORIGIN}).encode()


def webauthn_object(chain: Sequence[bytes], signature: bytes, authenticator_data: bytes) -> bytes:
    """Return a WebAuthn attestation object of the format ``android-key`` around a chain."""
    statement = {"alg": -7, "sig": signature, "x5c": list(chain)}
    return cbor2.dumps({"fmt": "android-key", "attStmt": statement, "authData": authenticator_data})


def webauthn_android_key(
    attestation_object: bytes, client_data_json: bytes, roots: Sequence[bytes] = ()
) -> None:
    """Verify an ``android-key`` statement with py_webauthn; raise what it raises.

    Only the statement, not what is around it: origin, type and challenge are the relying party's.

    :param roots: certificates in DER that are believed in addition to its own four.
    """
    helpers = module("webauthn.helpers")
    verify = module("webauthn.registration.formats.android_key").verify_android_key
    parsed = helpers.parse_attestation_object(attestation_object)
    credential = parsed.auth_data.attested_credential_data
    verify(
        attestation_statement=parsed.att_stmt,
        attestation_object=attestation_object,
        client_data_json=client_data_json,
        credential_public_key=credential.credential_public_key,
        pem_root_certs_bytes=[pem(root) for root in roots],
    )


def webauthn_chain(chain: Sequence[bytes], roots: Sequence[bytes]) -> None:
    """Verify a chain alone with py_webauthn, as its format does: the last one is the root."""
    helpers = module("webauthn.helpers")
    known = {pem(root) for root in roots}
    last = pem(chain[-1])
    helpers.validate_certificate_chain(x5c=list(chain[:-1]), pem_root_certs_bytes=[last])
    if last not in known:
        raise LookupError("x5c root certificate was not a known root certificate")


def webauthn_description_of_leaf(leaf: bytes) -> Mapping[str, Any] | None:
    """Read a leaf's KeyDescription with py_webauthn's schema; None where it can't be read.

    Found as py_webauthn finds it: by pyasn1's schema of certificates.
    """
    decode = module("pyasn1.codec.ber.decoder").decode
    error = module("pyasn1.error").PyAsn1Error
    certificate = module("pyasn1_modules.rfc5280").Certificate
    schema = module("webauthn.helpers.asn1.android_key").KeyDescription
    try:
        parsed, _ = decode(leaf, asn1Spec=certificate())
        (content,) = [
            extension["extnValue"]
            for extension in parsed["tbsCertificate"]["extensions"]
            if str(extension["extnID"]) == "1.3.6.1.4.1.11129.2.1.17"
        ]
        description, rest = decode(content, asn1Spec=schema())
    except error:
        return None
    origin = description["teeEnforced"]["origin"]
    return {
        "attestationVersion": int(description["attestationVersion"]),
        "attestationChallenge": bytes(description["attestationChallenge"]).hex(),
        "origin": int(origin) if origin.hasValue() else None,
        "trailing": bytes(rest),
    }

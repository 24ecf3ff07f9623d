"""List the layouts that are known; the first that takes a file has it."""

from collections.abc import Mapping
from typing import Final

from watchword.apps.conformance.suites.interface import Suite
from watchword.apps.conformance.suites.published import (
    bettertls,
    cbor_examples,
    cbor_malformed,
    json_parsing,
    jwt_attacks,
    message_signatures,
    pyca_certificates,
    raw_http,
    structured_fields,
    wycheproof_aead,
    wycheproof_jose,
    wycheproof_mac,
    wycheproof_signatures,
    x509_limbo,
)

SUITES: Final[Mapping[str, Suite]] = {
    "json-parsing": json_parsing.SUITE,
    "wycheproof-jose": wycheproof_jose.SUITE,
    "jwt-attacks": jwt_attacks.SUITE,
    "wycheproof-signatures": wycheproof_signatures.SUITE,
    "wycheproof-mac": wycheproof_mac.SUITE,
    "wycheproof-aead": wycheproof_aead.SUITE,
    "cbor-examples": cbor_examples.SUITE,
    "cbor-malformed": cbor_malformed.SUITE,
    "structured-fields": structured_fields.SUITE,
    "x509-limbo": x509_limbo.SUITE,
    "bettertls": bettertls.SUITE,
    "pyca-certificates": pyca_certificates.SUITE,
    "raw-http": raw_http.SUITE,
    "message-signatures": message_signatures.SUITE,
}

"""List what is fuzzed: one function for each parser, and seeds that are made anew for each run.

A target returns for anything that it can be fed.  Parsers of evidence say no by
:class:`~watchword.reasons.MalformedError` or :class:`~watchword.reasons.RefusedError`, those of documents by an error of
ours; any other exception is a find.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any

from tests.unit.attestation import forge

from fuzz import drill, keys, logs, pins, plan, proofs, scan, scan_seeds, seeds, signed
from watchword.adapters.revocation import StatusList, read_status_list
from watchword.apps.evidence.records import app_from_document, claims_from_document
from watchword.apps.settings.policy import read_policy
from watchword.attestation import attestation_object, play_tokens
from watchword.attestation.attestation_object import (
    read_assertion,
    read_attestation_object,
    read_credential_id,
    read_with_credential,
    read_without_credential,
)
from watchword.attestation.certificates import read_certificate
from watchword.attestation.formats import app_attest
from watchword.attestation.interface import (
    AndroidKeyChain,
    AppAttestAttestation,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
)
from watchword.attestation.key_description import (
    describe,
    read_key_description,
    withhold_identifiers,
)
from watchword.attestation.receipts import examine_receipt, examine_refreshed, read_receipt
from watchword.attestation.registry import FORMATS, examine
from watchword.encoding import ber, cbor, der, strict_json
from watchword.reasons import MalformedError, RefusedError, WatchwordError

MAX_INPUT = 4096
"""Most bytes of a fuzzed input where a target says nothing else; caps are tested with larger ones."""


@dataclass(frozen=True)
class Target:
    """Hold one target.

    :param parse: what is fuzzed.
    :param seeds: makes inputs that are read as far as they can be.
    """

    parse: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    max_input: int = MAX_INPUT


def _der(data: bytes) -> None:
    """Walk a DER document to its leaves, four levels deep at most, as no reader goes deeper."""
    with suppress(MalformedError):
        _walk(der.read(data), 4)


def _walk(tlv: der.Tlv, depth: int) -> None:
    for read in (der.integer, der.boolean, der.octets, der.bits, der.object_identifier, der.time):
        with suppress(MalformedError):
            read(tlv)
    if depth:
        with suppress(MalformedError):
            for child in islice(der.children(tlv), 16):
                _walk(child, depth - 1)


def _certificate(data: bytes) -> None:
    with suppress(MalformedError):
        certificate = read_certificate(data)
        for read in (
            certificate.window,
            certificate.basic_constraints,
            certificate.may_sign_certificates,
            certificate.subject_attributes,
        ):
            with suppress(MalformedError):
                read()
        certificate.is_signed_by(certificate.spki)


def _key_description(data: bytes) -> None:
    with suppress(MalformedError):
        withhold_identifiers(describe(read_key_description(data)))


def _authenticator_data(data: bytes) -> None:
    for read in (read_with_credential, read_without_credential, read_assertion):
        with suppress(MalformedError):
            read(data)


def _apple_leaf(data: bytes) -> None:
    """Read what Apple's extensions say of a device; neither raises."""
    attestation_object.read_system(data)
    attestation_object.read_key_access(data)


def _attestation_object(data: bytes) -> None:
    read_credential_id(data)
    with suppress(MalformedError):
        read_attestation_object(data)


def _cbor(data: bytes) -> None:
    for read in (cbor.decode, cbor.decode_prefix):
        with suppress(MalformedError):
            read(data, MAX_INPUT)


def _status_list(data: bytes) -> None:
    """Read what Google's server sends."""
    with suppress(WatchwordError):
        StatusList(read_status_list(data, "list"))


def _documents(data: bytes) -> None:
    """Read claims, an app and a policy out of JSON, as records and cases of policies hold them."""
    try:
        document = strict_json.loads(data, MAX_INPUT)
    except MalformedError:
        return
    for read in (claims_from_document, app_from_document):
        with suppress(WatchwordError):
            read(document)
    read_policy(document, ())


def _android_chain(data: bytes) -> None:
    examine(
        AndroidKeyChain(seeds.split(data)), _expected(forge.ANDROID_APP), seeds.trust(), forge.NOW
    )


def _app_attest(data: bytes) -> None:
    """Examine an attestation, and read the same bytes as an assertion."""
    expected = _expected(forge.APPLE_APP)
    examine(
        AppAttestAttestation(data, read_credential_id(data)), expected, seeds.trust(), forge.NOW
    )
    with suppress(MalformedError):
        app_attest.examine_assertion(data, forge.BINDING, _spki(), forge.APPLE_APP)


def _ber(data: bytes) -> None:
    """Bring BER into definite lengths, and look for octet strings in pieces."""
    with suppress(MalformedError):
        _walk_pieces(der.read(ber.definite(data)), 4)


def _walk_pieces(tlv: der.Tlv, depth: int) -> None:
    with suppress(MalformedError):
        ber.octets(tlv)
    if depth:
        with suppress(MalformedError):
            for child in islice(der.children(tlv), 16):
                _walk_pieces(child, depth - 1)


def _receipt(data: bytes) -> None:
    """Read a receipt, verify it, and take it for the successor of another."""
    with suppress(MalformedError):
        read_receipt(data)
    examine_receipt(data, seeds.trust())
    with suppress(MalformedError, RefusedError):
        examine_refreshed(data, data, seeds.trust(), forge.NOW)


def _play_token(data: bytes) -> None:
    with suppress(MalformedError):
        play_tokens.require_form(data)
    evidence = PlayIntegrityToken(data)
    examine(evidence, _expected(forge.ANDROID_APP), seeds.trust(), forge.NOW)


def _play_verdict(data: bytes) -> None:
    """Read what is inside of a token, and a payload as Google's server decoded it."""
    with suppress(MalformedError, RefusedError):
        verdict = play_tokens.read_verdict(data)
        play_tokens.verify(verdict, seeds.play().verification_key)
    evidence = PlayIntegrityPayload(data)
    examine(evidence, _expected(forge.ANDROID_APP), seeds.trust(), forge.NOW)


def _evidence_json(data: bytes) -> None:
    """Read evidence as it stands in a request, for every format there is."""
    try:
        members = strict_json.loads(data, MAX_INPUT)
    except MalformedError:
        return
    for format_ in FORMATS.values():
        with suppress(MalformedError, RefusedError):
            format_.read_attestation(members)
        with suppress(MalformedError, RefusedError):
            format_.read_renewal(members)


def _expected(app: Any) -> Expected:
    return Expected(forge.BINDING, app)


@cache
def _spki() -> bytes:
    return forge.spki(forge.p256())


TARGETS: Mapping[str, Target] = {
    "der": Target(_der, lambda: chain(seeds.certificates(), seeds.descriptions()), 2048),
    "ber": Target(_ber, lambda: chain(seeds.receipts(), seeds.descriptions()), 2048),
    "cbor": Target(_cbor, seeds.values, 1024),
    "certificate": Target(_certificate, seeds.certificates),
    "key_description": Target(_key_description, seeds.descriptions),
    "authenticator_data": Target(_authenticator_data, seeds.authenticators, 1024),
    "apple_leaf": Target(_apple_leaf, seeds.apple_extensions, 1200),
    "attestation_object": Target(_attestation_object, seeds.objects),
    "receipt": Target(_receipt, seeds.receipts),
    "play_token": Target(_play_token, seeds.tokens),
    "play_verdict": Target(_play_verdict, seeds.payloads),
    "status_list": Target(_status_list, seeds.status_lists, 2048),
    "documents": Target(_documents, seeds.documents),
    "evidence_json": Target(_evidence_json, seeds.members, 1024),
    "android_chain": Target(_android_chain, seeds.chains),
    "app_attest": Target(_app_attest, seeds.objects),
    "message_signature": Target(proofs.read_signature, proofs.signatures, 1024),
    "content_digest": Target(proofs.read_digest, proofs.digests, 256),
    "dpop": Target(proofs.read_dpop, proofs.dpop_proofs),
    "gate_bundle": Target(signed.read_bundle, signed.bundles),
    "kept_heads": Target(signed.read_heads, signed.heads, 512),
    "pace": Target(signed.read_pace, signed.paces, 512),
    "signed_verdict": Target(signed.read_verdict, signed.verdicts, 1024),
    "plan_section": Target(plan.read_plan, plan.plans, 2048),
    "own_catalogue": Target(plan.read_own_catalogue, plan.own_catalogues, 2048),
    "observations": Target(plan.read_observed, plan.observed, 2048),
    "openapi_draft": Target(plan.draft_openapi, plan.openapi, 2048),
    "otm_draft": Target(plan.draft_otm, plan.otm, 2048),
    "plan_upload": Target(plan.draft_upload, plan.uploads, 2048),
    "plan_writer": Target(plan.write_section, plan.written_sections, 1024),
    "stored_plan": Target(plan.read_stored, plan.stored_plans),
    "drill_consent": Target(drill.read_agreed, drill.consents, 2048),
    "drill_target": Target(drill.read_target, drill.targets, 320),
    "drill_answer": Target(drill.read_answer, drill.answers, 2048),
    "drill_headers": Target(drill.read_headers, drill.headers, 1024),
    "drill_instance": Target(drill.read_invited, drill.invited, 1024),
    "scan_archive": Target(scan.read_archive, scan_seeds.archives),
    "scan_xml": Target(scan.read_xml, scan_seeds.documents),
    "scan_resources": Target(scan.read_resources, scan_seeds.tables),
    "scan_signatures": Target(scan.read_signatures, scan_seeds.signed),
    "scan_dex": Target(scan.read_dex, scan_seeds.dexes),
    "scan_native": Target(scan.read_native, scan_seeds.natives),
    "scan_plist": Target(scan.read_plists, scan_seeds.plists),
    "scan_hermes": Target(scan.read_hermes, scan_seeds.bundles, 1024),
    "scan_dotnet": Target(scan.read_dotnet, scan_seeds.assemblies, 4096),
    "scan_unity": Target(scan.read_unity, scan_seeds.unity, 1024),
    "scan_texts": Target(scan.read_text, scan_seeds.texts, 1024),
    "scan_tokens": Target(scan.read_tokens, scan_seeds.tokens, 1024),
    "scan_secrets": Target(scan.read_secrets, scan_seeds.secrets, 1024),
    "scan_api": Target(scan.read_api, scan_seeds.descriptions),
    "scan_reports": Target(scan.read_stored, scan_seeds.reports, 2048),
    "scan_suppressions": Target(scan.read_suppressions, scan_seeds.suppressions, 1024),
    "pin_set": Target(pins.read_sets, pins.sets, 1024),
    "pin_roots": Target(pins.read_lists, pins.lists, 1024),
    "pin_text": Target(pins.read_text, pins.texts, 128),
    "pin_file": Target(pins.read_file, pins.files, 1024),
    "pin_report": Target(pins.read_report, pins.reports, 2048),
    "pin_host": Target(pins.read_name, pins.names, 320),
    "pin_builtin": Target(pins.read_shipped, pins.shipped, 2048),
    "pin_keys": Target(pins.read_pinned, pins.pinned, 512),
    "secret_file": Target(keys.read_secrets, keys.files, 1024),
    "canary_file": Target(keys.read_planted, keys.plantings, 1024),
    "sealed_copy": Target(keys.read_sealed, keys.copies, 1024),
    "applied_index": Target(keys.read_applied, keys.indexes, 1024),
    "canary_request": Target(keys.look_at, keys.requests, 512),
    "store_place": Target(keys.read_place, keys.places, 256),
    "engine_log": Target(logs.read_log, logs.logs, 1024),
}
"""The targets by name; the name is also that of the folder with the corpus."""

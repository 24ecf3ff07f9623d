"""Verify a folder of recorded evidence, and compare with what was recorded (protocol, section 1)."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from watchword.adapters.revocation import load_status_lists
from watchword.apps.evidence import recorded_receipts
from watchword.apps.evidence.files import (
    EvidenceFileError,
    read_anchors,
    read_certificates,
    read_evidence,
    with_packaged,
)
from watchword.apps.evidence.reports import (
    ACCEPT,
    REJECT,
    EvidenceReport,
    report_assertion,
    report_attestation,
)
from watchword.attestation import receipts
from watchword.attestation.attestation_object import read_attestation_object
from watchword.attestation.formats import android_key
from watchword.attestation.interface import (
    AndroidKeyChain,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Expected,
    Trust,
)
from watchword.policy.presets import RECORDED
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import AppAttestEnvironment, Vendor

INDEX: Final = "index.json"

_IDENTIFIERS: Final = frozenset({"uniqueId", "attestationId", "token"})
"""Fields whose values identify a device: compared, and never printed."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """Hold a row's report and where it differs from what was recorded."""

    report: EvidenceReport
    recorded: str
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Tell whether the verdict and every recorded field agree."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as it is printed with ``--json``."""
        return {
            **self.report.as_dict(),
            "recorded_verdict": self.recorded,
            "agrees": self.agrees,
            "differences": list(self.differences),
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """Hold a row that can't be verified, and why."""

    id: str
    why: str


def verify_folder(folder: Path) -> Iterator[Compared | Skipped]:
    """Verify each row of ``index.json`` at its recorded instant, against its recorded verdict.

    Roots come from ``roots.json``, withdrawn certificates from ``status-*.json``, in the folder or the
    one above it; where there are none the packaged anchors hold and revocation stays unchecked.

    :raises EvidenceFileError: when the folder isn't one of recorded evidence.
    :raises OSError: when a file can't be read.
    """
    trust = _trust(folder)
    for row in _rows(folder):
        verify_row = _KINDS.get(str(row["kind"]))
        if verify_row is None:
            yield Skipped(row["id"], f"{row['kind']} isn't a format of Watchword")
        else:
            try:
                yield verify_row(row, folder, trust)
            except (KeyError, TypeError, ValueError) as error:
                # The index is the person's own; a row that lacks what it needs is named, and
                # ends the run, since a row that is passed over would look like one that agrees.
                why = f"{folder / INDEX}: {row['id']} lacks or bends {error}"
                raise EvidenceFileError(why) from None


def _rows(folder: Path) -> list[Row]:
    path = folder / INDEX
    try:
        rows = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise EvidenceFileError(f"{path}: expected JSON") from None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"id", "kind", "file"} <= row.keys() for row in rows
    ):
        raise EvidenceFileError(f"{path}: expected a list of rows with id, kind and file")
    return rows


def _trust(folder: Path) -> Trust:
    roots: list[Path] = []
    lists: list[Path] = []
    for place in (folder, folder.resolve().parent):
        roots = roots or sorted(place.glob("roots.json"))
        lists = lists or sorted(place.glob("status-*.json"))
    extra = [anchor for path in roots for anchor in read_anchors(path, [Vendor.ANDROID_KEY])]
    return Trust(
        anchors=with_packaged(extra, replace_production=True),
        revocation=load_status_lists(lists) if lists else None,
    )


def _android_chain(row: Row, folder: Path, trust: Trust) -> Compared:
    chain = read_certificates(folder / row["file"])
    recorded = row.get("recorded") or {}
    binding = base64.b64decode(recorded["challenge"]) if recorded.get("challenge") else None
    report = report_attestation(
        row["id"], AndroidKeyChain(chain), Expected(binding, None), trust, _instant(row), RECORDED
    )
    try:
        got: dict[str, Any] | None = android_key.describe_leaf(chain[0])
    except MalformedError:
        got = None
    return _compare(row, report, got)


def _app_attest_attestation(row: Row, folder: Path, trust: Trust) -> Compared:
    expected = row["expected"]
    binding = (
        _client_data_hash(row["challenge"], "value")
        if row.get("challenge")
        else bytes.fromhex(row["client_data_hash"])
    )
    evidence = AppAttestAttestation(
        attestation=read_evidence(folder / row["file"]),
        key_id=base64.b64decode(expected["key_id"]),
    )
    report = report_attestation(
        row["id"],
        evidence,
        Expected(binding, _apple_app(row), fresh=False),
        trust,
        _instant(row),
        RECORDED,
    )
    got = dict(report.claims["fields"]) if report.claims is not None else None
    if got is not None:
        got["aaguid_ascii"] = (
            bytes.fromhex(got["aaguid"]).rstrip(b"\x00").decode("ascii", "replace")
        )
        got["key_id"] = base64.b64encode(bytes.fromhex(got["credential_id"])).decode()
        got["rp_id_matches_app_id"] = Reason.POLICY_APP_ID.code not in report.reasons
        got |= _attested_receipt(evidence, bytes.fromhex(got["nonce"]))
    return _compare(row, report, got)


def _attested_receipt(evidence: AppAttestAttestation, nonce: bytes) -> dict[str, Any]:
    """Return what was recorded of the receipt within an attestation."""
    read = read_attestation_object(evidence.attestation)
    signature = recorded_receipts.describe_signature(read.receipt)
    try:
        receipt = receipts.read_receipt(read.receipt)
    except MalformedError:
        return {}
    hashed = hashlib.sha256(read.raw + receipt.client_hash).digest()
    return {
        "receipt": recorded_receipts.describe(receipt),
        "receipt_client_hash_gives_nonce": hashed == nonce,
        **{f"receipt_{name}": value for name, value in signature.items()},
    }


def _app_attest_receipt(row: Row, folder: Path, trust: Trust) -> Compared:
    data = read_evidence(folder / row["file"])
    report = recorded_receipts.report_receipt(row["id"], data, trust)
    try:
        got = recorded_receipts.describe(receipts.read_receipt(data))
    except MalformedError:
        got = {}
    got |= recorded_receipts.describe_signature(data)
    beside = {name: row[name] for name in ("signature_ok", "signer_validity")}
    return _compare({**row, "expected": {**row["expected"], **beside}}, report, got)


def _app_attest_assertion(row: Row, folder: Path, _trust: Trust) -> Compared | Skipped:
    known = row.get("verified_with")
    if not known:
        return Skipped(row["id"], "no client data and no key were recorded with this assertion")
    report = report_assertion(
        row["id"],
        read_evidence(folder / row["file"]),
        _client_data_hash(known, "client_data"),
        base64.b64decode(known["public_key_spki"]),
        _apple_app(row),
    )
    return _compare(row, report, report.claims["fields"] if report.claims is not None else None)


_KINDS: Final = {
    "android-key-attestation": _android_chain,
    "app-attest-attestation": _app_attest_attestation,
    "app-attest-assertion": _app_attest_assertion,
    "app-attest-receipt": _app_attest_receipt,
}


def _instant(row: Row) -> datetime:
    return datetime.fromisoformat(row["valid_at"])


def _apple_app(row: Row) -> AppRegistration:
    """Return the recorded app; its environment is the recorded one, which the AAGUID must match."""
    team_id, _, bundle_id = row["app_id"].partition(".")
    environment = row["expected"].get("environment", AppAttestEnvironment.PRODUCTION.name)
    identity = AppleApp(team_id, bundle_id, AppAttestEnvironment[environment.upper()])
    return AppRegistration(row["id"], identity)


def _client_data_hash(recorded: Row, member: str) -> bytes:
    """Return the client data hash of a recorded challenge; ``raw`` ones weren't hashed."""
    text = recorded[member]
    if recorded["encoding"] == "utf8":
        data = text.encode()
    elif recorded["encoding"] == "hex":
        data = bytes.fromhex(text)
    else:
        data = base64.b64decode(text + "=" * (-len(text) % 4))
    return bytes(data) if recorded["client_data_hash"] == "raw" else hashlib.sha256(data).digest()


def _compare(row: Row, report: EvidenceReport, got: Mapping[str, Any] | None) -> Compared:
    """Compare verdict and fields; evidence without a recorded verdict was recorded as genuine."""
    accept = (row.get("computed_verdict") or {}).get("accept", True)
    recorded = ACCEPT if accept else REJECT
    differences = []
    if report.accepted != accept:
        differences.append(f"verdict: expected {recorded}")
    differences += _differences("fields", row.get("expected"), got)
    return Compared(report, recorded, tuple(differences))


def _differences(path: str, expected: Any, got: Any) -> Iterator[str]:
    """Yield each recorded value that was read otherwise; names with no record aren't compared."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for name, value in expected.items():
            if name in _IDENTIFIERS:
                if got.get(name) != value:
                    yield f"{path}.{name}: differs"
            else:
                yield from _differences(f"{path}.{name}", value, got.get(name))
    elif expected != got:
        yield f"{path}: got {_named(got)}, expected {_named(expected)}"


def _named(value: Any) -> str:
    """Return a value as JSON; a group of fields isn't shown, as it may hold identifiers."""
    return "fields" if isinstance(value, Mapping) else json.dumps(value, default=bytes.hex)

"""Verify a folder of recorded evidence, and compare with what was recorded (protocol, section 1).

The index is a person's own: each member of it is read by :class:`_Members`, so that one which is null, missing or of
another type is a fault of its row, by its path, and the other rows are verified all the same.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any, Final

from watchword.adapters.revocation import load_status_lists
from watchword.apps.evidence import reports
from watchword.apps.evidence.files import (
    MAX_FILE_BYTES,
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
from watchword.policy.registry import RECORDED
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import AppAttestEnvironment, Vendor

INDEX: Final = "index.json"

MAX_INDEX_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of an index; that of 188 chains has 700 kB."""

_MOST_OF_A_NAME: Final = 256
"""Most characters of an id, a kind, a file's name and an App ID."""

_MOST_DIGITS: Final = 40
"""Most digits of a recorded number."""

_MOST_SHOWN: Final = 200
"""Most characters of a value that are shown."""

_MISSING: Final = object()

_IDENTIFIERS: Final = frozenset({"uniqueId", "attestationId", "token"})
"""Fields whose values identify a device: compared, and never printed."""


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


@dataclass(frozen=True, slots=True)
class Faulty:
    """Hold a row whose record isn't one, and which member is at fault; nothing was compared."""

    id: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as it is printed with ``--json``."""
        return {"id": self.id, "fault": self.why}


class _MemberError(Exception):
    """Report a member of a row that isn't what it should be."""

    def __init__(self, path: str, value: object, expected: str) -> None:
        got = "nothing" if value is _MISSING else _named(value)
        super().__init__(f"{path}: got {got}, expected {expected}")


@dataclass(frozen=True, slots=True)
class _Members:
    """Read the members of a row, or of an object within it; ``path`` stands before their names in faults."""

    values: Mapping[str, Any]
    path: str = ""

    def has(self, name: str) -> bool:
        """Tell whether an optional member is there; null says as much as nothing."""
        return self.values.get(name) is not None

    def fault(self, name: str, expected: str) -> _MemberError:
        """Return the fault of one member."""
        return _MemberError(self.path + name, self.values.get(name, _MISSING), expected)

    def text(self, name: str, *, most: int = MAX_FILE_BYTES) -> str:
        """Return a text that says something."""
        value = self.values.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise self.fault(name, f"a text of at most {most} characters")
        return value

    def word(self, name: str, *words: str) -> str:
        """Return one of these words."""
        value = self.values.get(name)
        if value not in words:
            raise self.fault(name, f"one of {', '.join(words)}")
        assert isinstance(value, str)
        return value

    def base64(self, name: str) -> bytes:
        """Return bytes that are written as base64, padded or not."""
        text = self.text(name)
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:
            raise self.fault(name, "base64") from None

    def hex(self, name: str) -> bytes:
        """Return bytes that are written as hex."""
        try:
            return bytes.fromhex(self.text(name))
        except ValueError:
            raise self.fault(name, "hex") from None

    def instant(self, name: str) -> datetime:
        """Return an instant with an offset."""
        try:
            instant = datetime.fromisoformat(self.text(name, most=64))
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            raise self.fault(name, "an ISO 8601 time with an offset")
        return instant

    def group(self, name: str) -> "_Members":
        """Return the members of an object within this one."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.fault(name, "an object")
        return _Members(value, f"{self.path}{name}.")

    def optional(self, name: str) -> "_Members":
        """Return the same, without any members where it is null or missing."""
        return self.group(name) if self.has(name) else _Members({}, f"{self.path}{name}.")

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return true or false; the default where it is missing."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise self.fault(name, "true or false")
        return value


def verify_folder(folder: Path) -> Iterator[Compared | Skipped | Faulty]:
    """Verify each row of ``index.json`` at its recorded instant, against its recorded verdict.

    Roots come from ``roots.json``, withdrawn certificates from ``status-*.json``, in the folder or the
    one above it; where there are none the packaged anchors hold and revocation stays unchecked.
    A row that lacks what it needs is one of its own, since one that is passed over would look as if it agreed.

    :raises EvidenceFileError: when the folder isn't one of recorded evidence.
    :raises OSError: when a file can't be read.
    """
    trust = _trust(folder)
    for number, row in enumerate(_rows(folder)):
        name = f"row {number}"
        if not isinstance(row, dict):
            yield Faulty(name, f"got {_named(row)}, expected an object")
            continue
        members = _Members(row)
        try:
            name = members.text("id", most=_MOST_OF_A_NAME)
            yield _verified(members, folder, trust)
        except _MemberError as error:
            yield Faulty(name, str(error))


def _verified(row: _Members, folder: Path, trust: Trust) -> Compared | Skipped:
    """Verify one row.

    :raises _MemberError: when a member isn't as it should be, or its file can't be read.
    """
    kind = row.text("kind", most=_MOST_OF_A_NAME)
    verify_row = _KINDS.get(kind)
    if verify_row is None:
        return Skipped(row.text("id"), f"{kind} isn't a format of Watchword")
    named = PurePath(row.text("file", most=_MOST_OF_A_NAME))
    if named.is_absolute() or ".." in named.parts:
        raise row.fault("file", "the name of a file in the folder")
    try:
        if not (folder / named).is_file():
            raise row.fault("file", "the name of a file in the folder")
        return verify_row(row, folder / named, trust)
    except (OSError, ValueError, EvidenceFileError) as error:
        # ``ValueError``: a name that no file system takes.
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise row.fault("file", f"evidence that can be read ({why})") from None


def _rows(folder: Path) -> list[Any]:
    path = folder / INDEX
    with path.open("rb") as file:
        data = file.read(MAX_INDEX_BYTES + 1)
    if len(data) > MAX_INDEX_BYTES:
        raise EvidenceFileError(f"{path}: expected at most {MAX_INDEX_BYTES} bytes")
    try:
        rows = json.loads(data, parse_int=_number)
    except (ValueError, RecursionError):
        raise EvidenceFileError(f"{path}: expected JSON") from None
    if not isinstance(rows, list):
        raise EvidenceFileError(f"{path}: expected a list of rows with id, kind and file")
    return rows


def _number(digits: str) -> int | str:
    """Return a number, as text where it is longer than anything that was recorded: Python refuses to read it."""
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


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


def _android_chain(row: _Members, file: Path, trust: Trust) -> Compared:
    recorded = row.optional("recorded")
    binding = recorded.base64("challenge") if recorded.has("challenge") else None
    now, name, record = row.instant("valid_at"), row.text("id"), _record(row, optional=True)
    chain = read_certificates(file)
    report = report_attestation(
        name, AndroidKeyChain(chain), Expected(binding, None), trust, now, RECORDED
    )
    try:
        got: dict[str, Any] | None = android_key.describe_leaf(chain[0])
    except MalformedError:
        got = None
    return _compare(record, report, got)


def _app_attest_attestation(row: _Members, file: Path, trust: Trust) -> Compared:
    expected, record = row.group("expected"), _record(row)
    binding = (
        _client_data_hash(row.group("challenge"), "value")
        if row.has("challenge")
        else row.hex("client_data_hash")
    )
    app, now, key_id = _apple_app(row), row.instant("valid_at"), expected.base64("key_id")
    evidence = AppAttestAttestation(read_evidence(file), key_id)
    report = report_attestation(
        row.text("id"), evidence, Expected(binding, app, fresh=False), trust, now, RECORDED
    )
    got = dict(report.claims["fields"]) if report.claims is not None else None
    if got is not None:
        got["aaguid_ascii"] = (
            bytes.fromhex(got["aaguid"]).rstrip(b"\x00").decode("ascii", "replace")
        )
        got["key_id"] = base64.b64encode(bytes.fromhex(got["credential_id"])).decode()
        got["rp_id_matches_app_id"] = Reason.POLICY_APP_ID.code not in report.reasons
        got |= _attested_receipt(evidence, bytes.fromhex(got["nonce"]))
    return _compare(record, report, got)


def _attested_receipt(evidence: AppAttestAttestation, nonce: bytes) -> dict[str, Any]:
    """Return what was recorded of the receipt within an attestation."""
    read = read_attestation_object(evidence.attestation)
    signature = reports.describe_signature(read.receipt)
    try:
        receipt = receipts.read_receipt(read.receipt)
    except MalformedError:
        return {}
    hashed = hashlib.sha256(read.raw + receipt.client_hash).digest()
    return {
        "receipt": reports.describe(receipt),
        "receipt_client_hash_gives_nonce": hashed == nonce,
        **{f"receipt_{name}": value for name, value in signature.items()},
    }


def _app_attest_receipt(row: _Members, file: Path, trust: Trust) -> Compared:
    record = _record(row)
    if not isinstance(row.values.get("signature_ok"), bool | str):
        raise row.fault("signature_ok", "true, or the name of the error")
    if not isinstance(row.values.get("signer_validity"), list):
        raise row.fault("signer_validity", "the first and the last instant")
    data = read_evidence(file)
    report = reports.report_receipt(row.text("id"), data, trust)
    try:
        got = reports.describe(receipts.read_receipt(data))
    except MalformedError:
        got = {}
    got |= reports.describe_signature(data)
    beside = {name: row.values[name] for name in ("signature_ok", "signer_validity")}
    assert record.expected is not None
    return _compare(replace(record, expected={**record.expected, **beside}), report, got)


def _app_attest_assertion(row: _Members, file: Path, _trust: Trust) -> Compared | Skipped:
    if not row.has("verified_with"):
        why = "no client data and no key were recorded with this assertion"
        return Skipped(row.text("id"), why)
    known, record = row.group("verified_with"), _record(row)
    hashed, key = _client_data_hash(known, "client_data"), known.base64("public_key_spki")
    app = _apple_app(row)
    report = report_assertion(row.text("id"), read_evidence(file), hashed, key, app)
    return _compare(record, report, report.claims["fields"] if report.claims is not None else None)


_KINDS: Final = {
    "android-key-attestation": _android_chain,
    "app-attest-attestation": _app_attest_attestation,
    "app-attest-assertion": _app_attest_assertion,
    "app-attest-receipt": _app_attest_receipt,
}


def _apple_app(row: _Members) -> AppRegistration:
    """Return the recorded app; its environment is the recorded one, which the AAGUID must match."""
    team_id, dot, bundle_id = row.text("app_id", most=_MOST_OF_A_NAME).partition(".")
    if not (team_id and dot and bundle_id):
        raise row.fault("app_id", "TEAM_ID.bundle.id")
    expected, environment = row.group("expected"), AppAttestEnvironment.PRODUCTION
    if "environment" in expected.values:
        known = {each.name.lower(): each for each in AppAttestEnvironment}
        environment = known[expected.word("environment", *known)]
    return AppRegistration(row.text("id"), AppleApp(team_id, bundle_id, environment))


def _client_data_hash(recorded: _Members, member: str) -> bytes:
    """Return the client data hash of a recorded challenge; ``raw`` ones weren't hashed."""
    encoding = recorded.word("encoding", "utf8", "hex", "base64")
    if encoding == "utf8":
        data = recorded.text(member).encode("utf-8", "replace")
    else:
        data = recorded.hex(member) if encoding == "hex" else recorded.base64(member)
    hashed = recorded.word("client_data_hash", "raw", "sha256") == "sha256"
    return hashlib.sha256(data).digest() if hashed else data


@dataclass(frozen=True, slots=True)
class _Record:
    """Hold what a row recorded: the verdict, and the fields, None where nothing could be read."""

    accept: bool
    expected: Mapping[str, Any] | None


def _record(row: _Members, *, optional: bool = False) -> _Record:
    """Return a row's record; evidence without a recorded verdict was recorded as genuine.

    :param optional: evidence that can't be read has no fields.
    """
    accept = row.optional("computed_verdict").boolean("accept", default=True)
    if optional and "expected" in row.values and not row.has("expected"):
        return _Record(accept, None)
    return _Record(accept, row.group("expected").values)


def _compare(record: _Record, report: EvidenceReport, got: Mapping[str, Any] | None) -> Compared:
    """Compare verdict and fields."""
    recorded = ACCEPT if record.accept else REJECT
    differences = []
    if report.accepted != record.accept:
        differences.append(f"verdict: expected {recorded}")
    differences += _differences("fields", record.expected, got)
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
    """Return a value as JSON, cut short; a group of fields isn't shown, as it may hold identifiers."""
    if isinstance(value, Mapping):
        return "fields"
    text = json.dumps(value, default=bytes.hex)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."

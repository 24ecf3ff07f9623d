"""Run what :mod:`watchword.apps.evidence.cli` declares."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.revocation import load_status_lists
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.vendors import configured_play_keys
from watchword.apps.evidence.files import (
    EvidenceFileError,
    WrittenBytes,
    parse_bytes,
    read_anchors,
    read_certificates,
    read_evidence,
    read_key_text,
    read_public_key,
    with_packaged,
)
from watchword.apps.evidence.records import FoundRecord, find_records
from watchword.apps.evidence.replay import Conditions, Replayed, replay
from watchword.apps.evidence.reports import (
    FAILED,
    GRANTED,
    LENIENCIES,
    NOT_GRANTED,
    OK,
    OTHER_EVIDENCE,
    EvidenceReport,
    advice_of,
    report_assertion,
    report_attestation,
    state_of,
)
from watchword.apps.evidence.vectors import INDEX, Compared, Faulty, Skipped, verify_folder
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.policy import load_policy
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable, show, wrapped
from watchword.attestation.attestation_object import read_credential_id
from watchword.attestation.formats import android_key, app_attest, play_integrity
from watchword.attestation.interface import (
    AndroidApp,
    AndroidKeyChain,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Attestation,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    PlayKeys,
    Step,
    Trust,
)
from watchword.policy.interface import Policy
from watchword.policy.registry import BALANCED
from watchword.ports import Anchor
from watchword.reasons import Refusal
from watchword.vocabulary import AppAttestEnvironment, Vendor

_VENDORS = {
    app_attest.NAME: (Vendor.APPLE_APP_ATTEST, Vendor.APPLE_RECEIPT),
    android_key.NAME: (Vendor.ANDROID_KEY,),
    play_integrity.NAME: (),
}

_ALONE = (
    ("at", ("public_key",)),
    ("anchors", ("public_key",)),
    ("status", ("public_key",)),
    ("policy", ("public_key",)),
    ("key_id", ("public_key",)),
    ("challenge", ("client_data_hash",)),
    ("package", ("team_id", "app_name")),
    ("team_id", ("app_name",)),
)
"""Options that mean nothing beside those named with them."""

_TOGETHER = (
    ("team_id", "bundle_id"),
    ("bundle_id", "team_id"),
    ("package", "signing_digest"),
    ("signing_digest", "package"),
    ("development", "team_id"),
    ("decryption_key", "verification_key"),
    ("verification_key", "decryption_key"),
)
"""Options that mean nothing without the one named with them."""

_OF_FORMAT = {
    app_attest.NAME: ("client_data_hash", "key_id", "public_key"),
    android_key.NAME: ("status",),
    play_integrity.NAME: ("decryption_key", "verification_key"),
}
"""Options that mean something with one format alone."""


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """Hold what a person gave on the command line, by the names of the options."""

    format_: str
    file: Path
    challenge: str | None = None
    client_data_hash: str | None = None
    key_id: str | None = None
    public_key: Path | None = None
    app_name: str | None = None
    team_id: str | None = None
    bundle_id: str | None = None
    development: bool = False
    package: str | None = None
    signing_digest: tuple[str, ...] = ()
    decryption_key: Path | None = None
    verification_key: Path | None = None
    at: str | None = None
    anchors: tuple[Path, ...] = ()
    status: tuple[Path, ...] = ()
    policy: str | None = None

    @property
    def given(self) -> frozenset[str]:
        """Return the names of the options that were given."""
        absent: tuple[object, ...] = (None, False, ())
        return frozenset(f.name for f in fields(self) if getattr(self, f.name) not in absent)

    def require_sense(self) -> None:
        """Refuse options that would be passed over in silence.

        :raises click.UsageError: naming the options that don't go together.
        """
        given = self.given
        foreign = [n for f, names in _OF_FORMAT.items() if f != self.format_ for n in names]
        for name in foreign:
            if name in given:
                raise click.UsageError(f"{_flag(name)} means nothing with {self.format_}.")
        for name, others in _ALONE:
            for other in others:
                if {name, other} <= given:
                    raise click.UsageError(f"{_flag(name)} and {_flag(other)} exclude each other.")
        for name, other in _TOGETHER:
            if name in given and other not in given:
                raise click.UsageError(f"{_flag(name)} needs {_flag(other)}.")
        if self.public_key is not None and not {"challenge", "client_data_hash"} & given:
            raise click.UsageError("An assertion needs --challenge or --client-data-hash.")

    def written_binding(self) -> WrittenBytes | None:
        """Return the bytes of --challenge or --client-data-hash as they were read, None for none."""
        if self.client_data_hash is not None:
            return _digest("--client-data-hash", self.client_data_hash)
        return None if self.challenge is None else _bytes("--challenge", self.challenge)

    def binding(self) -> bytes | None:
        """Return what the evidence must be bound to, None where nothing was given."""
        written = self.written_binding()
        if written is None:
            return None
        is_hashed = self.client_data_hash is not None or self.format_ != app_attest.NAME
        return written.data if is_hashed else hashlib.sha256(written.data).digest()

    def app(self, config: Path) -> AppRegistration | None:
        """Return the app to expect: from the configuration, or from options; None for none."""
        if self.app_name is not None:
            apps = load_settings(config).apps
            if self.app_name not in apps:
                raise click.UsageError(f"--app: expected one of {', '.join(sorted(apps))}.")
            return apps[self.app_name]
        if self.team_id is not None and self.bundle_id is not None:
            name = "DEVELOPMENT" if self.development else "PRODUCTION"
            identity = AppleApp(self.team_id, self.bundle_id, AppAttestEnvironment[name])
            return AppRegistration("command line", identity)
        if self.package is not None:
            digests = [_digest("--signing-digest", each).data for each in self.signing_digest]
            return AppRegistration("command line", AndroidApp(self.package, frozenset(digests)))
        return None

    def expected(self, app: AppRegistration | None) -> Expected:
        """Return what the evidence must fit; how old it is means something only at a given time."""
        return Expected(self.binding(), app, fresh=self.at is not None)

    def trust(self, app: AppRegistration | None, config: Path) -> Trust:
        """Return packaged anchors with those that were named, the status lists, and the app's keys.

        Keys of an app in the configuration are read there, a lab's are its Google's.
        """
        vendors = _VENDORS[self.format_]
        extra = [anchor for path in self.anchors for anchor in read_anchors(path, vendors)]
        revocation = load_status_lists(self.status) if self.status else None
        keys: dict[str, PlayKeys] = {}
        if self.decryption_key is not None and self.verification_key is not None:
            # Without an app that is expected, the keys are for whichever app the token is of.
            keys["" if app is None else app.app_id] = PlayKeys(
                read_key_text(self.decryption_key), read_key_text(self.verification_key)
            )
        elif self.app_name is not None and self._is_play_token():
            keys = configured_play_keys(load_settings(config), SystemEntropy())
        return Trust(with_packaged(extra), revocation, play_keys=keys)

    def _is_play_token(self) -> bool:
        """Tell whether keys are needed; what Google decoded is JSON, and whoever has it may lack them."""
        is_play = self.format_ == play_integrity.NAME
        return is_play and not read_evidence(self.file).lstrip().startswith(b"{")

    def chosen_policy(self, config: Path) -> Policy:
        """Return the policy that was named, else that of the configuration where it names the app."""
        if self.policy is not None:
            return load_policy(self.policy)
        return BALANCED if self.app_name is None else load_settings(config).policy

    def instant(self) -> datetime:
        """Return the instant to verify at."""
        return SystemClock().now() if self.at is None else parse_instant(self.at)

    def attestation(self) -> tuple[Attestation, tuple[str, ...]]:
        """Return the evidence in the file by its format, and what nothing was given to compare it with."""
        if self.format_ == android_key.NAME:
            return AndroidKeyChain(read_certificates(self.file)), ()
        if self.format_ == play_integrity.NAME:
            data = read_evidence(self.file).strip()
            if data.startswith(b"{"):
                return PlayIntegrityPayload(data), ("signature",)
            return PlayIntegrityToken(data), ()
        data = read_evidence(self.file)
        if self.key_id is not None:
            return AppAttestAttestation(data, _bytes("--key-id", self.key_id).data), ()
        # Its own credential id stands in then.
        return AppAttestAttestation(data, read_credential_id(data)), ("key_id",)


def parse_instant(text: str) -> datetime:
    """Return the instant of ``--at``; a time without an offset is UTC.

    :raises click.UsageError: when it isn't one.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            "--at: expected ISO 8601, for example 2026-04-20T19:13:12Z."
        ) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _flag(name: str) -> str:
    """Return an option as it is written."""
    return "--" + {"app_name": "app"}.get(name, name).replace("_", "-")


def _bytes(option: str, text: str) -> WrittenBytes:
    """Return the bytes of an option."""
    try:
        return parse_bytes(text)
    except EvidenceFileError as error:
        raise click.UsageError(f"{option}: {error}.") from None


def _digest(option: str, text: str) -> WrittenBytes:
    """Return a SHA-256 digest; with one of another length nothing could ever match."""
    digest = _bytes(option, text)
    if len(digest.data) != hashlib.sha256().digest_size:
        raise click.UsageError(f"{option}: got {digest}, expected the 32 bytes of SHA-256.")
    return digest


_COLOURS: Final = {OK: "green", GRANTED: "green", FAILED: "red", NOT_GRANTED: "yellow"}

_CLAIM_COLUMN: Final = 23
"""Columns of the names in front of claims."""

_STATE: Final = 13
"""Columns of the word that says how a step or a level ended."""

_BESIDE: Final = 6
"""Columns before what is told of a step that failed."""


def show_result(report: EvidenceReport, options: EvidenceOptions) -> None:
    """Print what came out, what is wrong, and what the evidence says."""
    click.echo(_headline(report))
    # One line each, however long: this is what people search in and cut from.
    for refusal in report.refusals:
        click.echo(f"  {printable(str(refusal))}")
    _show_findings(report, options)


def show_explanation(report: EvidenceReport, options: EvidenceOptions) -> None:
    """Print each step with what was wanted and found, what to do, and why no higher level was granted."""
    click.echo(_headline(report))
    told: set[Refusal] = set()
    if report.steps:
        click.echo("\nSteps")
        show(_steps(report.steps, told))
    if report.levels:
        click.echo(f"\nLevels, by policy {report.policy}")
        show(_levels(report, told))
    elif not report.steps:
        # Without steps or levels of their own, the reasons are all there is to explain.
        show(line for each in report.refusals for line in _cause(each, told))
    click.echo("\nWhat it says" + (" (nothing of it is proven)" if _has_failed(report) else ""))
    _show_findings(report, options)


def _headline(report: EvidenceReport) -> str:
    verdict = "accept" if report.accepted else "reject"
    # Whoever reads one line alone must not take this for the app's own evidence.
    named = " (no app expected)" if "app" in report.unchecked else ""
    text = f"{verdict}{named}  level {report.level.value}"
    return click.style(text, fg="green" if report.accepted else "red", bold=True)


def _steps(steps: Sequence[Step], told: set[Refusal]) -> Iterator[str]:
    number = max(len(step.number) for step in steps) + 2
    title = max(len(step.title) for step in steps) + 2
    for step in steps:
        state = state_of(step)
        first = f"{step.number:>{number}}  {step.title:<{title}}{_styled(state)}"
        yield from wrapped(step.found, first=first, indent=number + 2 + title + _STATE)
        if step.refusals:
            yield from wrapped(step.wanted, first=" " * _BESIDE + "wanted", indent=_BESIDE + 9)
            for refusal in step.refusals:
                yield from _cause(refusal, told)


def _levels(report: EvidenceReport, told: set[Refusal]) -> Iterator[str]:
    if _has_failed(report):
        yield "  Evidence with a failed step is granted none; this is what else stands in its way."
    for level, state in report.levels.items():
        yield f"  {level.value:<10}{click.style(state, fg=_COLOURS.get(state))}"
        if state != OTHER_EVIDENCE:
            for refusal in report.short_of.get(level, ()):
                yield from _cause(refusal, told)


def _has_failed(report: EvidenceReport) -> bool:
    return any(step.refusals for step in report.steps)


def _cause(refusal: Refusal, told: set[Refusal]) -> Iterator[str]:
    """Yield what is wrong, and once what can be done about it."""
    code = click.style(refusal.reason.code, bold=True)
    yield from wrapped(refusal.detail, first=" " * _BESIDE + code + "  ", indent=_BESIDE + 2)
    if not any(each.reason is refusal.reason for each in told):
        yield from wrapped(advice_of(refusal), indent=_BESIDE + 2)
    told.add(refusal)


def _styled(state: str) -> str:
    """Return a word in its colour and its column."""
    return click.style(f"{state:<{_STATE}}", fg=_COLOURS.get(state))


def _show_findings(report: EvidenceReport, options: EvidenceOptions) -> None:
    rows = []
    if (written := options.written_binding()) is not None:
        rows.append(("bound to", str(written)))
    rows += _claims(report.claims or {})
    rows += [
        ("let pass", f"{name}: {LENIENCIES[name]}" if name in LENIENCIES else name)
        for name in report.leniencies
    ]
    rows += [("signal", str(signal)) for signal in report.signals]
    if report.unchecked:
        rows.append(("not checked", ", ".join(report.unchecked)))
    for name, value in rows:
        show(wrapped(value, first=f"  {name}", indent=_CLAIM_COLUMN))


def _claims(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what people look at, by its name; a device's state by the vendor's names."""
    for name in (
        "anchor",
        "attestation_security",
        "key_security",
        "certified_security",
        "provisioning",
        "counter",
    ):
        if claims.get(name) is not None:
            yield name, str(claims[name])
    if claims.get("incoherent"):
        yield "contradicts", ", ".join(claims["incoherent"])
    if claims.get("model"):
        yield "model", claims["model"]
    app = claims.get("app") or {"ids": ()}
    for app_id in app["ids"]:
        version = app["versions"].get(app_id)
        yield "app", app_id if version is None else f"{app_id}, version {version}"
    if app["ids"] and app["signing_digests"]:
        yield "signed by", ", ".join(app["signing_digests"])
    yield from _device(claims)


def _device(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    boot, patches = claims.get("boot"), claims.get("patches") or {}
    if boot:
        locked = "true" if boot["device_locked"] else "false"
        yield "boot", f"deviceLocked: {locked}, verifiedBootState: {boot['state'].upper()}"
        yield "verifiedBootKey", boot["verified_boot_key"]
    known = {name: value for name, value in patches.items() if value is not None}
    if known:
        yield "patches", ", ".join(f"{name} {value}" for name, value in known.items())
    yield from _apple(claims.get("apple") or {})
    receipt, play = claims.get("receipt"), claims.get("play")
    if receipt:
        metric = receipt["risk_metric"]
        yield "receipt", receipt["kind"] + ("" if metric is None else f", risk metric {metric}")
    if claims.get("receipt_fault"):
        yield "receipt", claims["receipt_fault"]
    if play:
        yield "app recognition", play["app_recognition"]
        yield "device", ", ".join(play["device_labels"]) or "no label"


def _apple(apple: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    build = apple.get("os_build")
    system = [apple.get("platform"), apple.get("os_version"), build and f"({build})"]
    if any(system):
        yield "system", " ".join(each for each in system if each)
    for name in ("distribution", "key_access"):
        if apple.get(name):
            yield name.replace("_", " "), apple[name]


_RECORD_COLUMN = 11


def replay_and_show(where: str, conditions: Conditions, *, as_json: bool) -> int:
    """Replay records one by one as they are read; return the exit code."""
    counts = {"same": 0, "different": 0, "unreadable": 0, "policy only": 0, "left out": 0}
    for found in find_records(where):
        if found.record is None:
            counts["unreadable"] += 1
            _show_unreadable(found, as_json=as_json)
            continue
        result = replay(found.record, conditions)
        counts["same" if result.is_same else "different"] += 1
        counts["policy only"] += not result.is_whole
        counts["left out"] += found.record.left_out
        if as_json:
            print_json({"file": found.file, "line": found.line, **result.as_dict()})
        else:
            show(_lines(found, result))
    _show_replay_summary(counts, err=as_json)
    return 0 if counts["same"] and not counts["different"] + counts["unreadable"] else EXIT_REFUSED


def _show_unreadable(found: FoundRecord, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": found.file, "line": found.line, "unreadable": found.why})
    else:
        first = click.style("unreadable ", fg="yellow")
        show(wrapped(f"{found.place}: {found.why}", first=first, indent=_RECORD_COLUMN))


def _lines(found: FoundRecord, result: Replayed) -> Iterator[str]:
    record, verdict = result.record, result.verdict
    word, colour = ("same", "green") if result.is_same else ("different", "red")
    level = record.verdict.level.value if verdict is None else verdict.level.value
    who = record.instance or "not enrolled"
    what = f"{record.at:%Y-%m-%d %H:%M:%S}  {level:<8}  {record.app.id}  {record.format}  {who}"
    yield from wrapped(what, first=click.style(word, fg=colour), indent=_RECORD_COLUMN)
    if not result.is_same:
        yield from wrapped(found.place, indent=_RECORD_COLUMN)
    for difference in result.differences:
        yield from wrapped(
            difference, first=" " * (_RECORD_COLUMN - 2) + "-", indent=_RECORD_COLUMN
        )
    for note in result.notes:
        yield from wrapped(note, first=" " * (_RECORD_COLUMN - 2), indent=_RECORD_COLUMN)


def _show_replay_summary(counts: dict[str, int], *, err: bool) -> None:
    """Print how many came out how; in JSON's way only on the other stream."""
    total = counts["same"] + counts["different"]
    text = f"{counts['same']} of {total} replayed to the same result"
    if counts["policy only"]:
        text += f", {counts['policy only']} by policy only"
    if counts["unreadable"]:
        text += f"; {counts['unreadable']} lines are no records"
    if counts["left out"]:
        text += f"; {counts['left out']} refusals weren't recorded, too many came at once"
    click.echo(text, err=err)


def evidence_command(
    ctx: click.Context, /, *, vectors: Path | None, explain: bool, as_json: bool, **given: Any
) -> None:
    """See ``watchword verify evidence``."""
    if vectors is not None:
        if explain or any(given.values()):
            raise click.UsageError("--vectors takes no other option than --json.")
        ctx.exit(verify_and_show(vectors, as_json=as_json))
    if given["format_"] is None or given["file"] is None:
        raise click.UsageError("Give --format and --file, or --vectors.")

    options = EvidenceOptions(**given)
    options.require_sense()
    report = _verify_one(ctx.obj, options)
    if as_json:
        print_json(report.as_dict())
    else:
        (show_explanation if explain else show_result)(report, options)
    ctx.exit(0 if report.accepted else EXIT_REFUSED)


def replay_command(
    ctx: click.Context,
    /,
    *,
    where: str | None,
    policy: str | None,
    at: str | None,
    anchors: tuple[Path, ...],
    as_json: bool,
) -> None:
    """See ``watchword verify replay``."""
    extra: list[Anchor] = [a for path in anchors for a in read_anchors(path, list(Vendor))]
    where = _own_records(ctx.obj) if where is None else where
    extra += _lab_anchors(ctx.obj)
    known = with_packaged(extra)
    conditions = Conditions(
        tuple(anchor for vendor in Vendor for anchor in known.for_vendor(vendor)),
        None if policy is None else load_policy(policy),
        None if at is None else parse_instant(at),
    )
    ctx.exit(replay_and_show(where, conditions, as_json=as_json))


def _own_records(config: Path) -> str:
    """Return this deployment's directory of records."""
    settings = load_settings(config)
    where = settings.service.records
    if not where.is_dir():
        raise click.UsageError(f"{where} isn't there; records: in {config} turns recording on.")
    return str(where)


def _lab_anchors(config: Path) -> "list[Anchor]":
    """Return the anchors of this deployment's lab; none where there is no deployment, or no lab."""
    try:
        settings = load_settings(config)
    except ConfigurationError:
        # Records are replayed on other machines too, and beside files that have a fault just now.
        return []
    if not settings.trust_lab or not settings.service.state_dir.is_dir():
        return []

    return list(load_or_create(settings.service.state_dir, SystemEntropy()).anchors())


def _verify_one(config: Path, options: "EvidenceOptions") -> "EvidenceReport":
    """Read the file by its format and verify it."""
    file, app = options.file, options.app(config)
    if options.public_key is not None and (binding := options.binding()) is not None:
        key = read_public_key(options.public_key)
        return report_assertion(file.name, read_evidence(file), binding, key, app)
    read, unchecked = options.attestation()
    report = report_attestation(
        file.name,
        read,
        options.expected(app),
        options.trust(app, config),
        options.instant(),
        options.chosen_policy(config),
    )
    return replace(report, unchecked=(*report.unchecked, *unchecked))


def verify_and_show(folder: Path, *, as_json: bool) -> int:
    """Verify a folder and print row by row; return the exit code."""
    if not (folder / INDEX).is_file():
        raise click.UsageError(f"--vectors: {folder} has no {INDEX}.")
    compared: list[Compared] = []
    skipped: list[Skipped] = []
    faulty = 0
    for row in verify_folder(folder):
        if isinstance(row, Skipped):
            skipped.append(row)
            continue
        if isinstance(row, Faulty):
            faulty += 1
            if as_json:
                print_json(row.as_dict())
            else:
                click.echo(printable(f"{row.id}: {row.why}"))
            continue
        compared.append(row)
        if as_json:
            print_json(row.as_dict())
        elif not row.agrees:
            click.echo(printable(f"{row.report.id}: {'; '.join(row.differences)}"))
            for refusal in row.report.refusals:
                click.echo(f"  {printable(str(refusal))}")
    _show_folder_summary(compared, skipped, err=as_json)
    if faulty:
        click.echo(
            f"  {'faulty':<12} {faulty:>4}  rows of {INDEX} that can't be compared", err=as_json
        )
    agree = bool(compared) and all(row.agrees for row in compared)
    return 0 if agree and not faulty else EXIT_REFUSED


def _show_folder_summary(
    compared: Sequence[Compared], skipped: Sequence[Skipped], *, err: bool
) -> None:
    """Print how many agree, what was let pass, and what was left out and why."""
    agree = sum(row.agrees for row in compared)
    accepted = sum(row.report.accepted for row in compared)
    click.echo(
        f"{agree} of {len(compared)} agree with the record "
        f"({accepted} accepted, {len(compared) - accepted} rejected)",
        err=err,
    )
    counts = {
        "rejected": Counter(code for row in compared for code in row.report.reasons),
        "let pass": Counter(name for row in compared for name in row.report.leniencies),
        "not checked": Counter(name for row in compared for name in row.report.unchecked),
        "skipped": Counter(row.why for row in skipped),
    }
    for what, counter in counts.items():
        for name, count in counter.most_common():
            click.echo(f"  {what:<12} {count:>4}  {name}", err=err)

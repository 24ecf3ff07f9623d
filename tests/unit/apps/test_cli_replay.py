"""``watchword verify replay``: the records of a running service, of a file, of a pipe; exit codes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.apps import recording_lab as lab
from tests.unit.enrolment.simulators import MovableClock, SeededEntropy

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.cli.main import cli
from watchword.apps.deployment import service_of
from watchword.apps.evidence.files import EvidenceFileError
from watchword.apps.lab.phones import installed_app
from watchword.apps.service.background import periodic_tasks
from watchword.apps.service.service import Service
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.template import TEMPLATE
from watchword.client.statement import binding_of, build_statement
from watchword.encoding import base64url
from watchword.enrolment.interface import EnrolmentRequest
from watchword.lab import PHONES, PhoneSetup
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Purpose

RECORDS = "records:\n  keep: 30d\n  max_megabytes: 64\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write the configuration of a lab that records verifications."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE + RECORDS, encoding="utf-8")
    return file


@pytest.fixture
def service(config: Path) -> Iterator[Service]:
    """Return a service over a store of its own; nothing listens."""
    settings, clock = load_settings(config), MovableClock()
    built = service_of(
        settings, clock=clock, entropy=SeededEntropy(), refusal_log=MemoryRefusalLog(clock)
    )
    yield built
    built.context.store.close()


def request_of(service: Service, settings: Settings, kind: str) -> EnrolmentRequest:
    """Return what a phone of the lab sends to enrol."""
    context = service.context
    app = next(a for a in settings.apps.values() if a.platform is PHONES[kind].platform)
    audience = next(api.audience for api in settings.apis.values() if app.id in api.apps)
    authorities = load_or_create(settings.service.state_dir, SeededEntropy())
    phone = PHONES[kind].build(installed_app(app), PhoneSetup(authorities, context.clock, kind))
    phone.create_keys()
    now = context.clock.now()
    challenge, _ = context.enrolment.challenge(app.id, Purpose.ENROL, now)
    statement = build_statement(
        purpose=Purpose.ENROL,
        issuer=settings.service.issuer,
        audiences=[audience],
        app=app.id,
        challenge=base64url.encode(challenge),
        proof_jwk=phone.proof_jwk,
        seal_jwk=phone.seal_jwk,
    )
    return EnrolmentRequest(statement, phone.attest(binding_of(statement)))


def enrol(service: Service, request: EnrolmentRequest) -> str | Reason:
    """Return the id of the instance, or why there is none."""
    try:
        enrolled = asyncio.run(
            service.context.enrolment.enrol(request, service.context.clock.now())
        )
    except RefusedError as error:
        return error.reason
    return enrolled.instance.id


def run(config: Path | str, *arguments: object, stdin: bytes = b"") -> Result:
    """Run the command."""
    return CliRunner().invoke(
        cli,
        ["--config", str(config), "verify", "replay", *map(str, arguments)],
        input=stdin,
    )


def unbroken(result: Result) -> str:
    """Return the output without white space: names of temporary files decide where lines are broken."""
    return "".join(result.output.split())


def lines(result: Result) -> list[dict[str, Any]]:
    """Return the JSON of a run."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_service_records_and_its_records_replay(service: Service, config: Path) -> None:
    """Enrolled, refused, and accepted a second time with a used challenge: each in its file."""
    settings = load_settings(config)
    request = request_of(service, settings, "genuine-android")
    instance = enrol(service, request)
    assert isinstance(instance, str)
    assert enrol(service, request) in {Reason.CHALLENGE_USED, Reason.INSTANCE_EXISTS}
    refused = enrol(service, request_of(service, settings, "unlocked-android"))
    assert refused is Reason.POLICY_BOOTLOADER_UNLOCKED
    names = sorted(path.name for path in settings.service.records.iterdir())
    assert names == ["2026-11-24.jsonl", "2026-11-24.refused.jsonl"]
    result = run(config, "--json")
    assert result.exit_code == 0, result.output
    found = lines(result)
    assert [each["instance"] for each in found] == [instance, None, None]
    assert [each["recorded"]["level"] for each in found] == ["hardware", "hardware", "none"]
    assert all(each["same"] for each in found)
    assert "3 of 3 replayed to the same result" in result.stderr
    shown = run(config)
    assert shown.exit_code == 0
    assert instance in shown.output
    assert shown.output.count("same") == 4
    # A file by its name is of the same lab.
    named = run(config, settings.service.records / names[0])
    assert named.exit_code == 0, named.output
    # Beside no deployment, or one with a fault, nobody knows that lab.
    config.write_text("version: 2\n", encoding="utf-8")
    assert run(config, settings.service.records / names[0]).exit_code == 1


def test_a_service_forgets_old_records_by_itself(service: Service, config: Path) -> None:
    """Nobody has to enrol for it."""
    records = load_settings(config).service.records
    records.mkdir(mode=0o700)
    (records / "2026-10-01.jsonl").touch(0o600)
    (task,) = [
        each for each in periodic_tasks(service.context) if each.name == "forgetting records"
    ]
    asyncio.run(task.work())  # type: ignore[arg-type]  # What it awaits is a coroutine.
    assert list(records.iterdir()) == []


def test_without_the_section_nothing_is_recorded(tmp_path: Path) -> None:
    """Recording is a choice; a command that looks for records says where it is made."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    settings, clock = load_settings(file), MovableClock()
    service = service_of(
        settings, clock=clock, entropy=SeededEntropy(), refusal_log=MemoryRefusalLog(clock)
    )
    assert isinstance(enrol(service, request_of(service, settings, "genuine-android")), str)
    service.context.store.close()
    assert not settings.service.records.exists()
    result = run(file)
    assert result.exit_code == 2
    assert "records: in" in result.output


def test_files_pipes_and_other_policies(tmp_path: Path) -> None:
    """A changed policy comes out differently: exit 1, and what it is."""
    anchors = tmp_path / "anchors.json"
    anchors.write_text(json.dumps(lab.AUTHORITIES.anchors_document()))
    file = tmp_path / "records.jsonl"
    file.write_bytes(
        lab.appraised_line(lab.evidence_of("genuine-android"), lab.ANDROID)
        + lab.appraised_line(lab.evidence_of("play-phone"), lab.ANDROID)
    )
    same = run("none.yaml", file, "--anchors", anchors)
    assert same.exit_code == 0, same.output
    assert "2 of 2 replayed to the same result" in same.output
    piped = run("none.yaml", "-", "--anchors", anchors, "--json", stdin=file.read_bytes())
    assert piped.exit_code == 0
    assert [each["file"] for each in lines(piped)] == ["standard input"] * 2
    strict = run("none.yaml", file, "--anchors", anchors, "--policy", "strict", "--json")
    assert strict.exit_code == 1
    assert any("level: recorded" in text for each in lines(strict) for text in each["differences"])
    later = run("none.yaml", file, "--anchors", anchors, "--at", "2027-01-01")
    assert later.exit_code == 1
    assert "play.age" in later.output
    assert f"{file}:2" in unbroken(later)
    stranger = run("none.yaml", file)
    assert stranger.exit_code == 1
    assert "--anchors" in stranger.output


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    """Half a line and a file of something else: exit 1, as not all came out as recorded."""
    line = lab.appraised_line(lab.evidence_of("genuine-iphone"), lab.IOS)
    file = tmp_path / "records.jsonl"
    file.write_bytes(line[:500])
    result = run("none.yaml", file)
    assert result.exit_code == 1
    assert "itwascutoff" in unbroken(result)
    assert "1 lines are no records" in result.output
    assert "unreadable" in lines(run("none.yaml", file, "--json"))[0]
    file.write_bytes(b"")
    assert run("none.yaml", file).exit_code == 1


def test_names_in_records_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """A file of records may come from elsewhere; what it names is spelled out."""
    line = lab.appraised_line(lab.evidence_of("genuine-iphone"), lab.IOS)
    document = json.loads(line)
    document["app"]["id"] = "\x1b[2J"
    file = tmp_path / "records.jsonl"
    file.write_text(json.dumps(document) + "\n" + json.dumps({"\x1b[2J": 1}) + "\n")
    assert "\x1b" not in run("none.yaml", file).output


@pytest.mark.parametrize(
    "arguments",
    [["--at", "yesterday"], ["--policy"], ["--what"], ["a", "b"]],
)
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    """Explained, with exit code 2."""
    file = tmp_path / "records.jsonl"
    file.write_bytes(b"")
    assert run("none.yaml", file, *arguments).exit_code == 2


def test_files_that_are_none(tmp_path: Path) -> None:
    """An empty directory, no configuration, no policy: each is told as what it is."""
    assert isinstance(run("none.yaml", tmp_path).exception, EvidenceFileError)
    assert isinstance(run("none.yaml").exception, ConfigurationError)
    assert isinstance(run("none.yaml", tmp_path / "gone").exception, FileNotFoundError)

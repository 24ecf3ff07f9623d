"""Show that a drill loses no result, says no more than it saw, and spends no code for nothing."""

import stat
import subprocess
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.machine import patience
from tests.system.apps.test_drill_command import deployed, drill
from tests.unit.apps.service_process import WATCHWORD, configuration

from watchword.adapters.documents import FileDocument
from watchword.adapters.drill_wire import AddressError, Origin
from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.demo.stage import Stage
from watchword.apps.drill.harness import Targets, open_harness
from watchword.apps.drill.invited_instance import (
    InstanceFileError,
    InvitedInstance,
    enrolled,
    reserve,
    write_instance,
)
from watchword.apps.drill.preparation import Agreement, Prepared, RunOptions, prepared
from watchword.apps.drill.run_plan import RunPlanError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.client import TestInstanceDevice
from watchword.drill.wire import Part
from watchword.gate.interface import Rate
from watchword.vocabulary import Mode, Platform

ONE = ("--only", "script-with-key")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the demo's settings; nothing runs."""
    stage = Stage.in_directory(tmp_path)
    stage._ports.update(service=8440, clinic=8080, billing=8081, upstream=9000, maps=9443)
    (tmp_path / "observer.jwk").write_text("{}")
    return load_settings(stage.write(Mode.ENFORCE))


def test_a_report_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    """Two of three have no place; the third is there, what was seen is recorded, and the code says so."""
    with deployed(tmp_path) as file:
        place = tmp_path / "drill.html"
        done = drill(
            file,
            *(*ONE, "--sign", "ci.pem", "--html", str(place)),
            *("--junit", str(file), "--sarif", str(tmp_path / "nowhere" / "drill.sarif")),
        )
        assert done.returncode == 3
        assert "script-with-key" in place.read_text("utf-8")
        assert "Recorded" in done.stderr
        assert str(file) in done.stderr
        assert "nowhere" in done.stderr


def test_a_plan_with_faults_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """What a run found would be lost behind it."""
    with deployed(tmp_path) as file:
        (tmp_path / "ci.jwk").unlink()
        done = drill(file, *ONE, "--sign", "ci.pem")
        assert done.returncode == 2
        assert "plan.observers" in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("addresses", "loopback"),
    [
        (("127.0.0.1", "192.0.2.1"), True),
        (("192.0.2.1", "::1"), True),
        (("192.0.2.1", "192.0.2.2"), False),
    ],
)
def test_what_is_reached_on_this_machine_is_so_by_any_name(
    addresses: tuple[str, str],
    loopback: bool,
) -> None:
    """A name that leads here needs consent, and is loopback all the same: it proves nothing of production."""
    origins = {
        part: Origin("https", "api.example", "api.example", str(ip_address(address)), 443)
        for part, address in zip((Part.GATE, Part.SERVICE), addresses, strict=True)
    }
    agreement = Agreement(origins, False, 10, None, frozenset(origins))
    ready = Prepared("https://api.example", Targets(origins, loopback=False), agreement, ())
    assert ready.on_this_machine is loopback


def test_an_instance_of_another_api_is_refused_before_anything_is_sent(
    settings: Settings, tmp_path: Path
) -> None:
    """It has no token for this one, so that no request could be the genuine app's."""
    file = tmp_path / "instance.json"
    device = TestInstanceDevice("a-code").export()
    good = InvitedInstance(
        "clinic-ios", Platform.IOS, "instance", ("https://api.clinic.example",), device
    )
    for bad in (
        replace(good, audiences=("https://billing.clinic.example",)),
        replace(good, audiences=()),
        replace(good, app="other-app"),
    ):
        write_instance(file, bad)
        with pytest.raises(RunPlanError):
            order(settings, file)
    write_instance(file, good)
    assert order(settings, file).targets.invited is not None


def order(settings: Settings, instance: Path) -> Prepared:
    """Ask for a run on this machine with a test instance."""
    asked = RunOptions(instance=instance)
    return prepared(settings, settings.apis["clinic"], asked, SystemClock(), SystemEntropy())


# Nobody listens at the operator's socket, and what tried to connect leaves its own to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("rate", "uses"), [(None, 50), (300, 50), (20, 5), (2, 1)])
def test_phones_change_before_they_meet_a_limit(
    settings: Settings, rate: int | None, uses: int
) -> None:
    """A limit per instance is there for the attack that is made to meet it, and not for the genuine app."""
    api = settings.apis["clinic"]
    # The quota of the map key, of which a phone uses a quarter at most, is another limit.
    routes = tuple(each for each in api.routes if each.secret is None)
    api = replace(api, rate=None if rate is None else Rate(rate, 60), routes=routes)
    settings.service.state_dir.mkdir(mode=0o700)
    clock, entropy = SystemClock(), SystemEntropy()
    ring = FileDocument(settings.service.keyring)
    KeyRing(
        ring, environment=settings.environment, grace=330, now=clock.timestamp(), entropy=entropy
    )
    origins = {
        part: Origin("http", "127.0.0.1:1", "127.0.0.1", "127.0.0.1", 1, free=True)
        for part in (Part.GATE, Part.SERVICE)
    }
    with open_harness(settings, api, Targets(origins, loopback=True), clock, entropy) as stage:
        assert stage.population.__self__.uses == uses  # type: ignore[union-attr]


def test_the_place_of_an_instance_is_made_before_its_code_is_spent(tmp_path: Path) -> None:
    """Only ours, and never over what is there: not even a link to nowhere."""
    file = tmp_path / "instance.json"
    reserve(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in (file, tmp_path / "link", tmp_path / "missing" / "instance.json"):
        with pytest.raises(InstanceFileError):
            reserve(taken)


@pytest.mark.parametrize(
    ("service", "error"),
    [
        ("http://api.example", RunPlanError),
        ("ftp://api.example", AddressError),
        ("https://user:secret@api.example", AddressError),
        ("api.example", AddressError),
    ],
)
def test_a_code_goes_to_no_service_that_anybody_could_read_along(
    settings: Settings, service: str, error: type[Exception]
) -> None:
    """Nothing is sent, and the error holds neither code nor password."""
    with pytest.raises(error) as caught:
        enrolled(settings, "clinic-ios", "a-code-of-one", service, SystemClock())
    assert "a-code-of-one" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("code", ["", "a code", "c\x00de", "\udcff", "x" * 300])
def test_what_is_no_code_is_told_and_leaves_no_file(tmp_path: Path, code: str) -> None:
    """It never comes to the service."""
    file = configuration(tmp_path, 9)
    done = subprocess.run(
        [*WATCHWORD, "-c", str(file), "drill", "enrol", "--app", "clinic-ios"],
        input=code.encode("utf-8", "surrogateescape") + b"\n",
        capture_output=True,
        check=False,
        timeout=patience(60),
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert b"internal error" not in done.stderr
    assert not (tmp_path / "instance.json").exists()

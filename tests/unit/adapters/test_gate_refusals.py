"""Show that what gates inside applications count reaches the operator's commands, bounded and without a detail."""

import logging
import stat
from pathlib import Path

import pytest
from tests.unit.apps.asgi_client import Recorder, call, http_scope
from tests.unit.apps.test_gate_from import published
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.apps.wsgi_client import RecordedRequests, environ_of
from tests.unit.apps.wsgi_client import call as call_wsgi

from watchword.adapters.engine_refusals import GATES_KEPT, gate_refusals
from watchword.adapters.gate_refusals import GateRefusals
from watchword.adapters.refusal_log import MAX_PLACES
from watchword.adapters.system import SystemEntropy
from watchword.apps.cli.refusals import application_document, metrics_command, show_applications
from watchword.apps.gateway import WatchwordMiddleware, WatchwordWsgiMiddleware, gate_from
from watchword.apps.settings.load import load_settings
from watchword.reasons import Reason, Refusal, UnavailableError

NEVER = 3600.0
MISSING = Refusal(Reason.TOKEN_MISSING, "a detail with a secret")
MALFORMED = Refusal(Reason.REQUEST_MALFORMED)


def opened(path: Path, api: str = "clinic") -> GateRefusals:
    """Return a log that writes when it is closed, as another process would have it."""
    return GateRefusals(path, api, clock=StoppedClock(), entropy=SystemEntropy(), seconds=NEVER)


@pytest.fixture(name="path")
def file_beside_bundles(tmp_path: Path) -> Path:
    """Return where the file will be."""
    tmp_path.chmod(0o700)
    return tmp_path / "refusals.db"


def counts(path: Path) -> dict[tuple[str, str, str], int]:
    """Return what an operator sees, by API, reason and route."""
    document = application_document(gate_refusals(path))
    return {
        (each["api"], each["reason"], each["where"]): each["count"] for each in document["counts"]
    }


def test_workers_and_restarts_add_up(path: Path) -> None:
    """Each process adds to what is there, every cause is counted, and two APIs stay apart."""
    for api in ("clinic", "clinic", "bank"):
        log = opened(path, api)
        for _ in range(1000):
            log.record([MISSING, MALFORMED], "/records")
        log.close()
    assert counts(path) == {
        ("clinic", "token.missing", "/records"): 2000,
        ("clinic", "request.malformed", "/records"): 2000,
        ("bank", "token.missing", "/records"): 1000,
        ("bank", "request.malformed", "/records"): 1000,
    }


def test_nothing_but_reason_route_and_time_is_kept(path: Path) -> None:
    """No detail, in a file of its user alone."""
    log = opened(path)
    log.record([MISSING], "/records")
    log.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = b"".join(each.read_bytes() for each in path.parent.glob("refusals.db*"))
    assert (b"token.missing" in written, b"secret" in written) == (True, False)


def test_a_flood_takes_bounded_space(path: Path) -> None:
    """However many routes and refusals there are."""
    log = opened(path)
    for number in range(MAX_PLACES + 100):
        log.record([MISSING], f"/{number}")
    log.close()
    found = counts(path)
    assert (len(found), sum(found.values())) == (MAX_PLACES + 1, MAX_PLACES + 100)
    assert found["clinic", "token.missing", "other"] == 100
    for _ in range(GATES_KEPT):
        log = opened(path)
        for _ in range(20):
            log.record([MISSING], "/1")
        log.close()
    assert len(gate_refusals(path).latest(10**6)) == GATES_KEPT


def test_a_disk_that_refuses_loses_no_count(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, no request notices, and the counts are written once it takes them."""
    log = opened(path)
    path.mkdir()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            log.record([MISSING], "/records")
            log._write()
    path.rmdir()
    log.record([MISSING], "/records")
    log.close()
    assert counts(path) == {("clinic", "token.missing", "/records"): 4}


def test_the_directories_of_the_service_are_left_to_it(tmp_path: Path) -> None:
    """A gate that refuses before the service's first start makes none; it counts, and writes once they are there."""
    path = tmp_path / "state" / "gates" / "refusals.db"
    log = opened(path)
    log.record([MISSING], "/records")
    log._write()
    assert list(tmp_path.iterdir()) == []
    path.parent.mkdir(parents=True, mode=0o700)
    log.close()
    assert counts(path) == {("clinic", "token.missing", "/records"): 1}


def test_a_child_counts_only_its_own(path: Path) -> None:
    """What was counted before a fork its parent writes."""
    log = opened(path)
    log.record([MISSING], "/records")
    log._writer._begin_anew()
    log.record([MALFORMED], "/records")
    log.close()
    assert counts(path) == {("clinic", "request.malformed", "/records"): 1}


def test_the_middlewares_of_gate_from_count_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request that a route in ``canary`` lets pass is among what ``watchword metrics`` shows, where no service runs too."""
    file = published(tmp_path)
    path = load_settings(file).service.gate_refusals
    for framework in ("asgi", "wsgi"):
        gate = gate_from(file, "clinic")
        scope = http_scope("/v1/patients")
        if framework == "asgi":
            middleware = WatchwordMiddleware(Recorder(), gate=gate, clock=StoppedClock())
            assert call(middleware, scope).status == 200
        else:
            other = WatchwordWsgiMiddleware(RecordedRequests(), gate=gate, clock=StoppedClock())
            assert call_wsgi(other, environ_of(scope)).status == 200
        assert isinstance(gate.refusal_log, GateRefusals)
        gate.refusal_log.close()
    assert counts(path) == {("clinic", "token.missing", "canary"): 2}
    with pytest.raises(UnavailableError):
        metrics_command(file, as_json=False, prometheus=False)
    assert (
        "         2  token.missing                      canary (clinic)\n"
        in capsys.readouterr().out
    )
    show_applications(application_document(gate_refusals(path)))
    assert (
        "         2  token.missing                      canary (clinic)\n"
        in capsys.readouterr().out
    )

"""``watchword audit ingest``: what engines refused, read from their logs once, and explained afterwards."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.machine import patience
from tests.system.engines.nginx.rig import nginx_before_api
from tests.unit.engines.envoy.rig import (
    ROUTE_TABLE,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)

from watchword.adapters.engine_refusals import EngineRefusals, Position, PositionMovedError
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.cli.main import cli
from watchword.apps.engines.logs import ingestion
from watchword.apps.engines.logs.cli import ingest_command
from watchword.apps.engines.logs.commands import MOST_TOLD
from watchword.apps.engines.logs.formats import ENGINE_LOGS, LogLineError
from watchword.apps.engines.logs.ingestion import Ingestion, ingest
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Level, Proof

RUN = "from watchword.apps.cli.entry import run; run()"

CONFIG = """
version: 1
environment: lab
service: {issuer: http://127.0.0.1:1, listen: 127.0.0.1:1, state: state}
apps:
  clinic-ios: {platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios]
    routes: [{path: /**}]
"""


@dataclass
class Desk:
    """Hold a configuration, and run the command line over it."""

    directory: Path
    bad: list[Any] = field(default_factory=list)

    @property
    def kept(self) -> EngineRefusals:
        """Return what was read so far."""
        return EngineRefusals(self.directory / "state" / "engine-refusals.db")

    def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a command."""
        config = str(self.directory / "watchword.yaml")
        return CliRunner().invoke(cli, ["-c", config, *arguments], input=stdin)

    def ingest(self, *arguments: str, stdin: bytes = b"") -> dict[str, Any]:
        """Ingest one log, and return the tally."""
        done = self.run("audit", "ingest", "--json", *arguments, stdin=stdin)
        tally: dict[str, Any] = json.loads(done.stdout)
        assert done.exit_code == (1 if tally["bad"] else 0), done.output
        return tally

    def file(self, name: str, *written: bytes) -> str:
        """Write lines to a log, and return its path."""
        path = self.directory / name
        path.write_bytes(b"".join(line + b"\n" for line in written))
        return str(path)

    def counted(self) -> int:
        """Return how many refusals were counted."""
        return sum(count for *_, count in self.kept.counts())

    def has_counted(self, number: int) -> bool:
        """Tell whether so many were counted, while another process writes: a file that it holds right now is asked again later."""
        with suppress(PrivateFileError):
            return self.counted() == number
        return False


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a desk with nothing read yet."""
    (tmp_path / "watchword.yaml").write_text(CONFIG)
    return Desk(tmp_path)


def line(number: int = 0, **changes: Any) -> bytes:
    """Return a line of the common form."""
    members = {
        "time": "2026-11-27T18:54:29.302Z",
        "ref": f"13f2c53e-541d-47ae-a489-{number:012d}",
        "route": "/v1/**",
        "status": 401,
        "flags": "-",
        "details": "-",
        "reason": "token.expired",
        "method": "GET",
        "instance": None,
        "client": "192.0.2.1",
        "milliseconds": 1,
        **changes,
    }
    return json.dumps(members).encode()


@pytest.fixture(scope="module")
def envoys_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Have a real Envoy refuse requests; yield by what was wrong the line that it wrote, and its bytes."""
    directory = tmp_path_factory.mktemp("envoy")
    table = (
        *ROUTE_TABLE,
        route("/hard/**", level=Level.HARDWARE),
        route("/proof/**", proof=Proof.SESSION, methods=frozenset({"GET"})),
    )
    genuine = token()
    with envoy_before_api(directory, bundle_of(table), concurrency=1) as rig:
        asked: dict[str, Callable[[], object]] = {
            "missing": rig.send,
            "expired": lambda: rig.send(token=token(lives=-400)),
            "malformed": lambda: rig.send(token=b"abc"),
            "signature": lambda: rig.send(token=genuine[:-6] + b"AAAAAA"),
            "audience": lambda: rig.send(token=token(audience="https://other.example")),
            "issuer": lambda: rig.send(token=token(issuer="https://other.example")),
            "level": lambda: rig.send(b"/hard/x", token=token(level=Level.SOFTWARE)),
            "path": lambda: rig.send(b"/v1/../x", token=genuine),
            "unknown": lambda: rig.send(b"/nowhere", token=genuine),
            "method": lambda: rig.send(b"/v1/x", method=b"DELETE", token=genuine),
            "proof": lambda: rig.send(b"/proof/x", token=genuine),
            "twice": lambda: rig.send(b"/v1/x", b"DPoP: a", b"DPoP: b", token=genuine),
            "head": lambda: rig.send(b"/v1/x", b"X-Big: " + b"a" * 20_000),
            "garbage": lambda: rig.raw(b"\x1b[2Jgarbage\r\n\r\n"),
        }
        for number, send in enumerate(asked.values(), 1):
            send()
            until(lambda wanted=number: len(rig.log()) == wanted)  # type: ignore[misc]
        yield dict(zip(asked, rig.log(), strict=True))


def test_envoys_own_words_become_reasons(envoys_log: dict[str, dict[str, Any]]) -> None:
    """Each check of Envoy's own is told as the reason that the gate has for it."""
    found = {name: ENGINE_LOGS["envoy"](members) for name, members in envoys_log.items()}
    assert {name: each.reason for name, each in found.items() if each} == {
        "missing": Reason.TOKEN_MISSING,
        "expired": Reason.TOKEN_EXPIRED,
        "malformed": Reason.TOKEN_MALFORMED,
        "signature": Reason.TOKEN_SIGNATURE,
        "audience": Reason.TOKEN_AUDIENCE,
        "issuer": Reason.TOKEN_ISSUER,
        "level": Reason.GATE_LEVEL,
        "path": Reason.REQUEST_PATH_AMBIGUOUS,
        "unknown": Reason.GATE_ROUTE_UNKNOWN,
        "method": Reason.GATE_ROUTE_UNKNOWN,
        "proof": Reason.PROOF_MISSING,
        "twice": Reason.REQUEST_HEADER_DUPLICATED,
        "head": Reason.REQUEST_HEADERS_TOO_LARGE,
        "garbage": Reason.REQUEST_MALFORMED,
    }


def test_a_ref_of_envoys_is_explained(desk: Desk, envoys_log: dict[str, dict[str, Any]]) -> None:
    """After its log was read, the id that the client was told says route, reason and what to do; no service runs."""
    log = desk.file("access.log", *(json.dumps(each).encode() for each in envoys_log.values()))
    assert desk.ingest(log)["added"] == len(envoys_log)
    expired = envoys_log["expired"]
    done = desk.run("explain", expired["ref"])
    assert done.exit_code == 0
    assert "by /v1/** (envoy, HTTP 401)" in done.stdout
    assert "token.expired  (time, HTTP 401)" in done.stdout
    assert "The app renews" in " ".join(done.stdout.split())
    document = json.loads(desk.run("explain", "--json", expired["ref"]).stdout)
    assert document["reasons"][0]["reason"] == "token.expired"
    assert document["where"] == "/v1/**"


def test_a_ref_of_a_log_that_nobody_read_is_known_by_its_length(desk: Desk) -> None:
    """Whoever asks is told how its log is read; what is sealed is longer, and no log has it."""
    ref = "daa99f1e-0dd1-4557-890b-1ce870d97895"
    command = [
        sys.executable,
        str(Path(sys.executable).with_name("watchword")),
        "-c",
        str(desk.directory / "watchword.yaml"),
    ]
    told = [
        subprocess.run(
            [*command, "explain", asked], capture_output=True, text=True, check=False
        ).stderr
        for asked in (ref, ref * 6)
    ]
    assert ["watchword audit ingest --engine NAME LOG" in each for each in told] == [True, False]


def test_the_same_log_twice_adds_nothing(desk: Desk) -> None:
    """And one that grew adds the rest."""
    log = desk.file("access.log", line(1), line(2))
    assert (desk.ingest(log)["added"], desk.ingest(log)["lines"]) == (2, 0)
    with Path(log).open("ab") as file:
        file.write(line(3) + b"\n" + line(4)[:40])
    # The engine is in the middle of a line: it is left for the next run.
    assert desk.ingest(log)["added"] == 1
    with Path(log).open("ab") as file:
        file.write(line(4)[40:] + b"\n")
    assert desk.ingest(log)["added"] == 1
    assert desk.counted() == 4


def test_a_rotated_log_is_known_again(desk: Desk) -> None:
    """Renamed, and compressed later; the one that took its name is another."""
    log = Path(desk.file("access.log", line(1), line(2)))
    assert desk.ingest(str(log))["added"] == 2
    rotated = log.rename(log.with_name("access.log.1"))
    with rotated.open("ab") as file:
        file.write(line(3) + b"\n")
    desk.file("access.log", line(4))
    done = desk.run("audit", "ingest", "--json", str(rotated), str(log))
    assert [json.loads(each)["added"] for each in done.stdout.splitlines()] == [1, 1]
    packed = log.with_name("access.log.1.gz")
    packed.write_bytes(gzip.compress(rotated.read_bytes()))
    assert desk.ingest(str(packed))["lines"] == 0
    assert desk.counted() == 4


def test_a_log_that_was_cut_and_begins_anew(desk: Desk) -> None:
    """Emptied under its name (copytruncate), or another one with the same first line: nothing is missed or doubled."""
    log = desk.file("access.log", line(1), line(2), line(3))
    assert desk.ingest(log)["added"] == 3
    desk.file("access.log", line(4))
    assert desk.ingest(log)["added"] == 1
    desk.file("access.log", line(1), line(5), line(6), line(7))
    assert (tally := desk.ingest(log))["added"] == 3
    assert tally["known"] == 1
    assert desk.counted() == 7


def test_lines_over_a_pipe_are_known_by_themselves(desk: Desk) -> None:
    """A pipe has no position: what is kept isn't added again."""
    data = line(1) + b"\n" + line(2)
    assert desk.ingest("--engine", "nginx", "-", stdin=data)["added"] == 2
    tally = desk.ingest("--engine", "nginx", "-", stdin=data)
    assert (tally["added"], tally["known"]) == (0, 2)


def test_each_bad_line_is_told_and_counted(desk: Desk) -> None:
    """With file and number, without its content; the good ones around it are kept."""
    secret = b"eyJhbGciOi.secret-token"
    log = desk.file(
        "access.log",
        line(1),
        secret,
        b'{"time": "2026-11-27T18:54:29Z", "ref": "a", "status": 99}',
        b"x" * (ingestion.MAX_LINE_BYTES * 5),
        line(2, reason="no.such_reason"),
        line(3, ref="a\x1b[31m"),
        b"\xff\xfe",
        line(4),
    )
    done = desk.run("audit", "ingest", "--engine", "haproxy", log)
    assert done.exit_code == 1
    told = done.stderr.splitlines()
    assert [each.partition(": ")[0] for each in told] == [f"{log}:{n}" for n in range(2, 8)]
    assert "secret-token" not in done.output
    assert "Traceback" not in done.output
    assert "2 refusals added, 6 lines not understood" in done.stdout
    assert desk.ingest("--engine", "haproxy", log)["lines"] == 0


def test_a_flood_of_bad_lines_is_told_in_a_few(desk: Desk) -> None:
    """A log in another format says so some times, and how many lines it were."""
    log = desk.file("access.log", *([b'1.2.3.4 - - "GET /"'] * 3000))
    done = desk.run("audit", "ingest", "--engine", "nginx", log)
    assert len(done.stderr.splitlines()) == MOST_TOLD
    assert "3000 lines not understood" in done.stdout


def test_whose_log_it_is_has_to_be_known(desk: Desk) -> None:
    """Where the lines don't show it nothing is taken for read."""
    members = json.loads(line(1))
    del members["flags"]
    log = desk.file("access.log", json.dumps(members).encode())
    done = desk.run("audit", "ingest", log)
    assert isinstance(done.exception, LogLineError)
    assert "--engine" in str(done.exception)
    assert desk.ingest("--engine", "nginx", log)["added"] == 1


def test_what_a_stranger_wrote_reaches_no_terminal(desk: Desk) -> None:
    """Escape sequences and huge texts of a log are shown as text, and cut."""
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e" + "A" * 2000
    log = desk.file(
        "access.log",
        line(1, route=hostile, details=hostile, method=hostile, client=hostile, instance=hostile),
        line(2, reason=None, status=418, details=hostile),
    )
    assert desk.ingest(log)["added"] == 2
    for number in (1, 2):
        done = desk.run("explain", json.loads(line(number))["ref"])
        assert done.exit_code == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(done.output)
        assert len(done.output) < 5000


def test_the_apis_own_answers_are_no_refusals(desk: Desk) -> None:
    """What passed the gate and failed behind it isn't counted as refused."""
    log = desk.file(
        "access.log",
        line(1, reason=None, status=404, details="via_upstream"),
        line(
            2, reason=None, status=503, details="upstream_reset_before_response_started", flags="UC"
        ),
    )
    tally = desk.ingest(log)
    assert (tally["added"], tally["passed"]) == (1, 1)
    assert desk.kept.counts() == [("envoy", "gate.upstream", "/v1/**", 1)]


def test_requests_that_could_not_be_read_have_no_ref_and_no_time(desk: Desk) -> None:
    """HAProxy writes the same line for each: they are counted by where they stand, and once."""
    unread = line(0, ref="", time="", reason="", status=400, route="", details="PR--")
    notice = b"Proxy watchword stopped (cumulated conns: FE: 3, BE: 0)."
    log = desk.file("access.log", line(1), unread, unread, notice, unread)
    tally = desk.ingest("--engine", "haproxy", log)
    assert (tally["added"], tally["passed"]) == (4, 1)
    assert desk.ingest("--engine", "haproxy", log)["lines"] == 0
    latest = {each.refusal.reason: each.refusal.at for each in desk.kept.latest(1)}
    assert latest[Reason.REQUEST_MALFORMED] == latest[Reason.TOKEN_EXPIRED]


def test_nginxs_real_log(desk: Desk, tmp_path: Path) -> None:
    """What nginx itself refuses and what its script does is read as it stands, also of an answer of the API's."""
    directory = tmp_path / "nginx"
    directory.mkdir()
    with nginx_before_api(directory, bundle_of(ROUTE_TABLE), workers=1) as rig:
        refused = [
            rig.send(),
            rig.send(b"/v1/../x", token=token()),
            rig.send(b"/v1/x", b"X-Big: " + b"a" * 30_000),
        ]
        reasons = [rig.reason(answer) for answer in refused]
    assert desk.ingest("--engine", "nginx", rig.options.access_log)["added"] == len(refused)
    for answer, reason in zip(refused, reasons, strict=True):
        found = desk.kept.find(answer.problem["ref"])
        assert found is not None
        assert found.refusal.reason is not None
        assert (found.refusal.reason.code, found.refusal.status) == (reason, answer.status)


def test_caddys_own_log(desk: Desk) -> None:
    """Refusals that Caddy passed on, and answers in place of servers that are away; no field of a request is kept."""
    request = {
        "remote_ip": "192.0.2.7",
        "method": "GET",
        "uri": "/v1/x?card=4111",
        "headers": {"Watchword-Token": ["eyJ-a-token"]},
    }
    base = {"ts": 1795805671.49, "request": request, "duration": 0.0125}
    sealed = "s" * 224
    problem = {"Content-Type": ["application/problem+json"], "Watchword-Ref": [sealed]}
    log = desk.file(
        "caddy.log",
        json.dumps({**base, "status": 401, "resp_headers": problem}).encode(),
        json.dumps({**base, "status": 502, "resp_headers": {"Server": ["Caddy"]}}).encode(),
        json.dumps({**base, "status": 404, "resp_headers": {}}).encode(),
        json.dumps({**base, "status": 200}).encode(),
    )
    tally = desk.ingest(log)
    assert (tally["engine"], tally["added"], tally["passed"]) == ("caddy", 2, 2)
    found = desk.kept.find(sealed)
    assert found is not None
    # Its reason is sealed in the reference; of what Caddy answers by itself it is known.
    assert found.refusal.reason is None
    assert ("caddy", "gate.upstream", "", 1) in desk.kept.counts()
    assert (found.refusal.status, found.refusal.client, found.refusal.milliseconds) == (
        401,
        "192.0.2.7",
        12,
    )
    data = (desk.directory / "state" / "engine-refusals.db").read_bytes()
    assert b"eyJ-a-token" not in data
    assert b"4111" not in data


def test_traefiks_own_log(desk: Desk) -> None:
    """Refusals that Traefik passed on, and its answers in place of who is away; an API's own errors are none."""
    base = {
        "StartUTC": "2026-11-28T02:18:00.581202011Z",
        "RequestMethod": "GET",
        "ClientHost": "192.0.2.7",
        "Duration": 12_500_000,
        "OriginStatus": 0,
    }
    sealed = "s" * 224
    log = desk.file(
        "traefik.log",
        json.dumps({**base, "DownstreamStatus": 401, "downstream_Watchword-Ref": sealed}).encode(),
        json.dumps({**base, "DownstreamStatus": 502, "OriginStatus": 502}).encode(),
        json.dumps({**base, "DownstreamStatus": 500}).encode(),
        json.dumps({**base, "DownstreamStatus": 500, "OriginStatus": 500}).encode(),
        json.dumps({**base, "DownstreamStatus": 404, "OriginStatus": 404}).encode(),
        json.dumps({**base, "DownstreamStatus": 200, "Duration": "long"}).encode(),
    )
    tally = desk.ingest(log)
    assert (tally["engine"], tally["added"], tally["passed"]) == ("traefik", 3, 3)
    found = desk.kept.find(sealed)
    assert found is not None
    assert found.refusal.reason is None
    assert (found.refusal.client, found.refusal.milliseconds) == ("192.0.2.7", 12)
    counts = desk.kept.counts()
    assert ("traefik", "gate.upstream", "", 1) in counts
    assert ("traefik", "gate.state_unavailable", "", 1) in counts


def test_a_flood_pushes_out_nothing_rare(desk: Desk) -> None:
    """All are counted; of each reason the latest stay, and routes beyond the bound are one."""
    kept = EngineRefusals(desk.directory / "kept" / "kept.db", kept=10, routes=5)
    rare = line(0, reason="token.signature")
    flood = [line(number, route=f"/{number % 50}/**") for number in range(1, 1500)]
    log = Path(desk.file("access.log", rare, *flood))
    assert ingest(kept, log, "envoy", desk.bad.append).added == 1500
    assert sum(count for *_, count in kept.counts()) == 1500
    assert len({where for _, _, where, _ in kept.counts()}) == 6
    assert kept.find(json.loads(rare)["ref"]) is not None
    assert kept.find(json.loads(flood[-1])["ref"]) is not None
    assert kept.find(json.loads(flood[0])["ref"]) is None
    assert len(kept.latest(1000)) == 11


def test_a_run_has_an_end(desk: Desk) -> None:
    """More lines than one run takes are left for the next one."""
    log = Path(desk.file("access.log", *(line(number) for number in range(7))))
    sizes = []
    while (tally := ingest(desk.kept, log, "envoy", desk.bad.append, most=3)).rest:
        sizes.append(tally.added)
    assert [*sizes, tally.added] == [3, 3, 1]


def test_two_that_read_one_log_count_nothing_twice(desk: Desk) -> None:
    """The second is told, and what it read isn't added."""
    log = Path(desk.file("access.log", line(1)))
    first = Ingestion(desk.kept, log, "envoy", desk.bad.append, grows=True)
    second = Ingestion(desk.kept, log, "envoy", desk.bad.append, grows=True)
    first.read()
    second.read()
    with log.open("ab") as file:
        file.write(line(2) + b"\n")
    first.read()
    with pytest.raises(PositionMovedError):
        second.read()
    first.close()
    second.close()
    assert desk.counted() == 2


def test_two_that_begin_at_once_count_nothing_twice(desk: Desk) -> None:
    """Also where the first is far ahead by then, and the lines that it read aren't kept any more."""
    log = Path(desk.file("access.log", *(line(number) for number in range(7))))
    few = EngineRefusals(desk.directory / "state" / "engine-refusals.db", kept=2)
    behind = Ingestion(few, log, "envoy", desk.bad.append)
    behind.read(0)
    ingest(few, log, "envoy", desk.bad.append)
    with pytest.raises(PositionMovedError):
        behind.read()
    behind.close()
    assert desk.counted() == 7


def test_lines_in_the_old_log_after_its_rotation_are_read(desk: Desk) -> None:
    """The engine writes there until it is told: the new file is there before."""
    log = Path(desk.file("access.log", line(1)))
    following = Ingestion(desk.kept, log, "envoy", desk.bad.append, grows=True)
    following.read()
    old = log.rename(log.with_name("access.log.1"))
    log.touch()
    following.read()
    with old.open("ab") as file:
        file.write(line(2) + b"\n")
    following.read()
    assert desk.counted() == 2
    desk.file("access.log", line(3))
    following.read()
    following.close()
    assert (desk.counted(), following.tally.added) == (3, 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("named", [False, True])
def test_following_a_pipe_that_says_nothing_ends_at_a_signal(
    desk: Desk, number: signal.Signals, named: bool
) -> None:
    """Else only its writer could end it; what came before is kept and told."""
    name = desk.directory / "pipe"
    os.mkfifo(name)
    reading = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(name, os.O_WRONLY)
    os.set_blocking(reading, True)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", RUN, "-c", str(desk.directory / "watchword.yaml")),
            *("audit", "ingest", "--engine", "envoy", "--json", "--follow"),
            str(name) if named else "-",
        ],
        stdin=subprocess.DEVNULL if named else reading,
        stdout=subprocess.PIPE,
    )
    try:
        os.write(writing, line(1) + b"\n")
        until(lambda: desk.has_counted(1))
        process.send_signal(number)
        out, _ = process.communicate(timeout=patience(20))
    finally:
        process.kill()
        os.close(reading)
        os.close(writing)
    assert process.returncode == 0
    assert json.loads(out)["lines"] == 1


def test_following_goes_on_over_a_rotation(desk: Desk) -> None:
    """Lines are there soon after the engine wrote them, also those of the log that took the name."""
    log = Path(desk.file("access.log", line(1)))
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", RUN, "-c", str(desk.directory / "watchword.yaml")),
            *("audit", "ingest", "--json", "--follow", str(log)),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        until(lambda: desk.has_counted(1))
        with log.open("ab") as file:
            file.write(line(2) + b"\n")
        until(lambda: desk.has_counted(2))
        log.rename(log.with_name("access.log.1"))
        desk.file("access.log", line(3))
        until(lambda: desk.has_counted(3))
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=patience(20))
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(out)["added"] == 3


def test_damaged_and_missing_logs_are_told(desk: Desk) -> None:
    """What was read before the damage is kept; a log that isn't there is wrong usage."""
    packed = gzip.compress(b"".join(line(number) + b"\n" for number in range(2000)))
    log = desk.directory / "access.log.1.gz"
    log.write_bytes(packed[: len(packed) // 2])
    done = desk.run("audit", "ingest", "--engine", "envoy", str(log))
    assert isinstance(done.exception, ingestion.LogFileError)
    assert "is compressed and damaged" in str(done.exception)
    assert desk.counted() > 0
    assert desk.run("audit", "ingest", str(desk.directory / "none.log")).exit_code == 2


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = [*json.loads(line()), "ts", "request", "resp_headers", "duration"]


@settings(max_examples=300, deadline=None)
@given(
    engine=st.sampled_from(list(ENGINE_LOGS)),
    changes=st.dictionaries(st.sampled_from(NAMES), values),
)
def test_any_members_are_read_or_refused(engine: str, changes: dict[str, Any]) -> None:
    """No member of any kind raises anything else, and what is kept is small."""
    members = {**json.loads(line()), **changes}
    try:
        found = ENGINE_LOGS[engine](members)
    except LogLineError as error:
        assert len(str(error)) < 200  # noqa: PT017 - both ends are right.
        return
    if found is not None:
        kept = (found.ref, found.route, found.details, found.method, found.instance, found.client)
        assert max(map(len, kept)) <= 200


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.binary(max_size=60) | st.just(line()) | st.just(b"\n"), max_size=12))
def test_any_bytes_are_a_log(data: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each complete line is counted once, whatever it is, and a second run finds nothing new."""
    directory = tmp_path_factory.mktemp("log")
    log, kept = directory / "log", EngineRefusals(directory / "kept" / "kept.db")
    raw = b"\n".join(data)
    if raw.startswith(b"\x1f\x8b"):
        return
    log.write_bytes(raw)
    bad: list[Any] = []
    tally = ingest(kept, log, "envoy", bad.append)
    assert tally.lines == raw.count(b"\n")
    assert tally.lines == tally.added + tally.known + tally.passed + tally.bad
    assert tally.bad == len(bad)
    assert ingest(kept, log, "envoy", bad.append).lines == 0


def test_a_line_is_read_strictly() -> None:
    """A member that occurs twice could be read in two ways."""
    with pytest.raises(MalformedError):
        strict_json.loads(b'{"ref": "a", "ref": "b"}', 100)


def test_every_engine_can_be_named() -> None:
    """The command offers what can be read."""
    (option,) = (each for each in ingest_command.params if each.name == "engine")
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == set(ENGINE_LOGS)


def test_nothing_is_kept_where_nothing_was_read(desk: Desk) -> None:
    """Looking makes no file."""
    assert desk.kept.find("a") is None
    assert desk.kept.position("envoy", b"head") == Position(b"head")
    assert not (desk.directory / "state").exists()

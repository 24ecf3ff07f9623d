"""Hand out pins by the service, and take reports of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.adapters.published_pins.workspaces import Bench
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_service import described
from tests.unit.enrolment.simulators import SimulatedPhone
from tests.unit.pins.builders import APP, HOST, NOW, builtin, certificate, pem, roots, spki

from watchword.adapters.pin_reports import AT_ONCE
from watchword.apps.service.openapi import DOCUMENT
from watchword.client.pinning import HttpPinSource, PinUpdater
from watchword.gate.references import open_reference
from watchword.pins.installed import DAY
from watchword.pins.interface import Basis, read_pin
from watchword.pins.reports import MAX_REPORT_BYTES, PinReport, write_report
from watchword.pins.sets import read_set
from watchword.reasons import Reason

JSON = {"content-type": "application/json"}
PATH = f"/v1/pins/{APP}"
REPORT = PinReport(APP, "1.0", HOST, 1, Basis.PINS, True, True, (spki("M"), spki("CA")), 5)
BODY = write_report(REPORT)


@pytest.fixture
def pins(tmp_path: Path) -> Bench:
    """Return a workspace with a root list and a set."""
    made = Bench(tmp_path)
    made.roots()
    made.publish(1)
    return made


@pytest.fixture
def bench(tmp_path: Path, pins: Bench) -> Iterator[ServiceBench]:
    """Return a service that follows the workspace."""
    followed = pins.started()
    made = service_bench(tmp_path / "state", pins=followed)
    followed.refresh(made.clock.timestamp())
    yield made
    made.store.close()


@pytest.fixture(autouse=True)
def state(tmp_path: Path) -> None:
    """Make the state directory."""
    (tmp_path / "state").mkdir(mode=0o700)


def get(bench: ServiceBench, path: str, **headers: str) -> httpx.Response:
    """Ask the public listener."""
    return bench.run(lambda call: call.public.get(path, headers=headers))


def post(
    bench: ServiceBench, content: bytes, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Send a report."""
    sent = JSON if headers is None else headers
    return bench.run(
        lambda call: call.public.post("/v1/pins/reports", content=content, headers=sent)
    )


def operator(bench: ServiceBench, path: str) -> Any:
    """Ask the operator's listener."""
    return bench.run(lambda call: call.operator.get(path)).json()


def metrics(bench: ServiceBench) -> list[str]:
    """Return the lines of a scrape that are about pins."""
    text = bench.run(lambda call: call.operator.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith("watchword_service_pin")]


def reason_in(bench: ServiceBench, answer: httpx.Response) -> Reason:
    """Open the reference of a refusal."""
    return open_reference(answer.json()["ref"], bench.keyring.ring.reference_key).reasons[0]


def test_newest_set_is_handed_out(bench: ServiceBench) -> None:
    """The set as it was signed, with a tag, and for a short time in caches."""
    answer = get(bench, PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "application/watchword-pins+jwt",
    )
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert read_set(answer.content, roots()).version == 1
    head = bench.run(lambda call: call.public.head(PATH))
    assert (head.status_code, head.headers["etag"]) == (200, answer.headers["etag"])


@pytest.mark.parametrize("form", ["{}", "W/{}", '"a", {}, "b"', "*"])
def test_who_has_it_gets_304(bench: ServiceBench, form: str) -> None:
    """Every form that If-None-Match has (RFC 9110 section 13.1.2)."""
    tag = get(bench, PATH).headers["etag"]
    answer = get(bench, PATH, **{"if-none-match": form.format(tag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    # A length of 0 would be one of the whole set, to a cache that takes it over.
    assert not {"content-type", "content-length"} & set(answer.headers)


@pytest.mark.parametrize("form", ['""', '"1"', "nonsense", '"' + "0" * 32 + '"', "\xff"])
def test_who_has_another_gets_it(bench: ServiceBench, form: str) -> None:
    """A tag that isn't the set's is no reason to keep it back."""
    answer = bench.run(
        lambda call: call.public.get(PATH, headers={b"if-none-match": form.encode("latin-1")})
    )
    assert answer.status_code == 200


def test_root_list_is_handed_out(bench: ServiceBench, pins: Bench) -> None:
    """A list by its version, as it was signed; it leads an app on."""
    answer = get(bench, f"{PATH}/roots/1")
    assert answer.headers["content-type"] == "application/jose+json"
    assert answer.content == pins.workspace.read_roots(1)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/pins/clinic-ios",
        "/v1/pins/nobody",
        "/v1/pins/" + "a" * 65,
        "/v1/pins/..%2fstate",
        "/v1/pins/a.b",
        f"{PATH}/roots/2",
        f"{PATH}/roots/0",
        f"{PATH}/roots/01",
        f"{PATH}/roots/-1",
        f"{PATH}/roots/x",
        f"{PATH}/roots/" + "9" * 20,
        "/v1/pins/nobody/roots/1",
    ],
)
def test_what_isnt_there_is_not_found(bench: ServiceBench, path: str) -> None:
    """Nothing of a path reaches the disk; a 404 isn't kept by caches."""
    answer = get(bench, path)
    assert answer.status_code in {400, 404}
    assert answer.headers["cache-control"] == "no-store"
    assert reason_in(bench, answer) in {Reason.REQUEST_NOT_FOUND, Reason.REQUEST_PATH_AMBIGUOUS}


def test_running_service_follows_within_a_second(bench: ServiceBench, pins: Bench) -> None:
    """A set that is published while the service runs is handed out at once; the phone hears of it beside its token."""
    phone = SimulatedPhone(APP)

    async def way(call: Caller) -> list[Any]:
        await bench.service.start()
        first = await call.enrol(phone)
        pins.publish(2)
        periodic_tasks = [
            each for each in bench.service.scheduler.periodic_tasks if each.name == "pins"
        ]
        for task in periodic_tasks:
            await task.work()
        second = (await call.renew(phone, first["instance"])).json()
        other = await call.enrol(SimulatedPhone("clinic-ios"))
        await bench.service.stop()
        return [periodic_tasks[0].pause, first["pins"], second["pins"], "pins" in other]

    pause, *told = bench.run(way)
    assert told == [1, 2, False]
    assert pause <= 0.5


def test_client_takes_what_the_service_hands_out(bench: ServiceBench, pins: Bench) -> None:
    """The pinning client fetches lists and set over these endpoints, and asks by tag the second time."""
    pins.roots(2)
    pins.publish(4, root_version=2)
    bench.service.context.pins.refresh(NOW)  # type: ignore[attr-defined]
    answers: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        answer = bench.run(
            lambda call: call.public.get(request.url.path, headers=dict(request.headers))
        )
        answers.append(answer.status_code)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    source = HttpPinSource(
        "https://watchword.example",
        APP,
        monotonic=lambda: 0.0,
        transport=httpx.MockTransport(handle),
    )
    updater = PinUpdater(builtin(), source, clock=lambda: float(NOW), jitter=lambda: 0.5)
    first, second = updater.update(), updater.update()
    source.close()
    assert first is not None
    assert second is not None
    assert (first.changed, first.fault, second.changed, second.fault) == (True, "", False, "")
    assert updater.keeper.installed.seen == 4
    assert answers == [200, 404, 200, 404, 304]


def test_older_store_is_told_everywhere_and_weakens_nothing(
    bench: ServiceBench, pins: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Health, metrics, the operator's view and the log have it; phones get the newest as before."""
    copy = pins.copied()
    pins.publish(2)
    followed = bench.service.context.pins
    followed.refresh(NOW)  # type: ignore[attr-defined]
    assert get(bench, "/healthz").json() == {"status": "ok"}
    pins.put_back(copy)
    followed.refresh(NOW + 60)  # type: ignore[attr-defined]
    assert read_set(get(bench, PATH).content, roots()).version == 2
    answer = get(bench, "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "pins": "fault"})
    assert f'watchword_service_pins_fault{{app="{APP}"}} 1.0' in metrics(bench)
    assert "got version 1, expected 2" in operator(bench, "/v1/pins")["faults"][APP]
    assert "pins not followed" in capsys.readouterr().out


def test_metrics_tell_versions_and_expiries(bench: ServiceBench) -> None:
    """What an alert needs: seconds to each expiry, of sets and of the root list."""
    post(bench, BODY)
    now = bench.clock.timestamp()
    lines = metrics(bench)
    label = f'{{app="{APP}"}}'
    assert f"watchword_service_pins_set_version{label} 1.0" in lines
    values = {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines}
    assert values[f"watchword_service_pins_soft_expiry_seconds{label}"] == NOW + 14 * DAY - now
    assert values[f"watchword_service_pins_hard_expiry_seconds{label}"] == NOW + 90 * DAY - now
    assert values["watchword_service_pins_roots_expiry_seconds"] == NOW + 1000 * DAY - now
    assert values[f"watchword_service_pins_fault{label}"] == 0
    counted = f'watchword_service_pin_reports_total{{app="{APP}",host="{HOST}",mismatch="true"}}'
    assert values[counted] == 1


def test_reports_are_grouped_for_the_operator(bench: ServiceBench) -> None:
    """Both forms are taken; a key that is pinned is told from one that nobody knows."""
    trustkit = {
        "app-bundle-id": "example.clinic",
        "app-version": "2.1",
        "hostname": HOST,
        "date-time": "2026-11-24T12:00:00Z",
        "enforce-pinning": True,
        "validation-result": 1,
        "validated-certificate-chain": [pem(certificate(of="A")).decode()],
    }
    own = [
        post(bench, BODY),
        post(bench, BODY),
        post(
            bench,
            write_report(PinReport(APP, "1.0", HOST, 1, Basis.PINS, True, True, (spki("B"),), 5)),
        ),
    ]
    foreign = post(bench, json.dumps(trustkit).encode())
    assert {each.status_code for each in (*own, foreign)} == {204}
    assert foreign.content == b""
    found = operator(bench, "/v1/pins/reports")
    assert (found["unknown"], found["dropped"]) == (0, 0)
    assert [(each["count"], each["pinned_as"]) for each in found["groups"]] == [
        (2, None),
        (1, "backup"),
        (1, None),
    ]
    first = found["groups"][0]
    assert (first["app"], first["host"], first["mismatch"], first["refused"]) == (
        APP,
        HOST,
        True,
        2,
    )
    assert read_pin(first["leaf"]) == spki("M")
    assert found["groups"][2]["app_versions"] == ["2.1"]


def test_unknown_host_is_answered_alike(bench: ServiceBench) -> None:
    """Nobody learns by reports which hosts are pinned."""
    other = write_report(PinReport("nobody", "1", "x.example", 1, Basis.PINS, True, True, (), 5))
    known, unknown = post(bench, BODY), post(bench, other)
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert operator(bench, "/v1/pins/reports")["unknown"] == 1


CHAIN = [pem(certificate()).decode()] * 13


@pytest.mark.parametrize(
    ("content", "headers", "status", "reason"),
    [
        (BODY, {}, 415, Reason.REQUEST_MEDIA_TYPE),
        (BODY, {"content-type": "text/plain"}, 415, Reason.REQUEST_MEDIA_TYPE),
        (BODY, JSON | {"content-encoding": "gzip"}, 415, Reason.REQUEST_MEDIA_TYPE),
        (b"", JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (b"{}", JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (b"[]", JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (b"\xff\xfe", JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (b'{"a":' * 5000, JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (BODY[:-1] + b',"more":1}', JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (BODY.replace(b'"set":1', b'"set":-1'), JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (BODY.replace(b"api.example", b"API_example"), JSON, 400, Reason.PINS_REPORT_MALFORMED),
        (
            json.dumps({"validated-certificate-chain": CHAIN}).encode(),
            JSON,
            400,
            Reason.PINS_REPORT_MALFORMED,
        ),
        (b" " * (MAX_REPORT_BYTES + 1), JSON, 413, Reason.REQUEST_BODY_TOO_LARGE),
        (b" " * (64 * 1024 + 1), JSON, 413, Reason.REQUEST_BODY_TOO_LARGE),
    ],
)
def test_bad_report_is_refused(
    bench: ServiceBench, content: bytes, headers: dict[str, str], status: int, reason: Reason
) -> None:
    """Whatever isn't a report is told so, and counted nowhere else."""
    answer = post(bench, content, headers)
    assert answer.status_code == status
    assert reason_in(bench, answer) is reason
    found = operator(bench, "/v1/pins/reports")
    assert (found["groups"], found["unknown"]) == ([], 0)


def test_flood_of_reports_is_turned_away(bench: ServiceBench) -> None:
    """Beyond its measure reports get a 503 before they are parsed, and all else goes on."""

    async def flood(call: Caller) -> list[httpx.Response]:
        answers = [
            await call.public.post("/v1/pins/reports", content=BODY, headers=JSON)
            for _ in range(int(AT_ONCE) + 5)
        ]
        return [*answers, await call.public.get(PATH)]

    *answers, after = bench.run(flood)
    assert [each.status_code for each in answers[-5:]] == [503] * 5
    assert answers[-1].headers["retry-after"] == "60"
    assert reason_in(bench, answers[-1]) is Reason.SERVICE_OVERLOADED
    assert after.status_code == 200
    found = operator(bench, "/v1/pins/reports")
    assert (found["groups"][0]["count"], found["dropped"]) == (AT_ONCE, 5)
    assert 'watchword_service_pin_reports_uncounted_total{why="too_many"} 5.0' in metrics(bench)


def test_deployment_without_pins_has_none(tmp_path: Path) -> None:
    """Where no host is pinned there are no pins, no reports and no metrics of them."""
    bench = service_bench(tmp_path / "state")
    answers = [get(bench, PATH), get(bench, f"{PATH}/roots/1"), post(bench, BODY)]
    assert [each.status_code for each in answers] == [404] * 3
    assert operator(bench, "/v1/pins") == {"roots": None, "apps": [], "faults": {}}
    assert metrics(bench) == []
    assert get(bench, "/healthz").json() == {"status": "ok"}
    bench.store.close()


def test_operator_sees_what_is_handed_out(bench: ServiceBench) -> None:
    """By app: version, key, expiries, hosts with their mode."""
    found = operator(bench, "/v1/pins")
    assert found["roots"]["version"] == 1
    (app,) = found["apps"]
    assert (app["app"], app["version"], app["hosts"]) == (APP, 1, {HOST: "enforce"})


def test_description_of_pins_is_true(bench: ServiceBench) -> None:
    """Real answers have the described status, media type and members; both forms of a report are described."""
    paths = {
        "/v1/pins/{app}": get(bench, PATH),
        "/v1/pins/{app}/roots/{version}": get(bench, f"{PATH}/roots/1"),
    }
    for path, answer in paths.items():
        content = DOCUMENT["paths"][path]["get"]["responses"][str(answer.status_code)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        described(answer.json() if "roots" in path else answer.text, schema)
    responses = DOCUMENT["paths"]["/v1/pins/reports"]["post"]["responses"]
    assert str(post(bench, BODY).status_code) in responses
    own = DOCUMENT["components"]["schemas"]["OwnPinReport"]
    assert json.loads(BODY).keys() == set(own["required"])
    health = DOCUMENT["components"]["schemas"]["Health"]
    described({"status": "ok", "pins": "fault"}, health)

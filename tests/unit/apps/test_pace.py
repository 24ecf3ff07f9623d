"""Show that a service whose enrolments are paced tells phones when to come, and what its operator sees of them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import NOW, MovableClock, SeededEntropy, SimulatedPhone

from watchword.adapters.pace_file import PaceFile
from watchword.apps.compose.vendors import HeardFetcher, heard_for
from watchword.apps.service.background import keep_pace
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE
from watchword.encoding import base64url
from watchword.enrolment.pace import Pace, PaceRates, PlaceSeal
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import Reason, UnavailableError
from watchword.vocabulary import Purpose

SLOW = PaceRates(0.2, 0.2, 0.0)
"""One in five seconds: two at once, then a line."""

APP = "clinic-ios"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Hold a paced service."""
    made = service_bench(tmp_path, pace=SLOW)
    yield made
    made.store.close()


async def ask(
    caller: Caller, place: str | None = None, app: str = APP, purpose: str = "enrol"
) -> httpx.Response:
    """Ask for a challenge, with a place or without."""
    brought = {} if place is None else {"place": place}
    return await caller.public.post(
        "/v1/challenges", json={"app": app, "purpose": purpose, **brought}
    )


async def waiting(caller: Caller) -> httpx.Response:
    """Ask until somebody has to wait; return that one's answer."""
    while (answer := await ask(caller)).status_code == 200:
        pass
    return answer


async def come_back(bench: ServiceBench, caller: Caller, answer: httpx.Response) -> bytes:
    """Come back whenever it is told; return the challenge."""
    while answer.status_code == 503:
        bench.clock.advance(int(answer.headers["retry-after"]))
        answer = await ask(caller, answer.json()["place"])
    return base64url.decode(answer.json()["challenge"])


def test_whoever_comes_before_his_turn_is_told_when(bench: ServiceBench) -> None:
    """503 with ``Retry-After`` and a place; with it there is a challenge that enrols."""

    async def scenario(caller: Caller) -> None:
        later = await waiting(caller)
        assert later.status_code == 503
        assert later.headers["content-type"] == "application/problem+json"
        document = later.json()
        assert document.keys() == {"type", "title", "status", "now", "place", "ref"}
        assert document["type"] == "urn:watchword:problem:unavailable"
        assert len(document["place"]) == 88
        assert 1 <= int(later.headers["retry-after"]) <= 30
        behind = await ask(caller)
        assert int(behind.headers["retry-after"]) > int(later.headers["retry-after"])
        phone = SimulatedPhone()
        challenge = await come_back(bench, caller, later)
        assert (await caller.attest(phone, challenge)).status_code == 201

    bench.run(scenario)
    assert bench.log.counts()[Reason.ENROLMENT_LATER, "POST /v1/challenges"] >= 2


def test_nobody_who_is_enrolled_waits(bench: ServiceBench) -> None:
    """Renewals and secrets have their challenges at once, and a renewal brings no place."""

    async def scenario(caller: Caller) -> None:
        phone = SimulatedPhone()
        enrolled = await caller.enrol(phone)
        await waiting(caller)
        for purpose in (Purpose.RENEW, Purpose.SECRET):
            assert (await ask(caller, purpose=purpose.value)).status_code == 200
        assert (await caller.renew(phone, enrolled["instance"])).status_code == 200

    bench.run(scenario)


@pytest.mark.parametrize("place", ["", 7, None, ["x"], "x" * 129])
def test_what_no_client_sends_is_malformed(bench: ServiceBench, place: object) -> None:
    """A place is text of 1 to 128 characters, paced or not."""

    async def scenario(caller: Caller) -> int:
        body = {"app": APP, "purpose": "enrol", "place": place}
        return (await caller.public.post("/v1/challenges", json=body)).status_code

    assert bench.run(scenario) == 400


def test_a_place_is_no_error_where_nothing_is_paced(tmp_path: Path) -> None:
    """The pace may be switched off while phones hold places; whatever they bring then, they are let in."""
    bench = service_bench(tmp_path)

    async def scenario(caller: Caller) -> list[int]:
        return [(await ask(caller, place)).status_code for place in ("x", "A" * 88, None)]

    assert bench.run(scenario) == [200, 200, 200]
    bench.store.close()


def test_a_copied_place_enrols_no_crowd(bench: ServiceBench) -> None:
    """Four phones at most get in by one place, however often they ask; the store sees to it."""

    async def scenario(caller: Caller) -> tuple[list[int], int]:
        later = await waiting(caller)
        await come_back(bench, caller, later)
        statuses = []
        for _ in range(60):
            answer = await ask(caller, later.json()["place"])
            assert answer.status_code == 200
            challenge = base64url.decode(answer.json()["challenge"])
            statuses.append((await caller.attest(SimulatedPhone(), challenge)).status_code)
        other = await waiting(caller)
        challenge = await come_back(bench, caller, other)
        return statuses, (await caller.attest(SimulatedPhone(), challenge)).status_code

    statuses, other = bench.run(scenario)
    assert statuses.count(201) == 4
    assert set(statuses) == {201, 409}
    assert other == 201


def test_a_phone_whose_answer_was_lost_gets_another_try(bench: ServiceBench) -> None:
    """Its place is good for a second enrolment, so that it needn't wait anew."""

    async def scenario(caller: Caller) -> int:
        later = await waiting(caller)
        challenge = await come_back(bench, caller, later)
        await caller.attest(SimulatedPhone(), challenge)
        for _ in range(20):
            answer = await ask(caller, later.json()["place"])
            again = base64url.decode(answer.json()["challenge"])
            status = (await caller.attest(SimulatedPhone(), again)).status_code
            if status == 201:
                return status
        return 0

    assert bench.run(scenario) == 201


def test_a_flood_of_challenges_writes_nothing_and_lets_the_waiting_in(bench: ServiceBench) -> None:
    """600 asks without a place, and forged ones: who waits is let in when it was told, or soon after."""

    async def scenario(caller: Caller) -> None:
        later = await waiting(caller)
        begun = bench.clock.timestamp()
        for number in range(600):
            forged = later.json()["place"][:-4] + f"{number:04d}"
            assert (await ask(caller, forged if number % 2 else None)).status_code == 503
        assert (await bench.store.extent())[0] == 0
        await come_back(bench, caller, later)
        assert bench.clock.timestamp() - begun <= 60

    bench.run(scenario)


def test_a_jump_of_the_clock_takes_no_place(tmp_path: Path) -> None:
    """Nothing is given out by a wrong clock; the place is as good afterwards."""
    steady = MovableClock()
    bench = service_bench(tmp_path, pace=SLOW, steady=steady.timestamp)

    async def scenario(caller: Caller) -> None:
        later = await waiting(caller)
        bench.clock.advance(5 * 86400)
        jumped = await ask(caller, later.json()["place"])
        assert jumped.status_code == 503
        assert "place" not in jumped.json()
        bench.clock.at = NOW
        bench.clock.advance(30)
        steady.advance(30)
        assert (await ask(caller, later.json()["place"])).status_code == 200

    bench.run(scenario)
    assert bench.log.counts()[Reason.SERVICE_CLOCK, "POST /v1/challenges"] == 1
    bench.store.close()


def test_a_restart_goes_on_with_the_line(tmp_path: Path) -> None:
    """Who came before it is served before who comes after it, by numbers that a file of the state keeps."""
    bench = service_bench(tmp_path, pace=SLOW)

    async def first(caller: Caller) -> list[str]:
        await waiting(caller)
        places = [(await ask(caller)).json()["place"] for _ in range(5)]
        await keep_pace(bench.service.context)
        return places

    places = bench.run(first)
    bench.store.close()
    assert PaceFile(tmp_path / "pace.json").read()[APP].lines[0].issued == 6
    again = service_bench(tmp_path, pace=SLOW)

    async def second(caller: Caller) -> None:
        after_it = await ask(caller)
        assert after_it.status_code == 503
        again.clock.advance(31)
        assert (await ask(caller, after_it.json()["place"])).status_code == 503
        assert (await ask(caller, places[0])).status_code == 200

    again.run(second)
    again.store.close()


def test_the_operator_sees_the_line(bench: ServiceBench) -> None:
    """By app: the pace, who waits and for how long, and what became of asks; in metrics too."""

    async def scenario(caller: Caller) -> tuple[httpx.Response, str]:
        for _ in range(20):
            await ask(caller)
        shown = await caller.operator.get("/v1/pace")
        return shown, (await caller.operator.get("/metrics")).text

    shown, metrics = bench.run(scenario)
    by_app = {each["app"]: each for each in shown.json()["apps"]}
    assert by_app.keys() == {"clinic-ios", "clinic-android"}
    clinic = by_app[APP]
    assert (clinic["rate"], clinic["floor"], clinic["most"]) == (0.2, 0.2, 0.2)
    assert clinic["waiting"] == 20 - clinic["outcomes"]["at_once"]
    assert clinic["wait"] >= 5 * clinic["waiting"]
    assert not clinic["held"]
    lines = metrics.splitlines()
    assert f'watchword_enrolment_waiting{{app="{APP}",line="first"}} {clinic["waiting"]}.0' in lines
    assert f'watchword_enrolment_pace{{app="{APP}"}} 0.2' in lines
    assert f'watchword_enrolment_pace_held{{app="{APP}"}} 0.0' in lines
    later = clinic["outcomes"]["later"]
    assert f'watchword_enrolment_places_total{{app="{APP}",outcome="later"}} {later}.0' in lines


def test_nothing_is_shown_where_nothing_is_paced(tmp_path: Path) -> None:
    """Off by default."""
    bench = service_bench(tmp_path)

    async def scenario(caller: Caller) -> tuple[object, str]:
        shown = await caller.operator.get("/v1/pace")
        return shown.json(), (await caller.operator.get("/metrics")).text

    shown, metrics = bench.run(scenario)
    assert shown == {"apps": []}
    assert "enrolment_pace" not in metrics
    bench.store.close()


class Vendor:
    """Answer as a vendor does: each with the next status, None for no answer."""

    def __init__(self, *statuses: int | None) -> None:
        self._statuses = list(statuses)

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See the port."""
        status = self._statuses.pop(0)
        if status is None:
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, request.url)
        return FetchResponse(status, {}, b"")


async def _exchange(vendor: HeardFetcher, statuses: tuple[int | None, ...]) -> None:
    for _ in statuses:
        try:
            await vendor.fetch(FetchRequest("GET", "https://vendor.example"))
        except UnavailableError:
            continue


@pytest.mark.parametrize(
    ("statuses", "slowed"),
    [
        ((None, None, None), True),
        ((500, 503, 429), True),
        ((200, 200, None, 400, 401, 403, 404), False),
        ((400,) * 40, False),
    ],
)
def test_only_what_fails_on_the_way_slows_the_pace(
    statuses: tuple[int | None, ...], slowed: bool, bench: ServiceBench
) -> None:
    """No answer, a failure of the vendor's own, too many requests; not what a vendor says of a token."""
    clock = MovableClock()
    pace = Pace(
        PaceRates(1, 8, 0),
        [APP, "other"],
        PlaceSeal("i", bytes(32)),
        entropy=SeededEntropy(),
        steady=clock.timestamp,
    )
    heard = HeardFetcher(Vendor(*statuses), pace, [APP])
    bench.run(lambda _: _exchange(heard, statuses))
    clock.advance(61)
    views = pace.view()
    assert views[APP].slowed == slowed
    assert views[APP].rate == (4 if slowed else 8)
    assert not views["other"].slowed


def test_a_vendor_is_heard_only_where_something_is_paced() -> None:
    """Else its fetcher is as it was."""
    vendor = Vendor()
    assert heard_for(vendor, None, [APP]) is vendor


PACED = """\
  enrolments:
    pace:
      floor: {requests: 10, per: 1s}
      most: {requests: 6000, per: 1m}
      doubles: 30m
"""


def test_the_file_sets_the_pace(tmp_path: Path) -> None:
    """Off where it says nothing; a ramp that goes down is a fault."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE)
    assert load_settings(file).service.enrolments.pace is None
    begin = TEMPLATE.index("service:\n") + len("service:\n")
    file.write_text(TEMPLATE[:begin] + PACED + TEMPLATE[begin:])
    enrolments = load_settings(file).service.enrolments
    assert enrolments.pace is not None
    assert enrolments.pace.build() == PaceRates(10.0, 100.0, 1800.0)
    assert enrolments.build().address.requests == 100
    text = (TEMPLATE[:begin] + PACED + TEMPLATE[begin:]).replace("6000", "60")
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    [fault] = caught.value.faults
    assert fault.path == "service.enrolments.pace.most"
    assert fault.expected == "as many as floor, or more"

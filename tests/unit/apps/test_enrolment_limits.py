"""Show that enrolments in bulk are held back, that genuine crowds behind one address get in, and nobody is starved."""

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import NOW, CredulousVerifier, SimulatedPhone

from watchword.gate.interface import Rate
from watchword.gate.limits import SHARED_CELLS, EnrolmentLimits, EnrolmentRates
from watchword.reasons import Reason, UnavailableError

APP = "clinic-ios"
CLIENT = "198.51.100.7"
PROXY = "10.0.0.5"


def wait(limits: EnrolmentLimits, address: str | None, at: datetime = NOW, app: str = APP) -> int:
    """Enrol; return 0, or the seconds after which to come again."""
    try:
        with limits.room(app, address, at):
            return 0
    except UnavailableError as refused:
        told = refused
    assert told.reason is Reason.ENROLMENT_LIMIT
    assert told.retry_after is not None
    return told.retry_after


def enrolled(limits: EnrolmentLimits, address: str | None, tries: int) -> int:
    """Return how many enrol at one moment."""
    return sum(wait(limits, address) == 0 for _ in range(tries))


def test_one_address_enrols_so_many_and_then_slowly() -> None:
    """By default 100 at once and 600 an hour, where it was 300 in 8.5 s; others have their own."""
    limits = EnrolmentLimits(EnrolmentRates())
    assert enrolled(limits, CLIENT, 300) == 100
    assert wait(limits, CLIENT) == 6
    assert enrolled(limits, "198.51.100.8", 300) == 100
    later = NOW + timedelta(hours=1)
    hour = sum(wait(limits, CLIENT, NOW + timedelta(seconds=s)) == 0 for s in range(3600))
    assert 595 <= hour <= 605
    assert wait(limits, "198.51.100.8", later) == 0


def test_a_carrier_with_one_address_does_not_starve() -> None:
    """500 phones in an hour get in at once; a crowd of 500 in one minute, each when it was told to come again."""
    shares = [number * 0.6180339887 % 1 for number in range(500)]
    limits = EnrolmentLimits(EnrolmentRates())
    arrivals = (NOW + timedelta(seconds=3600 * share) for share in sorted(shares))
    assert not any(wait(limits, CLIENT, at) for at in arrivals)
    limits = EnrolmentLimits(EnrolmentRates())
    waiting = [60 * share for share in shares]
    while waiting:
        waiting.sort()
        at = waiting.pop(0)
        seconds = wait(limits, CLIENT, NOW + timedelta(seconds=at))
        if seconds:
            # A client pauses ever longer, up to a minute, and never comes before it was told to.
            waiting.append(at + max(seconds, 30 + 30 * shares[len(waiting)]))
        assert at < 3600, "the last of the crowd waited for more than an hour"


def test_one_prefix_does_not_use_up_the_limit_of_an_app() -> None:
    """Nor do any number of prefixes that enrol again and again: half is left to those that haven't."""
    rates = EnrolmentRates(address=Rate(50, 600), app=Rate(200, 60))
    limits = EnrolmentLimits(rates)
    busy = [f"2001:db8:0:{number:x}00::/56" for number in range(20)]
    crowd = sum(enrolled(limits, prefix, 50) for prefix in busy)
    # 100 as those that come again, and the first of each prefix.
    assert crowd <= 100 + len(busy)
    assert all(wait(limits, f"192.0.2.{number}") == 0 for number in range(80))
    # Of the app there are no more than its own; another app has its own.
    assert enrolled(limits, None, 300) <= 20
    assert wait(limits, "192.0.2.200", app="clinic-android") == 0


def test_memory_is_bounded_whoever_comes() -> None:
    """A quarter of a million prefixes, none of which stops the next."""
    limits = EnrolmentLimits(EnrolmentRates(Rate(100, 600), Rate(1_000_000, 1)), prefixes=1000)
    for number in range(250_000):
        wait(limits, str(number), NOW + timedelta(seconds=number / 100_000))
    assert len(limits) <= 1000 + 2 * SHARED_CELLS


def test_what_fails_takes_no_room() -> None:
    """Neither by address nor of the app: nonsense keeps nobody out."""
    limits = EnrolmentLimits(EnrolmentRates(Rate(3, 600), Rate(3, 600)))
    for _ in range(50):
        with pytest.raises(RuntimeError), limits.room(APP, CLIENT, NOW):
            raise RuntimeError
    assert all(wait(limits, address) == 0 for address in (CLIENT, "192.0.2.1", "192.0.2.2"))
    assert wait(limits, "192.0.2.3")


def answers_from(
    bench: ServiceBench, peer: str, count: int, forwarded: str | None = None
) -> list[httpx.Response]:
    """Enrol so many phones from an address, each with its own first entry where ``forwarded`` has a place for it."""

    async def scenario(caller: Caller) -> list[httpx.Response]:
        answers = []
        for number in range(count):
            phone = SimulatedPhone()
            headers = {} if forwarded is None else {"X-Forwarded-For": forwarded.format(number)}
            challenge = await caller.challenge(phone)
            answers.append(await caller.attest(phone, challenge, headers=headers))
        return answers

    return bench.run(scenario, peer)


def test_the_service_sends_a_crowd_away_before_it_looks_at_evidence(tmp_path: Path) -> None:
    """503 with ``Retry-After``, the challenge unused, nothing stored; and no entry of a client's changes its address."""
    verifier = CredulousVerifier()
    bench = service_bench(
        tmp_path,
        verifier=verifier,
        rates=EnrolmentRates(Rate(3, 600), Rate(100, 60)),
        trusted_proxies=[ipaddress.ip_network("10.0.0.0/24")],
    )
    try:
        direct = answers_from(bench, CLIENT, 5, "203.0.113.{}")
        assert [each.status_code for each in direct] == [201] * 3 + [503] * 2
        assert direct[-1].headers["retry-after"] == "200"
        assert bench.log.counts()[Reason.ENROLMENT_LIMIT, "POST /v1/attestations"] == 2
        assert verifier.calls == ["appraise"] * 3
        spoofed = answers_from(bench, PROXY, 5, "203.0.113.{}, " + CLIENT)
        assert [each.status_code for each in spoofed] == [503] * 5
        honest = answers_from(bench, PROXY, 5, "203.0.113.{}")
        assert [each.status_code for each in honest] == [201] * 5
        # A proxy that names nobody, and a socket of this machine: all clients would share it.
        assert {each.status_code for each in answers_from(bench, PROXY, 5)} == {201}
        assert {each.status_code for each in answers_from(bench, "127.0.0.1", 5)} == {201}
    finally:
        bench.store.close()


def test_an_app_has_a_limit_wherever_its_phones_are(tmp_path: Path) -> None:
    """Also where addresses aren't known."""
    bench = service_bench(tmp_path, rates=EnrolmentRates(Rate(100, 60), Rate(4, 60)))
    try:
        answers = answers_from(bench, "127.0.0.1", 6)
        assert [each.status_code for each in answers] == [201] * 4 + [503] * 2
        assert int(answers[-1].headers["retry-after"]) == 15
    finally:
        bench.store.close()

"""Enrol many instances of one device at once: the policy's limit holds whoever is counted when."""

import asyncio
import hashlib
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.system.endurance.enrolling_process import packed
from tests.unit.enrolment.simulators import (
    CLINIC,
    ISSUER,
    LEDGER,
    NOW,
    POLICY,
    SeededEntropy,
    gate_secret,
    public_jwk,
)
from tests.unit.enrolment.test_evidence import (
    ANDROID,
    CountedDevices,
    KeptAppraisals,
    phone,
    statement,
    verifier,
)

from watchword.adapters.keyring.file import new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.encoding import base64url
from watchword.enrolment.interface import EnrolmentRequest
from watchword.enrolment.service import Enrolment, EnrolmentKeys, pairwise_device
from watchword.policy.interface import AllOf, Claim, Policy, Rule, Signals
from watchword.policy.registry import BALANCED
from watchword.policy.rules.device_velocity import DeviceVelocity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.serial_fan_out import SerialFanOut
from watchword.ports import EnrolledCounts, Instance
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level, Purpose

KIND = "rkp-android"
LIMIT = 10
"""What BALANCED allows a device in a day."""

VELOCITY = "policy.device_velocity"
WITHOUT_LIMIT = Policy("without", {Level.HARDWARE: KeyOrigin()}, frozenset(Claim))
BY_LEVEL = Policy(
    "by level",
    {
        Level.HARDWARE: AllOf((KeyOrigin(), DeviceVelocity(2))),
        Level.VERIFIED: AllOf((KeyOrigin(), DeviceVelocity(5))),
    },
    frozenset(Claim),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Return a store on a fresh file."""
    opened = SqliteStore(tmp_path / "watchword.db")
    yield opened
    opened.close()


def enrolment_on(
    store: SqliteStore, policy: Policy = BALANCED, appraisals: KeptAppraisals | None = None
) -> Enrolment:
    """Return an enrolment with the real verifier; all have one challenge key."""
    key = new_key(0)
    return Enrolment(
        policy=replace(
            POLICY,
            apps={ANDROID.id: ANDROID},
            audiences={ANDROID.id: frozenset({CLINIC})},
            minimum_level=policy.lowest_level,
        ),
        verifier=verifier(policy, history=store, appraisals=appraisals),
        store=store,
        keys=EnrolmentKeys(bytes(32), bytes(32), lambda: key, gate_secret),
        entropy=SeededEntropy(str(id(store)).encode()),
        appraisals=appraisals,
    )


def requests_of_one_device(
    enrolment: Enrolment, count: int, kind: str = KIND
) -> list[EnrolmentRequest]:
    """Return as many requests, each with a new key of the same phone."""
    device = phone(kind)
    requests = []
    for _ in range(count):
        device.create_keys()
        challenge, _ = enrolment.challenge(ANDROID.id, Purpose.ENROL, NOW)
        members = {
            "v": 1,
            "purpose": "enrol",
            "iss": ISSUER,
            "aud": [CLINIC],
            "app": ANDROID.id,
            "challenge": base64url.encode(challenge),
            "seal_jwk": public_jwk(),
        }
        raw = json.dumps(members).encode()
        requests.append(EnrolmentRequest(raw, device.attest(hashlib.sha256(raw).digest())))
    return requests


async def outcome(enrolment: Enrolment, request: EnrolmentRequest) -> str:
    """Return the level that it enrolled with, or why it didn't."""
    try:
        return (await enrolment.enrol(request, NOW)).instance.level.value
    except RefusedError as error:
        return error.reason.code


def outcomes(enrolments: Sequence[Enrolment], requests: list[EnrolmentRequest]) -> Counter[str]:
    """Send all requests at once, in turn to each of the enrolments."""

    async def together() -> list[str]:
        turns = (enrolments[number % len(enrolments)] for number in range(len(requests)))
        return await asyncio.gather(*map(outcome, turns, requests))

    return Counter(asyncio.run(together()))


def test_limit_holds_for_enrolments_in_parallel(store: SqliteStore) -> None:
    """Exactly as many as allowed, though each was counted before any was stored."""
    enrolment = enrolment_on(store)
    requests = requests_of_one_device(enrolment, 30)
    assert outcomes([enrolment], requests) == {"hardware": LIMIT, VELOCITY: 30 - LIMIT}
    assert len(asyncio.run(store.list_instances(100))) == LIMIT
    # Those that lost keep their challenges.
    assert asyncio.run(store.forget_expired(NOW + timedelta(days=1))) == LIMIT


def test_limit_holds_for_two_stores_on_one_file(tmp_path: Path, store: SqliteStore) -> None:
    """The count is taken in the transaction that enrols, which others wait for."""
    other = SqliteStore(tmp_path / "watchword.db")
    enrolments = [enrolment_on(store), enrolment_on(other)]
    requests = requests_of_one_device(enrolments[0], 30)
    assert outcomes(enrolments, requests) == {"hardware": LIMIT, VELOCITY: 30 - LIMIT}
    other.close()


def test_limit_holds_for_two_processes(tmp_path: Path, store: SqliteStore) -> None:
    """Likewise where nothing but the file is shared."""
    requests = requests_of_one_device(enrolment_on(store), 40)
    command = [
        sys.executable,
        "-m",
        "tests.system.enrolment.velocity_process",
        str(tmp_path / "watchword.db"),
    ]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for number, process in enumerate(processes):
        assert process.stdin is not None
        process.stdin.write("".join(packed(each) + "\n" for each in requests[number::2]))
        process.stdin.close()
    said: Counter[str] = Counter()
    for process in processes:
        assert process.stdout is not None
        said.update(process.stdout.read().split())
        assert process.wait(30) == 0
        process.stdout.close()
    assert said == {"hardware": LIMIT, VELOCITY: 40 - LIMIT}


def test_whoever_is_overtaken_gets_the_level_that_is_left(store: SqliteStore) -> None:
    """The verdict is made anew for the new count, and so are the tokens; each is recorded once."""
    log = KeptAppraisals()
    enrolment = enrolment_on(store, BY_LEVEL, log)
    said = outcomes([enrolment], requests_of_one_device(enrolment, 9))
    assert said == {"hardware": 2, "verified": 3, VELOCITY: 4}
    kept = asyncio.run(store.list_instances(100))
    assert Counter(each.level.value for each in kept) == {"hardware": 2, "verified": 3}
    recorded = Counter((made.verdict.level.value, name is None) for made, name in log.kept)
    assert recorded == {("hardware", False): 2, ("verified", False): 3, ("none", True): 4}
    levels = {each.id: each.level for each in kept}
    assert all(made.verdict.level is levels[name] for made, name in log.kept if name is not None)


def test_policy_without_a_limit_lets_all_in(store: SqliteStore) -> None:
    """Being overtaken means nothing there."""
    enrolment = enrolment_on(store, WITHOUT_LIMIT)
    assert outcomes([enrolment], requests_of_one_device(enrolment, 20)) == {"hardware": 20}


@pytest.mark.parametrize("most", [1, 2, 3, 7, 8, 9, 33, 1_000_000])
def test_verdict_stands_up_to_the_limit(most: int) -> None:
    """What is handed to the store is the last count at which the level is granted."""
    policy = Policy("p", {Level.HARDWARE: DeviceVelocity(most)}, frozenset(Claim))
    said = statement()
    found = verifier(policy, history=CountedDevices()).appraise(
        phone(KIND).attest(said.binding), said, ANDROID, NOW
    )
    counted = asyncio.run(found).counted
    assert counted is not None
    assert counted.limit.most == EnrolledCounts(0, None)
    assert counted.limit.since == NOW - timedelta(days=1)
    for enrolled in {0, 1, most // 2, most - 2, most - 1} & set(range(most)):
        again = counted.reappraise(EnrolledCounts(enrolled, 0)).counted
        assert again is not None
        assert again.limit.most == EnrolledCounts(most - 1, None)
    with pytest.raises(RefusedError) as caught:
        counted.reappraise(EnrolledCounts(most, 0))
    assert caught.value.reason.code == VELOCITY


def test_device_that_is_not_told_apart_is_not_counted() -> None:
    """Nothing is handed to the store then."""
    said = statement()
    found = verifier().appraise(phone("genuine-android").attest(said.binding), said, ANDROID, NOW)
    proven = asyncio.run(found)
    assert (proven.device_key is None) == (proven.counted is None)


def test_instances_of_one_device_share_what_gates_count_by(store: SqliteStore) -> None:
    """Each audience and app knows the device by another name, and none by its key; other devices have other names."""
    enrolment = enrolment_on(store)
    first, second = requests_of_one_device(enrolment, 2)
    (other,) = requests_of_one_device(enrolment, 1, "broker-android")

    async def issued(request: EnrolmentRequest) -> tuple[Instance, Mapping[str, Any]]:
        done = await enrolment.enrol(request, NOW)
        payload = done.tokens[0].token.split(".")[1]
        return done.instance, json.loads(base64url.decode(payload))

    async def all_issued() -> list[tuple[Instance, Mapping[str, Any]]]:
        return [await issued(each) for each in (first, second, other)]

    (instance, mine), (_, again), (_, stranger) = asyncio.run(all_issued())
    assert mine["sub"] != again["sub"]
    assert mine["dev"] == again["dev"] != stranger["dev"]
    key = instance.device_key
    assert key is not None
    names = {
        pairwise_device(key, app, audience, bytes(32))
        for app in (ANDROID.id, "other")
        for audience in (CLINIC, LEDGER)
    }
    assert len(names) == 4
    assert mine["dev"] in names
    assert all(len(base64url.decode(name)) == 32 for name in names)
    # Nothing of what the store and the evidence know it by.
    assert base64url.encode(key) not in names


def test_a_device_that_evidence_does_not_name_is_not_named(store: SqliteStore) -> None:
    """Thousands share a factory's key: their gates count by the instance."""
    enrolment = enrolment_on(store)
    (request,) = requests_of_one_device(enrolment, 1, "genuine-android")
    done = asyncio.run(enrolment.enrol(request, NOW))
    assert done.instance.device_key is None
    assert "dev" not in json.loads(base64url.decode(done.tokens[0].token.split(".")[1]))


FAN_OUT = "policy.serial_fan_out"


def of_a_batch(enrolment: Enrolment, count: int) -> list[EnrolmentRequest]:
    """Return requests of as many keys under the certificate that a factory's batch shares."""
    return requests_of_one_device(enrolment, count, "genuine-android")


def test_limit_of_a_certificate_holds_for_enrolments_in_parallel(store: SqliteStore) -> None:
    """Exactly as many as allowed in all, though each was counted before any was stored; what is left is a lower level."""
    levels: dict[Level, Rule] = {
        Level.HARDWARE: AllOf((KeyOrigin(), SerialFanOut(2))),
        Level.VERIFIED: AllOf((KeyOrigin(), SerialFanOut(5))),
    }
    enrolment = enrolment_on(store, Policy("fan out", levels, frozenset(Claim)))
    said = outcomes([enrolment], of_a_batch(enrolment, 9))
    assert said == {"hardware": 2, "verified": 3, FAN_OUT: 4}
    # Another factory's certificate, and a phone's own, are counted apart.
    for kind in ("strongbox-android", KIND):
        assert outcomes([enrolment], requests_of_one_device(enrolment, 1, kind)) == {"hardware": 1}


def test_certificate_is_told_and_counted_and_refuses_nobody(store: SqliteStore) -> None:
    """In the audit entry and in the counter that the metric shows."""
    told = AllOf((KeyOrigin(), Signals((SerialFanOut(2),))))
    enrolment = enrolment_on(store, Policy("told", {Level.HARDWARE: told}, frozenset(Claim)))
    for request in of_a_batch(enrolment, 4):
        asyncio.run(enrolment.enrol(request, NOW))
    assert enrolment.signals == {Reason.POLICY_SERIAL_FAN_OUT: 2}
    details = [each.detail.get("signals") for each in asyncio.run(store.audit_entries(9))]
    detail = (
        f"{FAN_OUT}: got {{}} new instances under one certificate in 24 hours, expected at most 2"
    )
    assert details == [[detail.format(4)], [detail.format(3)], None, None]


def test_what_only_tells_makes_nobody_wait_for_another(store: SqliteStore) -> None:
    """Thousands of phones share a certificate: none is judged again because another one was faster."""
    enrolment = enrolment_on(store)
    said = statement()
    found = verifier().appraise(phone("genuine-android").attest(said.binding), said, ANDROID, NOW)
    assert asyncio.run(found).counted is None
    assert outcomes([enrolment], of_a_batch(enrolment, 20)) == {"hardware": 20}


@pytest.mark.parametrize("signals", [True, False])
def test_limits_of_device_and_certificate_hold_together(signals: bool) -> None:
    """Where two signals refuse, a verdict stands up to counts that refuse together, and to none beyond."""
    pair = (DeviceVelocity(3), SerialFanOut(5))
    rule = Signals(pair) if signals else AllOf(pair)
    policy = Policy("p", {Level.HARDWARE: rule}, frozenset(Claim))
    said = statement()
    found = verifier(policy, history=CountedDevices()).appraise(
        phone(KIND).attest(said.binding), said, ANDROID, NOW
    )
    counted = asyncio.run(found).counted
    assert counted is not None

    def granted(device: int, serial: int) -> bool:
        assert counted is not None
        try:
            counted.reappraise(EnrolledCounts(device, serial))
        except RefusedError:
            return False
        return True

    counts = range(8)
    for device, serial in itertools.product(counts, counts):
        over = (device >= 3, serial >= 5)
        assert granted(device, serial) is not (all(over) if signals else any(over))
        if not granted(device, serial):
            continue
        again = counted.reappraise(EnrolledCounts(device, serial)).counted
        assert again is not None
        assert not again.limit.is_exceeded(EnrolledCounts(device, serial))
        for more in itertools.product(counts, counts):
            if more >= (device, serial) and more[1] >= serial and not granted(*more):
                assert again.limit.is_exceeded(EnrolledCounts(*more))

"""Show what a gate does that hears nothing more of the service, and what wrong clocks do on either side."""

from pathlib import Path

import pytest
from tests.unit.apps.service_bench import Caller, service_bench
from tests.unit.apps.test_service import reason_in
from tests.unit.enrolment.simulators import CLINIC, ISSUER, SimulatedPhone

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.reasons import Reason, RefusedError
from watchword.tokens.interface import MAX_LIFETIME_SECONDS, TokenExpectation
from watchword.tokens.service import verify
from watchword.vocabulary import Environment

EXPECTED = TokenExpectation(ISSUER, CLINIC, Environment.PROD)
LIFE, LEEWAY = 300, EXPECTED.leeway


def outcome(gate: GateBundleFile, token: str, now: float) -> Reason | None:
    """Return why a gate whose clock shows ``now`` refuses a token, or None where it takes it."""
    try:
        verify(token, EXPECTED, gate, now)
    except RefusedError as error:
        return error.reason
    return None


def issued(directory: Path, clock_ahead: float = 0) -> tuple[GateBundleFile, str, float]:
    """Return a gate, a token of a service that then ended, and the true time of its issue."""
    bench = service_bench(directory)
    true_time = bench.clock.timestamp()
    bench.clock.advance(clock_ahead)

    async def work(call: Caller) -> str:
        await bench.service.start()
        document = await call.enrol(SimulatedPhone())
        await bench.service.stop()
        token: str = document["tokens"][0]["token"]
        return token

    token = bench.run(work)
    bench.store.close()
    return bench.gate(), token, true_time


def test_tokens_outlive_the_service_by_their_life_and_no_longer(tmp_path: Path) -> None:
    """Nobody is turned away while it is down for less; a gate that hears nothing for longer lets nobody in."""
    gate, token, now = issued(tmp_path)
    for seconds in (0, 1, LIFE - 1, LIFE + LEEWAY - 1):
        assert outcome(gate, token, now + seconds) is None
    for seconds in (
        LIFE + LEEWAY,
        LIFE + LEEWAY + 1,
        MAX_LIFETIME_SECONDS,
        86_400,
        10 * 365 * 86_400,
    ):
        assert outcome(gate, token, now + seconds) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(
    ("ahead", "reason"),
    [
        (0, None),
        (LEEWAY, None),
        (-LEEWAY, None),
        (LEEWAY + 1, Reason.TOKEN_EARLY),
        (300, Reason.TOKEN_EARLY),
        (-LIFE - LEEWAY, Reason.TOKEN_EXPIRED),
        (-400, Reason.TOKEN_EXPIRED),
        (86_400, Reason.TOKEN_EARLY),
    ],
)
def test_a_service_whose_clock_is_wrong(tmp_path: Path, ahead: int, reason: Reason | None) -> None:
    """Within the leeway nobody notices; beyond, its tokens are refused by the gates whose clock is right."""
    gate, token, now = issued(tmp_path, ahead)
    assert outcome(gate, token, now) is reason


def test_a_clock_that_jumps_back_keeps_a_used_challenge_used(tmp_path: Path) -> None:
    """Five minutes back and forth, any number of times: what enrolled once never enrols again."""
    bench = service_bench(tmp_path)
    phone = SimulatedPhone()

    async def work(call: Caller) -> None:
        challenge = await call.challenge(phone)
        assert (await call.attest(phone, challenge)).status_code == 201
        for jump in (-300, 300, 301, -600, 299, 302, -602):
            bench.clock.advance(jump)
            await bench.service.forget()
            answer = await call.attest(SimulatedPhone(), challenge)
            assert reason_in(bench, answer) in {Reason.CHALLENGE_USED, Reason.CHALLENGE_EXPIRED}
        assert len(await bench.store.list_instances(10)) == 1

    bench.run(work)
    bench.store.close()

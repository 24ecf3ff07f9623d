"""Send nginx what is nearly right, and hold it to the Python gate: the same pass, for the same instance."""

import http.client

import pytest
from tests.system.engines.nginx.fuzzed_requests import Maker
from tests.system.engines.nginx.fuzzer import BOUND_BUNDLE, BUNDLE, Judge, Sent
from tests.system.engines.nginx.rig import EMPTY, Rig, nginx_before_api
from tests.unit.engines.envoy.rig import read_answer, until

from watchword.adapters.system import SystemClock
from watchword.gate.interface import RESULT_HEADERS

REQUESTS = 500


class Client:
    """Send requests over one connection, or another one when nginx ended it."""

    def __init__(self, rig: Rig) -> None:
        """Connect."""
        self._rig = rig
        self._connection = rig.connect()

    def status(self, sent: Sent, wire: bytes) -> int:
        """Return the status of the answer."""
        for _ in range(2):
            try:
                self._connection.sendall(wire)
                answer = read_answer(self._connection, head=sent.method == b"HEAD")
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is not None and answer.status:
                if b"connection: close" in answer.head:
                    self._again()
                return answer.status
            self._again()
        return 0

    def _again(self) -> None:
        self._connection.close()
        self._connection = self._rig.connect()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@pytest.mark.parametrize(("seed", "bound"), [(1, False), (2, True)])
def test_what_is_nearly_right_passes_where_the_gate_lets_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, *, bound: bool
) -> None:
    """Claims, proofs, fields, paths, bodies: changed in up to three places, most of it under good signatures."""
    bundle = BOUND_BUNDLE if bound else BUNDLE
    with nginx_before_api(tmp_path_factory.mktemp("f"), bundle, workers=2) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)
        judge = Judge(bundle)
        maker = Maker(seed, bound=bound, first_moment=SystemClock().timestamp())
        client = Client(rig)
        passed = 0
        for _ in range(REQUESTS):
            sent = maker.make()
            wire = sent.wire(maker.random)
            rig.api.seen.clear()
            expected = judge.decide(sent)
            status = client.status(sent, wire)
            assert (status == 200) is expected.allow, (expected, status, wire)
            assert len(rig.api.seen) == expected.allow, wire
            if expected.allow:
                (seen,) = rig.api.seen
                told = tuple(next(iter(seen.values(name)), None) for name in RESULT_HEADERS)
                assert told == expected.results, wire
                assert all(len(seen.values(name)) < 2 for name in RESULT_HEADERS), wire
                assert seen.body == sent.body, wire
                passed += 1
        client.close()
        # A maker of nothing but faults would show nothing.
        assert passed > REQUESTS // 5

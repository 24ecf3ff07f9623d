"""Hold the real HAProxy to the Python gate over requests that are nearly right."""

import random  # noqa: TID251 - the same requests each time.
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.system.engines.haproxy.judge import ROWS, Judge, Sender, held
from tests.system.engines.haproxy.mutations import drafted
from tests.system.engines.haproxy.rig import haproxy_before_api
from tests.unit.engines.envoy.rig import bundle_of

from watchword.adapters.system import SystemClock

SEED = 7
REQUESTS = 1200


def test_haproxy_lets_nothing_pass_that_the_gate_refuses(tmp_path: Path) -> None:
    """Whatever reaches the API is what the gate lets reach it: same fields, same results."""
    chance = random.Random(SEED)
    found = Counter[str]()
    with haproxy_before_api(tmp_path, bundle_of(ROWS)) as rig:
        judge = Judge(rig.bundle)
        with closing(Sender(rig)) as sender:
            for serial in range(REQUESTS):
                now = int(SystemClock().timestamp())
                raw = drafted(chance, now, serial).raw()
                said, verdict = held(judge, sender, raw, now)
                found[said] += 1
                assert said in {"same", "both-refuse", "stricter", "harmless"}, (
                    said,
                    verdict.reason,
                    raw,
                )
    # Most are decided alike; what is stricter is declared.
    assert found["same"] > REQUESTS // 4
    assert found["both-refuse"] > REQUESTS // 4
    assert found["stricter"] < REQUESTS // 10

"""Hold the real HAProxy to the Python gate over many requests with few tokens, so that it knows most of them."""

import random  # noqa: TID251 - the same requests each time.
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.system.engines.haproxy import mutations
from tests.system.engines.haproxy.drafts import Draft, assembled, compact, genuine, members_of
from tests.system.engines.haproxy.judge import ROWS, Judge, Sender, held
from tests.system.engines.haproxy.rig import haproxy_before_api
from tests.unit.engines.envoy.rig import TOKEN_KEY, bundle_of

from watchword.adapters.system import SystemClock

SEED = 11
REQUESTS = 500
MUTATIONS = (
    *(mutations.odd_proof, mutations.odd_proof, mutations.odd_fields, mutations.odd_fields),
    *(mutations.sized_fields, mutations.odd_path, mutations.odd_query, mutations.odd_line),
    mutations.odd_token,
)


def tokens(draft: Draft) -> Sequence[bytes]:
    """Return genuine tokens of several levels, apps and versions."""
    made: list[bytes] = []
    for level in ("hardware", "software"):
        for app, version in (("clinic-ios", "1.2.2"), ("clinic-ios", "1.10.0"), ("other", "1")):
            members = members_of(draft)
            members.update(lvl=level, app={"id": app, "ver": version}, sub=f"subject-{len(made)}")
            made.append(assembled(compact(members), TOKEN_KEY))
    return made


def test_known_tokens_bring_nothing_past_haproxy_that_the_gate_refuses(tmp_path: Path) -> None:
    """Whatever was verified before, each request stands for itself: also one that is sent again."""
    chance, found, sent = random.Random(SEED), Counter[str](), list[bytes]()
    with haproxy_before_api(tmp_path, bundle_of(ROWS)) as rig:
        judge = Judge(rig.bundle)
        known = tokens(genuine(chance, int(SystemClock().timestamp()), 0))
        with closing(Sender(rig)) as sender:
            for serial in range(REQUESTS):
                now = int(SystemClock().timestamp())
                draft = genuine(chance, now, serial)
                draft.token = chance.choice(known)
                if chance.random() < 0.6:
                    chance.choice(MUTATIONS)(draft)
                again = sent and chance.random() < 0.1
                raw = chance.choice(sent[-20:]) if again else draft.raw()
                sent.append(raw)
                said, verdict = held(judge, sender, raw, now)
                found[said] += 1
                assert said in {"same", "both-refuse", "stricter"}, (said, verdict.reason, raw)
    assert found["same"] > REQUESTS // 4
    assert found["both-refuse"] > REQUESTS // 4
    assert found["stricter"] < REQUESTS // 10

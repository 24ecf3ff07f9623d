"""Flood the service with bad requests: the disk doesn't notice."""

import json
from pathlib import Path

from tests.unit.apps.service_bench import Caller, service_bench
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.encoding import base64url

REQUESTS = 10_000


def test_ten_thousand_bad_requests_write_nothing(tmp_path: Path) -> None:
    """Challenges, forged statements and garbage leave database and log at the size they had."""
    bench = service_bench(tmp_path)
    files = [tmp_path / name for name in ("watchword.db", "watchword.db-wal")]
    forged = SimulatedPhone().enrolment(b"\x01" + bytes(56))
    document = {
        "statement": base64url.encode(forged.statement),
        "evidence": dict(forged.evidence),
    }
    kinds = [
        ("/v1/challenges", {"app": "clinic-ios", "purpose": "enrol"}, 200),
        ("/v1/attestations", document, 409),
        ("/v1/tokens", {"instance": "A" * 22, **document}, 403),
        ("/v1/attestations", {"statement": "e30", "evidence": {}}, 400),
        ("/v1/attestations", {}, 400),
    ]
    bodies = [(path, json.dumps(members).encode(), status) for path, members, status in kinds]

    async def flood(call: Caller) -> None:
        await call.enrol(SimulatedPhone())
        before = [file.stat().st_size for file in files]
        for number in range(REQUESTS):
            path, body, status = bodies[number % len(bodies)]
            answer = await call.public.post(
                path, content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == status
        assert [file.stat().st_size for file in files] == before

    bench.run(flood)
    counted = sum(bench.log.counts().values())
    assert counted == REQUESTS * 4 // 5
    assert len(bench.log.samples()) < 100
    bench.store.close()

"""Show ``watchword config`` as an operator meets it: over a running service, over a killed one, and in the middle of kills."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from tests.machine import patience
from tests.unit.apps.service_process import configuration, running, upstream, watchword

from watchword.adapters.system import steady_seconds
from watchword.apps.compose.applied import starting_file
from watchword.apps.gateway import WatchwordMiddleware, gate_from
from watchword.apps.service.client import OperatorClient

OPEN = (
    "        proof: bearer\n        mode: enforce",
    "        proof: bearer\n        mode: monitor",
)


def edit(file: Path, old: str, new: str) -> None:
    """Change the file."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def done(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what a command printed as JSON."""
    assert run.returncode == 0, run.stdout + run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = steady_seconds() + patience(20)
    while not holds():
        assert steady_seconds() < deadline


def test_proxy_and_application_follow_without_a_restart(tmp_path: Path) -> None:
    """Refused before, served once it was applied, refused after the rollback; the command says what it did."""

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    with upstream() as port:
        file = configuration(tmp_path, port)
        with running(file) as (where, process):
            app = WatchwordMiddleware(answer, gate=gate_from(file, "clinic"))

            async def asked() -> int:
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
                    return (await client.get("/records")).status_code

            def statuses() -> tuple[int, int]:
                proxied = httpx.get(f"http://{where['apis']['clinic']}/records").status_code
                return proxied, asyncio.run(asked())

            until(lambda: statuses() == (401, 401))
            edit(file, *OPEN)
            checked = watchword(file, "config", "check")
            assert checked.returncode == 1
            assert "widens   apis.clinic.routes[1].mode: enforce -> monitor" in checked.stdout
            refused = watchword(file, "config", "apply")
            assert refused.returncode == 1
            assert "configuration.widens" in refused.stderr
            assert "--widen --because" in refused.stderr
            assert watchword(file, "config", "apply", "--widen").returncode == 2
            assert statuses() == (401, 401)
            applied = watchword(file, "config", "apply", "--widen", "--because", "outage")
            assert applied.returncode == 0, applied.stderr
            assert "Configuration 2 is in force; gates: generation " in applied.stdout
            until(lambda: statuses() == (200, 200))
            back = watchword(file, "config", "rollback")
            assert back.returncode == 0, back.stderr
            assert "Configuration 3 is in force, as configuration 1 was" in back.stdout
            until(lambda: statuses() == (401, 401))
            status = watchword(file, "config", "status")
            assert "3 (as 1)" in status.stdout
            assert "outage" in status.stdout
            assert process.poll() is None
            trail = done(watchword(file, "config", "status", "--json"))
            assert [each["number"] for each in trail["applied"]] == [1, 2, 3]


def test_after_a_kill_the_next_start_is_changed_and_rolled_back(tmp_path: Path) -> None:
    """A socket without a listener, and a file that is broken, keep nobody from going back; the audit trail is told later."""
    with upstream() as port:
        file = configuration(tmp_path, port)
        with running(file) as (_where, process):
            edit(file, "minimum_version: 100", "minimum_version: 200")
            assert done(watchword(file, "config", "apply", "--json"))["number"] == 2
            process.kill()
            process.wait()
            whole = file.read_text(encoding="utf-8")
            edit(file, "minimum_version: 200", "minimum_version: 300")
            offline = done(watchword(file, "config", "apply", "--because", "later", "--json"))
            assert (offline["number"], offline["generation"]) == (3, None)
            file.write_text("{", encoding="utf-8")
            assert watchword(file, "config", "apply").returncode == 2
            back = done(
                watchword(file, "config", "rollback", "--widen", "--because", "no", "--json")
            )
            assert (back["number"], back["restores"]) == (4, 2)
        with running(file) as (where, process):
            assert where
            assert done(watchword(file, "config", "status", "--json"))["number"] == 4
            with OperatorClient(Path(where["operator"])) as service:
                entries = service.get("/v1/audit", subject="configuration")["entries"]
            assert [(each["action"], each["detail"]["because"]) for each in entries] == [
                ("configuration.offline", "no"),
                ("configuration.offline", "later"),
                ("configuration.apply", ""),
            ]
            file.write_text(whole, encoding="utf-8")
            assert not done(watchword(file, "config", "apply", "--json"))["changed"]


def test_what_was_put_back_is_mended_by_an_apply_without_a_service(tmp_path: Path) -> None:
    """The start is refused in words, and the command in them works; it is compared with nothing, so it widens."""
    with upstream() as port:
        file = configuration(tmp_path, port)
        with running(file) as (_where, process):
            edit(file, "minimum_version: 100", "minimum_version: 200")
            assert done(watchword(file, "config", "apply", "--json"))["number"] == 2
            index = tmp_path / ".watchword" / "configuration" / "applied.json"
            earlier = index.read_bytes()
            edit(file, "minimum_version: 200", "minimum_version: 300")
            assert done(watchword(file, "config", "apply", "--json"))["number"] == 3
            process.kill()
            process.wait()
        index.write_bytes(earlier)
        refused = watchword(file, "up")
        assert refused.returncode != 0
        assert "put back" in refused.stderr
        assert "config apply" in refused.stderr
        refused = watchword(file, "config", "apply")
        assert refused.returncode == 1
        assert "nothing to compare" in refused.stderr
        applied = watchword(file, "config", "apply", "--widen", "--because", "restored", "--json")
        assert done(applied)["number"] == 4
        with running(file) as (where, _process):
            assert where
            assert done(watchword(file, "config", "status", "--json"))["number"] == 4


def test_kills_in_between_leave_the_one_before_or_the_new_one(tmp_path: Path) -> None:
    """What was acknowledged is in force after each kill, or the one that was under way; the service always starts."""
    with upstream() as port:
        file = configuration(tmp_path, port)
        version, number = 100, 0
        for round_ in range(6):
            acknowledged = [number]
            with running(file) as (where, process):
                assert where
                timer = threading.Timer(0.05 + 0.15 * round_, process.kill)
                timer.start()
                try:
                    while process.poll() is None:
                        edit(file, f"minimum_version: {version}", f"minimum_version: {version + 1}")
                        version += 1
                        run = watchword(file, "config", "apply", "--json")
                        if run.returncode == 0 and json.loads(run.stdout)["generation"] is not None:
                            acknowledged.append(json.loads(run.stdout)["number"])
                        else:
                            break
                finally:
                    timer.join()
                    process.wait()
            start = starting_file(file)
            assert start.number >= acknowledged[-1]
            found = start.whole.settings.apps["clinic-android"].minimum_version
            assert found is not None
            assert int(found) <= version
            number = start.number
        assert number > 0

"""Write down what takes a running deployment to make, from results that are made up: a drill's reports, a gate's bundle, what engines refused."""

import asyncio
import json
from collections.abc import Callable
from typing import Final

from tests.system.recorded.services import DRAWN, phone
from tests.system.recorded.transcript import Transcript
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.test_live import console, played
from tests.unit.apps.secret_bench import FIRST, MemorySecretStore, secret_bench
from tests.unit.apps.service_bench import Caller

from watchword.apps.drill.reports import document, html_page, junit, sarif
from watchword.apps.settings.template import TEMPLATE
from watchword.encoding import base64url


def drills(shell: Transcript) -> None:
    """Report drills that went well, that went otherwise, that were interrupted, and whose target says hostile things."""
    hostile = seed.hostile("\x1b[31m<b>&\"'\u202e|`]]>\n")
    made = {"mixed": seed.mixed(), "clean": seed.clean(), "hostile": hostile}
    for name, report in {**made, "interrupted": seed.interrupted()}.items():
        shell.most_lines = 1_500 if name in {"mixed", "hostile"} else 150
        shell.note(f"{name}: terminal", played(report, console(100)))
        if name == "hostile":
            shell.note(f"{name}: colours", repr(played(report, console(80, tty=True))) + "\n")
        shell.note(f"{name}: JSON", json.dumps(document(report)) + "\n")
        shell.note(f"{name}: JUnit", junit(report))
        shell.note(f"{name}: SARIF", json.dumps(sarif(report)) + "\n")
        shell.note(f"{name}: HTML", html_page(report))


def bundle(shell: Transcript) -> None:
    """Publish the bundle of each API, with a revoked instance and a key that is added to calls."""
    shell.aliases = {
        **DRAWN,
        "secret": r'(?<="secret": ")[A-Za-z0-9_-]{40,}',
        "wide": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{64}(?![A-Za-z0-9_-])",
    }
    bench = secret_bench(shell.directory, MemorySecretStore())

    async def scenario() -> None:
        async with Caller.of(bench) as caller:
            await bench.service.start()
            instance = (await caller.enrol(phone()))["instance"]
            await caller.operator.post("/v1/secrets", json={"name": "maps", "value": FIRST})
            await caller.operator.post(f"/v1/instances/{instance}/revoke", json={"because": "x"})
            await bench.service.stop()

    asyncio.run(scenario())
    bench.store.close()
    for file in sorted((shell.directory / "gates").glob("*.jws")):
        header, payload, _ = file.read_text("ascii").split(".")
        shell.note(
            file.name,
            "\n".join(base64url.decode(each).decode() for each in (header, payload)) + "\n",
        )


def audit(shell: Transcript) -> None:
    """Read what engines refused from lines of their logs, and explain one of them."""
    shell.write("watchword.yaml", TEMPLATE)
    line = {
        "time": "2026-11-27T18:54:29.302Z",
        "ref": "13f2c53e-541d-47ae-a489-000000000000",
        "route": "/v1/**",
        "status": 401,
        "flags": "-",
        "details": "-",
        "reason": "token.expired",
        "method": "GET",
        "instance": None,
        "client": "192.0.2.1",
        "milliseconds": 1,
    }
    lines = [
        line,
        line | {"ref": "13f2c53e-541d-47ae-a489-000000000001", "reason": "token.missing"},
    ]
    texts = [
        *map(json.dumps, lines),
        "no JSON",
        json.dumps(line | {"reason": "nothing.known"}),
        "{}",
    ]
    shell.write("engine.log", "".join(f"{each}\n" for each in texts))
    for engine in ("nginx", "envoy", "haproxy", "caddy", "traefik", "apache"):
        for more in ((), ("--json",)):
            shell("audit", "ingest", "engine.log", "--engine", engine, *more)
            shell("explain", str(line["ref"]), *more)
    shell("audit", "ingest", "--engine", "nginx", stdin=f"{texts[0]}\n")
    shell("audit", "ingest", "engine.log")


GROUPS: Final[dict[str, Callable[[Transcript], None]]] = {
    "drill-documents": drills,
    "bundle": bundle,
    "audit": audit,
}

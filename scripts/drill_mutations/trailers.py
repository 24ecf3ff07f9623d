"""Drill the demo's deployment by whatever source is on the path, behind HAProxy and in front of an API that takes trailers for fields.

Ids of attacks as arguments choose some.  The verdicts are printed as JSON.
"""

import asyncio
import contextlib
import logging
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog
from scripts.drill_mutations.mutation import notify
from tests.ports import free_port
from tests.unit.conformance.enforcement_points import haproxy_binary
from tests.unit.conformance.processes import served

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.system import SystemClock
from watchword.apps.demo.stage import API, Stage
from watchword.apps.demo.steps import drilled
from watchword.apps.engines.follower import write_files
from watchword.drill.judgements import Report
from watchword.drill.registry import ATTACKS
from watchword.engines.haproxy import generation, text
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.vocabulary import Mode, Proof

ABOUT_TRAILERS: Final = ("trailers",)
_MAX_HEAD: Final = 64 * 1024


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: int) -> None:
    """Hand one request of a connection on, with its trailers among its fields, as some servers do."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
        head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n").split(b"\r\n")
        fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in head}
        body, trailers = b"", list[bytes]()
        if b"transfer-encoding" in fields:
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            while line := (await reader.readline()).strip():
                trailers.append(line)
        else:
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        framing = (b"transfer-encoding", b"content-length", b"connection")
        kept = [line for line in head if line.partition(b":")[0].lower() not in framing]
        kept += [*trailers, b"Content-Length: %d" % len(body), b"Connection: close"]
        behind, onward = await asyncio.open_connection("127.0.0.1", upstream)
        onward.write(b"\r\n".join(kept) + b"\r\n\r\n" + body)
        writer.write(await behind.read())
        onward.close()
    writer.close()


@contextlib.asynccontextmanager
async def merging(upstream: int) -> AsyncIterator[int]:
    """Stand before an API that drops trailers, and hand them on as fields; give the port."""
    server = await asyncio.start_server(
        lambda reader, writer: _relay(reader, writer, upstream), "127.0.0.1", 0, limit=_MAX_HEAD
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


def _behind_haproxy(stage: Stage, port: int) -> Report:
    """Drill the clinic behind HAProxy, on the rows that it can hold."""
    service = stage.settings.service
    bundle = GateBundleFile(service.gate_bundle(API), service.bundle_key, api=API).bundle
    rows = [
        row for row in bundle.policy.routes if row.proof is not Proof.DEVICE and row.secret is None
    ]
    bundle = replace(bundle, policy=replace(bundle.policy, routes=tuple(rows)), canaries=None)
    directory = stage.directory / "haproxy"
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", port),
    )
    write_files(directory, generation.generate(bundle, options, SystemClock().timestamp()))
    state = Path(options.path(text.STATE))
    state.write_text(state.read_text("utf-8").replace(text.COLD, text.READY), "utf-8")
    command = [haproxy_binary(), "-db", "-f", options.path(text.CONFIG)]
    chosen = [ATTACKS[name] for name in sys.argv[1:] or ABOUT_TRAILERS]
    for point in served(command, directory, options.listen.port):
        return drilled(stage, gate=point.url, attacks=chosen)
    raise AssertionError("unreachable")


async def main() -> None:
    """Run the attack on trailers once, in mode ``enforce``."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="watchword-drill-") as directory:
        stage = Stage.in_directory(Path(directory))
        try:
            await stage.set_up()
            await stage.deploy(Mode.ENFORCE)
            async with merging(stage.port("upstream")) as port:
                report = await asyncio.to_thread(_behind_haproxy, stage, port)
        finally:
            await stage.tear_down()
    notify(report)


if __name__ == "__main__":
    asyncio.run(main())

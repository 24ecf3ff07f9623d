"""Explain what a question of Caddy costs: leave parts of the generated configuration out, one by one.

What is left out here is what makes the configuration safe: none of these is one to run.  Each variant asks a server that
says yes to everything, so that nothing but the configuration differs; one line asks Watchword itself.

Run: ``python -m benchmarks.gate_caddy_profile``
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gate_engines import bare_forward_auth
from benchmarks.gate_instances import ASKED_PATH, ASKED_ROUTES, Fleet, request_bytes
from benchmarks.gate_load import LOAD_CORE, Sample, free_port, medians, static_api
from benchmarks.gate_proxies import Costs, Proxy, started, wait_until_open
from benchmarks.gate_served import publish, server_at

from watchword.engines.caddy import generate
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.gate.bundle import GateBundle

ROUNDS = 9

Change = Callable[[Any], None]


def _server(document: Any) -> Any:
    return document["apps"]["http"]["servers"]["watchword"]


def _asking(document: Any) -> Any:
    return _server(document)["routes"][0]["handle"][0]


def _without_log(document: Any) -> None:
    del _server(document)["logs"], document["logging"]["logs"]["refusals"]


def _with_words_of_requests(document: Any) -> None:
    document["logging"]["logs"]["default"]["exclude"] = ["http.log"]


def _without_passage(document: Any) -> None:
    _asking(document)["handle_response"][0]["routes"] = [{"handle": [{"handler": "headers"}]}]


def _without(handler: str, document: Any) -> None:
    first = _asking(document)["handle_response"][0]["routes"][0]
    first["handle"] = [each for each in first["handle"] if each["handler"] != handler]


def _without_conditions(document: Any) -> None:
    del _asking(document)["handle_response"][0]["routes"][1:]


def _without_words_on_the_request(document: Any) -> None:
    told = _asking(document)["headers"]["request"]
    del told["delete"], told["set"]["X-Forwarded-Connection"]
    del told["set"]["X-Forwarded-Content-Length"]


VARIANTS: dict[str, Change] = {
    "as generated": lambda _: None,
    "with what Caddy says of requests, thrown away": _with_words_of_requests,
    "without the log of refusals": _without_log,
    "without removing what clients state": partial(_without, "headers"),
    "without the answer's nonce": partial(_without, "copy_response_headers"),
    "without results, and what proofs ask for": _without_conditions,
    "without all that follows from a yes": _without_passage,
    "without connection and length in the question": _without_words_on_the_request,
}


@contextlib.contextmanager
def _caddy(
    directory: Path, upstream: int, place: Path, bundle: GateBundle, change: Change | None
) -> Iterator[Proxy]:
    """Run a Caddy over a changed configuration; without a change the bare one, of which nothing is Watchword's."""
    directory.mkdir()
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", upstream),
        authz=Endpoint(socket=str(place)),
        access_log=str(directory / "access.log"),
    )
    if change is None:
        document: Any = bare_forward_auth(options.listen.port, upstream, place, kept=False)
    else:
        document = json.loads(generate(bundle, options, time.time())[0].content)
        change(document)
    written = directory / "caddy.json"
    written.write_text(json.dumps(document))
    command = ["caddy", "run", "--config", str(written)]
    with started(command, options.listen.port, directory / "out.log") as proxy:
        yield proxy


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, {LOAD_CORE})
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    fleet = Fleet()
    publish(fleet, directory)
    bundle = fleet.bundle(ASKED_ROUTES)
    asked = request_bytes(ASKED_PATH, fleet.instances[0].bearer())
    costs = Costs(fleet, directory, {})
    judge, yes = directory / "judge.sock", directory / "yes.sock"
    variants: dict[str, tuple[Path, Change | None]] = {
        "bare forward auth": (yes, None),
        "as generated, and Watchword answers": (judge, VARIANTS["as generated"]),
        **{name: (yes, change) for name, change in VARIANTS.items()},
    }
    try:
        with contextlib.ExitStack() as running:
            upstream = running.enter_context(static_api(directory))
            pids = {
                judge: running.enter_context(server_at("forwarded", directory, judge)),
                yes: running.enter_context(server_at("open", directory, yes)),
            }
            rounds: dict[str, Callable[[], Sample]] = {}
            for number, (name, (place, change)) in enumerate(variants.items()):
                at = directory / f"variant-{number}"
                proxy = running.enter_context(_caddy(at, upstream, place, bundle, change))
                wait_until_open(proxy.port, asked)
                rounds[name] = partial(costs.of_tokens, proxy, ASKED_PATH, pids[place])
                rounds[name]()
            found, waited = medians(rounds, ROUNDS)
    finally:
        shutil.rmtree(directory)
    for name, us in found.items():
        print(f"{name:60} {us:6.1f} us  {us / found['bare forward auth']:.2f} x bare")
    # With the server that answers, they use up their core, so that both wait for it half of the time.
    print(f"waited for their core: {waited:.1%} of the time")


if __name__ == "__main__":
    main()

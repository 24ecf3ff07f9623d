"""Explain the token check's cost in Envoy: leave parts of the generated configuration out, one by one.

What is left out here is what makes the configuration safe: none of these is one to run.

Run: ``python -m benchmarks.gate_envoy_profile``
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from benchmarks.gate_envoy import plain_proxy, protected_proxy
from benchmarks.gate_instances import ROUTES, TOKEN_PATH, Fleet, request_bytes
from benchmarks.gate_load import LOAD_CORE, Sample, medians, static_api
from benchmarks.gate_proxies import Costs, wait_until_open

ROUNDS = 9

Change = Callable[[str, Any], None]


def _manager(document: Any) -> Any:
    (listener,) = document["resources"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def _without_early_removal(name: str, document: Any) -> None:
    if name == "listeners.yaml":
        del _manager(document)["early_header_mutation_extensions"]


def _without_access_log(name: str, document: Any) -> None:
    if name == "listeners.yaml":
        del _manager(document)["access_log"]


def _routes(document: Any) -> Iterator[Any]:
    (table,) = document["resources"]
    yield from table["virtual_hosts"][0]["routes"]


def _without_claims_filters(name: str, document: Any) -> None:
    if name != "routes.yaml":
        return
    for route in _routes(document):
        filters = route.get("typed_per_filter_config", {})
        for each in [name for name in filters if "claims" in name or "counts" in name]:
            del filters[each]


def _without_ambiguous(name: str, document: Any) -> None:
    if name == "routes.yaml":
        (table,) = document["resources"]
        kept = [r for r in _routes(document) if r.get("direct_response", {}).get("status") != 400]
        table["virtual_hosts"][0]["routes"] = kept


def _without_claims(name: str, document: Any) -> None:
    if name == "filter-token.yaml":
        for resource in document["resources"]:
            for provider in resource["typed_config"]["providers"].values():
                del provider["claim_to_headers"]


def _changed(changes: tuple[Change, ...], name: str, content: str) -> str:
    if not name.endswith(".yaml"):
        return content
    document = yaml.safe_load(content)
    for change in changes:
        change(name, document)
    return yaml.safe_dump(document)


VARIANTS: dict[str, tuple[Change, ...]] = {
    "as generated": (),
    "without removing what clients state in the gate's name": (_without_early_removal,),
    "without the log of refusals": (_without_access_log,),
    "without the refusal of ambiguous requests": (_without_ambiguous,),
    "without spelling, environment, revocation and level": (_without_claims_filters,),
    "without that and the headers for the API": (_without_claims_filters, _without_claims),
    "without all of these: the bare token check": (
        _without_early_removal,
        _without_access_log,
        _without_ambiguous,
        _without_claims_filters,
        _without_claims,
    ),
}


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, {LOAD_CORE})
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    fleet = Fleet()
    token = request_bytes(TOKEN_PATH, fleet.instances[0].bearer())
    costs = Costs(fleet, directory, {})
    try:
        with contextlib.ExitStack() as running:
            upstream = running.enter_context(static_api(directory))
            proxies = {"plain proxy": running.enter_context(plain_proxy(directory, upstream))}
            for number, (name, changes) in enumerate(VARIANTS.items()):
                proxies[name] = running.enter_context(
                    protected_proxy(
                        directory / f"variant-{number}",
                        fleet.bundle(ROUTES),
                        upstream,
                        change=partial(_changed, changes),
                    )
                )
            for proxy in proxies.values():
                wait_until_open(proxy.port, token)
                costs.of_tokens(proxy)
            rounds: dict[str, Callable[[], Sample]] = {
                name: partial(costs.of_tokens, at) for name, at in proxies.items()
            }
            found, waited = medians(rounds, ROUNDS)
    finally:
        shutil.rmtree(directory)
    for name, us in found.items():
        print(f"{name:60} {us:6.1f} us  {us / found['plain proxy']:.2f} x plain")
    print(f"waited for their core: {waited:.1%} of the time")


if __name__ == "__main__":
    main()

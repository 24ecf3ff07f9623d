"""Measure what a decision costs a gate that knows many revoked instances, beside one that knows none."""

import gc
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from benchmarks.gate_decisions import facts
from benchmarks.gate_instances import DPOP_ROUTES, SESSION_PATH, TOKEN_PATH, Fields, Fleet
from benchmarks.report import Row

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.gate_bundle.chain_file import chain_path, write_chain
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.gate.chain import snapshot_to_line
from watchword.gate.interface import RequestFacts
from watchword.gate.revocations import DIGEST_KEY_BYTES, pack
from watchword.gate.service import Gate

ROUNDS = 81
CALLS = 200
"""Calls of each kind in a round."""

MOST_DEARER = 1.05


def decisions(revoked: "array[int]") -> list[Row]:
    """Return the rows: each kind of request at a gate that knows so many, its peer one that knows nobody."""
    fleet = Fleet()
    with tempfile.TemporaryDirectory(prefix="ww") as directory:
        gates = [
            _gate(fleet, Path(directory) / f"{name}.jws", digests)
            for name, digests in (("many", revoked), ("none", array("Q")))
        ]
        kinds = _kinds(fleet)
        seen: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in kinds}
        for make in kinds.values():
            for gate in gates:
                _time(gate, make())
        gc.collect()
        gc.freeze()
        for number in range(ROUNDS):
            for name, make in kinds.items():
                # In turn, so that neither always finds the caches as the other left them.
                for which in (0, 1) if number % 2 else (1, 0):
                    seen[name][which].append(_time(gates[which], make()))
        gc.unfreeze()
    return [
        Row.at_most_times(
            f"Gate.decide: {name}, us (peer: nobody revoked)",
            median(many),
            median(none),
            MOST_DEARER,
        )
        for name, (many, none) in seen.items()
    ]


def _gate(fleet: Fleet, bundle: Path, revoked: "array[int]") -> Gate:
    key = SystemEntropy().token_bytes(DIGEST_KEY_BYTES)
    line = snapshot_to_line(fleet.bundle(DPOP_ROUTES), key, pack(revoked), fleet.bundle_signer)
    write_chain(chain_path(bundle), [line])
    state = GateBundleFile(bundle, fleet.bundle_signer.verification_key())
    return Gate(state, memory=MemoryReplayStore())


def _kinds(fleet: Fleet) -> dict[str, Callable[[], Sequence[RequestFacts]]]:
    bare = fleet.instances[0].bearer()[:-1]

    def new() -> Sequence[RequestFacts]:
        tokens: list[Fields] = [
            [*bare, ("watchword-token", token)] for token in fleet.new_tokens(CALLS)
        ]
        return [facts(TOKEN_PATH, each) for each in tokens]

    def cached() -> Sequence[RequestFacts]:
        return [facts(TOKEN_PATH, each.bearer()) for each in fleet.instances[:CALLS]]

    def session() -> Sequence[RequestFacts]:
        return [facts(SESSION_PATH, each) for each in fleet.proofs("session", CALLS)]

    return {
        "token not met before": new,
        "cached token": cached,
        "session proof": session,
    }


def _time(gate: Gate, requests: Sequence[RequestFacts]) -> float:
    """Return the processor time of one decision, in us."""
    before = time.thread_time_ns()
    allowed = [gate.decide(each, time.time()).allow for each in requests]
    spent = time.thread_time_ns() - before
    if not all(allowed):
        raise SystemExit("the gate refused a request of the benchmark")
    return spent / len(requests) / 1000

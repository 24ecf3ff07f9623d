"""Count the instructions of gate and verification, which no other work on the machine changes.

Valgrind's callgrind runs one Python over all rows.  A row does its work a few times until Python has specialised its code
and the caches are warm, then N times, then M times: what lies between both, divided by M - N, is one piece of work, and
whatever a start, a counter or a first call costs cancels out.  Keys, times, hashes of strings and the environment are fixed.

Three shares are told apart.  Valgrind's processor has no instructions for SHA, so that hashing counts several times as
much there as on a phone's server: the compression of SHA-2 stands alone.  The rest of libcrypto (elliptic curves,
big numbers, X.509, AES) and of its Rust binding is the second; everything else, which is Python's, the third.

Run: ``python -m benchmarks.gate_instructions [--only TEXT] [--json] [--against FILE [--most 1.05] [--most-of TEXT=1.08]]``
"""

import argparse
import gc
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from benchmarks.gate_instances import (
    DEVICE_PATH,
    DPOP_ROUTES,
    SESSION_PATH,
    TOKEN_PATH,
    USUAL_FIELDS,
    Fields,
    Fleet,
    Instance,
)
from benchmarks.report import write_result
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from tests.unit.attestation.absurd import ABSURD

from watchword.adapters.anchors import AnchorSet, read_lab_anchors
from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.revocation import StatusList, read_status_list
from watchword.apps.gateway import WatchwordMiddleware
from watchword.attestation.certificates import BoundedIssuerCache
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Attestation,
    Expected,
    PlayKeys,
    Trust,
)
from watchword.attestation.registry import examine, find_format, verify, verify_renewal
from watchword.gate.bundle import to_jws
from watchword.gate.interface import RequestFacts
from watchword.gate.service import Gate
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    LabStatusList,
    PhoneSetup,
)
from watchword.lab.google_play import GooglePlay
from watchword.vocabulary import Platform

NOW: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
WARM: Final = 24
"""Pieces of work before any is counted: Python specialises a function after 8 calls, and its code a little later."""

BINDING: Final = hashlib.sha256(b"statement").digest()
_MARK: Final = os.getpgrp
"""What ends a stretch: callgrind writes its counts down before the C function of this name, which nothing else calls."""

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
_LEAST_SHARE: Final = 0.5

Job = tuple[Callable[[Any], object], Sequence[Any]]
"""What is done with each of as many items as were asked for."""


class Bench:
    """Hold what rows make their work of: a gate with its fleet, a lab with its trust; all of fixed seeds."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._numbers = itertools.count(1)
        self.authorities = LabAuthorities.from_seed(bytes(range(32)))
        self.clock = FixedClock()
        self.ios = InstalledIosApp("ABCDE12345", "com.example.clinic", "7.2")
        self.android = InstalledAndroidApp("com.example.clinic", (bytes(range(32)),), 120)

    def new_key(self) -> EllipticCurvePrivateKey:
        """Return the next key of a fixed row of them."""
        digest = hashlib.sha256(b"key %d" % next(self._numbers)).digest()
        return derive_private_key(int.from_bytes(digest) >> 1, SECP256R1())

    @cached_property
    def fleet(self) -> Fleet:
        """Return the service, with one instance."""
        return Fleet(1, new_key=self.new_key, timestamp=self.clock.timestamp)

    def gate(self) -> Gate:
        """Return a gate that has met nobody, over a bundle at which it looks once."""
        path = Path("bundle.jws")
        path.write_bytes(to_jws(self.fleet.bundle(DPOP_ROUTES), self.fleet.bundle_signer))
        path.chmod(0o600)
        key = self.fleet.bundle_signer.verification_key()
        state = GateBundleFile(path, key, lambda: 0.0)
        return Gate(state, memory=MemoryReplayStore())

    @cached_property
    def trust(self) -> Trust:
        """Return trust in the lab, by way of the documents that it writes; no issuer is known."""
        anchors = json.dumps(self.authorities.anchors_document()).encode()
        revoked = json.dumps(LabStatusList.first_of(self.authorities).document()).encode()
        google = GooglePlay(self.authorities.seed)
        keys = PlayKeys(google.decryption_key, google.verification_key)
        return Trust(
            AnchorSet(read_lab_anchors(anchors, "lab")),
            StatusList(read_status_list(revoked, "lab")),
            play_keys={self.android.package: keys},
        )

    def app(self, kind: str) -> AppRegistration:
        """Return the registration of the app on phones of a kind."""
        if PHONES[kind].platform is Platform.IOS:
            identity = AppleApp(self.ios.team_id, self.ios.bundle_id)
            return AppRegistration("ios", identity, self.ios.version)
        android = AndroidApp(self.android.package, frozenset(self.android.signing_digests))
        return AppRegistration("android", android, str(self.android.version_code))

    def phone(self, kind: str) -> Any:
        """Return another phone of a kind of the lab's."""
        app = self.ios if PHONES[kind].platform is Platform.IOS else self.android
        name = f"phone {next(self._numbers)}"
        return PHONES[kind].build(app, PhoneSetup(self.authorities, self.clock, name))

    def evidence(self, kind: str, count: int) -> list[Attestation]:
        """Return the evidence of as many phones of a kind."""
        found = [self.phone(kind).attest(BINDING) for _ in range(count)]
        return [find_format(each["format"]).read_attestation(each) for each in found]


class FixedClock:
    """Tell one time for ever."""

    def now(self) -> datetime:
        """Return the time."""
        return NOW

    def timestamp(self) -> float:
        """Return the time in seconds since 1970."""
        return NOW.timestamp()


# What is counted.  A new row is one function that makes its work, and one line in ROWS.

Requests = Callable[[Bench, int], tuple[str, list[Fields]]]


def without_token(_bench: Bench, count: int) -> tuple[str, list[Fields]]:
    """Return requests of a route in mode ``off``."""
    return "/health", [USUAL_FIELDS] * count


def bearer(bench: Bench, count: int, *, first: bool) -> tuple[str, list[Fields]]:
    """Return requests with a token alone."""
    return TOKEN_PATH, [each.bearer() for each in _instances(bench, count, first=first)]


def proof(bench: Bench, count: int, *, kind: str, first: bool) -> tuple[str, list[Fields]]:
    """Return requests with a fresh proof each: ``session``, ``device`` or ``dpop``."""
    path = SESSION_PATH if kind == "session" else DEVICE_PATH
    return path, bench.fleet.proofs(kind, count, _instances(bench, count, first=first))


def _instances(bench: Bench, count: int, *, first: bool) -> list[Instance]:
    return bench.fleet.enrol(count) if first else bench.fleet.instances * count


def decide(bench: Bench, count: int, *, requests: Requests) -> Job:
    """Let the gate decide."""
    gate, now = bench.gate(), bench.clock.timestamp()
    path, fields = requests(bench, count)
    made = [RequestFacts("GET", path.encode(), _raw(each), b"", path) for each in fields]
    return lambda one: _passes(gate.decide(one, now).allow), made


def middleware(bench: Bench, count: int, *, requests: Requests) -> Job:
    """Serve the smallest application behind the middleware, without a server."""
    statuses: list[int] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    app = WatchwordMiddleware(application, gate=bench.gate(), clock=bench.clock)

    def work(scope: dict[str, Any]) -> None:
        try:
            app(scope, receive, send).send(None)
        except StopIteration:
            _passes(statuses.pop() == 200)

    path, fields = requests(bench, count)
    return work, [_scope(path, each) for each in fields]


def _scope(path: str, fields: Fields) -> dict[str, Any]:
    """Return a request as a server hands it over."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": _raw(fields),
        "state": {},
    }


def _raw(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in fields]


def _passes(passed: bool) -> None:
    if not passed:
        raise SystemExit("the gate refused a request of the benchmark")


def chain(bench: Bench, count: int, *, kind: str, known: bool = True) -> Job:
    """Verify the evidence of another phone each time, all steps.

    :param kind: of the lab's phones; one that passes.
    :param known: whether issuers are remembered, as the service does.
    """
    trust = replace(bench.trust, issuers=BoundedIssuerCache()) if known else bench.trust
    expected = Expected(BINDING, bench.app(kind))
    return lambda one: verify(one, expected, trust, NOW), bench.evidence(kind, count)


def assertion(bench: Bench, count: int) -> Job:
    """Verify App Attest assertions of one phone over a statement."""
    kind, statement = "genuine-iphone", b"a statement of three hundred bytes " * 9
    phone, app = bench.phone(kind), bench.app(kind)
    attested = find_format("app-attest").read_attestation(phone.attest(BINDING))
    key = verify(attested, Expected(BINDING, app), bench.trust, NOW).claims.public_key or b""
    made = [phone.renew(statement) for _ in range(count)]
    renewals = [find_format(each["format"]).read_renewal(each) for each in made]
    return lambda one: verify_renewal(one, statement, key, app), renewals


def absurd(_bench: Bench, count: int, *, kind: str | None) -> Job:
    """Refuse an App Attest attestation with an absurd certificate.

    :param kind: of the absurd ones of the tests; None for the genuine one that they are compared with.
    """
    case = ABSURD.genuine if kind is None else ABSURD[kind]

    def work(one: Attestation) -> None:
        examine(one, case.expected, case.trust, NOW)

    return work, [case.evidence] * count


HEAVIEST: Final = (
    "system of 128 tags",
    "50 extensions",
    "12 extensions of 1000 bytes",
    "category 900 bytes",
)
"""Of the absurd attestations those that ask for the most: each may cost two genuine ones at most."""

_REQUESTS: Final[dict[str, Requests]] = {
    "open route": without_token,
    "bearer, token new": partial(bearer, first=True),
    "bearer, token cached": partial(bearer, first=False),
    **{
        f"{kind}, token {word}": partial(proof, kind=kind, first=first)
        for kind in ("session", "device", "dpop")
        for word, first in (("new", True), ("cached", False))
    },
}

ROWS: Final[dict[str, tuple[Callable[[Bench, int], Job], int, int]]] = {
    **{f"decide: {name}": (partial(decide, requests=r), 16, 64) for name, r in _REQUESTS.items()},
    **{f"ASGI: {name}": (partial(middleware, requests=r), 16, 64) for name, r in _REQUESTS.items()},
    "App Attest attestation": (partial(chain, kind="genuine-iphone"), 4, 16),
    "App Attest, issuer unknown": (partial(chain, kind="genuine-iphone", known=False), 4, 16),
    "App Attest assertion": (assertion, 8, 32),
    "Android factory": (partial(chain, kind="genuine-android"), 4, 16),
    "Android factory, issuers unknown": (
        partial(chain, kind="genuine-android", known=False),
        4,
        16,
    ),
    "Android RKP": (partial(chain, kind="rkp-android"), 4, 16),
    "Android RKP, issuers unknown": (partial(chain, kind="rkp-android", known=False), 4, 16),
    "Play Integrity token": (partial(chain, kind="play-phone"), 8, 32),
    "absurd: none, a genuine one": (partial(absurd, kind=None), 4, 16),
    **{f"absurd: {kind}": (partial(absurd, kind=kind), 4, 16) for kind in HEAVIEST},
}
"""By name: what makes the work, and how often it is done in the first stretch and in the second."""


# Inside of callgrind.


def run(chosen: Sequence[str]) -> None:
    """Do the work of the rows, with a mark before and after each stretch; say on stdout how far it is."""
    _mark_hashing()
    bench = Bench()
    for name in chosen:
        make, few, many = ROWS[name]
        work, items = make(bench, WARM + few + many)
        print(name, flush=True)
        for item in items[:WARM]:
            work(item)
        gc.collect()
        # Else a collection falls into one stretch and not into the other.
        gc.disable()
        _MARK()
        for item in items[WARM : WARM + few]:
            work(item)
        _MARK()
        for item in items[WARM + few :]:
            work(item)
        _MARK()
        gc.enable()


def _mark_hashing() -> None:
    """Hash much by both libraries of cryptography, so that the name of each compression is found by its share."""
    data = bytes(1 << 18)
    for digest in (hashlib.sha256, hashlib.sha384):
        _MARK()
        digest(data)
        _MARK()
    hashed = Hash(SHA256())
    _MARK()
    hashed.update(data)
    _MARK()


_HASHING_MARKS: Final = 6


# Around it.


@dataclass(frozen=True)
class Found:
    """Hold the instructions of one piece of work."""

    sha2: float
    libcrypto: float
    python: float

    @property
    def whole(self) -> float:
        """Return all of them."""
        return self.sha2 + self.libcrypto + self.python

    @property
    def compared(self) -> float:
        """Return all but hashing, which costs a real processor far less."""
        return self.libcrypto + self.python


Costs = Counter[tuple[str, str]]
"""Instructions by library and function, without those that it called."""


def read_costs(path: Path) -> Costs:
    """Read what callgrind wrote of one stretch (its manual, "Callgrind Format Specification")."""
    costs: Costs = Counter()
    library = function = ""
    inclusive = False
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line[:1].isdigit():
                if not inclusive:
                    costs[library, function] += int(line.split()[1])
                inclusive = False
            elif line.startswith("ob="):
                library = Path(line[3:].rstrip()).name
            elif line.startswith("fn="):
                function = line[3:].rstrip()
            elif line.startswith("calls="):
                # The next line is the cost of what was called, which stands at that function too.
                inclusive = True
    return costs


def measure(chosen: Sequence[str]) -> Iterator[tuple[str, Found]]:
    """Run callgrind over the rows, and yield each as soon as it is done.

    :raises SystemExit: where valgrind is missing or the run failed.
    """
    if shutil.which("valgrind") is None:
        raise SystemExit("install valgrind (Debian: apt install valgrind)")
    directory = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        out = directory / "counts"
        inside = [sys.executable, "-m", "benchmarks.gate_instructions", "--inside", *chosen]
        command = [
            *("valgrind", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"),
            *("--dump-before=getpgrp*", f"--callgrind-out-file={out}", "--quiet"),
            *inside,
        ]
        root = Path(__file__).parents[1]
        environment = {**_ENVIRONMENT, "PYTHONPATH": str(root)}
        # Whatever Python compiles and keeps at a first run would lie elsewhere in memory at the next.
        subprocess.run(
            inside, cwd=directory, env=environment, stdout=subprocess.DEVNULL, check=True
        )
        with subprocess.Popen(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(f"  {line.strip()} ...", file=sys.stderr, flush=True)
        if process.returncode:
            raise SystemExit(f"callgrind ended with {process.returncode}")
        # The n-th mark writes what came since the one before: the part of that number.
        hashing = _compressions(
            read_costs(Path(f"{out}.{part}")) for part in range(2, _HASHING_MARKS + 1, 2)
        )
        for number, name in enumerate(chosen):
            few, many = (
                read_costs(Path(f"{out}.{_HASHING_MARKS + 3 * number + part}")) for part in (2, 3)
            )
            _, counted_few, counted_many = ROWS[name]
            yield name, _difference(few, many, counted_many - counted_few, hashing)
    finally:
        shutil.rmtree(directory)


def _compressions(stretches: Iterator[Costs]) -> frozenset[tuple[str, str]]:
    """Return the functions in which nearly all of the time went while much was hashed."""
    found = set()
    for costs in stretches:
        (place, cost), *_ = costs.most_common(1)
        if cost < _LEAST_SHARE * costs.total():
            raise SystemExit(f"no function stands out in hashing: got {place} with {cost}")
        found.add(place)
    return frozenset(found)


def _difference(few: Costs, many: Costs, count: int, hashing: frozenset[tuple[str, str]]) -> Found:
    parts = {"sha2": 0.0, "libcrypto": 0.0, "python": 0.0}
    for place in many.keys() | few.keys():
        if place in hashing:
            part = "sha2"
        elif place[0].startswith(("libcrypto", "_rust")):
            part = "libcrypto"
        else:
            part = "python"
        parts[part] += (many[place] - few[place]) / count
    return Found(**parts)


def document(found: Mapping[str, Found]) -> list[dict[str, Any]]:
    """Return what is written and compared: the members of other benchmarks' results, and the shares."""
    return [
        {
            "measure": f"{name}, instructions",
            "ours": round(each.whole),
            "python": round(each.python),
            "libcrypto": round(each.libcrypto),
            "sha2": round(each.sha2),
        }
        for name, each in found.items()
    ]


def read_document(data: bytes) -> dict[str, Found]:
    """Read such a document."""
    rows = json.loads(data)["rows"]
    return {
        row["measure"].removesuffix(", instructions"): Found(
            row["sha2"], row["libcrypto"], row["python"]
        )
        for row in rows
    }


def table(found: Mapping[str, Found]) -> str:
    """Return the figures at 80 columns, in thousands of instructions."""
    lines = [
        f"{'thousands of instructions':34}{'all':>11}{'Python':>11}{'libcrypto':>12}{'SHA-2':>11}"
    ]
    for name, each in found.items():
        figures = (each.whole, each.python, each.libcrypto, each.sha2)
        cells = [f"{figure / 1000:,.1f}" for figure in figures]
        widths = (11, 11, 12, 11)
        lines.append(
            f"{name:34}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))
        )
    return "\n".join(lines)


def compared(
    found: Mapping[str, Found], before: Mapping[str, Found], bound: Callable[[str], float]
) -> tuple[str, bool]:
    """Return a table of ratios to an earlier result, and whether each is within its bound.

    What is bounded is all but the hashing.  A row that only one of both has is told, and bounds nothing.
    """
    lines = [f"{'now / before':34}{'all':>9}{'Python':>9}{'but SHA-2':>11}{'at most':>9}  holds"]
    good = True
    for name, each in found.items():
        if name not in before:
            lines.append(f"{name:34}{'new':>9}")
            continue
        old, most = before[name], bound(name)
        ratio = each.compared / old.compared
        good = good and ratio <= most
        lines.append(
            f"{name:34}{each.whole / old.whole:>9.3f}{each.python / old.python:>9.3f}"
            f"{ratio:>11.3f}{most:>9.2f}  {'yes' if ratio <= most else 'NO'}"
        )
    return "\n".join(lines), good


def main() -> None:
    """Count, print and write the results; exit 1 where a ratio is above its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_instructions")
    parser.add_argument("--inside", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name has this text")
    parser.add_argument("--json", action="store_true", help="print the document")
    parser.add_argument("--against", metavar="FILE", type=Path, help="an earlier result")
    parser.add_argument("--most", metavar="RATIO", type=float, default=1.05)
    parser.add_argument("--most-of", metavar="TEXT=RATIO", action="append", default=[])
    asked = parser.parse_args()
    if asked.inside is not None:
        run(asked.inside)
        return
    bounds = [(text, float(ratio)) for text, _, ratio in (o.rpartition("=") for o in asked.most_of)]
    before = None if asked.against is None else read_document(asked.against.read_bytes())
    chosen = [name for name in ROWS if asked.only in name]
    found = dict(measure(chosen))
    rows = document(found)
    written = json.dumps({"rows": rows}, indent=2) + "\n"
    if len(chosen) == len(ROWS):
        write_result("gate_instructions", {"rows": rows})
    print(written if asked.json else table(found))
    if before is not None:
        # The last that fits counts.
        text, good = compared(
            found,
            before,
            lambda name: next((r for t, r in reversed(bounds) if t in name), asked.most),
        )
        print(text, file=sys.stderr if asked.json else sys.stdout)
        if not good:
            raise SystemExit(1)


if __name__ == "__main__":
    main()

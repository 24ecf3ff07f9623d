"""Measure the house: its files, its code lines, the imports inside functions, and the files that four walks go through.

``python -m scripts.house [--json] [--files]``.  A walk is run for real; each file of the product in which a function is
called counts once, and one that is only imported doesn't.

Beside the files stand a walk's stops: what has one file each by decree (a policy's rules, the formats) is looked up by its
name and never read through, and the readers of bytes call nothing of ours.  Each such family is one stop.  To read the settings
is a walk of its own, and one stop of any other.
"""

import argparse
import ast
import contextlib
import io
import json
import signal
import subprocess
import sys
import tempfile
import threading
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from examples.rehearsal import app_on, on_a_free_port
from httpx import Request
from tests.unit.apps.asgi_client import Recorder, call, http_scope
from tests.unit.apps.pins_servers import HOST, new_key, public_pem

from watchword.apps.cli.main import run
from watchword.apps.gateway import WatchwordMiddleware, gate_from
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE
from watchword.client import WatchwordAuth

ROOT: Final = Path(__file__).parents[1]
PRODUCT: Final = (ROOT / "src" / "watchword", ROOT / "packages")
_CLINIC: Final = ROOT / "examples" / "fastapi_clinic" / "watchword.yaml"
_AUDIENCE: Final = "https://api.clinic.example"
_PINS: Final = f"pins:\n  hosts:\n    {HOST}: {{apps: [clinic-android], mode: report}}\n"
_FAMILIES: Final = (
    "policy/rules",
    "attestation/formats",
    "scan/rules",
    "drill/attacks",
    "encoding",
)
_SETTINGS: Final = "apps/settings"
_START, _STOP = signal.SIGUSR1, signal.SIGUSR2
_SERVICE: Final = """
import sys
from scripts.house import serve_traced
serve_traced(*sys.argv[1:])
"""


def sources() -> list[Path]:
    """Return every file of the product's code."""
    return sorted(file for place in PRODUCT if place.is_dir() for file in place.rglob("*.py"))


def code_lines(file: Path) -> int:
    """Count the lines that hold code: blank ones, comments and docstrings don't."""
    text = file.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped and token.string:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def late_imports(file: Path) -> int:
    """Count the imports inside functions, by statement or by ``importlib``."""
    found: set[ast.AST] = set()
    for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            found.update(node for node in ast.walk(function) if _imports(node))
    return len(found)


def _imports(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return called.endswith("import_module") or called == "__import__"
    return isinstance(node, ast.Import | ast.ImportFrom)


class Trace:
    """Note the product's files in which functions are called, on every thread, while it is on."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note one call; what a module or a class does when it is imported is no call."""
        code = frame.f_code
        # A class's body has no locals of its own to be fast with; a function has.
        if (
            event == "call"
            and code.co_flags & 0x02
            and code.co_filename.startswith(str(PRODUCT[0]))
        ):
            self.files.add(code.co_filename)

    def start(self) -> None:
        """Forget what was, and note from now on."""
        self.files.clear()
        threading.setprofile(self)
        sys.setprofile(self)

    def stop(self) -> list[str]:
        """Note no more; return the files, as paths within the product."""
        sys.setprofile(None)
        threading.setprofile(None)
        return sorted(str(Path(file).relative_to(PRODUCT[0])) for file in self.files)


def stops(walk: str, files: Sequence[str]) -> list[str]:
    """Return the stops of a walk through these files: a family is one of them."""
    families = _FAMILIES if walk == "settings" else (*_FAMILIES, _SETTINGS)
    named = {
        file: next((each for each in families if file.startswith(f"{each}/")), file)
        for file in files
    }
    return sorted(set(named.values()))


def serve_traced(out: str, *arguments: str) -> None:
    """Run ``watchword up``; a signal starts a walk, another one writes its files to ``out``."""
    trace = Trace()
    threading.setprofile(lambda *event: trace(*event) if on else None)
    on: list[bool] = []

    def begin(*_: object) -> None:
        trace.files.clear()
        on.append(True)
        sys.setprofile(trace)

    def end(*_: object) -> None:
        on.clear()
        Path(out).write_text(json.dumps(trace.stop()), encoding="utf-8")
        print("walked", flush=True)

    signal.signal(_START, begin)
    signal.signal(_STOP, end)
    sys.argv = ["watchword", *arguments]
    run()


@contextlib.contextmanager
def _service(file: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _SERVICE, str(out), "-c", str(file), "up", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()  # It says where it listens when it does.
        try:
            yield child
        finally:
            child.terminate()


def walk_evidence_and_request(directory: Path) -> tuple[list[str], list[str]]:
    """Enrol a simulated phone at a service, and send one of its requests through the ASGI middleware."""
    file, out = on_a_free_port(_CLINIC, directory), directory / "walked.json"
    with (
        _service(file, out) as child,
        app_on("genuine-android", load_settings(file), _AUDIENCE) as app,
    ):
        child.send_signal(_START)
        app.enrol()
        child.send_signal(_STOP)
        assert child.stdout is not None
        child.stdout.readline()
        middleware = WatchwordMiddleware(Recorder(), gate=gate_from(file, api="clinic"))
        auth = WatchwordAuth(app, _AUDIENCE)
        request = next(auth.sync_auth_flow(Request("GET", "http://clinic.example/v1/patients/17")))
        scope = http_scope(
            "/v1/patients/17", headers=[h for h in request.headers.raw if h[0].lower() != b"host"]
        )
        trace = Trace()
        trace.start()
        answer = call(middleware, scope)
        files = trace.stop()
        assert answer.status == 200, answer.body
    return json.loads(out.read_text(encoding="utf-8")), files


def walk_settings(directory: Path) -> list[str]:
    """Read ``watchword.yaml`` into settings."""
    file = directory / "settings.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    trace = Trace()
    trace.start()
    load_settings(file)
    return trace.stop()


def walk_pins_add(directory: Path) -> list[str]:
    """Run ``watchword pins add`` in a fresh workspace; what reads the settings is a walk of its own."""
    file, key = directory / "pins.yaml", directory / "backup.pub"
    file.write_text(TEMPLATE + _PINS, encoding="utf-8")
    key.write_bytes(public_pem(new_key()))
    _command(file, "init")
    trace = Trace()
    trace.start()
    _command(file, "add", HOST, "--key", str(key), "--role", "backup")
    return trace.stop()


def _command(file: Path, *words: str) -> None:
    sys.argv = ["watchword", "-c", str(file), "pins", *words]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        run()
    assert "Traceback" not in said.getvalue()


def measure() -> dict[str, Any]:
    """Return all figures; a walk's are its files."""
    files = sources()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        evidence, request = walk_evidence_and_request(directory)
        walks = {
            "evidence": evidence,
            "asgi request": request,
            "settings": walk_settings(directory),
            "pins add": walk_pins_add(directory),
        }
    return {
        "files": len(files),
        "files in apps": sum("apps" in file.parts for file in files),
        "code lines": sum(map(code_lines, files)),
        "imports in functions": sum(map(late_imports, files)),
        "walks": walks,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m scripts.house", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--files", action="store_true", help="name the files of each walk")
    chosen = parser.parse_args(arguments)
    figures = measure()
    if chosen.json:
        print(json.dumps(figures, indent=2))
        return
    walks = figures.pop("walks")
    for name, count in figures.items():
        print(f"{name:24}{count:>8,}")
    for name, files in walks.items():
        print(f"{f'walk: {name}':24}{len(files):>8,} files{len(stops(name, files)):>8,} stops")
        if chosen.files:
            print(*(f"    {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()

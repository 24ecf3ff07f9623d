"""Run a whole lab deployment for the end-to-end tests of an SDK, in whatever language it is: addresses as JSON, changes over HTTP.

    python -m tests.system.sdk.deployment DIRECTORY

prints one JSON object on one line once everything listens, and runs until its standard input ends (or SIGTERM).  In Python:
``with deployed(directory) as where``.

- ``service``: where clients enrol; ``attester``: `watchword lab attester` (docs/lab.md), the phones' hardware.
- ``apps``: by platform the app's name and what stands on the phone.  ``secret``: a name that it may fetch, and its value.
- ``apis``: each has an ``audience`` and a ``url``: ``proxy`` (the built-in one), ``nginx`` and ``envoy`` (configured by Watchword),
  and ``affine`` (the proxy, where each proof carries the gate's nonce).
- ``paths``: ``open`` wants nothing; ``bearer``, ``session`` and ``device`` are the proofs of the routes.  A path that goes on with
  ``/redirect`` is sent by the API to another host (307).  Every API takes a device's signature for a session proof where the token
  says so (``device_for_session``).
- ``relays``: the same addresses through a network that loses answers when it is told to (``service`` too).
- ``pinned``: the proxy's API once more, at a ``host`` under pins: ``url`` (HTTP/2 and HTTP/1.1 over TLS) and ``between``, where somebody
  stands in its place; ``trust`` is a file of the authorities that the phone trusts, also his.  Both names, ``host`` and
  ``reports_host``, are to lead to 127.0.0.1.
- ``hosts``: ``foreign`` (answers 200), ``redirecting`` (307 to it), and bad ones: ``portal``, ``huge``, ``bomb``, ``truncated``, ``busy``.
- ``control``: POST a JSON object to one of its paths: ``/seen`` (what reached the API and those hosts), ``/forget``,
  ``/lose`` ``{"relay", "answers"}``, ``/instances``, ``/invite`` ``{"platform"}`` (an operator code), ``/revoke`` ``{"instance"}``,
  ``/withdraw`` ``{"serial"}`` (an attestation certificate), ``/rotate`` ``{"purpose": "tokens|gates"}``, ``/secret`` ``{"value"}``.
  Of the pins: ``/release`` ``{"app"}`` (``file``: what a new version of the app ships with), ``/plan`` (a set with the next key),
  ``/turn`` (the server shows it), ``/settle`` (a set without the old key), ``/between`` (what was read there), ``/reports`` (by phones),
  ``/shown`` (certificates that the server shows, and those of whom is in between: DER in base64url, the leaf first).
"""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from tests.machine import patience
from tests.ports import free_port
from tests.system.lab.attested_devices import attester_process
from tests.system.sdk.hosts import (
    BAD_HOSTS,
    Control,
    Host,
    Redirecting,
    Relay,
    Seen,
    Upstream,
    served,
)
from tests.system.sdk.pinned import SECTION, pinned
from tests.unit.apps.service_process import WATCHWORD, running
from tests.unit.engines.envoy.rig import until

PACKAGE: Final = "com.example.clinic"
TEAM: Final = "ABCDE12345"
DIGEST: Final = "ab" * 32
VERSION_CODE: Final = 100
SECRET: Final = "push"
VALUE: Final = "the key of the push service"
APPS: Final = {"android": "clinic-android", "ios": "clinic-ios"}
PATHS: Final = {
    "open": "/open",
    "bearer": "/patients",
    "session": "/records",
    "device": "/payments",
}

_CONFIG: Final = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  state: state
  token_lifetime: {token_lifetime}
trust:
  anchors: [lab]
records: {{keep: 1d, max_megabytes: 64}}
apps:
  clinic-ios: {{platform: ios, team_id: {team}, bundle_id: {package}}}
  clinic-android:
    platform: android
    package: {package}
    signing_digests: ["{digest}"]
    minimum_version: {version_code}
secrets:
  keys:
    {secret}: {{deliver: {{apps: [clinic-ios, clinic-android], level: software, lease: 1h}}}}
apis:
"""
_API: Final = """\
  {name}:
    audience: https://{name}.clinic.example
    apps: [clinic-ios, clinic-android]
    listen: 127.0.0.1:{port}
    upstream: {upstream}
    device_for_session: true
    rate: {{requests: 100000, per: 1m}}
{more}\
    routes:
      - {{path: "{open}/**", mode: "off"}}
      - {{path: "{bearer}/**", level: software, methods: [GET, POST, PUT]}}
      - {{path: "{session}/**", level: software, proof: session, methods: [GET, POST, PUT]}}
      - {{path: "{device}/**", level: software, proof: device, methods: [GET, POST, PUT]}}
"""
_MORE: Final = {
    "proxy": "",
    "nginx": "",
    "envoy": "    authz: {style: envoy}\n",
    "affine": "    replay: {mode: affine}\n",
}
"""The APIs: what each has beside the rest."""

ENGINES: Final = ("nginx", "envoy")


@contextmanager
def deployed(
    directory: Path, *, engines: tuple[str, ...] = ENGINES, token_lifetime: str = "5m"
) -> Iterator[dict[str, Any]]:
    """Run everything until the block ends, and give the addresses.

    :param directory: an empty one; all files are below it.
    :param engines: which of them run; each takes a second or two to start.
    """
    seen = Seen()
    with ExitStack() as stack:
        foreign = stack.enter_context(served(Host, name="foreign", seen=seen))
        upstream = stack.enter_context(served(Upstream, name="api", seen=seen, elsewhere=foreign))
        hosts = {"foreign": foreign}
        for name, handler in {**BAD_HOSTS, "redirecting": Redirecting}.items():
            members = {"name": name, "seen": seen, "elsewhere": foreign}
            hosts[name] = stack.enter_context(served(handler, **members))
        names = ["proxy", "affine", *engines]
        service, ports, reports = free_port(), {name: free_port() for name in names}, free_port()
        file = directory / "watchword.yaml"
        text = _text(service, ports, upstream, token_lifetime)
        text += SECTION.format(apps=", ".join(APPS.values()), reports=reports)
        file.write_text(text, encoding="utf-8")
        stack.enter_context(running(file, "--log", str(directory / "up.log")))
        _run(file, "secrets", "add", SECRET, given=VALUE)
        attester, _ = stack.enter_context(attester_process(file))
        entries = dict(ports)
        for engine in engines:
            entries[engine] = stack.enter_context(_engine(file, engine))
        relays = {name: Relay("127.0.0.1", port) for name, port in entries.items()}
        relays["service"] = Relay("127.0.0.1", service)
        for relay in relays.values():
            stack.callback(relay.close)
        (directory / "tls").mkdir()
        place = (directory / "tls", partial(_run, file))
        under, changes = stack.enter_context(pinned(*place, (ports["proxy"], service, reports)))
        control = served(Control, actions=_actions(file, seen, relays) | changes)
        yield {
            "service": f"http://127.0.0.1:{service}",
            "attester": attester,
            "apps": _apps(),
            "apis": {
                name: {
                    "audience": f"https://{name}.clinic.example",
                    "url": f"http://127.0.0.1:{port}",
                }
                for name, port in entries.items()
            },
            "paths": PATHS,
            "secret": {"name": SECRET, "value": VALUE},
            "relays": {name: relay.url for name, relay in relays.items()},
            "hosts": hosts,
            "pinned": under,
            "control": stack.enter_context(control),
        }


def _text(service: int, ports: Mapping[str, int], upstream: str, token_lifetime: str) -> str:
    """Return watchword.yaml."""
    text = _CONFIG.format(
        service=service,
        token_lifetime=token_lifetime,
        team=TEAM,
        package=PACKAGE,
        digest=DIGEST,
        version_code=VERSION_CODE,
        secret=SECRET,
    )
    for name, port in ports.items():
        text += _API.format(name=name, port=port, upstream=upstream, more=_MORE[name], **PATHS)
    return text


def _apps() -> dict[str, dict[str, Any]]:
    """Return by platform what an SDK and the attester must know of the app."""
    android = {"package": PACKAGE, "signing_digests": [DIGEST], "version_code": VERSION_CODE}
    ios = {"team_id": TEAM, "bundle_id": PACKAGE, "version": "1"}
    return {
        "android": {"name": APPS["android"], "installed": android},
        "ios": {"name": APPS["ios"], "installed": ios},
    }


@contextmanager
def _engine(file: Path, engine: str) -> Iterator[int]:
    """Run an engine in front of the API that has its name, and give its port once it refuses strangers."""
    port = free_port()
    start = ["gate", "envoy"] if engine == "envoy" else ["gate", "follow", "--engine", engine]
    directory = file.parent / engine
    log = file.with_name(f"{engine}.log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *(*WATCHWORD, "-c", str(file), *start, "--api", engine, "--run"),
                *("-o", str(directory), "--listen", f"127.0.0.1:{port}"),
                *("--access-log", str(file.with_name(f"{engine}-access.log"))),
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: _refuses(process, port, log), 30)
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience(15))
        process.kill()
        process.wait()


def _refuses(process: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text("utf-8", "replace")
    try:
        url = f"http://127.0.0.1:{port}{PATHS['bearer']}/1"
        return httpx.get(url, timeout=patience(5), trust_env=False).status_code == 401
    except httpx.HTTPError:
        return False


def _run(file: Path, *arguments: str, given: str = "") -> Any:
    """Run a command, and return its JSON.

    :raises ValueError: with what it said, when it fails.
    """
    done = subprocess.run(
        [*WATCHWORD, "-c", str(file), *arguments, "--json"],
        input=given,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(done.stderr.strip() or done.stdout.strip())
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else lines


def _listed(told: Any) -> list[Any]:
    """Return what a command told in so many lines, or in one."""
    return told if isinstance(told, list) else [told]


def _actions(file: Path, seen: Seen, relays: Mapping[str, Relay]) -> dict[str, Any]:
    """Return what a test may have done, by the path of the control."""
    because = ("--because", "a test of an SDK")
    return {
        "seen": lambda _: seen.rows(),
        "forget": lambda _: seen.forget(),
        "lose": lambda asked: relays[asked["relay"]].lose(int(asked["answers"])),
        "invite": lambda asked: _run(
            file, "instances", "invite", "--app", APPS[asked["platform"]], *because
        ),
        "instances": lambda _: _listed(_run(file, "instances", "list")),
        "revoke": lambda asked: _run(file, "instances", "revoke", asked["instance"], *because),
        "withdraw": lambda asked: _run(file, "lab", "revoke", asked["serial"]),
        "rotate": lambda asked: _run(file, "keys", "rotate", "--purpose", asked["purpose"]),
        "secret": lambda asked: _run(file, "secrets", "rotate", SECRET, given=asked["value"]),
    }


def main(directory: str) -> None:
    """Run until the standard input ends, or SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with deployed(Path(directory)) as where:
        print(json.dumps(where), flush=True)  # noqa: T201 - for whoever started it.
        ended.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

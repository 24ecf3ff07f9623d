"""Ask forward auth as an engine does: over sockets, of ``watchword up`` and of a process of its own."""

import base64
import json
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import AF_UNIX
from socket import socket as Socket  # noqa: N812 - each test names its own.
from typing import Any

import httpx
import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.unit.adapters.authority import Authority
from tests.unit.apps.service_process import WATCHWORD, configuration, running, upstream, watchword

from watchword.adapters.gate_bundle import GateBundleFile, read_signer
from watchword.adapters.gate_bundle.remote import BundleSource, Fetched, Known, client_tls

SECRET = "0123456789abcdef" * 4


def with_api(file: Path, *lines: str) -> Path:
    """Add lines to the only API of a file."""
    text = file.read_text("utf-8")
    more = "".join(f"    {line}\n" for line in lines)
    file.write_text(text.replace("    routes:\n", f"{more}    routes:\n"), "utf-8")
    return file


def token_of(file: Path, port: int) -> str:
    """Return the token that a lab phone sends to an API that echoes what it gets."""
    url = f"http://127.0.0.1:{port}/a"
    sent = watchword(file, "lab", "request", "genuine-iphone", url, "--proof", "bearer", "--json")
    assert sent.returncode == 0, sent.stderr
    found: str = next(
        value for name, value in _headers(json.loads(sent.stdout)) if name == "watchword-token"
    )
    return found


def _headers(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every pair of texts in JSON, also in JSON inside of a text."""
    if isinstance(value, str) and value.startswith("{"):
        yield from _headers(json.loads(value))
    elif isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                yield name.lower(), inner
            yield from _headers(inner)


def ask(socket: Path, uri: str, token: str | None = None, **more: str) -> httpx.Response:
    """Put one question in the style of nginx."""
    headers = {
        "x-original-method": "GET",
        "x-original-uri": uri,
        "x-original-host": "clinic.example",
        **more,
    }
    if token is not None:
        headers["watchword-token"] = token
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as http:
        return http.get("http://authz/authz", headers=headers)


@contextmanager
def answering(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run ``watchword gate authz`` until it says where it listens."""
    with subprocess.Popen(
        [*WATCHWORD, "-c", str(file), "gate", "authz", "clinic", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["api"] == "clinic"
            yield process
        finally:
            process.kill()


def test_up_answers_engines(tmp_path: Path) -> None:
    """The socket is there with mode 0600, and beside a proxy each says the same."""
    with upstream() as port:
        file = with_api(configuration(tmp_path, port), "authz: {style: original}")
        with running(file) as (where, _process):
            socket = tmp_path / ".watchword" / "authz-clinic.sock"
            assert socket.stat().st_mode & 0o777 == 0o600
            token = token_of(file, port)
            good = ask(socket, "/a?b=1", token)
            assert (good.status_code, good.headers["watchword-level"]) == (200, "hardware")
            refused = ask(socket, "/a?b=1")
            assert (refused.status_code, refused.json()["reasons"]) == (401, ["token.missing"])
            explained = watchword(file, "explain", refused.json()["ref"], "--json")
            assert "token.missing" in explained.stdout
            proxied = httpx.get(f"http://{where['apis']['clinic']}/a?b=1", trust_env=False)
            assert proxied.json()["reasons"] == ["token.missing"]
            shown = watchword(file, "metrics", "--prometheus").stdout
            assert 'watchword_gate_bundle_fault{api="clinic"} 0.0' in shown


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """It answers beside a service, refuses a second of its kind, outlives the service and ends cleanly."""
    with upstream() as port:
        file = configuration(tmp_path, port)
        beside = tmp_path / "beside.yaml"
        beside.write_text(file.read_text("utf-8"), "utf-8")
        with_api(beside, "authz: {style: original}")
        socket = tmp_path / ".watchword" / "authz-clinic.sock"
        with running(file) as (_where, service):
            token = token_of(file, port)
            with answering(beside) as process:
                assert ask(socket, "/a", token).status_code == 200
                assert ask(socket, "/a").status_code == 401
                assert ask(socket, "/a", token + "x").status_code == 401
                second = watchword(beside, "gate", "authz", "clinic")
                assert second.returncode == 1
                assert "another process does" in second.stderr
                assert "Traceback" not in second.stderr
                service.kill()
                service.wait()
                assert ask(socket, "/a", token).status_code == 200
                process.kill()
                process.wait()
            with answering(beside) as process:
                assert ask(socket, "/a", token).status_code == 200
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
                assert process.stderr is not None
                assert "Traceback" not in process.stderr.read()
            assert not socket.exists()


def test_an_api_without_forward_auth_is_told(tmp_path: Path) -> None:
    """The fault names what is missing, and where."""
    file = configuration(tmp_path, 1)
    for api in ("clinic", "nobody"):
        done = watchword(file, "gate", "authz", api)
        assert done.returncode == 2
        assert f"apis.{api}.authz" in done.stderr


@pytest.mark.parametrize(
    ("way", "spoil", "told"),
    [
        ("credential: secret", "secret", "apis.clinic.authz.credential"),
        ("certificate: a.crt, key: a.key, client_ca: ca.pem", "a.key", "apis.clinic.authz"),
        ("certificate: a.crt, key: a.key, client_ca: none.pem", None, "none.pem"),
        ("certificate: a.crt, key: none.key, client_ca: ca.pem", None, "none.key"),
    ],
)
def test_files_of_a_listener_are_read_before_anything_starts(
    tmp_path: Path, way: str, spoil: str | None, told: str
) -> None:
    """A key that others can read, or that isn't there, is a fault of the file that names it."""
    for written in Authority(tmp_path, "ca").issue("a", server=True):
        assert written.exists()
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    if spoil is not None:
        (tmp_path / spoil).chmod(0o644)
    address = f"127.0.0.1:{free_port()}"
    file = with_api(configuration(tmp_path, 1), f"authz: {{listen: '{address}', {way}}}")
    done = watchword(file, "up")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".watchword" / "keyring.json").exists()
    alone = watchword(file, "gate", "authz", "clinic")
    assert alone.returncode == 1
    assert str(tmp_path) in alone.stderr
    assert "Traceback" not in alone.stderr


@pytest.mark.parametrize(
    ("spoil", "told"), [("gates.key", "gates.key"), ("ca.pem", "ca.pem"), ("gates.crt", "gates")]
)
def test_files_of_the_listener_for_gates(tmp_path: Path, spoil: str, told: str) -> None:
    """The same for the bundles' listener."""
    file = with_gates(tmp_path)
    (tmp_path / spoil).write_bytes(b"rubbish")
    if spoil.endswith("key"):
        (tmp_path / spoil).unlink()
    done = watchword(file, "up")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def with_gates(tmp_path: Path, upstream_port: int = 1) -> Path:
    """Return a file with a listener for gates, and write the certificates."""
    authority = Authority(tmp_path, "ca")
    authority.issue("gates", server=True)
    authority.issue("edge.example")
    file = configuration(tmp_path, upstream_port)
    listen = f"127.0.0.1:{free_port()}"
    with file.open("a", encoding="utf-8") as opened:
        opened.write(
            f"gates:\n  listen: {listen}\n  certificate: gates.crt\n  key: gates.key\n"
            "  client_ca: ca.pem\n  clients: {edge.example: [clinic]}\n"
        )
    return file


def test_up_hands_bundles_to_gates(tmp_path: Path) -> None:
    """What comes over TLS is the file of the state directory, and a gate believes it."""
    file = with_gates(tmp_path)
    (listen,) = [line.split()[1] for line in file.read_text().split("gates:\n")[1].splitlines()[:1]]
    with running(file):
        state = tmp_path / ".watchword" / "gates"
        tls = client_tls(
            tmp_path / "edge.example.crt", tmp_path / "edge.example.key", tmp_path / "ca.pem"
        )
        source = BundleSource(f"https://{listen}", "clinic", tls)
        chain = source.fetch(Known())
        first = source.fetch_first(None)
        source.close()
        assert chain == Fetched((state / "clinic.chain").read_bytes(), chain=True)
        assert first == (state / "clinic.jws").read_bytes()
        assert GateBundleFile(state / "clinic.jws", read_signer(state / "signer.jwk")).generation


def test_no_secret_in_the_log_of_a_whole_run(tmp_path: Path) -> None:
    """Neither the key ring's secrets, nor what is derived from them, nor tokens, at level debug."""
    with upstream() as port:
        file = with_api(
            with_gates(tmp_path, port), "authz: {style: original}", "signed_verdict: true"
        )
        os.environ["WATCHWORD_LOG"] = "debug"  # noqa: TID251 - what an operator sets.
        try:
            with running(file) as (where, process):
                url = f"http://{where['apis']['clinic']}/a"
                for proof in ("bearer", "session", "device"):
                    sent = watchword(
                        file, "lab", "request", "genuine-iphone", url, "--proof", proof
                    )
                    assert sent.returncode == 0, sent.stderr
                token = token_of(file, port)
                ask(tmp_path / ".watchword" / "authz-clinic.sock", "/a", token)
                assert watchword(file, "keys", "rotate", "--purpose", "gates").returncode == 0
                assert watchword(file, "keys", "rotate").returncode == 0
                state = tmp_path / ".watchword"
                bundle = GateBundleFile(state / "gates" / "clinic.jws", state / "gates/signer.jwk")
                held = bundle.bundle
                process.send_signal(signal.SIGTERM)
                out, errors = process.communicate(timeout=patience(10))
        finally:
            del os.environ["WATCHWORD_LOG"]  # noqa: TID251 - as above.
        ring = json.loads((state / "keyring.json").read_text())
    secrets = [base64.urlsafe_b64decode(text + "==") for text in _secrets(ring)]
    secrets += [each.secret for each in held.secrets]
    secrets += [held.reference_key, held.verdict_key.scalar]
    assert len(secrets) >= 10
    text = out + errors
    assert '"level": "debug"' in text
    for secret in secrets:
        assert len(secret) == 32
        for form in (base64.urlsafe_b64encode(secret), base64.b64encode(secret)):
            assert form.decode().rstrip("=") not in text
        assert secret.hex() not in text.lower()
        assert repr(secret)[2:-1] not in text
    assert token not in text
    assert "eyJ" not in text


def _secrets(value: Any, name: str = "") -> Iterator[str]:
    """Yield the secret texts of a key ring: everything but names, states and public parts."""
    if isinstance(value, dict):
        for inner_name, inner in value.items():
            yield from _secrets(inner, inner_name)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, name)
    elif isinstance(value, str) and len(value) == 43 and name not in {"kid", "x", "y"}:
        yield value


def test_a_question_can_take_any_form(tmp_path: Path) -> None:
    """What an engine, or somebody on its socket, sends crookedly is an answer, and never 200."""
    with upstream() as port:
        file = with_api(configuration(tmp_path, port), "authz: {style: original}")
        with running(file):
            socket = tmp_path / ".watchword" / "authz-clinic.sock"
            token = token_of(file, port)
            for uri in (
                "/a#b",
                "/a%23b",
                "/%2e%2e/a",
                "/a%2fb",
                "/a%252fb",
                "/a%00",
                "/a%zz",
                "//a",
                "http://clinic.example/a",
                "*",
                "?a",
                "a",
                "/a\\b",
                "/a;b",
                "/a b",
                "/" + "a" * 9000,
            ):
                answer = ask(socket, uri, token)
                assert answer.status_code in {400, 431}, uri
            assert ask(socket, "", token).status_code == 400
            for more in (
                {"x-original-host": ""},
                {"x-original-host": "a, b"},
                {"x-original-method": "get"},
                {"x-original-method": "GET /"},
                {"x_original_uri": "/health"},
                {"x.original.uri": "/health"},
                {"watchword_token": token},
                {"x-original-transfer-encoding": "gzip"},
                {"x-original-content-length": "5", "x-original-transfer-encoding": "chunked"},
                {"x-original-content-length": "-1"},
            ):
                answer = ask(socket, "/a", token, **more)
                assert answer.status_code == 400, more
            websocket = {"upgrade": "websocket", "x-original-connection": "upgrade"}
            assert ask(socket, "/a", token, **websocket).status_code == 200
            assert ask(socket, "/a", **websocket).status_code == 401
            assert ask(socket, "/a", token, **{"x-original-method": "HEAD"}).status_code == 200
            forged = {"watchword-level": "hardware", "watchword-instance": "me"}
            empty = ask(socket, "/health", **forged)
            assert (empty.status_code, empty.headers["watchword-instance"]) == (200, "")


RAW = (
    (b"GET /authz/a HTTP/1.1\r\nHost: clinic.example\r\n", 200),
    (b"HEAD /authz/a HTTP/1.1\r\nHost: clinic.example\r\n", 200),
    (b"GET /authz/a HTTP/1.1\r\n", 400),
    (b"GET /authz/a HTTP/1.0\r\n", 400),
    (b"GET /authz/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
    (b"GET /authz/a HTTP/1.1\r\nHost: c\r\nConnection: watchword-token\r\n", 400),
    (b"GET /%61uthz/a HTTP/1.1\r\nHost: c\r\n", 400),
    (b"GET /authz/../health HTTP/1.1\r\nHost: c\r\n", 400),
    (b"GET /authz//a HTTP/1.1\r\nHost: c\r\n", 400),
    (b"OPTIONS * HTTP/1.1\r\nHost: c\r\n", 400),
    (b"CONNECT c:1 HTTP/1.1\r\nHost: c:1\r\n", 400),
    (b"GET /authz/a HTTP/1.1\r\nHost: c\r\nA: " + b"a" * 200_000 + b"\r\n", 431),
)
WEBSOCKET = (
    b"GET /authz/a HTTP/1.1\r\nHost: c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def test_raw_questions_of_envoy(tmp_path: Path) -> None:
    """The answer has a status that Envoy refuses by, also to a handshake, which isn't carried out."""
    with upstream() as port:
        file = with_api(configuration(tmp_path, port), "authz: {style: envoy}")
        with running(file):
            socket = tmp_path / ".watchword" / "authz-clinic.sock"
            token = f"Watchword-Token: {token_of(file, port)}\r\n".encode()
            for question, status in (*((raw, status) for raw, status in RAW), (WEBSOCKET, 200)):
                assert status_of(socket, question + token) == status, question[:80]
            without = b"GET http://other.example/authz/a HTTP/1.1\r\nHost: c\r\n"
            for question in (RAW[0][0], RAW[1][0], WEBSOCKET, without):
                assert status_of(socket, question) == 401, question


def status_of(socket: Path, head: bytes) -> int:
    """Return the status of the answer to raw bytes."""
    with Socket(AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(socket))
        with suppress(BrokenPipeError):
            connection.sendall(head + b"\r\n")
        return int(connection.recv(65536).split(b" ")[1])


def test_engines_of_other_machines_show_a_certificate(tmp_path: Path) -> None:
    """Whoever has none of the right authority gets no answer; who has one gets the gate's."""
    authority = Authority(tmp_path, "ca")
    authority.issue("authz", server=True)
    known = authority.issue("engine.example")
    stranger = Authority(tmp_path, "other").issue("stranger.example")
    listen = f"127.0.0.1:{free_port()}"
    way = (
        f"authz: {{listen: '{listen}', certificate: authz.crt, key: authz.key, client_ca: ca.pem}}"
    )
    file = with_api(configuration(tmp_path, 1), way)
    headers = {"x-original-method": "GET", "x-original-uri": "/a", "x-original-host": "c.example"}
    with running(file):
        tls = client_tls(*known, tmp_path / "ca.pem")
        with httpx.Client(verify=tls, trust_env=False) as http:
            assert http.get(f"https://{listen}/authz", headers=headers).status_code == 401
        nobody = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        for other in (client_tls(*stranger, tmp_path / "ca.pem"), nobody):
            with (
                httpx.Client(verify=other, trust_env=False) as http,
                pytest.raises(httpx.HTTPError),
            ):
                http.get(f"https://{listen}/authz", headers=headers)
        with httpx.Client(trust_env=False) as http, pytest.raises(httpx.HTTPError):
            http.get(f"http://{listen}/authz", headers=headers)


def test_engines_of_other_machines_send_the_credential(tmp_path: Path) -> None:
    """Over TCP the secret decides, and it comes back in nothing."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    listen = f"127.0.0.1:{free_port()}"
    file = with_api(
        configuration(tmp_path, 1), f"authz: {{listen: '{listen}', credential: secret}}"
    )
    headers = {"x-original-method": "GET", "x-original-uri": "/health", "x-original-host": "c"}
    with running(file), httpx.Client(trust_env=False, base_url=f"http://{listen}") as http:
        good = http.get("/authz", headers={**headers, "Watchword-Authz": SECRET})
        assert good.status_code == 200
        assert SECRET not in str(good.headers)
        for sent in ({}, {"Watchword-Authz": SECRET[:-1]}, {"Watchword_Authz": SECRET}):
            refused = http.get("/authz", headers={**headers, **sent})
            assert (refused.status_code, refused.json()["reasons"]) == (403, ["gate.caller"])

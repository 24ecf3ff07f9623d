"""Show that the script fails closed: while it loads, when it breaks, when its table or file isn't right."""

import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.system.engines.envoy.proxy import Api, Envoy, wait_for
from tests.system.engines.envoy.signatures import AUDIENCE, ISSUER, Issuer, Phone, b64url, clock

from watchword.engines.envoy.script import ScriptOptions, render_secrets, script
from watchword.engines.lua import part
from watchword.tokens.proofs.interface import GateSecret

ISSUES = Issuer()
PHONE = Phone(ISSUES)
MUTEX_OFFSET = 64
PAGE = 4096


def made(
    folder: Path,
    number: int = 1,
    *,
    secrets: Mapping[int, bytes] = ISSUES.secrets,
    sets: int = 2**10,
) -> str:
    """Write a private file; return the script that reads it."""
    private = folder / f"secrets.{number}"
    private.write_text(
        render_secrets(
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=ISSUES.keys,
            secrets=[GateSecret(epoch, secret) for epoch, secret in secrets.items()],
        )
    )
    private.chmod(0o600)
    return script(
        ScriptOptions("shop", str(private), replay_directory=str(folder), replay_sets=sets)
    )


@contextmanager
def running(folder: Path, text: str, workers: int = 1, *, ready: bool = True) -> Iterator[Envoy]:
    """Run an Envoy with a script."""
    api = Api()
    try:
        envoy = Envoy(folder, api, jwks=ISSUES.jwks, script=text, workers=workers, ready=ready)
        try:
            yield envoy
        finally:
            envoy.stop()
    finally:
        api.close()


def table(folder: Path) -> Path:
    """Return the one replay table of a folder."""
    (found,) = folder.glob("watchword-replay-*")
    return found


def test_worker_that_cannot_load_refuses(tmp_path: Path) -> None:
    """The main thread loads the script, every worker fails: nothing passes (it would, unguarded)."""
    mark = tmp_path / "mark"
    trap = (
        f'if io.open("{mark}", "r") then error("a worker fails") end\n'
        f'io.open("{mark}", "w"):close()\nlocal OPTIONS'
    )
    text = made(tmp_path).replace("local OPTIONS", trap, 1)
    with running(tmp_path, text, workers=2) as envoy:
        for _ in range(10):
            assert envoy.send("/api", PHONE.proof("session")).status == 503
        assert envoy.api.requests == 1  # The one of /plain, by which the start was seen.


def test_error_in_the_check_refuses(tmp_path: Path) -> None:
    """An error at any step is a refusal, also behind the signature."""
    for step in ("tokens.find(", "proofs.verify(", "proofs.claim("):
        text = made(tmp_path)
        assert step in text
        with running(tmp_path, text.replace(step, "(nil)(")) as envoy:
            assert envoy.send("/api", PHONE.proof("session")).status == 500
            assert envoy.reason() == "gate.internal"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: file.chmod(0o644),
        lambda file: file.write_bytes(file.read_bytes()[:-4]),
        lambda file: file.write_bytes(file.read_bytes().replace(b"secrets 2", b"secrets 1")),
        lambda file: file.write_bytes(file.read_bytes().replace(b"secret 1", b"secret x")),
        lambda file: file.write_bytes(file.read_bytes().replace(b"\nkey ", b"\nkey x ")),
        lambda file: file.write_bytes(file.read_bytes().replace(b"\nsecret", b"0\nsecret")),
    ],
)
def test_bad_private_file_leaves_the_last_good_one(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """A push that can't be loaded is rejected as a whole; what was refused stays refused."""
    with running(tmp_path, made(tmp_path), workers=2) as envoy:
        text = made(tmp_path, 2, secrets={**ISSUES.secrets, 2: b"s" * 32})
        spoil(tmp_path / "secrets.2")
        envoy.write(text)
        wait_for(lambda: envoy.stat("listener_manager.lds.update_rejected") >= 1)
        assert envoy.send("/api", PHONE.proof("session")).status == 200
        assert envoy.send("/api", Phone(ISSUES, epoch=2).proof("session")).status == 401
        assert envoy.reason() == "proof.epoch"


def test_push_withdraws_an_epoch_within_a_second(tmp_path: Path) -> None:
    """Other secrets empty what each worker remembered; used proofs stay used."""
    with running(tmp_path, made(tmp_path), workers=2) as envoy:
        used = PHONE.proof("session")
        assert envoy.send("/api", used).status == 200
        envoy.write(made(tmp_path, 2, secrets={2: b"s" * 32}))
        wait_for(lambda: envoy.send("/api", PHONE.proof("session")).status == 401, seconds=1)
        assert envoy.reason() == "proof.epoch"
        envoy.write(made(tmp_path, 3))
        wait_for(lambda: envoy.send("/api", PHONE.proof("session")).status == 200, seconds=1)
        assert envoy.send("/api", used).status == 401
        assert envoy.reason() == "proof.replayed"


def test_full_table_refuses(tmp_path: Path) -> None:
    """What can't be remembered doesn't pass."""
    with running(tmp_path, made(tmp_path, sets=16)) as envoy:
        statuses = [envoy.send("/api", PHONE.proof("session")).status for _ in range(400)]
        assert statuses.count(200) <= 128
        assert set(statuses) == {200, 503}
        assert envoy.send("/api", PHONE.proof("session")).status == 503
        assert envoy.reason() == "gate.replay_full"


def test_what_may_have_been_forgotten_is_refused(tmp_path: Path) -> None:
    """A clock that jumped ahead and back: forgotten proofs stay refused, newer ones pass."""
    now = clock()
    with running(tmp_path, made(tmp_path, sets=16)) as envoy:
        with table(tmp_path).open("r+b") as file:
            for entry in range(128):  # As if all were used ten minutes ago.
                file.seek(PAGE + entry * 16)
                file.write(struct.pack("<iiiI", entry, 7, 7, now - 600))
        assert envoy.send("/api", PHONE.proof("session")).status == 200
        data = table(tmp_path).read_bytes()
        assert struct.unpack_from("<I", data, 16)[0] >= now - 600
        with table(tmp_path).open("r+b") as file:  # As if the clock had been a minute ahead.
            file.seek(16)
            file.write(struct.pack("<I", now - 5))
        assert envoy.send("/api", PHONE.proof("session", created=now - 5)).status == 401
        assert envoy.reason() == "proof.replayed"
        assert envoy.send("/api", PHONE.proof("session")).status == 200


def test_process_that_died_with_the_lock_blocks_nobody(tmp_path: Path) -> None:
    """The lock goes on to the next one."""
    with running(tmp_path, made(tmp_path)) as envoy:
        program = (
            "import ctypes, mmap, os, sys\n"
            "file = open(sys.argv[1], 'r+b')\n"
            "memory = mmap.mmap(file.fileno(), 0)\n"
            f"at = ctypes.addressof(ctypes.c_char.from_buffer(memory, {MUTEX_OFFSET}))\n"
            "found = ctypes.CDLL(None).pthread_mutex_lock(ctypes.c_void_p(at))\n"
            "os._exit(found)\n"
        )
        died = subprocess.run([sys.executable, "-c", program, str(table(tmp_path))], check=False)
        assert died.returncode == 0
        proof = PHONE.proof("session")
        assert envoy.send("/api", proof).status == 200
        assert envoy.send("/api", proof).status == 401


def test_table_of_others_is_not_used(tmp_path: Path) -> None:
    """A table that others could write, and a link in its place, are no table."""
    text = made(tmp_path)
    path = tmp_path / f"watchword-replay-v1-1024-shop-{os.geteuid()}"
    path.touch(0o666)
    path.chmod(0o666)
    with running(tmp_path, text, ready=False) as envoy:
        wait_for(lambda: envoy.stat("listener_manager.lds.update_rejected") >= 1)
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
        envoy.write(text + "\n")
        wait_for(lambda: envoy.stat("listener_manager.lds.update_rejected") >= 2)
        assert not (tmp_path / "elsewhere").exists()


def test_two_envoys_share_one_table(tmp_path: Path) -> None:
    """A second process on the same host knows what the first one saw."""
    text = made(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a", text) as first, running(tmp_path / "b", text) as second:
        proof = PHONE.proof("session")
        assert first.send("/api", proof).status == 200
        assert second.send("/api", proof).status == 401
        assert second.reason() == "proof.replayed"


def test_http2_body_that_nothing_announces_is_refused(tmp_path: Path) -> None:
    """HTTP/2 needs no Content-Length; the script waits for the end of the stream."""
    with running(tmp_path, made(tmp_path)) as envoy:

        def curl(proof: dict[str, str], *more: str, body: bytes = b"") -> dict[str, str]:
            fields = [part for name, value in proof.items() for part in ("-H", f"{name}: {value}")]
            where = f"http://127.0.0.1:{envoy.port}/api"
            command = ["curl", "-s", "-m", "10", "--http2-prior-knowledge", *more, *fields]
            done = subprocess.run(
                [*command, "-H", "Host: api.example", where],
                input=body,
                capture_output=True,
                check=True,
            )
            answer: dict[str, str] = json.loads(done.stdout)
            return answer

        assert "line" in curl(PHONE.proof("session"))
        refused = curl(PHONE.proof("session", method="PUT"), "-T", "-", body=b"not covered")
        assert envoy.reason(refused["ref"]) == "proof.components"
        assert "line" in curl(PHONE.proof("session", method="PUT"), "-T", "-")


def test_digests_and_base64_are_those_of_python(tmp_path: Path) -> None:
    """The script's own SHA-256, HMAC and base64url, for every length around a block."""
    parts = [part("envoy/01_closed"), part("sha256"), part("base64")]
    asked = """
    function envoy_on_request(handle)
      local size = tonumber(handle:headers():get("x-size"))
      local lines = {}
      for length = size, size + 20 do
        local text = string.rep("\\200a\\0", length):sub(1, length)
        lines[#lines + 1] = base64.encode_url(sha.digest(text)) .. base64.encode_url(sha.hmac(text, text))
      end
      handle:respond({[":status"] = "200"}, table.concat(lines, " "))
    end"""
    with running(tmp_path, "\n".join([*parts, asked])) as envoy:
        for size in (*range(0, 200, 20), 1000, 20000):
            answer = envoy.send("/api", {"X-Size": str(size), "Watchword-Token": PHONE.token})
            texts = [(b"\xc8a\x00" * length)[:length] for length in range(size, size + 21)]
            expected = " ".join(
                b64url(hashlib.sha256(t).digest()) + b64url(hmac.digest(t, t, "sha256"))
                for t in texts
            )
            assert answer.body.decode() == expected

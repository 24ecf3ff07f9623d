"""Show ``watchword up`` as an operator meets it: a process that starts, serves, refuses and stops."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.unit.apps.service_process import configuration, running, upstream, watchword


def test_curl_is_refused_and_a_phone_passes(tmp_path: Path) -> None:
    """The five minutes of the README: refused with a problem, explained, served to a phone."""
    with upstream() as port, running(configuration(tmp_path, port)) as (where, _process):
        file = tmp_path / "watchword.yaml"
        url = f"http://{where['apis']['clinic']}/a/b?q=1"
        refused = httpx.get(url)
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["reasons"] == ["token.missing"]
        explained = watchword(file, "explain", refused.json()["ref"], "--json")
        assert "token.missing" in explained.stdout
        assert httpx.get(f"http://{where['apis']['clinic']}/health").status_code == 200
        served = watchword(file, "lab", "request", "genuine-iphone", url, "--json")
        assert served.returncode == 0, served.stderr
        assert "Watchword-Level" in served.stdout or "watchword-level" in served.stdout
        bad = watchword(file, "lab", "request", "unlocked-android", url)
        assert bad.returncode == 1
        assert "policy.bootloader_unlocked" in bad.stdout + bad.stderr
        listed = watchword(file, "instances", "list", "--json")
        assert json.loads(listed.stdout.splitlines()[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """It ends with 0, frees its port, removes its socket, and says nothing alarming."""
    with upstream() as port, running(configuration(tmp_path, port)) as (where, process):
        assert Path(where["operator"]).stat().st_mode & 0o777 == 0o600
        process.send_signal(number)
        _out, errors = process.communicate(timeout=patience(10))
        assert process.returncode == 0
        assert "panicked" not in errors
        assert "Traceback" not in errors
        assert not Path(where["operator"]).exists()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{where['service']}/healthz")


def test_a_crash_leaves_no_memory_behind(tmp_path: Path) -> None:
    """Keys are in its memory: the system is told to write no core dump of it, whatever its parent allows."""
    with upstream() as port, running(configuration(tmp_path, port)) as (_where, process):
        limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_it_starts_again_on_the_state_that_a_killed_process_left(tmp_path: Path) -> None:
    """After ``kill -9`` the stale socket is cleared, and the instances are still there."""
    with upstream() as port:
        file = configuration(tmp_path, port)
        with running(file) as (where, process):
            url = f"http://{where['apis']['clinic']}/"
            assert watchword(file, "lab", "request", "genuine-android", url).returncode == 0
            process.kill()
        with running(file) as (where, process):
            assert where["environment"] == "lab"
            listed = watchword(file, "instances", "list", "--json")
            assert "clinic-android" in listed.stdout
            assert watchword(file, "lab", "request", "genuine-android", url).returncode == 0


def test_logs_go_to_a_file_where_one_is_named(tmp_path: Path) -> None:
    """They don't run into what else the terminal shows; what ends the process stays on stderr, and the file is private."""
    log = tmp_path / "up.log"
    with upstream() as port:
        file = configuration(tmp_path, port)
        with running(file, "--log", str(log)) as (where, process):
            assert where
            process.send_signal(signal.SIGTERM)
            _out, errors = process.communicate(timeout=patience(10))
        assert errors == ""
        assert "service ready" in log.read_text(encoding="utf-8")
        assert log.stat().st_mode & 0o777 == 0o600
        (tmp_path / ".watchword" / "keyring.json").unlink()
        refused = watchword(file, "up", "--log", str(log))
        assert refused.returncode == 1
        assert "is gone while watchword.db is there" in refused.stderr
        assert watchword(file, "up", "--log", str(tmp_path)).returncode == 2


def test_nothing_starts_with_a_faulty_file(tmp_path: Path) -> None:
    """All faults, exit code 2, and not even a state directory."""
    file = configuration(tmp_path, 1, **{"mode: enforce": "mode: enforced"})
    done = watchword(file, "up")
    assert done.returncode == 2
    assert "apis.clinic.routes[1].mode" in done.stderr
    assert not (tmp_path / ".watchword").exists()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The message names the address; nothing that had started stays running."""
    with upstream() as port:
        file = configuration(tmp_path, free_port(), **{"8080": str(port)})
        done = watchword(file, "up")
        assert done.returncode == 1
        assert f"127.0.0.1:{port}" in done.stderr
        assert "taken" in done.stderr
        assert "Traceback" not in done.stderr


def test_no_secret_reaches_the_log(tmp_path: Path) -> None:
    """Neither token nor key nor challenge stands in the logs or on the terminal."""
    with upstream() as port, running(configuration(tmp_path, port)) as (where, process):
        file = tmp_path / "watchword.yaml"
        url = f"http://{where['apis']['clinic']}/secret-path?card=4111111111111111"
        assert watchword(file, "lab", "request", "genuine-iphone", url).returncode == 0
        httpx.get(url, headers={"watchword-token": "eyJhbGciOiJub25lIn0.e30."})
        keyring = json.loads((tmp_path / ".watchword" / "keyring.json").read_text())
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=patience(10))
        text = out + errors
        assert "eyJ" not in text
        assert "4111111111111111" not in text
        secrets = [value for value in _texts(keyring) if len(value) >= 32]
        assert len(secrets) >= 3
        assert not [value for value in secrets if value in text]


def _texts(value: Any) -> Iterator[str]:
    """Yield every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def test_lost_keys_are_not_replaced_beside_an_old_store(tmp_path: Path) -> None:
    """New keys would make strangers of all instances; the operator has to say that he wants it."""
    file = configuration(tmp_path, 1)
    with running(file):
        pass
    state = tmp_path / ".watchword"
    (state / "keyring.json").unlink()
    done = watchword(file, "up")
    assert done.returncode == 1
    assert "keyring.json: is gone" in done.stderr
    assert not (state / "keyring.json").exists()

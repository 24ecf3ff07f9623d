"""``watchword gate config`` writes the files of engines that ask, and says what is missing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.engines.envoy.rig import bundle_of, route
from tests.unit.engines.forward_auth.rig import SERVICE, options

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.keyring.private_file import write_private
from watchword.apps.cli.main import cli
from watchword.apps.engines.commands import notices
from watchword.apps.engines.places import PlacesError
from watchword.engines.interface import UnsupportedError
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import signer_to_json, to_jws


def config(
    tmp_path: Path, engine: str, *more: str, asked: str = "", as_json: bool = True, **policy: Any
) -> Result:
    """Run the command over a bundle of one row; ``asked`` is a further line of the API's section."""
    bundle, signer, file = tmp_path / "b.jws", tmp_path / "s.jwk", tmp_path / "watchword.yaml"
    publish_bundle(bundle, to_jws(bundle_of((route("/v1/**"),), **policy), SERVICE))
    write_private(signer, signer_to_json(SERVICE.verification_key()))
    file.write_text(
        "version: 1\nenvironment: lab\n"
        f"service: {{issuer: 'https://w.example', listen: '127.0.0.1:1', state: {tmp_path}/state}}\n"
        "apps:\n  clinic-app: {platform: android, package: com.example.clinic, "
        f"signing_digests: ['{'4f' * 32}']}}\n"
        "apis:\n  clinic:\n    audience: https://clinic.example\n    upstream: http://127.0.0.1:2\n"
        f"    listen: 127.0.0.1:3\n    apps: [clinic-app]\n{asked}"
        "    routes:\n      - {path: /**, level: software, proof: bearer, mode: enforce}\n"
    )
    words = (
        "--bundle",
        str(bundle),
        "--signer",
        str(signer),
        "-o",
        str(tmp_path / "out"),
        *["--json"] * as_json,
    )
    return CliRunner().invoke(
        cli, ["-c", str(file), "gate", "config", "--engine", engine, *words, *more]
    )


@pytest.mark.parametrize(
    ("engine", "authz", "written"),
    [
        ("nginx-authz", "unix:/run/authz.sock", "nginx.conf"),
        ("caddy", "unix:/run/authz.sock", "caddy.json"),
        ("traefik", "127.0.0.1:9443", "traefik.yaml"),
    ],
)
def test_the_files_of_an_engine_are_written(
    tmp_path: Path, engine: str, authz: str, written: str
) -> None:
    """With the command that starts it; without anybody to ask, nothing is written."""
    refused = config(tmp_path, engine)
    assert isinstance(refused.exception, UnsupportedError)
    assert "--authz" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    done = config(tmp_path, engine, "--authz", authz)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert written in said["files"]
    assert str(tmp_path / "out" / written) in said["start"]
    assert (tmp_path / "out" / written).stat().st_size > 500


@pytest.mark.parametrize("engine", ["caddy", "nginx-authz", "traefik"])
def test_the_other_kind_of_address_is_refused(tmp_path: Path, engine: str) -> None:
    """A secret would stand in the configuration, or the engine knows no sockets."""
    over_tls = ENGINES[engine].over_tls
    done = config(
        tmp_path, engine, "--authz", "unix:/run/authz.sock" if over_tls else "127.0.0.1:9443"
    )
    assert isinstance(done.exception, UnsupportedError)
    assert ("knows no Unix sockets" if over_tls else "needs a credential") in str(done.exception)


@pytest.mark.parametrize(("engine", "style"), [("caddy", "forwarded"), ("nginx-authz", "original")])
def test_how_the_engine_has_to_be_asked_is_said(tmp_path: Path, engine: str, style: str) -> None:
    """By the line that the file needs; a socket that answers in another way would refuse every request."""
    missing = config(tmp_path, engine)
    assert f"`authz: {{style: {style}}}`" in str(missing.exception)
    other = "    authz: {style: envoy}\n"
    own = f"unix:{tmp_path}/state/authz-clinic.sock"
    refused = config(tmp_path, engine, "--authz", own, asked=other)
    assert isinstance(refused.exception, PlacesError)
    assert f"got envoy, expected {style}" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    assert config(tmp_path, engine, "--authz", "unix:/run/other.sock", asked=other).exit_code == 0
    right = f"    authz: {{style: {style}}}\n"
    assert config(tmp_path, engine, asked=right).exit_code == 0
    assert config(tmp_path, engine, "--authz", own, asked=right).exit_code == 0


@pytest.mark.parametrize("engine", ["nginx-authz", "nginx"])
def test_how_to_follow_is_said_with_the_options_that_were_given(
    tmp_path: Path, engine: str
) -> None:
    """Without them a follower would write another address, and read another bundle."""
    given = ("--listen", "127.0.0.1:4", "--authz", "unix:/run/authz.sock")
    told = config(tmp_path, engine, *given, as_json=False)
    assert told.exit_code == 0, told.output
    follow = next(line for line in told.stdout.splitlines() if line.startswith("  follow"))
    assert f"gate follow --engine {engine} -o {tmp_path}/out" in follow
    for word in (*given, "--bundle", "--signer"):
        assert word in follow
    assert "another" not in told.stdout
    assert ("no verdict is kept" in told.stdout) == (engine == "nginx-authz")
    assert (
        "`watchword up` takes 127.0.0.1:3"
        in config(tmp_path, engine, *given[2:], as_json=False).stdout
    )


@pytest.mark.parametrize("engine", ["nginx", "nginx-authz", "haproxy", "caddy"])
def test_workers_of_root_are_told_of(engine: str) -> None:
    """A worker reads what strangers send; whoever broke into it would be root, where root starts the engine."""
    assert notices(options(user="root"), engine)[0].startswith(
        f"root runs this, and so would {engine}"
    )
    assert notices(options(user="watchword"), engine) == ()


def test_the_command_tells_of_it(tmp_path: Path) -> None:
    """On stderr, so that what reads the files' names isn't disturbed."""
    result = config(tmp_path, "nginx-authz", "--authz", "unix:/run/authz.sock")
    assert ("root runs this" in result.stderr) is (os.geteuid() == 0)
    assert json.loads(result.stdout)["engine"] == "nginx-authz"


def test_what_an_engine_can_not_carry_out_is_named_with_its_line(tmp_path: Path) -> None:
    """Where it stands in the file; from a bundle alone, by the name of the API."""
    asked = "    device_for_session: true\n"
    refused = config(tmp_path, "haproxy", asked=asked, device_for_session=True)
    assert isinstance(refused.exception, UnsupportedError)
    text = str(refused.exception)
    assert text.startswith(f"{tmp_path}/watchword.yaml:12  apis.clinic: device_for_session: ")
    lines = (tmp_path / "watchword.yaml").read_text().splitlines()
    assert lines[11].strip() == "device_for_session: true"
    assert "; " in text
    assert not (tmp_path / "out").exists()
    alone = config(tmp_path, "haproxy", device_for_session=True)
    assert str(alone.exception).startswith("clinic: device_for_session: ")

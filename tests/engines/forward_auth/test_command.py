"""``watchword gate config`` writes the files of engines that ask, and says what is missing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.engines.envoy.stand import bundle_of, route
from tests.engines.forward_auth.stand import SERVICE

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.keyring.private_file import write_private
from watchword.apps.cli.main import cli
from watchword.engines.interface import UnsupportedError
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import signer_to_json, to_jws


def config(tmp_path: Path, engine: str, *more: str) -> Result:
    """Run the command over a bundle of one row."""
    bundle, signer, file = tmp_path / "b.jws", tmp_path / "s.jwk", tmp_path / "watchword.yaml"
    publish_bundle(bundle, to_jws(bundle_of((route("/v1/**"),)), SERVICE))
    write_private(signer, signer_to_json(SERVICE.verification_key()))
    file.write_text(
        "version: 1\nenvironment: lab\n"
        f"service: {{issuer: 'https://w.example', listen: '127.0.0.1:1', state: {tmp_path}/state}}\n"
        "apps:\n  clinic-app: {platform: android, package: com.example.clinic, "
        f"signing_digests: ['{'4f' * 32}']}}\n"
        "apis:\n  clinic:\n    audience: https://clinic.example\n    upstream: http://127.0.0.1:2\n"
        "    listen: 127.0.0.1:3\n    apps: [clinic-app]\n"
        "    routes:\n      - {path: /**, level: software, proof: bearer, mode: enforce}\n"
    )
    words = (
        "--bundle",
        str(bundle),
        "--signer",
        str(signer),
        "-o",
        str(tmp_path / "out"),
        "--json",
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

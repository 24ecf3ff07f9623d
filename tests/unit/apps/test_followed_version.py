"""An engine is made of the bundle's second version where it is there."""

from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.envoy.rig import bundle_of, route
from tests.unit.gate.test_bundle import SERVICE

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.gate_bundle.chain_file import chain_path, write_chain
from watchword.adapters.keyring.private_file import write_private
from watchword.apps.engines.commands import following
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import signer_to_json, to_jws
from watchword.gate.chain import snapshot_to_line
from watchword.gate.revocations import Digests

CONFIG = (
    "version: 1\nenvironment: lab\n"
    "service: {issuer: https://service.example, listen: 127.0.0.1:1}\n"
    f"apps:\n  one: {{platform: android, package: com.example.one, signing_digests: ['{'4f' * 32}']}}\n"
    "apis:\n  clinic:\n    audience: https://clinic.example\n    upstream: http://127.0.0.1:2\n"
    "    listen: 127.0.0.1:3\n    apps: [one]\n"
    "    routes: [{path: /**, level: software, proof: bearer, mode: enforce}]\n"
)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_second_version_is_followed(engine: str, tmp_path: Path) -> None:
    """Also by what lists nobody: a verdict that it keeps must end with each change, and the first may not be written."""
    file, bundle, signer = (tmp_path / name for name in ("watchword.yaml", "b.jws", "signer.jwk"))
    file.write_text(CONFIG)
    first = bundle_of([route("/**")])
    write_private(signer, signer_to_json(SERVICE.verification_key()))
    publish_bundle(bundle, to_jws(first, SERVICE))
    second = replace(first, generation=2, digests=Digests(b"k" * 12, array("Q")))
    write_chain(chain_path(bundle), [snapshot_to_line(second, b"k" * 12, bytes(8), SERVICE)])
    given: dict[str, Path | str | None] = dict.fromkeys(("api", "listen", "access_log", "authz"))
    given |= {"bundle": bundle, "signer": signer}
    if ENGINES[engine].over_tls:
        given["authz"] = "127.0.0.1:4"
    source, _ = following(file, tmp_path / "engine", given, engine=engine)
    digests = source.bundle.digests
    assert (source.generation, digests is not None and digests.has(0)) == (2, True)
    bundle.unlink()
    assert following(file, tmp_path / "engine", given, engine=engine, required=True)

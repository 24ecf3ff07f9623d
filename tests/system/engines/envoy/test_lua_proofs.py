"""Show what Envoy's script lets through, in a real Envoy with one worker and with four."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGKILL

import pytest
from tests.system.engines.envoy.proxy import Api, Envoy
from tests.system.engines.envoy.signatures import AUDIENCE, ISSUER, Issuer, Phone, clock

from watchword.engines.envoy.script import ScriptOptions, render_secrets, script
from watchword.tokens.proofs.interface import GateSecret

ISSUES = Issuer()


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    """Run one Envoy with four workers."""
    folder: Path = tmp_path_factory.mktemp("envoy")
    private = folder / "secrets"
    held = [GateSecret(1, ISSUES.secrets[1])]
    private.write_text(
        render_secrets(
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=ISSUES.keys,
            secrets=held,
        )
    )
    private.chmod(0o600)
    options = ScriptOptions("shop", str(private), replay_directory=str(folder))
    api = Api()
    try:
        running = Envoy(folder, api, jwks=ISSUES.jwks, script=script(options), workers=4)
        yield running
        running.stop()
    finally:
        api.close()


@pytest.mark.parametrize(("kind", "path"), [("session", "/api"), ("device", "/device")])
def test_true_proofs_pass_once(envoy: Envoy, kind: str, path: str) -> None:
    """A proof passes once, and its headers end at the gate."""
    phone = Phone(ISSUES)
    for target in (path, path + "?a=1&b=?"):
        proof = phone.proof(kind, target=target)
        answer = envoy.send(target, proof)
        assert answer.status == 200, envoy.reason()
        assert not {"signature", "signature-input", "watchword-token"} & {
            name for name, _ in answer.seen["headers"]
        }
        assert envoy.send(target, proof).status == 401
        assert envoy.reason() == "proof.replayed"


@pytest.mark.parametrize(("kind", "path"), [("session", "/api"), ("device", "/device")])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "/other"}, "proof.signature"),
        ({"method": "POST"}, "proof.signature"),
        ({"authority": "other.example"}, "proof.signature"),
        ({"created": clock() - 3600}, "proof.expired"),
        ({"created": clock() + 3600}, "proof.early"),
        ({"algorithm": "rsa-v1_5-sha256"}, "proof.algorithm"),
        ({"keyid": "x" * 43}, "proof.key"),
        ({"nonce": "short"}, "proof.malformed"),
        ({"components": '("watchword-token" "@method" "@authority" "@path")'}, "proof.components"),
    ],
)
def test_untrue_proofs_are_refused(
    envoy: Envoy, kind: str, path: str, changes: dict[str, str], reason: str
) -> None:
    """Whatever a proof covers, and each of its parameters, decides."""
    proof = Phone(ISSUES).proof(kind, **{"target": path, **changes})  # type: ignore[arg-type]
    assert envoy.send(path, proof).status == 401
    assert envoy.reason() == reason


def test_bodies_doubles_and_other_proofs_are_refused(envoy: Envoy) -> None:
    """A body is no matter for this script, and of two headers none counts."""
    phone = Phone(ISSUES)
    proof = phone.proof("session")
    for more, body, reason in (
        ([("Content-Length", "1")], b"x", "proof.components"),
        ([("Transfer-Encoding", "chunked")], b"1\r\nx\r\n0\r\n\r\n", "proof.components"),
        ([("DPoP", "x")], b"", "proof.ambiguous"),
        ([("Signature", proof["Signature"])], b"", "request.header_duplicated"),
        ([("Signature-Input", "")], b"", "request.header_duplicated"),
    ):
        answer = envoy.send("/api", [*proof.items(), *more], body=body)
        assert (answer.status >= 400, envoy.reason()) == (True, reason)
    assert envoy.send("/api", Phone(ISSUES, epoch=9).proof("session")).status == 401
    assert envoy.reason() == "proof.epoch"
    assert envoy.send("/unset", phone.proof("session", target="/unset")).status == 500
    assert envoy.send("/wrong", phone.proof("session", target="/wrong")).status == 500


def test_of_sixteen_copies_one_passes_also_after_a_kill(envoy: Envoy) -> None:
    """Exactly one winner over four workers; the table outlives Envoy."""
    phone = Phone(ISSUES)
    proofs = [phone.proof("session") for _ in range(30)]
    with ThreadPoolExecutor(16) as pool:
        for proof in proofs:
            statuses = list(pool.map(lambda p: envoy.send("/api", p).status, [proof] * 16))
            assert sorted(statuses) == [200] + [401] * 15
    envoy.stop(SIGKILL)
    envoy.start()
    assert envoy.send("/api", proofs[-1]).status == 401
    assert envoy.stat("http.edge.lua.errors") == 0
    assert ISSUES.secrets[1].hex() not in envoy.admin("/config_dump")

"""Hold routes that ask for a proof to it, with the real Envoy over the generated configuration."""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from tests.system.engines.envoy.proofs import proved, prover
from tests.unit.engines.envoy.rig import (
    SECRET,
    TOKEN_KEY,
    Rig,
    bundle_of,
    envoy_before_api,
    route,
    until,
)

from watchword.adapters.system import SystemClock
from watchword.encoding import base64url, strict_json
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Level, Mode, Proof

READS = frozenset({"GET"})
ROUTES = [
    route("/open/**", mode=Mode.OFF),
    route("/pay/**", proof=Proof.SESSION, methods=READS),
    route("/sign/**", proof=Proof.DEVICE, methods=READS),
    route("/hw/**", proof=Proof.SESSION, methods=READS, level=Level.HARDWARE),
    route("/v1/**", methods=READS),
]
KINDS = pytest.mark.parametrize(("kind", "target"), [("session", "/pay/1"), ("device", "/sign/1")])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one Envoy with two workers for all cases that change nothing."""
    with envoy_before_api(tmp_path_factory.mktemp("e"), bundle_of(ROUTES)) as running:
        yield running


@KINDS
def test_a_true_proof_passes_once_and_the_api_sees_results_in_its_place(
    rig: Rig, kind: str, target: str
) -> None:
    """A true proof passes once and the API sees results in its place."""
    for query in ("", "?a=1&b=%20?"):
        fields = proved(kind, prover(), target=target + query)
        spoof = b"Watchword-Level: none"
        assert rig.send((target + query).encode(), spoof, *fields).status == 200
        seen = rig.api.seen[-1]
        ours = {
            name: value for name, value in seen.fields if name.startswith((b"watchword", b"sig"))
        }
        assert ours == {
            b"watchword-instance": b"pairwise-subject-of-an-instance",
            b"watchword-level": b"hardware",
            b"watchword-app": b"clinic-ios",
        }
        before = len(rig.api.seen)
        again = rig.send((target + query).encode(), *fields)
        assert (again.status, again.slug) == (401, "proof-used")
        assert len(rig.api.seen) == before


@KINDS
def test_a_stolen_token_or_proof_is_of_no_use(rig: Rig, kind: str, target: str) -> None:
    """A stolen token or proof is of no use."""
    before = len(rig.api.seen)
    instance = prover()
    alone = rig.send(target.encode(), token=instance.token.encode())
    assert (alone.status, alone.slug) == (401, "proof-required")
    thief = replace(instance, key=b"k" * 32, private=derive_private_key(99, SECP256R1()))
    forged = rig.send(target.encode(), *proved(kind, thief, target=target))
    assert (forged.status, forged.slug) == (401, "proof-refused")
    fields = proved(kind, instance, target=target)
    for other in (target + "?a", target + "/x"):
        assert rig.send(other.encode(), *fields).slug == "proof-refused"
    assert rig.send(target.encode(), *fields, host=b"other.example").slug == "proof-refused"
    old = int(SystemClock().timestamp()) - 300
    late = proved(kind, instance, target=target, created=old)
    assert rig.send(target.encode(), *late).slug == "proof-refused"
    wrong = "device" if kind == "session" else "session"
    assert rig.send(target.encode(), *proved(wrong, instance, target=target)).status == 401
    dpop = proved("dpop", instance, url=f"https://clinic.example{target}")
    assert rig.send(target.encode(), *dpop).status == 401
    assert len(rig.api.seen) == before
    # None of these used the proof up.
    assert rig.send(target.encode(), *fields).status == 200


def test_other_routes_want_no_proof_and_a_level_counts_before_one(rig: Rig) -> None:
    """Other routes want no proof and a level counts before one."""
    assert rig.send(b"/open/x").status == 200
    assert rig.send(b"/v1/x", token=prover().token.encode()).status == 200
    weak = prover(level=Level.SOFTWARE)
    answer = rig.send(b"/hw/1", *proved("session", weak, target="/hw/1"))
    assert (answer.status, answer.slug) == (403, "level-insufficient")
    assert rig.send(b"/hw/1", *proved("session", prover(), target="/hw/1")).status == 200
    assert rig.stat("lua.errors") == {"http.watchword.lua.errors": 0}


def test_of_sixteen_copies_one_passes(rig: Rig) -> None:
    """Of sixteen copies one passes, over both workers."""
    with ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            fields = proved("session", prover(), target="/pay/1")
            answers = list(pool.map(lambda copy: rig.send(b"/pay/1", *copy), [fields] * 16))
            assert sorted(answer.status for answer in answers) == [200] + [401] * 15


def test_a_token_without_exp_is_refused(rig: Rig) -> None:
    """A token without exp is refused, on a route of each kind."""
    head, payload, _ = prover().token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    del claims["exp"]
    signed = f"{head}.{base64url.encode(strict_json.dumps(claims))}"
    endless = f"{signed}.{base64url.encode(TOKEN_KEY.sign(signed.encode()))}"
    before = len(rig.api.seen)
    assert rig.send(b"/v1/x", token=endless.encode()).slug == "token-refused"
    instance = replace(prover(), token=endless)
    for kind, target in (("session", "/pay/1"), ("device", "/sign/1")):
        answer = rig.send(target.encode(), *proved(kind, instance, target=target))
        assert (answer.status, answer.slug) == (401, "token-refused")
    assert len(rig.api.seen) == before


def test_no_secret_stands_in_what_admin_shows_in_any_spelling(rig: Rig) -> None:
    """No secret stands in what admin shows in any spelling."""
    secret = SECRET.secret
    dump = rig.admin("/config_dump?include_eds")
    # The script is in there, so that a secret would be too.
    assert b"envoy_on_request" in dump
    spellings = {
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode().rstrip("="),
        base64url.encode(secret),
        secret.decode("latin-1"),
        json.dumps(secret.decode("latin-1"))[1:-1],
        "".join(f"\\{byte:03d}" for byte in secret),
    }
    for path in ("/config_dump?include_eds", "/server_info", "/stats", "/clusters", "/listeners"):
        shown = rig.admin(path).decode("latin-1")
        assert not [spelling for spelling in spellings if spelling in shown]


def test_the_next_epoch_is_taken_beside_the_old_and_a_revoked_instance_refused_within_a_second(
    tmp_path: Path,
) -> None:
    """The next epoch is taken beside the old and a revoked instance refused within a second."""
    with envoy_before_api(tmp_path / "e", bundle_of(ROUTES)) as rig:

        def asked() -> int:
            return rig.send(b"/pay/1", *proved("session", prover(), target="/pay/1")).status

        assert asked() == 200
        both = (SECRET, GateSecret(1, b"n" * 32))
        rig.publish(bundle_of(ROUTES, generation=2, secrets=both))
        assert [asked() for _ in range(20)] == [200] * 20
        revoked = frozenset({"pairwise-subject-of-an-instance"})
        rig.publish(bundle_of(ROUTES, generation=3, secrets=both, revoked=revoked))
        assert until(lambda: asked() == 401) < 1


@pytest.mark.parametrize("harm", ["gone", "readable"])
def test_a_script_that_cannot_load_passes_nobody(tmp_path: Path, harm: str) -> None:
    """A script that cannot load passes nobody: its secrets are gone, or others could read them."""
    directory = tmp_path / "e"
    harms: dict[str, Callable[[Path], None]] = {
        "gone": Path.unlink,
        "readable": lambda private: private.chmod(0o644),
    }

    def spoil() -> None:
        (private,) = directory.glob("secrets-*")
        harms[harm](private)

    with envoy_before_api(directory, bundle_of(ROUTES), then=spoil) as rig:
        for _ in range(20):
            fields = proved("session", prover(), target="/pay/1")
            assert rig.send(b"/pay/1", *fields).status in {0, 500, 503}
        assert rig.api.seen == []


def test_a_script_that_fails_later_changes_nothing(tmp_path: Path) -> None:
    """A script that fails later changes nothing: the one that runs goes on."""
    directory = tmp_path / "e"
    with envoy_before_api(directory, bundle_of(ROUTES)) as rig:
        written = (directory / "filter-proof.yaml").read_text("utf-8")
        changed = written.replace(str(directory / "secrets-"), str(directory / "others-"))
        assert changed != written
        (directory / "new").write_text(changed, "utf-8")
        (directory / "new").replace(directory / "filter-proof.yaml")
        until(lambda: any(rig.stat("watchword.proof.config_fail$").values()))
        assert rig.send(b"/pay/1", *proved("session", prover(), target="/pay/1")).status == 200
        thief = replace(prover(), key=b"k" * 32)
        assert rig.send(b"/pay/1", *proved("session", thief, target="/pay/1")).status == 401

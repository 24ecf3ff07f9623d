"""Follow a published bundle with the control plane, with a real Envoy beside it."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from tests.unit.engines.envoy.rig import (
    ROUTE_TABLE,
    Rig,
    bundle_of,
    envoy_before_api,
    token,
    until,
)

from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle
from watchword.adapters.system import SystemClock
from watchword.apps.engines.envoy import LOOK_SECONDS, ControlPlane
from watchword.gate.bundle import GateBundle, to_jws
from watchword.tokens.jose import SigningKey

SERVICE = SigningKey(derive_private_key(43, SECP256R1()))


def plane_of(rig: Rig, bundle: Path, told: list[str]) -> ControlPlane:
    """Return a new control plane for a running Envoy."""
    source = GateBundleFile(bundle, SERVICE.verification_key())
    return ControlPlane(source, rig.options, SystemClock().timestamp, told.append)


def publish(path: Path, bundle: GateBundle) -> None:
    """Publish as the service does."""
    publish_bundle(path, to_jws(bundle, SERVICE))


def test_a_revocation_holds_within_a_second_and_a_broken_bundle_changes_nothing(
    tmp_path: Path,
) -> None:
    """A revocation holds within a second and a broken bundle changes nothing."""
    told: list[str] = []
    path = tmp_path / "clinic.jws"
    first = bundle_of(ROUTE_TABLE)
    publish(path, first)
    kept = token()
    directory = tmp_path / "e"
    directory.mkdir(mode=0o700)
    with envoy_before_api(directory, first) as rig:
        plane = plane_of(rig, path, told)
        plane.step()
        assert rig.send(b"/v1/x", token=kept).status == 200
        revoked = frozenset({"pairwise-subject-of-an-instance"})
        publish(path, bundle_of(ROUTE_TABLE, generation=2, revoked=revoked))

        def refused() -> bool:
            plane.step()
            return rig.send(b"/v1/x", token=kept).status == 401

        assert until(refused) + LOOK_SECONDS < 1
        publish_bundle(path, b"no bundle at all")
        until(lambda: bool(plane.step() or told))
        assert "last good bundle stays" in told[0]
        assert rig.send(b"/v1/x", token=kept).status == 401
        # Nobody is there any more, and the next one takes over the same files.
        assert rig.send(b"/v1/x", token=kept).status == 401
        publish(path, bundle_of(ROUTE_TABLE, generation=3))
        assert plane_of(rig, path, told).step()
        until(lambda: rig.send(b"/v1/x", token=kept).status == 200)


def test_what_envoy_rejects_is_told(tmp_path: Path) -> None:
    """What envoy rejects is told."""
    told: list[str] = []
    path = tmp_path / "clinic.jws"
    publish(path, bundle_of(ROUTE_TABLE))
    directory = tmp_path / "e"
    directory.mkdir(mode=0o700)
    with envoy_before_api(directory, bundle_of(ROUTE_TABLE)) as rig:
        plane = plane_of(rig, path, told)
        plane.check()
        assert told == []
        (directory / "new").write_text("resources: [{", "utf-8")
        (directory / "new").replace(directory / "routes.yaml")

        def noticed() -> bool:
            plane.check()
            return bool(told)

        until(noticed)
        assert "rds" in told[0]
        assert plane.faults == 1

"""Show that the gate of one's own application keeps what it learnt: a narrowed canary stays narrow."""

from pathlib import Path

from tests.unit.gate.simulators import NOW, SECRET, SIGNER, policy, request, route, token

from watchword.adapters.gate_bundle import publish_bundle
from watchword.apps.gateway import gate_from
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.template import TEMPLATE
from watchword.gate.bundle import GateBundle, signer_to_json, to_jws
from watchword.gate.decisions import WARM_UP_SECONDS
from watchword.gate.interface import GatePolicy, Rollout
from watchword.gate.service import Gate
from watchword.tokens.jose import SigningKey
from watchword.vocabulary import Level, Mode

SERVICE = SigningKey.from_wide_secret(b"service" * 10)


def published(directory: Path) -> Path:
    """Publish the bundle of an API with one canary, as the service does; return the settings' file."""
    file = directory / "watchword.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    canary = route("/v1/**", mode=Mode.CANARY, canary=Rollout(share=100), name="canary")
    publish(load_settings(file), policy(canary))
    return file


def publish(settings: Settings, goes_by: GatePolicy, generation: int = 1) -> None:
    """Publish a bundle of the API with this policy, as the service does."""
    service = settings.service
    service.gates.mkdir(parents=True, mode=0o700, exist_ok=True)
    service.state_dir.chmod(0o700)
    publish_bundle(service.bundle_key, signer_to_json(SERVICE.verification_key()))
    bundle = GateBundle(
        generation=generation,
        made_at=NOW,
        policy=goes_by,
        keys=(SIGNER.published(),),
        secrets=(SECRET,),
        revoked=frozenset(),
        reference_key=bytes(32),
        verdict_key=SERVICE,
    )
    publish_bundle(service.gate_bundle("clinic"), to_jws(bundle, SERVICE))


def turn_away(gate: Gate, instances: range) -> None:
    """Send requests of genuine phones whose level isn't enough, after the warm-up."""
    gate.decide(request(token=token()), NOW)
    now = NOW + WARM_UP_SECONDS
    for number in instances:
        text = token(
            subject=f"instance-{number}",
            level=Level.SOFTWARE,
            issued_at=now,
            expires_at=now + 300,
        )
        gate.decide(request(token=text), now)


def test_a_restart_widens_no_canary(tmp_path: Path) -> None:
    """Nor does another process that started before and narrows less."""
    file = published(tmp_path)
    first, second = gate_from(file, "clinic"), gate_from(file, "clinic")
    turn_away(first, range(60))
    assert first.rollout_statuses(NOW)["canary"].share == 50.0
    assert gate_from(file, "clinic").rollout_statuses(NOW)["canary"].share == 50.0
    turn_away(first, range(100, 400))
    narrow = first.rollout_statuses(NOW)["canary"].share
    assert narrow < 50.0
    turn_away(second, range(60))
    assert gate_from(file, "clinic").rollout_statuses(NOW)["canary"].share == narrow


def test_a_directory_that_can_not_be_written_stops_no_request(tmp_path: Path) -> None:
    """Narrowed it is all the same, and whoever is let in is let in."""
    file = published(tmp_path)
    gate = gate_from(file, "clinic")
    kept = load_settings(file).service.gates / "clinic.canary"
    kept.mkdir()
    turn_away(gate, range(60))
    assert gate.rollout_statuses(NOW)["canary"].share == 50.0
    assert gate.decide(request(token=token()), NOW).allow

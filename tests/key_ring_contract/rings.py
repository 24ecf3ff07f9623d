"""Rotate and retire keys, wherever they are kept."""

import json

import pytest
from tests.key_ring_contract.places import GRACE, START, Place

from watchword.adapters.keyring.file import (
    KEEP_RETIRED_SECONDS,
    MAX_EPOCHS,
    MAX_KEYS,
    MAX_RING_BYTES,
    KeyRing,
    KeyState,
    key_to_json,
    new_key,
    rotated,
)
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.ports import VerificationKey
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jose import public_key_from_jwk, thumbprint
from watchword.tokens.service import issue, verify
from watchword.vocabulary import Environment, Level


def states(ring: KeyRing) -> dict[str, KeyState]:
    """Return the state of each key."""
    return {key.kid: key.state for key in ring.ring.token_keys}


def test_second_start_reads_the_same_keys(place: Place) -> None:
    """A restart changes nothing."""
    first, second = place.open(), place.open(b"other")
    assert states(first) == states(second)
    assert first.ring.pairwise_key == second.ring.pairwise_key
    assert first.ring.challenge_key == second.ring.challenge_key
    assert first.ring.reference_key == second.ring.reference_key


def token(ring: KeyRing, now: float) -> str:
    """Issue a token with the active key."""
    claims = TokenClaims(
        issuer="i",
        audience="a",
        subject="s",
        issued_at=int(now),
        expires_at=int(now) + 300,
        token_id="t",
        environment=Environment.PROD,
        app_id="app",
        app_version=None,
        level=Level.HARDWARE,
        key={"kty": "EC", "crv": "P-256", **coordinates(ring)},
        session_id="x",
    )
    return issue(claims, ring.signer())


def coordinates(ring: KeyRing) -> dict[str, str]:
    """Return the coordinates of some valid point."""
    entry = ring.jwks(START)["keys"][0]
    return {"x": entry["x"], "y": entry["y"]}


class Gate:
    """Know the keys as a gate does."""

    def __init__(self, ring: KeyRing) -> None:
        """Take what the ring tells gates at present."""
        self.keys = {key.kid: key.verification_key() for key in ring.ring.token_keys}

    def find(self, kid: str) -> VerificationKey | None:
        """See the port."""
        return self.keys.get(kid)

    def reason(self, text: str, now: float) -> Reason | None:
        """Return why a token is refused, None if it isn't."""
        try:
            verify(text, TokenExpectation("i", "a", Environment.PROD), self, now)
        except RefusedError as error:
            return error.reason
        return None


def test_rotation_refuses_no_valid_token(place: Place) -> None:
    """Tokens of before and after a rotation pass, at gates that know it and those that don't."""
    ring = place.open()
    gate_before = Gate(ring)
    before = token(ring, START)
    old, prepared = ring.signer().kid, ring.ring.in_state(KeyState.PREPARED).kid
    active = ring.rotate(START)
    assert active.kid == prepared
    assert states(ring)[old] is KeyState.RETIRED
    after = token(ring, START)
    gate_after = Gate(ring)
    for gate in (gate_before, gate_after):
        assert gate.reason(before, START + 1) is None
        assert gate.reason(after, START + 1) is None
    assert gate_after.reason(before, START + GRACE - 1) is None
    assert gate_after.reason(before, START + GRACE) is Reason.TOKEN_KEY_RETIRED


def test_rotation_is_durable(place: Place) -> None:
    """After a restart the rotation still holds."""
    ring = place.open()
    ring.rotate(START)
    assert states(place.open()) == states(ring)


def test_emergency_withdraws_trust_at_once(place: Place) -> None:
    """A retired active key is refused from the same instant, and the prepared one takes over."""
    ring = place.open()
    stolen = token(ring, START)
    old = ring.signer().kid
    new = ring.retire(old, START)
    assert new.kid != old
    assert Gate(ring).reason(stolen, START) is Reason.TOKEN_KEY_RETIRED
    assert Gate(ring).reason(token(ring, START), START) is None
    assert sorted(states(ring).values()) == [
        KeyState.ACTIVE,
        KeyState.PREPARED,
        KeyState.RETIRED,
    ]


def test_retired_prepared_key_is_replaced(place: Place) -> None:
    """There is always a key in reserve, also after the reserve was withdrawn."""
    ring = place.open()
    active, prepared = ring.signer().kid, ring.ring.in_state(KeyState.PREPARED).kid
    assert ring.retire(prepared, START).kid == active
    assert ring.ring.in_state(KeyState.PREPARED).kid != prepared


def test_retiring_shortens_and_never_prolongs(place: Place) -> None:
    """A key in its grace loses it; one whose time is over doesn't get a new one."""
    ring = place.open()
    old = ring.signer().kid
    ring.rotate(START)
    ring.retire(old, START + 1)
    assert ring.ring.find(old).verify_until == START + 1
    ring.retire(old, START + 100)
    assert ring.ring.find(old).verify_until == START + 1


def test_unknown_key_is_not_found(place: Place) -> None:
    """Retiring a key that isn't there changes nothing."""
    ring = place.open()
    before = states(ring)
    with pytest.raises(RefusedError) as caught:
        ring.retire("nobody", START)
    assert caught.value.reason is Reason.KEY_UNKNOWN
    assert states(ring) == before


def test_long_retired_keys_are_dropped(place: Place) -> None:
    """A day after its last token expired a key is forgotten; before, gates can name it."""
    ring = place.open()
    old = ring.signer().kid
    ring.rotate(START)
    ring.rotate(START + GRACE + KEEP_RETIRED_SECONDS - 1)
    assert old in states(ring)
    ring.rotate(START + GRACE + KEEP_RETIRED_SECONDS)
    assert old not in states(ring)


def test_jwks_shows_what_may_be_accepted(place: Place) -> None:
    """The JWK Set has prepared, active and still accepted keys, and no private part."""
    ring = place.open()
    old = ring.signer().kid
    ring.rotate(START)
    during, after = ring.jwks(START), ring.jwks(START + GRACE)
    assert {key["kid"] for key in during["keys"]} == set(states(ring))
    assert {key["kid"] for key in after["keys"]} == set(states(ring)) - {old}
    for key in during["keys"]:
        assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
        bare = {name: key[name] for name in ("kty", "crv", "x", "y")}
        public_key_from_jwk(bare)
        assert key["kid"] == thumbprint(bare)


def test_other_process_is_followed(place: Place) -> None:
    """A rotation by another process arrives at the next refresh."""
    here, there = place.open(), place.open()
    assert not here.refresh()
    there.rotate(START)
    assert here.refresh()
    assert states(here) == states(there)
    assert not here.refresh()


def test_two_processes_do_not_undo_each_other(place: Place) -> None:
    """A change starts from what is in the file and not from what was read long ago."""
    here, there = place.open(), place.open()
    there.rotate(START)
    here.rotate(START)
    assert len(states(here)) == 4


def test_keys_of_a_broken_file_stay_in_use(place: Place) -> None:
    """A file that was damaged under a running service changes nothing, and says so."""
    ring = place.open()
    before = states(ring)
    place.write(b"{}")
    with pytest.raises(PrivateFileError):
        ring.refresh()
    place.remove()
    with pytest.raises(PrivateFileError, match="gone"):
        ring.refresh()
    assert states(ring) == before
    assert token(ring, START)


def test_lost_file_is_not_replaced_by_a_change(place: Place) -> None:
    """A rotation without the file fails; new keys would make strangers of all instances."""
    ring = place.open()
    place.remove()
    with pytest.raises(PrivateFileError):
        ring.rotate(START)
    assert not place.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda keys: keys[:1],
        lambda keys: [],
        lambda keys: [*keys, *keys],
        lambda keys: [{**keys[0], "kid": keys[1]["kid"]}, keys[1]],
        lambda keys: [{**keys[0], "verify_until": 1.0}, keys[1]],
        lambda keys: [{**keys[0], "state": "retired"}, keys[1]],
        lambda keys: [{**keys[0], "d": "AA"}, keys[1]],
        lambda keys: {"a": 1},
    ],
)
def test_inconsistent_keys_are_refused(place: Place, change: object) -> None:
    """There is exactly one active and one prepared key, and each is what its id says."""
    place.open()
    members = json.loads(place.read())
    members["token_keys"] = change(members["token_keys"])  # type: ignore[operator]
    place.write(json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="damaged"):
        place.open()


def test_newer_file_is_not_touched(place: Place) -> None:
    """A file of a later version is left alone, with a word on why."""
    place.open()
    place.write(place.read().replace(b'"v":2', b'"v":3'))
    with pytest.raises(PrivateFileError, match="newer Watchword"):
        place.open()


@pytest.mark.parametrize("environment", [None, "staging", 1, []])
def test_environment_of_a_ring_is_required(place: Place, environment: object) -> None:
    """A file that doesn't say which world it belongs to is damaged."""
    place.open()
    members = json.loads(place.read())
    members |= {"environment": environment}
    if environment is None:
        del members["environment"]
    place.write(json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="damaged"):
        place.open()


def fill(place: Place, ring: KeyRing) -> None:
    """Make the file as full as endless rotation makes it: keys whose tokens live."""
    document = json.loads(place.read())
    keys = [key_to_json(key) for key in rotated(ring.ring.token_keys, START, GRACE)]
    for _ in range(MAX_KEYS - len(keys)):
        more = rotated((new_key(START),), START, GRACE)[0]
        keys.append(
            key_to_json(more) | {"state": KeyState.RETIRED.value, "verify_until": START + GRACE}
        )
    place.write(json.dumps(document | {"token_keys": keys}).encode())
    ring.refresh()


def test_endless_rotation_is_stopped_before_the_file_is_too_large(place: Place) -> None:
    """At the limit no key is added while tokens live; afterwards the oldest make room."""
    ring = place.open()
    fill(place, ring)
    active = ring.signer()
    with pytest.raises(UnavailableError) as caught:
        ring.rotate(START + 1)
    assert caught.value.reason is Reason.SERVICE_OVERLOADED
    assert ring.signer() == active
    ring.rotate(START + GRACE + 1)
    assert ring.signer() != active
    assert len(ring.ring.token_keys) == MAX_KEYS


def test_stolen_key_is_withdrawn_at_the_limit_too(place: Place) -> None:
    """The limit holds up rotations, and never an emergency."""
    ring = place.open()
    fill(place, ring)
    stolen = ring.signer().kid
    ring.retire(stolen, START + 1)
    assert ring.signer().kid != stolen
    assert place.open().ring.find(stolen).state is KeyState.RETIRED


def test_file_of_another_version_put_back_under_a_running_service(place: Place) -> None:
    """The keys in use stay, and the file isn't touched."""
    ring = place.open()
    kept = ring.bundle_signer().kid
    members = json.loads(place.read()) | {"v": 1}
    place.write(json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="got format 1, expected 2"):
        ring.refresh()
    assert ring.bundle_signer().kid == kept
    with pytest.raises(PrivateFileError, match="got format 1, expected 2"):
        place.open()
    assert json.loads(place.read()) == members


def test_what_one_audience_holds_tells_nothing_of_another(place: Place) -> None:
    """Secrets and verdict keys differ by audience, and are the same at each reading."""
    first, second = place.open(), place.open(b"other")
    assert first.gate_secret("a") == second.gate_secret("a")
    assert first.gate_secret("a").secret != first.gate_secret("b").secret
    assert first.verdict_signer("a") == second.verdict_signer("a")
    assert first.verdict_signer("a") != first.verdict_signer("b")
    assert "secret=" not in repr(first.gate_secret("a"))


def test_epochs_rotate_without_a_gap(place: Place) -> None:
    """Every two seconds for a minute: the gates always hold what any living token names."""
    ring = place.open()
    issued: list[tuple[float, int, bytes]] = []
    for turn in range(30):
        now = START + 2 * turn
        held = {each.epoch: each.secret for each in ring.gate_secrets("a", now)}
        active = ring.gate_secret("a")
        issued.append((now, active.epoch, active.secret))
        ring.rotate_gate_secrets(now + 1)
        # A gate that hasn't seen the rotation yet holds the epoch that signs now.
        assert held[ring.gate_secret("a").epoch] == ring.gate_secret("a").secret
        for at, epoch, secret in issued:
            if now < at + 300:
                assert held[epoch] == secret
    end = START + 60 + GRACE + 1
    assert len(ring.gate_secrets("a", end)) == 2


def test_endless_rotation_of_epochs_is_stopped(place: Place) -> None:
    """At the limit nothing is added while tokens live, and the file can still be read."""
    ring = place.open()
    while len(ring.ring.gate_epochs) < MAX_EPOCHS:
        ring.rotate_gate_secrets(START)
    with pytest.raises(UnavailableError) as caught:
        ring.rotate_gate_secrets(START + 1)
    assert caught.value.reason is Reason.SERVICE_OVERLOADED
    fill(place, ring)
    assert len(place.read()) < MAX_RING_BYTES
    place.open().rotate_gate_secrets(START + GRACE + 1)


def test_stolen_epoch_is_withdrawn_at_once(place: Place) -> None:
    """Its secret leaves the gates, the prepared epoch takes over, no number is given twice."""
    ring = place.open()
    stolen = ring.gate_secret("a").epoch
    ring.retire_gate_secret(f"epoch-{stolen}", START + 5)
    held = [each.epoch for each in ring.gate_secrets("a", START + 5)]
    assert held == [2, 3]
    assert ring.gate_secret("a").epoch == 2
    ring.retire_gate_secret("epoch-3", START + 6)
    assert [each.epoch for each in ring.gate_secrets("a", START + 6)] == [2, 4]
    with pytest.raises(RefusedError) as caught:
        ring.retire_gate_secret("epoch-9", START + 7)
    assert caught.value.reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"gate_epochs": []},
        {"verdict_master": "AAAA"},
        {"bundle_key": None},
        {"gate_epochs": [{"epoch": 1}]},
    ],
    ids=str,
)
def test_crooked_gate_secrets_are_refused(place: Place, change: dict[str, object]) -> None:
    """Each part of the ring is there and whole."""
    place.open()
    place.write(json.dumps(json.loads(place.read()) | change).encode())
    with pytest.raises(PrivateFileError, match="damaged"):
        place.open()

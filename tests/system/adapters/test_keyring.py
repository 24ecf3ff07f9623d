"""Keep, rotate and retire keys in one private file."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.adapters.ordinary_user import ordinary_user
from tests.unit.enrolment.simulators import SeededEntropy

from watchword.adapters.keyring.file import (
    KEEP_RETIRED_SECONDS,
    MAX_EPOCHS,
    MAX_KEYS,
    MAX_RING_BYTES,
    FileKeyRing,
    KeyState,
    key_to_json,
    new_key,
    rotated,
)
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    private_directory,
    write_private,
)
from watchword.ports import VerificationKey
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jose import public_key_from_jwk, thumbprint
from watchword.tokens.service import issue, verify
from watchword.vocabulary import Environment, Level

GRACE = 330.0
PROD = Environment.PROD
START = 1_700_000_000.0


def open_ring(path: Path, seed: bytes = b"ring") -> FileKeyRing:
    """Open the key ring of a state directory."""
    return FileKeyRing(path, environment=PROD, grace=GRACE, now=START, entropy=SeededEntropy(seed))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a key ring in a directory that doesn't exist yet."""
    return tmp_path / "state" / "keyring.json"


def states(ring: FileKeyRing) -> dict[str, KeyState]:
    """Return the state of each key."""
    return {key.kid: key.state for key in ring.ring.token_keys}


def test_first_start_makes_a_private_file(path: Path) -> None:
    """A fresh ring has an active and a prepared key, in a file that only we can read."""
    ring = open_ring(path)
    assert sorted(states(ring).values()) == [KeyState.ACTIVE, KeyState.PREPARED]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["keyring.json"]
    secrets = {ring.ring.challenge_key, ring.ring.pairwise_key, ring.ring.reference_key}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}


def test_second_start_reads_the_same_keys(path: Path) -> None:
    """A restart changes nothing."""
    first, second = open_ring(path), open_ring(path, b"other")
    assert states(first) == states(second)
    assert first.ring.pairwise_key == second.ring.pairwise_key
    assert first.ring.challenge_key == second.ring.challenge_key
    assert first.ring.reference_key == second.ring.reference_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_file_that_others_reach_is_refused(path: Path, mode: int) -> None:
    """Whoever could read or replace the keys could sign tokens."""
    open_ring(path)
    path.chmod(mode)
    with pytest.raises(PrivateFileError, match=f"got mode {mode:04o}"):
        open_ring(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_somebody_else_is_refused(path: Path) -> None:
    """Keys that another user put there are that user's keys."""
    open_ring(path)
    os.chown(path, 12345, -1)
    with pytest.raises(PrivateFileError, match="belongs to user 12345"):
        open_ring(path)


def test_link_and_pipe_are_refused(path: Path, tmp_path: Path) -> None:
    """A symbolic link or a pipe in the file's place is not followed and doesn't block."""
    open_ring(path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrivateFileError):
        open_ring(path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(PrivateFileError):
        open_ring(path)


def token(ring: FileKeyRing, now: float) -> str:
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


def coordinates(ring: FileKeyRing) -> dict[str, str]:
    """Return the coordinates of some valid point."""
    entry = ring.jwks(START)["keys"][0]
    return {"x": entry["x"], "y": entry["y"]}


class Gate:
    """Know the keys as a gate does."""

    def __init__(self, ring: FileKeyRing) -> None:
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


def test_rotation_refuses_no_valid_token(path: Path) -> None:
    """Tokens of before and after a rotation pass, at gates that know it and those that don't."""
    ring = open_ring(path)
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


def test_rotation_is_durable(path: Path) -> None:
    """After a restart the rotation still holds."""
    ring = open_ring(path)
    ring.rotate(START)
    assert states(open_ring(path)) == states(ring)


def test_emergency_withdraws_trust_at_once(path: Path) -> None:
    """A retired active key is refused from the same instant, and the prepared one takes over."""
    ring = open_ring(path)
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


def test_retired_prepared_key_is_replaced(path: Path) -> None:
    """There is always a key in reserve, also after the reserve was withdrawn."""
    ring = open_ring(path)
    active, prepared = ring.signer().kid, ring.ring.in_state(KeyState.PREPARED).kid
    assert ring.retire(prepared, START).kid == active
    assert ring.ring.in_state(KeyState.PREPARED).kid != prepared


def test_retiring_shortens_and_never_prolongs(path: Path) -> None:
    """A key in its grace loses it; one whose time is over doesn't get a new one."""
    ring = open_ring(path)
    old = ring.signer().kid
    ring.rotate(START)
    ring.retire(old, START + 1)
    assert ring.ring.find(old).verify_until == START + 1
    ring.retire(old, START + 100)
    assert ring.ring.find(old).verify_until == START + 1


def test_unknown_key_is_not_found(path: Path) -> None:
    """Retiring a key that isn't there changes nothing."""
    ring = open_ring(path)
    before = states(ring)
    with pytest.raises(RefusedError) as caught:
        ring.retire("nobody", START)
    assert caught.value.reason is Reason.KEY_UNKNOWN
    assert states(ring) == before


def test_long_retired_keys_are_dropped(path: Path) -> None:
    """A day after its last token expired a key is forgotten; before, gates can name it."""
    ring = open_ring(path)
    old = ring.signer().kid
    ring.rotate(START)
    ring.rotate(START + GRACE + KEEP_RETIRED_SECONDS - 1)
    assert old in states(ring)
    ring.rotate(START + GRACE + KEEP_RETIRED_SECONDS)
    assert old not in states(ring)


def test_jwks_shows_what_may_be_accepted(path: Path) -> None:
    """The JWK Set has prepared, active and still accepted keys, and no private part."""
    ring = open_ring(path)
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


def test_other_process_is_followed(path: Path) -> None:
    """A rotation by another process arrives at the next refresh."""
    here, there = open_ring(path), open_ring(path)
    assert not here.refresh()
    there.rotate(START)
    assert here.refresh()
    assert states(here) == states(there)
    assert not here.refresh()


def test_two_processes_do_not_undo_each_other(path: Path) -> None:
    """A change starts from what is in the file and not from what was read long ago."""
    here, there = open_ring(path), open_ring(path)
    there.rotate(START)
    here.rotate(START)
    assert len(states(here)) == 4


def test_keys_of_a_broken_file_stay_in_use(path: Path) -> None:
    """A file that was damaged under a running service changes nothing, and says so."""
    ring = open_ring(path)
    before = states(ring)
    write_private(path, b"{}")
    with pytest.raises(PrivateFileError):
        ring.refresh()
    path.unlink()
    with pytest.raises(PrivateFileError, match="gone"):
        ring.refresh()
    assert states(ring) == before
    assert token(ring, START)


def test_lost_file_is_not_replaced_by_a_change(path: Path) -> None:
    """A rotation without the file fails; new keys would make strangers of all instances."""
    ring = open_ring(path)
    path.unlink()
    with pytest.raises(PrivateFileError):
        ring.rotate(START)
    assert not path.exists()


def test_a_file_that_somebody_laid_out_is_not_written_into(path: Path) -> None:
    """A file keeps its mode: whoever can read it, or is pointed to, would be told what is written."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    trap = path.with_name(f".{path.name}.{os.getpid()}.new")
    elsewhere = path.with_name("elsewhere")
    trap.write_bytes(b"")
    trap.chmod(0o666)
    with trap.open("rb") as watched:
        write_private(path, b"secret")
        assert watched.read() == b""
    trap.symlink_to(elsewhere)
    write_private(path, b"another secret")
    assert path.read_bytes() == b"another secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not elsewhere.exists()


def secrets_in(path: Path) -> list[str]:
    """Return every secret text of the file."""
    members = json.loads(path.read_bytes())
    named = [members[name] for name in ("challenge_key", "pairwise_key", "reference_key")]
    return [*named, *(key["d"] for key in members["token_keys"])]


def test_no_secret_shows(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr nor a log line nor an error on a damaged file shows a key."""
    ring = open_ring(path)
    secrets = secrets_in(path)
    assert len(secrets) == 5
    logging.getLogger("test").warning("%r %r %s", ring, ring.ring, ring.ring.token_keys)
    shown = caplog.text
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"v":2', b'"v":2,"v":2'))
    with pytest.raises(PrivateFileError) as caught:
        open_ring(path)
    shown += str(caught.value) + repr(caught.value.__cause__) + repr(caught.value)
    assert not any(secret in shown for secret in secrets)
    raw = [bytes(ring.ring.challenge_key), bytes(ring.ring.pairwise_key)]
    assert not any(repr(secret)[2:-1] in shown for secret in raw)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_is_reported_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A file with any piece overwritten is read or refused; nothing else happens."""
    path = tmp_path_factory.mktemp("ring") / "keyring.json"
    open_ring(path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=8))
    write_private(path, whole[:at] + junk + whole[at + data.draw(st.integers(0, 40)) :])
    try:
        ring = open_ring(path)
    except PrivateFileError as error:
        complaint = str(error)
    else:
        active = ring.ring.find(ring.signer().kid)
        complaint = "" if active.state is KeyState.ACTIVE else "signs with another key"
    assert complaint == "" or str(path) in complaint


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
def test_inconsistent_keys_are_refused(path: Path, change: object) -> None:
    """There is exactly one active and one prepared key, and each is what its id says."""
    open_ring(path)
    members = json.loads(path.read_bytes())
    members["token_keys"] = change(members["token_keys"])  # type: ignore[operator]
    write_private(path, json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="damaged"):
        open_ring(path)


def test_newer_file_is_not_touched(path: Path) -> None:
    """A file of a later version is left alone, with a word on why."""
    open_ring(path)
    path.write_bytes(path.read_bytes().replace(b'"v":2', b'"v":3'))
    with pytest.raises(PrivateFileError, match="newer Watchword"):
        open_ring(path)


def test_change_waits_for_the_change_of_another(path: Path) -> None:
    """While one process changes the file another one waits for it."""
    ring = open_ring(path)
    before = states(ring)
    rotating = threading.Thread(target=ring.rotate, args=(START,))
    with locked_directory(path.parent):
        rotating.start()
        rotating.join(0.2)
        assert rotating.is_alive()
        assert states(open_unlocked(path)) == before
    rotating.join(10)
    assert not rotating.is_alive()
    assert len(states(ring)) == len(before) + 1


def open_unlocked(path: Path) -> FileKeyRing:
    """Read the file in another way than by the lock that is held."""
    copy = path.parent.with_name("copy") / path.name
    copy.parent.mkdir(mode=0o700)
    write_private(copy, path.read_bytes())
    return open_ring(copy)


_STARTING = """
import sys
import threading
from contextlib import suppress
from pathlib import Path
from watchword.adapters.system import SystemEntropy
from watchword.adapters.keyring.file import FileKeyRing
from watchword.vocabulary import Environment
sys.stdin.read()
ring = FileKeyRing(
    Path(sys.argv[1]), environment=Environment.PROD, grace=1, now=1, entropy=SystemEntropy()
)
print(ring.signer().kid, ring.ring.pairwise_key.hex())
"""


def test_processes_that_start_at_once_share_one_ring(path: Path) -> None:
    """Of several first starts at the same time one makes the keys, and all use them."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _STARTING, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    answers = {process.communicate()[0] for process in processes}
    assert len(answers) == 1
    assert answers != {""}


def test_directory_that_cannot_be_written_is_reported() -> None:
    """Where no key ring can be made the error says where."""
    with ordinary_user() as directory:
        directory.chmod(0o500)
        with pytest.raises(PrivateFileError, match="can't be"):
            open_ring(directory / "keyring.json")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777])
def test_directory_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    """Keys aren't made where others could look or exchange them; the message says what to do."""
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(PrivateFileError, match=f"got mode {mode:04o}.*chmod 700 {directory}"):
        open_ring(directory / "keyring.json")
    assert list(directory.iterdir()) == []
    directory.chmod(0o700)
    open_ring(directory / "keyring.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner could exchange the keys."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    with pytest.raises(PrivateFileError, match="belongs to user 12345"):
        open_ring(directory / "keyring.json")


def test_state_of_one_environment_serves_no_other(path: Path) -> None:
    """A lab's keys, and with them its instances, can't be taken into production or back."""
    open_ring(path)
    before = path.read_bytes()
    with pytest.raises(PrivateFileError, match="state directory of a prod, expected one of lab"):
        FileKeyRing(
            path,
            environment=Environment.LAB,
            grace=GRACE,
            now=START,
            entropy=SeededEntropy(b"lab"),
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize("environment", [None, "staging", 1, []])
def test_environment_of_a_ring_is_required(path: Path, environment: object) -> None:
    """A file that doesn't say which world it belongs to is damaged."""
    open_ring(path)
    members = json.loads(path.read_bytes())
    members |= {"environment": environment}
    if environment is None:
        del members["environment"]
    write_private(path, json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="damaged"):
        open_ring(path)


def test_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    """A file in the place of the state directory is named in the error."""
    (tmp_path / "state").write_text("")
    with pytest.raises(PrivateFileError, match="can't be used"):
        open_ring(tmp_path / "state" / "keyring.json")


def fill(path: Path, ring: FileKeyRing) -> None:
    """Make the file as full as endless rotation makes it: keys whose tokens live."""
    document = json.loads(path.read_bytes())
    keys = [key_to_json(key) for key in rotated(ring.ring.token_keys, START, GRACE)]
    for _ in range(MAX_KEYS - len(keys)):
        more = rotated((new_key(START),), START, GRACE)[0]
        keys.append(
            key_to_json(more) | {"state": KeyState.RETIRED.value, "verify_until": START + GRACE}
        )
    write_private(path, json.dumps(document | {"token_keys": keys}).encode())
    ring.refresh()


def test_endless_rotation_is_stopped_before_the_file_is_too_large(path: Path) -> None:
    """At the limit no key is added while tokens live; afterwards the oldest make room."""
    ring = open_ring(path)
    fill(path, ring)
    active = ring.signer()
    with pytest.raises(UnavailableError) as caught:
        ring.rotate(START + 1)
    assert caught.value.reason is Reason.SERVICE_OVERLOADED
    assert ring.signer() == active
    ring.rotate(START + GRACE + 1)
    assert ring.signer() != active
    assert len(ring.ring.token_keys) == MAX_KEYS


def test_stolen_key_is_withdrawn_at_the_limit_too(path: Path) -> None:
    """The limit holds up rotations, and never an emergency."""
    ring = open_ring(path)
    fill(path, ring)
    stolen = ring.signer().kid
    ring.retire(stolen, START + 1)
    assert ring.signer().kid != stolen
    assert open_ring(path).ring.find(stolen).state is KeyState.RETIRED


def test_directory_in_the_place_of_the_file_is_reported(path: Path) -> None:
    """A directory there is named as such."""
    path.parent.mkdir(mode=0o700)
    path.mkdir()
    with pytest.raises(PrivateFileError, match="regular file"):
        open_ring(path)


def test_file_of_another_version_put_back_under_a_running_service(path: Path) -> None:
    """The keys in use stay, and the file isn't touched."""
    ring = open_ring(path)
    kept = ring.bundle_signer().kid
    members = json.loads(path.read_bytes()) | {"v": 1}
    write_private(path, json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="got format 1, expected 2"):
        ring.refresh()
    assert ring.bundle_signer().kid == kept
    with pytest.raises(PrivateFileError, match="got format 1, expected 2"):
        open_ring(path)
    assert json.loads(path.read_bytes()) == members


def test_what_one_audience_holds_tells_nothing_of_another(path: Path) -> None:
    """Secrets and verdict keys differ by audience, and are the same at each reading."""
    first, second = open_ring(path), open_ring(path, b"other")
    assert first.gate_secret("a") == second.gate_secret("a")
    assert first.gate_secret("a").secret != first.gate_secret("b").secret
    assert first.verdict_signer("a") == second.verdict_signer("a")
    assert first.verdict_signer("a") != first.verdict_signer("b")
    assert "secret=" not in repr(first.gate_secret("a"))


def test_epochs_rotate_without_a_gap(path: Path) -> None:
    """Every two seconds for a minute: the gates always hold what any living token names."""
    ring = open_ring(path)
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


def test_endless_rotation_of_epochs_is_stopped(path: Path) -> None:
    """At the limit nothing is added while tokens live, and the file can still be read."""
    ring = open_ring(path)
    while len(ring.ring.gate_epochs) < MAX_EPOCHS:
        ring.rotate_gate_secrets(START)
    with pytest.raises(UnavailableError) as caught:
        ring.rotate_gate_secrets(START + 1)
    assert caught.value.reason is Reason.SERVICE_OVERLOADED
    fill(path, ring)
    assert path.stat().st_size < MAX_RING_BYTES
    open_ring(path).rotate_gate_secrets(START + GRACE + 1)


def test_stolen_epoch_is_withdrawn_at_once(path: Path) -> None:
    """Its secret leaves the gates, the prepared epoch takes over, no number is given twice."""
    ring = open_ring(path)
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
def test_crooked_gate_secrets_are_refused(path: Path, change: dict[str, object]) -> None:
    """Each part of the ring is there and whole."""
    open_ring(path)
    write_private(path, json.dumps(json.loads(path.read_bytes()) | change).encode())
    with pytest.raises(PrivateFileError, match="damaged"):
        open_ring(path)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_place_that_anybody_may_rename_is_refused(tmp_path: Path, depth: int) -> None:
    """Whoever may write to a directory on the way puts one of his own in the place of ours; it is said what to do."""
    way = tmp_path / "a" / "b"
    way.mkdir(parents=True)
    open_to_all = way.parents[depth - 1] if depth == 2 else way
    open_to_all.chmod(0o777)
    with pytest.raises(PrivateFileError, match=f"chmod o-w {open_to_all}"):
        private_directory(way / "state")
    assert not (way / "state").exists()
    open_to_all.chmod(0o755)
    private_directory(way / "state")
    open_to_all.chmod(0o777)
    with pytest.raises(PrivateFileError, match="anybody"):
        private_directory(way / "state")


def test_what_is_made_on_the_way_is_open_to_nobody_else(tmp_path: Path) -> None:
    """Without a umask too: the next start would refuse it."""
    before = os.umask(0)
    try:
        private_directory(tmp_path / "a" / "b" / "state")
        private_directory(tmp_path / "a" / "b" / "state")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("a", "a/b", "a/b/state")]
    assert modes == [0o755, 0o755, 0o700]


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o700])
def test_a_place_where_nobody_renames_what_is_ours_is_taken(tmp_path: Path, mode: int) -> None:
    """As /tmp is, or a directory of the group that a user has to himself."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(mode)
    private_directory(place / "state")
    assert stat.S_IMODE((place / "state").stat().st_mode) == 0o700

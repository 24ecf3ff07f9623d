"""Keep the service's private keys in OpenBao, and none in the key ring's file."""

import asyncio
import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from tests.key_ring_contract.places import GRACE, START
from tests.key_ring_contract.rings import Gate, token
from tests.system.adapters.openbao.slow_path import slow_path
from tests.system.adapters.test_keyring import PROD, open_ring
from tests.unit.adapters.openbao.server import BaoServer
from tests.unit.enrolment.simulators import (
    NOW,
    POLICY,
    CredulousVerifier,
    SeededEntropy,
    SimulatedPhone,
)

from watchword.adapters.documents import FileDocument
from watchword.adapters.keyring.file import (
    MASTER_BYTES,
    MAX_EPOCHS,
    MAX_KEYS,
    MAX_RING_BYTES,
    GateEpoch,
    HeldRingForm,
    KeyKeeper,
    KeyPurpose,
    KeyRing,
    KeyState,
)
from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_private
from watchword.adapters.openbao.connection import OpenBao
from watchword.adapters.openbao.key_keeper import TransitKeyKeeper
from watchword.adapters.sqlite import SqliteStore
from watchword.encoding import base64url
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.reasons import Reason, UnavailableError
from watchword.tokens import jose
from watchword.tokens.jose import sign
from watchword.vocabulary import Environment, Purpose


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a key ring in a directory that doesn't exist yet."""
    return tmp_path / "state" / "keyring.json"


@pytest.fixture
def keeper(bao: BaoServer) -> Iterator[TransitKeyKeeper]:
    """Keep keys in the real server."""
    connection = OpenBao(bao.place())
    keeper = TransitKeyKeeper(connection, "watchword")
    yield keeper
    keeper.close()
    connection.close()


def held_ring(
    path: Path, keeper: KeyKeeper, now: float = START, environment: Environment = PROD
) -> KeyRing:
    """Open a key ring whose private keys are kept elsewhere."""
    return KeyRing(
        FileDocument(path),
        environment=environment,
        grace=GRACE,
        now=now,
        entropy=SeededEntropy(b"ring"),
        keeper=keeper,
    )


def secrets_of(ring: KeyRing) -> list[bytes]:
    """Return every secret that a ring of this kind holds in memory."""
    held = ring.ring
    return [
        held.challenge_key,
        held.pairwise_key,
        held.reference_key,
        held.verdict_master,
        *(epoch.master for epoch in held.gate_epochs),
    ]


def test_file_holds_no_private_key_and_no_open_secret(path: Path, keeper: TransitKeyKeeper) -> None:
    """On the disk there are public keys, numbers of versions, and what OpenBao alone opens."""
    ring = held_ring(path, keeper)
    data = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    members = json.loads(data)
    assert members.keys() == {"v", "environment", "token_keys", "bundle_key", "sealed"}
    for key in (*members["token_keys"], members["bundle_key"]):
        assert key.keys() == {"x", "y", "state", "since", "verify_until", "version"}
    assert members["sealed"].startswith("vault:v")
    for secret in secrets_of(ring):
        assert base64url.encode(secret).encode() not in data
        assert repr(secret) not in repr(ring.ring)
    assert not any(isinstance(key.private, EllipticCurvePrivateKey) for key in ring.ring.token_keys)


def test_tokens_and_bundles_are_signed_by_keys_of_their_own(
    path: Path, keeper: TransitKeyKeeper
) -> None:
    """Gates believe tokens by the active key; bundles have another key, under another name."""
    ring = held_ring(path, keeper)
    assert Gate(ring).reason(token(ring, START), START) is None
    signer = ring.bundle_signer()
    assert jose.is_signed_by(signer.public, signer.sign(b"bundle"), b"bundle")
    assert signer.kid not in {key.kid for key in ring.ring.token_keys}
    assert {each["kid"] for each in ring.jwks(START)["keys"]} == {
        key.kid for key in ring.ring.token_keys
    }


def test_restart_has_the_same_keys(path: Path, keeper: TransitKeyKeeper, bao: BaoServer) -> None:
    """A restart of the service, and of OpenBao, changes nothing."""
    first = held_ring(path, keeper)
    bao.restart()
    second = held_ring(path, keeper)
    assert second.ring == first.ring
    assert secrets_of(second) == secrets_of(first)
    assert Gate(first).reason(token(second, START), START) is None


def test_rotation_and_retirement(path: Path, keeper: TransitKeyKeeper) -> None:
    """Keys rotate and retire as those of a file do: tokens of the rotated one pass, of the retired one don't."""
    ring = held_ring(path, keeper)
    before, prepared = token(ring, START), ring.ring.in_state(KeyState.PREPARED).kid
    ring.rotate(START + 1)
    assert ring.signer().kid == prepared
    gate = Gate(ring)
    assert gate.reason(before, START + 1) is None
    assert gate.reason(token(ring, START + 1), START + 1) is None
    stolen, by_it = ring.signer().kid, token(ring, START + 1)
    ring.retire(stolen, START + 2)
    assert Gate(ring).reason(by_it, START + 100) is Reason.TOKEN_KEY_RETIRED
    assert ring.signer().kid != stolen
    kept = held_ring(path, keeper)
    assert kept.ring == ring.ring
    versions = [key.held.version for key in kept.ring.token_keys if key.held is not None]
    assert len(set(versions)) == len(kept.ring.token_keys) == 4


def test_epochs_rotate_under_seal(path: Path, keeper: TransitKeyKeeper) -> None:
    """New gate secrets are sealed as the old ones were, and another process reads them."""
    ring, other = held_ring(path, keeper), held_ring(path, keeper)
    epoch = ring.rotate_gate_secrets(START + 1)
    assert other.refresh()
    assert other.gate_secret("a") == ring.gate_secret("a")
    assert other.gate_secret("a").epoch == epoch.epoch
    assert not other.refresh()


def test_change_fails_whole_while_openbao_is_away(
    path: Path, keeper: TransitKeyKeeper, bao: BaoServer
) -> None:
    """Sealed, it makes no key and opens no ring; the file and the keys in use stay as they were."""
    ring = held_ring(path, keeper)
    before, active = path.read_bytes(), ring.signer().kid
    bao.seal()
    for change in (
        lambda: ring.rotate(START + 1),
        lambda: ring.retire(active, START + 1),
        lambda: ring.rotate_gate_secrets(START + 1),
        lambda: ring.signer().sign(b"message"),
        lambda: held_ring(path, keeper),
    ):
        with pytest.raises(UnavailableError) as caught:
            change()
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
    assert path.read_bytes() == before
    assert ring.signer().kid == active
    assert ring.gate_secret("a").secret


def test_followed_file_that_cannot_be_opened_keeps_the_keys(
    path: Path, keeper: TransitKeyKeeper, bao: BaoServer
) -> None:
    """A change by another process that can't be unsealed now is followed once it can."""
    ring, other = held_ring(path, keeper), held_ring(path, keeper)
    other.rotate_gate_secrets(START + 1)
    bao.seal()
    with pytest.raises(UnavailableError):
        ring.refresh()
    assert ring.gate_secret("a").epoch != other.gate_secret("a").epoch
    bao.unseal()
    assert _eventually(ring)
    assert ring.gate_secret("a") == other.gate_secret("a")


def _eventually(ring: KeyRing) -> bool:
    """Refresh until the breaker lets it, for some seconds."""
    for _ in range(50):
        try:
            return ring.refresh()
        except UnavailableError:
            threading.Event().wait(0.1)
    return False


def test_ring_of_files_is_taken_over(path: Path, keeper: TransitKeyKeeper) -> None:
    """A deployment goes on: subjects and secrets stay, tokens pass until they end, no private key stays behind."""
    old = open_ring(path)
    before, secrets = token(old, START), secrets_of(old)
    private = [each["d"] for each in json.loads(path.read_bytes())["token_keys"]]
    ring = held_ring(path, keeper, START + 1)
    assert secrets_of(ring) == secrets
    text = path.read_text()
    assert not [each for each in private if each in text]
    gate = Gate(ring)
    assert gate.reason(before, START + 1) is None
    assert gate.reason(token(ring, START + 1), START + 1) is None
    retired = ring.ring.find(old.signer().kid)
    assert retired.verify_until == START + 1 + GRACE
    with pytest.raises(UnavailableError):
        retired.sign(b"message")
    assert ring.bundle_signer().kid != old.bundle_signer().kid
    assert sorted(key.state for key in ring.ring.token_keys) == [
        KeyState.ACTIVE,
        KeyState.PREPARED,
        KeyState.RETIRED,
    ]
    again = held_ring(path, keeper, START + 2)
    assert again.ring == ring.ring
    again.rotate(START + 2)


def test_running_service_on_the_old_file_says_so(path: Path, keeper: TransitKeyKeeper) -> None:
    """A process without the setting doesn't touch a ring that was taken over, nor the other way round."""
    old = open_ring(path)
    with_private_keys = path.read_bytes()
    ring = held_ring(path, keeper)
    with pytest.raises(PrivateFileError, match=r"expected secrets\.signing"):
        open_ring(path)
    with pytest.raises(PrivateFileError, match=r"expected secrets\.signing"):
        old.refresh()
    write_private(path, with_private_keys)
    with pytest.raises(PrivateFileError, match="was an old file put back"):
        ring.refresh()


def test_ring_of_another_environment_is_refused(path: Path, keeper: TransitKeyKeeper) -> None:
    """A lab's ring opens in no production, also where somebody wrote another word into it."""
    held_ring(path, keeper, environment=Environment.LAB)
    with pytest.raises(PrivateFileError, match="state directory of a lab"):
        held_ring(path, keeper)
    write_private(path, path.read_bytes().replace(b'"lab"', b'"prod"'))
    with pytest.raises(UnavailableError, match="doesn't open"):
        held_ring(path, keeper)


@dataclass(frozen=True)
class _Kept:
    private: EllipticCurvePrivateKey
    version: int

    def public_key(self) -> EllipticCurvePublicKey:
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        return sign(self.private, message)


class KeeperInMemory:
    """Implement :class:`KeyKeeper` in this process, for what needs hundreds of keys."""

    def __init__(self) -> None:
        """Begin without keys."""
        self.keys: list[_Kept] = []

    def make(self, purpose: KeyPurpose) -> _Kept:
        """See the port."""
        self.keys.append(_Kept(generate_private_key(SECP256R1()), len(self.keys) + 1))
        return self.keys[-1]

    def held(self, purpose: KeyPurpose, version: int, public: EllipticCurvePublicKey) -> _Kept:
        """See the port."""
        return self.keys[version - 1]

    def seal(self, data: bytes, context: bytes) -> str:
        """See the port; as long as OpenBao's."""
        return "vault:v1:" + b64encode(context.ljust(28) + data).decode("ascii")

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """See the port."""
        return b64decode(sealed.removeprefix("vault:v1:"))[28:]

    async def aside(self, work: Any) -> Any:
        """See the port."""
        return work()


def test_fullest_ring_is_read(path: Path) -> None:
    """A ring with as many keys and epochs as there may be fits the file's limit."""
    keeper = KeeperInMemory()
    ring, form = held_ring(path, keeper), HeldRingForm(keeper, GRACE)
    retired = replace(
        ring.signer(), state=KeyState.RETIRED, since=START + 0.123456, verify_until=START + GRACE
    )
    keys = [replace(retired, private=keeper.make(KeyPurpose.TOKENS)) for _ in range(MAX_KEYS - 2)]
    epoch = GateEpoch(3, KeyState.RETIRED, START + 0.123456, bytes(MASTER_BYTES), START + GRACE)
    epochs = [replace(epoch, epoch=2**40 + number) for number in range(MAX_EPOCHS - 2)]
    fullest = replace(
        ring.ring,
        token_keys=(*ring.ring.token_keys, *keys),
        gate_epochs=(*ring.ring.gate_epochs, *epochs),
    )
    data = form.to_bytes(fullest)
    assert len(data) < MAX_RING_BYTES
    write_private(path, data)
    assert ring.refresh()
    with pytest.raises(UnavailableError) as caught:
        ring.rotate(START)
    assert caught.value.reason is Reason.SERVICE_OVERLOADED
    ring.retire(ring.signer().kid, START)
    assert len(held_ring(path, keeper).ring.token_keys) == MAX_KEYS + 1


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"version": 0},
        {"version": "1"},
        {"version": True},
        {"state": "retired"},
        {"state": "gone"},
        {"verify_until": 1.0},
        {"x": "A" * 43, "y": "A" * 43},
        {"y": None},
        {"since": "x"},
    ],
)
def test_crooked_keys_are_refused(path: Path, change: dict[str, object]) -> None:
    """A key that can't be as it was written is damage, told without what was read."""
    keeper = KeeperInMemory()
    held_ring(path, keeper)
    members = json.loads(path.read_bytes())
    members["token_keys"][0] |= change
    write_private(path, json.dumps(members).encode())
    with pytest.raises(PrivateFileError, match="is damaged") as caught:
        held_ring(path, keeper)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"v":3}', b'{"v":4}', b'{"v":3,"sealed":1}'])
def test_damage_is_reported_in_our_words(path: Path, data: bytes) -> None:
    """Bytes that are no ring give a word on it."""
    path.parent.mkdir(mode=0o700)
    write_private(path, data)
    with pytest.raises(PrivateFileError):
        held_ring(path, KeeperInMemory())


def test_enrolment_while_openbao_is_killed(bao: BaoServer, tmp_path: Path, path: Path) -> None:
    """Nobody is enrolled while nothing signs, no challenge is burnt by it, and the loop goes on."""

    async def use() -> None:
        async with slow_path(bao.port) as way:
            connection = OpenBao(bao.place(way.url, timeout=2))
            keeper = TransitKeyKeeper(connection, "watchword")
            ring = await asyncio.to_thread(held_ring, path, keeper)
            store = SqliteStore(tmp_path / "watchword.db")
            enrolment = Enrolment(
                policy=POLICY,
                verifier=CredulousVerifier(),
                store=store,
                keys=EnrolmentKeys(
                    ring.ring.challenge_key,
                    ring.ring.pairwise_key,
                    ring.signer,
                    ring.gate_secret,
                    ring.aside,
                ),
                entropy=SeededEntropy(),
            )
            phone = SimulatedPhone()
            challenge, _ = enrolment.challenge(phone.app, Purpose.ENROL, NOW)
            request = phone.enrolment(challenge)
            way.hang()
            enrolling = asyncio.create_task(enrolment.enrol(request, NOW))
            turns = 0
            while not enrolling.done():
                await asyncio.sleep(0.01)
                turns += 1
            with pytest.raises(UnavailableError) as caught:
                await enrolling
            assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
            assert turns > 20
            assert not await store.list_instances(10)
            way.flow()
            enrolled = await enrolment.enrol(request, NOW)
            (issued,) = enrolled.tokens
            header, payload, signature = issued.token.split(".")
            assert jose.is_signed_by(
                ring.signer().public,
                base64url.decode(signature),
                f"{header}.{payload}".encode(),
            )
            store.close()
            keeper.close()
            connection.close()

    asyncio.run(use())


def test_file_way_is_what_it_was(path: Path) -> None:
    """Without a keeper the file has the members that it always had, in their order."""
    open_ring(path)
    data = read_private(path)
    assert data is not None
    assert list(json.loads(data)) == [
        "v",
        "environment",
        "token_keys",
        "challenge_key",
        "pairwise_key",
        "reference_key",
        "gate_epochs",
        "bundle_key",
        "verdict_master",
    ]
    assert list(json.loads(data)["token_keys"][0]) == [
        "kid",
        "state",
        "since",
        "verify_until",
        "d",
    ]

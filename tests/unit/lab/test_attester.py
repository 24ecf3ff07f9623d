"""The attester vouches for keys of others exactly as the lab's own phones do for theirs."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.lab.conftest import FixedClock

from watchword.adapters.anchors import AnchorSet, read_lab_anchors
from watchword.adapters.revocation import StatusList, read_status_list
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Expected,
    PlayKeys,
    Trust,
)
from watchword.attestation.registry import examine, find_format
from watchword.encoding import base64url
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.lab.apple import device_token, read_own
from watchword.lab.attester import Attester
from watchword.lab.device_faults import (
    FAULTS,
    MAX_DEVICES,
    DeviceFaultError,
    FaultScripts,
    Operation,
    ScriptedFault,
)
from watchword.lab.google_play import GooglePlay
from watchword.lab.phones.android import AndroidModel, AndroidPhone, SecurityLevel
from watchword.lab.phones.iphone import IPhoneModel
from watchword.lab.phones.kinds import BROKER_DEVICE
from watchword.lab.phones.play import PlayModel, PlayPhone
from watchword.lab.status_list import LabStatusList
from watchword.policy.interface import Circumstances, Verdict
from watchword.policy.registry import BALANCED
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason
from watchword.vocabulary import Level

BINDING = hashlib.sha256(b"statement").digest()
OTHER = hashlib.sha256(b"another statement").digest()
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
CLOCK = FixedClock()

ANDROID = [kind for kind, model in PHONES.items() if isinstance(model, AndroidModel)]
IPHONES = [kind for kind, model in PHONES.items() if isinstance(model, IPhoneModel)]
PLAY = [kind for kind, model in PHONES.items() if isinstance(model, PlayModel)]


class CountingEntropy:
    """Give bytes that are different each time."""

    def __init__(self) -> None:
        """Begin at one."""
        self._numbers: Iterator[int] = itertools.count(1)

    def token_bytes(self, count: int) -> bytes:
        """Return the next number."""
        return next(self._numbers).to_bytes(count, "big")


@pytest.fixture
def attester(authorities: LabAuthorities) -> Attester:
    """Return an attester of the lab's vendors."""
    return Attester(authorities, CLOCK, CountingEntropy())


@pytest.fixture
def trust(authorities: LabAuthorities) -> Trust:
    """Return trust in the lab, by way of the documents that it writes."""
    google = GooglePlay(authorities.seed)
    keys = PlayKeys(google.decryption_key, google.verification_key)
    revoked = json.dumps(LabStatusList.first_of(authorities).document()).encode()
    return Trust(
        AnchorSet(read_lab_anchors(json.dumps(authorities.anchors_document()).encode(), "lab")),
        StatusList(read_status_list(revoked, "lab")),
        play_keys={"com.example.clinic": keys},
    )


@pytest.mark.parametrize("kind", ANDROID)
def test_a_chain_is_that_of_a_phone_of_the_kind(
    attester: Attester, authorities: LabAuthorities, android_app: InstalledAndroidApp, kind: str
) -> None:
    """To the byte, for the phone's own public key; of a phone of another name only where it has its own certificates."""
    setup = PhoneSetup(authorities, CLOCK, "ada")
    phone = PHONES[kind].build(android_app, setup)
    assert isinstance(phone, AndroidPhone)
    own = authorities.phone_key("ada/0/attested").public_key()
    made = attester.android_chain(kind, "ada", android_app, own, BINDING)
    assert made.chain == phone.certificate_chain(BINDING)
    assert made.serial == phone.attestation_serial
    other = attester.android_chain(kind, "bob", android_app, own, BINDING)
    model = PHONES[kind]
    assert isinstance(model, AndroidModel)
    assert (other.serial != made.serial) is model.own_key


def judged(
    evidence: Mapping[str, Any], app: AppRegistration, trust: Trust, binding: bytes = BINDING
) -> tuple[Level, tuple[Reason, ...]]:
    """Return what the verifier and policy `balanced` make of evidence."""
    attestation = find_format(str(evidence["format"])).read_attestation(evidence)
    examined = examine(attestation, Expected(binding, app), trust, CLOCK.now())
    verdict = Verdict(Level.NONE)
    if examined.claims is not None:
        verdict = appraise_unverified(
            examined.claims, app, BALANCED, Circumstances(CLOCK.now(), enrolled_today=0)
        )
    reasons = dict.fromkeys(each.reason for each in (*examined.refusals, *verdict.refusals))
    return Level.NONE if examined.refusals else verdict.level, tuple(reasons)


def registered(app: InstalledAndroidApp | InstalledIosApp) -> AppRegistration:
    """Return the deployment's app, for which the phone's is genuine."""
    if isinstance(app, InstalledIosApp):
        return AppRegistration("ios", AppleApp(app.team_id, app.bundle_id), app.version)
    identity = AndroidApp(app.package, frozenset(app.signing_digests))
    return AppRegistration("android", identity, str(app.version_code))


@pytest.mark.parametrize("kind", ANDROID)
def test_a_key_of_an_app_is_judged_as_a_phones_own(
    attester: Attester, android_app: InstalledAndroidApp, trust: Trust, kind: str
) -> None:
    """Level and reasons are those that are written down for the kind."""
    made = attester.android_chain(kind, "ada", android_app, KEY, BINDING)
    chain = [base64url.encode(each) for each in made.chain]
    level, reasons = judged(
        {"format": "android-key", "chain": chain}, registered(android_app), trust
    )
    expected = PHONES[kind].expected
    assert (level, set(reasons)) == (expected.level, set(expected.reasons))


def test_a_chain_is_for_the_challenge_and_the_app_that_are_given(
    attester: Attester, android_app: InstalledAndroidApp, trust: Trust
) -> None:
    """Another challenge, or an app that another one signed, is seen."""
    app = registered(android_app)
    made = attester.android_chain("genuine-android", "ada", android_app, KEY, OTHER)
    evidence = {"format": "android-key", "chain": [base64url.encode(each) for each in made.chain]}
    assert judged(evidence, app, trust)[0] is Level.NONE
    assert judged(evidence, app, trust, OTHER) == (Level.HARDWARE, ())
    foreign = InstalledAndroidApp("com.example.clinic", (bytes(32),), 120)
    made = attester.android_chain("genuine-android", "ada", foreign, KEY, OTHER)
    evidence["chain"] = [base64url.encode(each) for each in made.chain]
    assert [reason.code for reason in judged(evidence, app, trust, OTHER)[1]] == [
        "policy.signing_digest"
    ]


def test_a_strongbox_is_there_or_it_isnt(
    attester: Attester, android_app: InstalledAndroidApp
) -> None:
    """A phone with a chip has a TEE too; one without refuses as hardware does."""

    def level(kind: str, strongbox: bool | None) -> SecurityLevel:
        made = attester.android_chain(kind, "a", android_app, KEY, BINDING, strongbox=strongbox)
        return made.security_level

    for kind in ("strongbox-android", "rkp-strongbox-android"):
        assert level(kind, None) is level(kind, True) is SecurityLevel.STRONG_BOX
        assert level(kind, False) is SecurityLevel.TRUSTED_ENVIRONMENT
    assert level("genuine-android", False) is SecurityLevel.TRUSTED_ENVIRONMENT
    assert level("emulator", False) is SecurityLevel.SOFTWARE
    for kind in ("genuine-android", "rkp-android", "emulator"):
        with pytest.raises(DeviceFaultError, match="strongbox-unavailable"):
            level(kind, True)


def test_the_tee_of_a_phone_with_a_chip_is_a_genuine_one(
    attester: Attester, android_app: InstalledAndroidApp, trust: Trust
) -> None:
    """Its chain is another batch's, titled TEE, and is accepted."""
    app = registered(android_app)
    for kind in ("strongbox-android", "rkp-strongbox-android"):
        made = attester.android_chain(kind, "a", android_app, KEY, BINDING, strongbox=False)
        chip = attester.android_chain(kind, "a", android_app, KEY, BINDING)
        assert made.serial != chip.serial
        chain = [base64url.encode(each) for each in made.chain]
        found = judged({"format": "android-key", "chain": chain}, app, trust)
        assert found == (Level.HARDWARE, ())
        assert b"StrongBox" not in b"".join(made.chain)


@pytest.mark.parametrize("kind", PLAY)
def test_a_token_is_that_of_a_phone_of_the_kind(
    attester: Attester, authorities: LabAuthorities, android_app: InstalledAndroidApp, kind: str
) -> None:
    """For the text that the phone itself would ask with, whichever way of asking it has."""
    phone = PHONES[kind].build(android_app, PhoneSetup(authorities, CLOCK, "ada"))
    model = PHONES[kind]
    assert isinstance(phone, PlayPhone)
    assert isinstance(model, PlayModel)
    text = base64url.encode(BINDING)
    made = attester.play_token(kind, "ada", android_app, text, standard=model.standard)
    assert made == phone.token(BINDING)
    other = attester.play_token(kind, "ada", android_app, text, standard=not model.standard)
    request = GooglePlay(authorities.seed).open(other)
    assert request is not None
    assert ("requestHash" in request["requestDetails"]) is not model.standard


def test_google_takes_no_text_of_any_form(
    attester: Attester, authorities: LabAuthorities, android_app: InstalledAndroidApp
) -> None:
    """A request hash has fewer than 500 characters; a nonce is base64url of 16 bytes or more, padded or not."""

    def fault(text: str, *, standard: bool) -> str | None:
        try:
            attester.play_token("play-phone", "a", android_app, text, standard=standard)
        except DeviceFaultError as error:
            return error.name
        return None

    assert fault("h" * 499, standard=True) is None
    assert fault("h" * 500, standard=True) == "request-hash-too-long"
    assert fault(base64url.encode(bytes(16)), standard=False) is None
    assert fault(base64url.encode(bytes(16)) + "==", standard=False) is None
    assert fault(base64url.encode(bytes(15)), standard=False) == "nonce-too-short"
    assert fault("no+base64/url", standard=False) == "nonce-is-not-base64"
    nonce = base64url.encode(bytes(16))
    token = attester.play_token("play-phone", "a", android_app, nonce, standard=False)
    opened = GooglePlay(authorities.seed).open(token)
    assert opened is not None
    assert opened["requestDetails"]["nonce"] == nonce + "=="


@pytest.mark.parametrize("kind", IPHONES)
def test_an_app_attest_key_is_judged_as_a_phones_own(
    attester: Attester, ios_app: InstalledIosApp, trust: Trust, kind: str
) -> None:
    """Level and reasons are those that are written down for the kind."""
    key_id = attester.app_attest_key(kind, "ada", ios_app)
    attestation = attester.app_attest_attestation(key_id, BINDING)
    evidence = {
        "format": "app-attest",
        "attestation": base64url.encode(attestation),
        "key_id": base64url.encode(key_id),
    }
    level, reasons = judged(evidence, registered(ios_app), trust)
    expected = PHONES[kind].expected
    assert (level, set(reasons)) == (expected.level, set(expected.reasons))


def test_an_app_attest_key_lives_as_apple_says(
    attester: Attester, ios_app: InstalledIosApp
) -> None:
    """It is attested once and before it asserts; hashes have 32 bytes; a key that nobody made is invalid."""

    def fault(call: str, key_id: bytes, digest: bytes = BINDING) -> str | None:
        try:
            getattr(attester, f"app_attest_{call}")(key_id, digest)
        except DeviceFaultError as error:
            return error.name
        return None

    key_id = attester.app_attest_key("genuine-iphone", "ada", ios_app)
    assert attester.device_of(key_id) == "ada"
    assert fault("assertion", key_id) == "invalid-key"
    assert fault("attestation", key_id, BINDING[:-1]) == "invalid-input"
    assert fault("attestation", key_id) is None
    assert fault("attestation", key_id) == "invalid-key"
    assert fault("assertion", key_id) is None
    assert fault("assertion", key_id, b"") == "invalid-input"
    assert fault("attestation", bytes(32)) == fault("assertion", bytes(32)) == "invalid-key"
    assert attester.device_of(bytes(32)) is None


def test_apple_counts_the_attestations_of_a_device(
    attester: Attester, authorities: LabAuthorities, ios_app: InstalledIosApp
) -> None:
    """Receipts of two keys of one phone are of one device; a broker's phones are one by themselves."""
    for kind, name, device in (
        ("genuine-iphone", "ada", "ada"),
        ("genuine-iphone", "ada", "ada"),
        ("broker-iphone", "eve", BROKER_DEVICE),
    ):
        key_id = attester.app_attest_key(kind, name, ios_app)
        attestation = cbor2.loads(attester.app_attest_attestation(key_id, BINDING))
        receipt = read_own(attestation["attStmt"]["receipt"], authorities.receipts)
        assert receipt.token == device_token(authorities.seed, device, key_id)


def test_counters_go_up_by_one_for_each_key(attester: Attester, ios_app: InstalledIosApp) -> None:
    """Two keys of one phone count apart; a copied phone repeats its counter."""

    def counter(key_id: bytes) -> int:
        assertion = attester.app_attest_assertion(key_id, BINDING)
        # The counter stands behind the hash of the App ID and the flags (WebAuthn, section 6.1).
        relying_party = hashlib.sha256(ios_app.app_id.encode()).digest()
        at = assertion.index(relying_party) + 33
        return int.from_bytes(assertion[at : at + 4], "big")

    keys = [attester.app_attest_key("genuine-iphone", "ada", ios_app) for _ in range(2)]
    for key_id in keys:
        attester.app_attest_attestation(key_id, BINDING)
    assert [counter(keys[0]), counter(keys[1]), counter(keys[0])] == [1, 1, 2]
    cloned = attester.app_attest_key("cloned-iphone", "eve", ios_app)
    attester.app_attest_attestation(cloned, BINDING)
    assert [counter(cloned), counter(cloned)] == [1, 1]


def test_another_attester_of_the_same_lab_has_none_of_the_keys(
    authorities: LabAuthorities, ios_app: InstalledIosApp
) -> None:
    """What was made before a restart is gone, and never comes again with a counter from the start."""
    entropy = CountingEntropy()
    before, after = (Attester(authorities, CLOCK, entropy) for _ in range(2))
    key_id = before.app_attest_key("genuine-iphone", "ada", ios_app)
    with pytest.raises(DeviceFaultError, match="invalid-key"):
        after.app_attest_attestation(key_id, BINDING)
    assert after.app_attest_key("genuine-iphone", "ada", ios_app) != key_id


def test_the_oldest_key_makes_room(authorities: LabAuthorities, ios_app: InstalledIosApp) -> None:
    """A loop that makes keys costs bounded memory."""
    attester = Attester(authorities, CLOCK, CountingEntropy(), most_keys=2)
    keys = [attester.app_attest_key("genuine-iphone", "ada", ios_app) for _ in range(3)]
    assert [attester.device_of(key_id) for key_id in keys] == [None, "ada", "ada"]


def test_a_kind_is_asked_for_what_it_has(
    attester: Attester, android_app: InstalledAndroidApp, ios_app: InstalledIosApp
) -> None:
    """No iPhone attests Android keys, and no kind is made up."""
    for kind in ("genuine-iphone", "play-phone", "no-such-kind"):
        with pytest.raises(ValueError, match=f"got kind '{kind}', expected one that attests"):
            attester.android_chain(kind, "a", android_app, KEY, BINDING)
    with pytest.raises(ValueError, match="expected one that sends Play"):
        attester.play_token("genuine-android", "a", android_app, "h", standard=True)
    with pytest.raises(ValueError, match="expected one that has App Attest"):
        attester.app_attest_key("genuine-android", "a", ios_app)


def test_a_script_is_taken_line_by_line() -> None:
    """The first line for a call counts down; lines for other calls and other phones stay; an endless one too."""
    scripts = FaultScripts()
    chain, token = Operation.ANDROID_CHAIN, Operation.PLAY_TOKEN
    busy = ScriptedFault(chain, "secure-hardware-busy", times=2)
    slow = ScriptedFault(chain, delay=1.5)
    endless = ScriptedFault(token, "network-error", times=None)
    scripts.replace("ada", [busy, endless, slow])
    scripts.replace("bob", [slow])
    taken = [scripts.take("ada", chain) for _ in range(4)]
    assert [each and each.fault for each in taken] == ["secure-hardware-busy"] * 2 + [None] * 2
    assert taken[2] == slow
    assert taken[3] is None
    assert [scripts.take("ada", token) for _ in range(3)] == [endless] * 3
    assert scripts.left("ada") == (endless,)
    assert scripts.left("bob") == (slow,)
    scripts.replace("ada", [])
    assert scripts.take("ada", token) is None
    assert scripts.left("ada") == ()


def test_scripts_of_many_phones_cost_bounded_memory() -> None:
    """The phone that was scripted first loses its script; one that is scripted again takes no second place."""
    scripts = FaultScripts()
    line = ScriptedFault(Operation.ANDROID_CHAIN)
    for number in range(MAX_DEVICES):
        scripts.replace(f"phone-{number}", [line])
    scripts.replace("phone-0", [line, line])
    assert scripts.left("phone-1") == (line,)
    scripts.replace("one-more", [line])
    assert scripts.left("phone-1") == ()
    assert scripts.left("phone-0") == (line, line)


def test_faults_have_the_values_of_the_platforms_errors() -> None:
    """What is read of each: what AOSP's KeyStoreException, DCError and Google's page say."""
    locked = FAULTS["device-locked"].members(standard=True)
    assert (locked["internal_code"], locked["numeric_code"]) == (-72, 2)
    assert locked["requires_user_authentication"]
    assert not locked["transient"]
    unprovisioned = FAULTS["attestation-keys-not-provisioned"].members(standard=True)
    assert (unprovisioned["internal_code"], unprovisioned["numeric_code"]) == (-74, 10)
    assert unprovisioned["exception"] == "java.security.ProviderException"
    assert not unprovisioned["system_error"]
    assert not unprovisioned["requires_user_authentication"]
    pending = FAULTS["keys-pending-connectivity"].members(standard=True)
    assert pending["transient"]
    assert pending["retry_policy"] == 3
    chip = FAULTS["strongbox-unavailable"].members(standard=True)
    assert chip["exception"] == "android.security.keystore.StrongBoxUnavailableException"
    play = FAULTS["client-transient-error"]
    assert [play.members(standard=each)["code"] for each in (True, False)] == [-18, -17]
    assert FAULTS["server-unavailable"].members(standard=True) == {
        "domain": "com.apple.devicecheck.error",
        "code": 4,
    }
    with pytest.raises(ValueError, match="a standard request of Play Integrity has no such error"):
        FAULTS["nonce-too-short"].members(standard=True)
    assert {fault.platform for fault in FAULTS.values()} == {each.platform for each in Operation}

"""From ``watchword.yaml`` to what opens Play Integrity tokens, and to formats of one's own."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.unit.enrolment.simulators import MovableClock, SeededEntropy

from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.compose.vendors import (
    PlayKeyError,
    formats_of,
    lab_play_keys,
    play_decoders_of,
    play_fetcher_of,
    play_keys_of,
    trust_of,
)
from watchword.apps.deployment import service_of
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.lab.google_play import GooglePlay
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import WatchwordError

PACKAGE = "com.example.clinic"
AES = bytes(range(32))
P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
SPKI = P256.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PEM = rsa.generate_private_key(65537, 2048).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)
KEYS = {"decryption_key": "play.key", "verification_key": "google.key"}


class NoInternet:
    """Be asked for nothing."""

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See the port."""
        raise AssertionError(request.url)


def configured(directory: Path, play: dict[str, Any] | None, **changes: Any) -> Settings:
    """Return the settings of a file with one Android app."""
    app: dict[str, Any] = {
        "platform": "android",
        "package": PACKAGE,
        "signing_digests": ["0f" * 32],
    }
    document = {
        "version": 1,
        "environment": "prod",
        "service": {"issuer": "https://watchword.example"},
        "apps": {"clinic": app if play is None else {**app, "play_integrity": play}},
        "apis": {"api": {"audience": "a", "apps": ["clinic"], "routes": [{"path": "/**"}]}},
        **changes,
    }
    file = directory / "watchword.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_settings(file)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a directory with the files that the Play Console and the Cloud console give out."""
    account = {
        "type": "service_account",
        "client_email": "decoder@clinic.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": PEM.decode(),
    }
    (tmp_path / "play.key").write_bytes(base64.b64encode(AES) + b"\n")
    (tmp_path / "google.key").write_bytes(base64.b64encode(SPKI) + b"\n")
    (tmp_path / "account.json").write_text(json.dumps(account))
    for name in ("play.key", "account.json"):
        (tmp_path / name).chmod(0o600)
    return tmp_path


def test_keys_of_the_play_console_are_read(files: Path) -> None:
    """Base64, as the console shows them."""
    settings = configured(files, KEYS)
    keys = play_keys_of(settings)
    assert (keys[PACKAGE].decryption, keys[PACKAGE].verification) == (AES, SPKI)
    assert play_decoders_of(settings, NoInternet(), MovableClock()) == {}
    assert trust_of(settings, SeededEntropy()).play_keys == keys


def test_account_of_the_cloud_console_is_read(files: Path) -> None:
    """Each package with an account has a decoder; its key is in no repr."""
    settings = configured(files, {"service_account": "account.json"})
    decoders = play_decoders_of(settings, NoInternet(), MovableClock())
    assert repr(decoders[PACKAGE]) == (
        "BoundedDecoder(GooglePlayDecoder(account='decoder@clinic.iam.gserviceaccount.com'))"
    )
    assert play_keys_of(settings) == {}


def test_google_decoder_has_connections_of_its_own(files: Path) -> None:
    """Strangers keep those busy with what looks like tokens: the status list comes over others."""
    settings = configured(files, {"service_account": "account.json"})
    clock = MovableClock()
    service = service_of(
        settings, clock=clock, entropy=SeededEntropy(), refusal_log=MemoryRefusalLog(clock)
    )
    vendors = service.context.vendors
    service.context.store.close()
    assert vendors.fetcher is not None
    assert vendors.play_fetcher is not None
    assert vendors.fetcher is not vendors.play_fetcher
    assert play_fetcher_of(configured(files, KEYS)) is None
    assert play_fetcher_of(configured(files, None)) is None


def test_app_without_the_section_has_neither(files: Path) -> None:
    """Nobody's tokens are opened unless the operator wants it."""
    settings = configured(files, None)
    assert play_keys_of(settings) == {}
    assert play_decoders_of(settings, NoInternet(), MovableClock()) == {}


@pytest.mark.parametrize(
    ("play", "got"),
    [
        ({"decryption_key": "play.key"}, "decryption_key alone"),
        ({"verification_key": "google.key"}, "verification_key alone"),
        ({}, "neither keys nor a service_account"),
        ({**KEYS, "service_account": "account.json"}, "keys and a service_account"),
        ({**KEYS, "decryption_key": "gone.key"}, "'gone.key': no such file"),
        ({"service_account": "gone.json"}, "'gone.json': no such file"),
    ],
)
def test_faults_of_the_section(files: Path, play: dict[str, Any], got: str) -> None:
    """What isn't whole, or isn't there, is told with its path before anything starts."""
    with pytest.raises(ConfigurationError) as caught:
        configured(files, play)
    (fault,) = caught.value.faults
    assert fault.got == got
    assert fault.path.startswith("apps.clinic.play_integrity")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("play.key", base64.b64encode(bytes(16))),
        ("play.key", b"not base64!"),
        ("play.key", b""),
        ("google.key", base64.b64encode(AES)),
        ("google.key", b"\xff\xfe"),
    ],
)
def test_file_that_is_no_key(files: Path, name: str, data: bytes) -> None:
    """The error names the file and what was expected, and nothing of what is in it."""
    (files / name).write_bytes(data)
    with pytest.raises(PlayKeyError) as caught:
        play_keys_of(configured(files, KEYS))
    assert str(files / name) in str(caught.value)
    assert "expected" in str(caught.value)


def opened(settings: Settings) -> None:
    """Read whatever opens tokens."""
    play_keys_of(settings)
    play_decoders_of(settings, NoInternet(), MovableClock())


@pytest.mark.parametrize(
    ("name", "play"), [("play.key", KEYS), ("account.json", {"service_account": "account.json"})]
)
def test_secret_that_others_can_read(files: Path, name: str, play: dict[str, Any]) -> None:
    """A key that lies open is one that somebody else may have."""
    settings = configured(files, play)
    (files / name).chmod(0o644)
    with pytest.raises(WatchwordError, match="chmod 600"):
        opened(settings)


def test_key_that_went_away(files: Path) -> None:
    """A file that is gone by the time it is read is told too."""
    settings = configured(files, KEYS)
    (files / "play.key").unlink()
    with pytest.raises(PlayKeyError, match="is gone"):
        play_keys_of(settings)


def lab(files: Path, play: dict[str, Any] | None, anchors: list[str]) -> Settings:
    """Return the settings of a lab."""
    service = {"issuer": "http://127.0.0.1:8440"}
    return configured(files, play, environment="lab", service=service, trust={"anchors": anchors})


def test_lab_has_its_own_google_for_every_app(files: Path) -> None:
    """No key is configured for the lab's phones, and none of the lab's is there in production."""
    settings = lab(files, None, ["lab"])
    trust = trust_of(settings, SeededEntropy())
    seed = (settings.service.state_dir / "lab" / "seed").read_bytes()
    assert trust.play_keys[PACKAGE].decryption == GooglePlay(seed).decryption_key
    production = trust_of(configured(files, None), SeededEntropy())
    assert production.play_keys == {}


def test_lab_alone_opens_no_real_token(files: Path) -> None:
    """Where only the lab is trusted, the real keys and accounts are left alone."""
    settings = lab(files, KEYS, ["lab"])
    assert play_keys_of(settings) == {}
    assert lab_play_keys(settings, bytes(32))[PACKAGE].decryption != AES
    account = lab(files, {"service_account": "account.json"}, ["lab"])
    assert play_decoders_of(account, NoInternet(), MovableClock()) == {}


def test_lab_that_trusts_both_leaves_a_configured_app_to_google(files: Path) -> None:
    """An app whose tokens are real has no key that anybody with the lab's files has."""
    settings = lab(files, KEYS, ["lab", "vendors"])
    assert trust_of(settings, SeededEntropy()).play_keys[PACKAGE].decryption == AES
    account = lab(files, {"service_account": "account.json"}, ["lab", "vendors"])
    assert trust_of(account, SeededEntropy()).play_keys == {}
    assert set(play_decoders_of(account, NoInternet(), MovableClock())) == {PACKAGE}


def test_formats_that_are_not_there_are_faults_of_the_file(files: Path) -> None:
    """The path of the entry, and what is installed; reading the file alone loads nothing."""
    trust = {"anchors": ["vendors"], "formats": ["rasp-verdict"]}
    settings = configured(files, None, trust=trust)
    assert settings.formats == ("rasp-verdict",)
    with pytest.raises(ConfigurationError) as caught:
        formats_of(settings)
    (fault,) = caught.value.faults
    assert (fault.path, fault.got) == ("trust.formats[0]", "'rasp-verdict': no such format")
    assert "installed" in fault.expected
    assert list(formats_of(configured(files, None))) == []

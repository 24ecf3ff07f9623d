"""Secrets that only their name shows, in compiled code: found as in its source."""

import struct
from collections.abc import Callable, Sequence

import pytest
from tests.unit.scan.ios_builders import archive_of
from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.secrets.planted import ALNUM, HEX, KINDS, LOWER
from tests.unit.scan.simulated import simulated
from tests.unit.scan.texts.hermes_builders import bytecode

from watchword.scan.app import App
from watchword.scan.notes import Notes
from watchword.scan.secrets.detection import detect
from watchword.scan.texts.reader import read_texts

BUNDLE = "assets/index.android.bundle"
# Opcodes as hermesc of these versions writes them: a string into a register, and a register into a property.
PUTS = {76: (105, 54), 84: (109, 55), 89: (113, 57), 94: (115, 59), 96: (115, 59), 99: (144, 74)}
BY_NAME: dict[str, Callable[[Dice], str]] = {
    "Authorization": lambda dice: "Basic " + dice.text(ALNUM, 28),
    "awsSecretAccessKey": lambda dice: dice.text(ALNUM, 40),
    "paypalClientSecret": lambda dice: dice.text(ALNUM, 80),
    "twilioAuthToken": lambda dice: dice.text(HEX, 32),
    "backendApiKey": lambda dice: dice.text(ALNUM, 36),
    "adminPassword": lambda dice: dice.text(LOWER, 4).title() + "!743$q",
    "dbPassword": lambda dice: "pg7" + dice.text(ALNUM, 12),
    "clientSecret": lambda dice: dice.text(ALNUM, 32),
    "encryptionKey": lambda dice: dice.text(HEX, 64),
}


def _planted() -> list[tuple[str, str]]:
    dice = Dice("bundles")
    by_form = set(KINDS) - {"generic-api-key", "password", "gcp-service-account"}
    found = [(f"value{at}", KINDS[kind](dice)) for at, kind in enumerate(sorted(by_form))]
    return found + [(name, make(dice)) for name, make in BY_NAME.items()]


def _bundle(pairs: Sequence[tuple[str, str]], version: int) -> bytes:
    load, put = PUTS[version]
    strings = [text for pair in pairs for text in pair]
    code = b"".join(
        struct.pack("<BBH", load, 1, 2 * at + 1) + struct.pack("<BBBBH", put, 0, 1, 0, 2 * at)
        for at in range(len(pairs))
    )
    return bytecode(strings, version=version, code=[code])


def _app(data: bytes) -> App:
    notes = Notes()
    texts = read_texts(archive_of({BUNDLE: data}, notes), notes)
    assert notes.coverage().gaps == ()
    return simulated(texts=texts)


@pytest.mark.parametrize("version", PUTS)
def test_planted_secrets_of_all_kinds(version: int) -> None:
    """24 of 24: 15 that show themselves, and nine that are only words without their names."""
    pairs = _planted()
    found = {hit.secret for hit in detect(_app(_bundle(pairs, version)))}
    missed = [
        name for name, value in pairs if not any(one in value or value in one for one in found)
    ]
    assert len(pairs) == 24
    assert missed == []


def test_without_names_they_are_words() -> None:
    """The same strings in a version whose instructions aren't known: those that only a name shows aren't found."""
    pairs = _planted()
    strings = [text for pair in pairs for text in pair]
    found = {hit.secret for hit in detect(_app(bytecode(strings, version=75)))}
    assert not {value for name, value in pairs if name in BY_NAME} & found

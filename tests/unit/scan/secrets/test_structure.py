"""Test what a secret's structure tells without asking anybody."""

import base64
import string

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.secrets.planted import KINDS, checksummed, ec_key, jwt, pem

from watchword.scan.secrets import structure
from watchword.scan.secrets.structure import aws_account, claims_of, holds


@pytest.mark.parametrize("kind", ["github-pat", "npm-access-token", "jwt", "private-key"])
def test_one_changed_character_breaks_a_structure_that_is_checked(kind: str) -> None:
    """What holds doesn't any more once a character of it is another one."""
    secret = KINDS[kind](Dice(kind))
    at = {"jwt": 5, "private-key": 35}.get(kind, 9)
    other = "A" if secret[at] != "A" else "B"
    assert holds(kind, secret) is True
    assert holds(kind, secret[:at] + other + secret[at + 1 :]) is False


def test_the_checksum_is_that_of_githubs_own_example_form() -> None:
    """A token that others publish as an example of the form holds, so the alphabet's order is GitHub's."""
    assert holds("github-pat", "ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ" + "0mLq17") is True
    assert checksummed("ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ").endswith("0mLq17")


def test_an_aws_key_names_its_account() -> None:
    """The account's number stands in the key's id; ids of the old form name none."""
    number = 1 << 47 | 123456789012 << 7 | 5
    key = "AKIA" + base64.b32encode(number.to_bytes(6, "big") + b"\0" * 4).decode()
    assert aws_account(key) == 123456789012
    assert aws_account("AKIAIOSFODNN7EXAMPLE") is None
    assert holds("aws-access-token", "AKIAIOSFODNN7EXAMPLE") is None


def test_a_key_under_a_password_cannot_be_told() -> None:
    """An encrypted key is neither right nor wrong; it stays a finding."""
    private = ec_key(Dice("locked"))
    locked = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"horse")
    ).decode()
    assert holds("private-key", locked) is None


def test_keys_of_other_forms_are_read() -> None:
    """OpenSSH's form, DER in base64 and line ends as source code writes them are keys too."""
    ssh = (
        ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
        .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        .decode()
    )
    der = ec_key(Dice("der")).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert holds("private-key", ssh) is True
    assert holds("private-key-der", base64.b64encode(der).decode()) is True
    assert holds("private-key", pem(Dice("x")).replace("\n", "\\n")) is True


def test_a_public_key_is_no_secret() -> None:
    """DER of a public key looks like one of a private key and isn't."""
    public = (
        ec_key(Dice("public"))
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    assert holds("private-key-der", base64.b64encode(public).decode()) is False


def test_claims_are_read_of_tokens_alone() -> None:
    """A JWT gives its claims; three parts of anything else give none."""
    assert (claims_of(jwt(Dice("t"), role="anon")) or {}).get("role") == "anon"
    assert claims_of("a.b.c") is None


@given(
    kind=st.sampled_from(sorted(structure._CHECKS)),
    text=st.text(string.printable, max_size=300) | st.text(max_size=50),
)
def test_junk_raises_nothing(kind: str, text: str) -> None:
    """Any text gives an answer, whatever it's checked for."""
    assert holds(kind, text) in {True, False, None}


@given(
    body=st.text(string.printable, max_size=200),
    label=st.sampled_from(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "PGP ", "DSA "]),
)
def test_junk_between_the_lines_of_a_key_raises_nothing(body: str, label: str) -> None:
    """A damaged key of any form is no key, or can't be told."""
    text = f"-----BEGIN {label}PRIVATE KEY-----\n{body}\n-----END {label}PRIVATE KEY-----"
    assert holds("private-key", text) in {False, None, True}

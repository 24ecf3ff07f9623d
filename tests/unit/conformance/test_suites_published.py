"""Hold the numbers of each published suite: no case is wrongly accepted, wrongly rejected or breaks a reader."""

import re

import pytest
from scripts.pages.hostile_suites import SOURCE, TARGET, page

from watchword_conformance.suites.interface import find
from watchword_conformance.suites.results import SUITES, Run, run

# By set: rejected as it must, accepted as it must, outside of our profile.
EXPECTED = {
    "CBOR, examples": (0, 37, 45),
    "CBOR, not well-formed": (94, 0, 0),
    "Raw HTTP/1.1": (23, 3, 6),
    "RFC 9421 B.2": (17, 1, 2),
    "Wycheproof json_web_crypto_test": (14, 1, 68),
    "Wycheproof json_web_key_test": (6, 0, 20),
    "Wycheproof json_web_signature_test": (39, 2, 360),
    "JWT attacks": (85, 1, 4),
    "JSONTestSuite": (188, 93, 37),
    "Structured fields": (864, 0, 727),
    "Wycheproof aes_gcm_test": (27, 39, 250),
    "Wycheproof ecdsa_secp256r1_sha256_p1363_test": (89, 173, 0),
    "Wycheproof ecdsa_secp256r1_sha256_test": (310, 174, 0),
    "Wycheproof ecdsa_secp384r1_sha384_p1363_test": (0, 0, 280),
    "Wycheproof ecdsa_secp384r1_sha384_test": (310, 194, 0),
    "Wycheproof ed25519_test": (0, 0, 151),
    "Wycheproof hmac_sha256_test": (54, 30, 90),
    "Wycheproof rsa_signature_2048_sha256_test": (249, 9, 1),
    "BetterTLS": (8, 57, 616),
    "x509-limbo": (31, 38, 124),
    "pyca x509/custom": (23, 0, 102),
}


@pytest.fixture(scope="module")
def found() -> Run:
    """Run everything once."""
    if not SOURCE.is_dir():
        pytest.skip("the shared vectors aren't there")
    return run(find(SOURCE), SUITES)


def test_nothing_ends_badly(found: Run) -> None:
    """0 wrong accepts, 0 wrong rejects, 0 foreign exceptions."""
    assert {name: tally.wrong for name, tally in found.tallies.items() if tally.wrong} == {}
    assert found.good


def test_three_numbers_for_each_set(found: Run) -> None:
    """The numbers are these, and no case is left out of them."""
    assert {name: tally.numbers for name, tally in found.tallies.items()} == EXPECTED
    assert all(sum(tally.numbers) == tally.cases for tally in found.tallies.values())


def test_what_goes_against_a_verdict(found: Run) -> None:
    """A reason to lie outside hides no more than this: accepted and refused against the suite's verdict."""
    against = {
        name: (tally.taken.total(), tally.missed.total())
        for name, tally in found.tallies.items()
        if tally.suite.title in {"x509-limbo", "BetterTLS", "Raw HTTP/1.1", "RFC 9421, B.2"}
    }
    assert against == {
        "x509-limbo": (109, 10),
        "BetterTLS": (549, 40),
        "Raw HTTP/1.1": (4, 0),
        "RFC 9421 B.2": (1, 1),
    }


def test_every_layout_was_met(found: Run) -> None:
    """Each suite of the registry has a set, and each reason of each suite is one that it declares."""
    met = {tally.suite.title for tally in found.tallies.values()}
    assert met == {suite.title for suite in SUITES.values()}
    for tally in found.tallies.values():
        assert tally.outside.keys() <= {each.name for each in tally.suite.outside}


def test_the_page_is_of_this_run(found: Run) -> None:
    """Run ``python -m scripts.pages hostile-suites`` after a change of a suite."""
    assert TARGET.read_text("utf-8") == page(found)


def test_the_page_shows_these_numbers() -> None:
    """Also where the suites aren't there: the page's rows are the ones that are held here."""
    text = TARGET.read_text("utf-8")
    number = r" \| (\d+)"
    rows = re.findall(rf"^\| ([^|*]+?){number * 7} \|$", text, re.MULTILINE)
    assert {name: tuple(map(int, numbers[1:4])) for name, *numbers in rows} == EXPECTED
    assert all(numbers[4:] == ["0", "0", "0"] for _, *numbers in rows)


def test_the_page_names_every_suite_and_reason() -> None:
    """A suite has its section, a reason its row."""
    text = TARGET.read_text("utf-8")
    for suite in SUITES.values():
        assert f"### {suite.title}\n" in text
        for each in suite.outside:
            assert each.why in text

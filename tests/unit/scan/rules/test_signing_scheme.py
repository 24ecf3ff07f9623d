"""Tests of the rule on signatures."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.scan.android.builders import Tag, axml, content_digest, signers, with_signing_block
from tests.unit.scan.archive.builders import built
from tests.unit.scan.simulated import manifest, simulated, verdicts

from watchword.adapters.app_package import open_app
from watchword.scan.app import Certificate, Container, Coverage, Gap, Part, Signing
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Severity, Verdict
from watchword.scan.rules.signing_scheme import RULE

CERT = Certificate("ab" * 32, "CN=Shop", "RSA", 2048, "sha256", None)
TEST_KEY = "a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc"


def _found(*schemes: str, cert: Certificate = CERT) -> dict[str, Verdict]:
    return verdicts(RULE, simulated(signing=Signing(schemes, (cert,))))


@pytest.mark.parametrize(
    ("schemes", "least", "subject", "janus"),
    [
        (("v1",), 26, "v1-only", True),
        (("v1",), 27, "v1-only", False),
        (("v1", "v2"), 23, "janus", True),
        (("v1", "v3"), 21, "janus", True),
        (("v1", "v2"), 24, "signing", False),
        (("v2",), 21, "signing", False),
    ],
)
def test_janus(schemes: tuple[str, ...], least: int, subject: str, janus: bool) -> None:
    """Phones that know no scheme but v1 run what stands in front of the package, also where it is signed by v2 as well."""
    stated = replace(manifest(), min_sdk=least)
    (found,) = RULE.run(simulated(manifest=stated, signing=Signing(schemes, (CERT,))))
    assert found.subject == subject
    assert ("Janus" in found.title) is janus
    if subject == "janus":
        assert (found.verdict, found.severity) == (Verdict.EXPOSED, Severity.LOW)


def test_oldest_phone_that_nobody_knows() -> None:
    """A code name says nothing of the phones that would verify v1 alone."""
    stated = replace(manifest(), min_sdk=10_000)
    signed = Signing(("v1", "v2"), (CERT,))
    assert verdicts(RULE, simulated(manifest=stated, signing=signed)) == {"janus": Verdict.NOT_SEEN}


def test_changed_after_it_was_signed() -> None:
    """Each scheme whose digest isn't the package's is exposed."""
    signed = Signing(("v2", "v3"), (CERT,), changed=("v2",))
    assert verdicts(RULE, simulated(signing=signed)) == {"changed:v2": Verdict.EXPOSED}


@pytest.mark.parametrize(
    ("schemes", "expected"),
    [
        (("v1",), {"v1-only": Verdict.EXPOSED}),
        ((), {"unsigned": Verdict.EXPOSED}),
        (("v2",), {"signing": Verdict.PROTECTED}),
        (("v1", "v2"), {"signing": Verdict.PROTECTED}),
        (("v1", "v2", "v3", "v3.1"), {"signing": Verdict.PROTECTED}),
    ],
)
def test_schemes(schemes: tuple[str, ...], expected: dict[str, Verdict]) -> None:
    """Scheme v1 alone is exposed, beside a newer one it isn't."""
    assert _found(*schemes) == expected


@pytest.mark.parametrize(
    ("cert", "expected"),
    [
        (replace(CERT, bits=1024), {"weak-key": Verdict.EXPOSED}),
        (replace(CERT, key="EC", bits=256), {"signing": Verdict.PROTECTED}),
        (
            replace(CERT, subject="C=US, O=Android, CN=Android Debug"),
            {"debug-key": Verdict.EXPOSED},
        ),
        (replace(CERT, sha256=TEST_KEY.upper()), {"public-key": Verdict.EXPOSED}),
        (replace(CERT, signature_hash="md5"), {"weak-hash": Verdict.INFO}),
    ],
    ids=["short", "ec", "debug", "test-key", "md5"],
)
def test_certificates(cert: Certificate, expected: dict[str, Verdict]) -> None:
    """Short keys, debug keys and keys that everybody has are exposed; a weak hash is told."""
    assert _found("v2", cert=cert).items() >= expected.items()


def test_bundle() -> None:
    """A bundle's v1 signature is the uploader's: the store signs what phones get."""
    app = simulated(signing=Signing(("v1",), (CERT,)), container=Container.AAB)
    assert verdicts(RULE, app) == {"signing": Verdict.PROTECTED}


def test_bundle_without_a_signature() -> None:
    """Of a bundle that nobody signed yet, nothing is said about the key."""
    app = simulated(signing=Signing((), ()), container=Container.AAB)
    assert verdicts(RULE, app) == {"signing": Verdict.NOT_SEEN}


def test_no_signature_in_half_a_package() -> None:
    """Where the end of the package is missing, so may be its signature: nothing is said of it."""
    app = simulated(signing=Signing((), ()))
    cut = replace(app, coverage=Coverage(gaps=(Gap(Part.ARCHIVE, "", "damaged"),)))
    assert verdicts(RULE, cut) == {"unsigned": Verdict.NOT_SEEN}


def test_package_that_was_changed_after_it_was_signed(tmp_path: Path) -> None:
    """A lab-built package is the one that was signed, until a byte of it is another one."""
    plain = built({"AndroidManifest.xml": axml(Tag("manifest")), "classes.dex": b"dex"})
    signer = signers([b"certificate"], digests={0x0103: content_digest(plain, "sha256")})
    signed = bytearray(with_signing_block(plain, [(0x7109871A, signer)]))
    path = tmp_path / "app.apk"

    def seen() -> dict[str, Verdict]:
        path.write_bytes(signed)
        return verdicts(RULE, open_app(path, Limits(), lambda: 60.0))

    assert "changed:v2" not in seen()
    signed[signed.rindex(b"PK\x01\x02") + 12] ^= 1  # The time of an entry, which nobody looks at.
    assert seen()["changed:v2"] is Verdict.EXPOSED

"""See how the package is signed, and with what."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Certificate, Container, Part, Signing
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_parts import AndroidRule, Look

_LEAST_BITS: Final = {"RSA": 2048, "DSA": 2048, "EC": 224}
"""Smallest keys that still count (NIST SP 800-57 part 1, 112 bits of strength)."""

_WEAK_HASHES: Final = frozenset({"md2", "md5", "sha1"})

_PUBLIC_KEYS: Final = frozenset(
    {"a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc"}
)
"""SHA-256 of certificates whose private key lies in the sources of Android."""


def _see(look: Look) -> Iterator[Finding]:
    signing = look.app.signing
    assert signing is not None
    if look.app.container is Container.AAB and not signing.certificates:
        title = "The bundle isn't signed: the key that it will be signed with isn't seen."
        yield look.not_seen("signing", title)
        return
    found = list(_of_schemes(look, signing))
    for each in signing.certificates:
        found.extend(_of_certificate(look, each))
    yield from found
    if not found:
        named = ", ".join(signing.schemes)
        yield look.clean(
            "signing",
            f"Signed by {named or 'a certificate'} with a key that is long enough.",
            confidence=Confidence.CERTAIN,
        )


def _of_schemes(look: Look, signing: Signing) -> Iterator[Finding]:
    if look.app.container is Container.AAB:
        # The store signs what it makes of a bundle; the bundle's own signature only says who uploads.
        return
    schemes = set(signing.schemes)
    if not schemes and look.app.coverage.gaps_of(Part.SIGNING):
        yield look.not_seen(
            "unsigned", "No signature was found, and not all of the package was read."
        )
    elif not schemes:
        yield look.exposed("unsigned", "The package isn't signed.", Severity.MEDIUM)
    elif schemes == {"v1"}:
        title = (
            "Signed by scheme v1 only: it leaves parts of the package unsigned, and Android 5 to 8 could be made to run "
            "foreign code under this signature."
        )
        yield look.exposed("v1-only", title, Severity.MEDIUM)


def _of_certificate(look: Look, each: Certificate) -> Iterator[Finding]:
    if each.sha256.lower().replace(":", "") in _PUBLIC_KEYS:
        title = "Signed with Android's public test key: everybody can sign an update."
        yield look.exposed("public-key", title, Severity.HIGH)
    elif "CN=ANDROID DEBUG" in each.subject.upper().replace(" = ", "=").replace(", ", ","):
        title = "Signed with a debug key, whose password everybody knows."
        yield look.exposed("debug-key", title, Severity.MEDIUM)
    kind = each.key.upper().partition("-")[0].strip()
    least = _LEAST_BITS.get(kind)
    if least is not None and each.bits is not None and each.bits < least:
        title = f"The signing key has {each.bits} bits ({kind}); at least {least} were expected."
        yield look.exposed("weak-key", title, Severity.MEDIUM)
    named = (each.signature_hash or "").lower().replace("-", "")
    if named in _WEAK_HASHES:
        title = f"The certificate is signed by {named.upper()}; updates are tied to its key, so this alone opens nothing."
        yield look.told("weak-hash", title, Severity.LOW, confidence=Confidence.CERTAIN)


RULE = AndroidRule(
    id="signing-scheme",
    title="Signature of the package",
    techniques=("MT-A11",),
    protections={},
    todo="Sign by scheme v2 or later, with an RSA key of 2048 bits or more or an EC key, never with a debug or test key.",
    blind="It reads what is stated and verifies no signature; apksigner does. A store may sign anew what it hands out.",
    parts=(Part.SIGNING,),
    reads=NO_CODE,
    see=_see,
)

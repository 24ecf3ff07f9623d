"""See how the package is signed, and with what."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Certificate, Container, Part, Signing
from watchword.scan.defaults import JANUS, SIGNATURE_V2, Where, levels_of
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext

_LEAST_BITS: Final = {"RSA": 2048, "DSA": 2048, "EC": 224}
"""Smallest keys that still count (NIST SP 800-57 part 1, 112 bits of strength)."""

_WEAK_HASHES: Final = frozenset({"md2", "md5", "sha1"})

_PUBLIC_KEYS: Final = frozenset(
    {"a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc"}
)
"""SHA-256 of certificates whose private key lies in the sources of Android."""


def _check(context: RuleContext) -> Iterator[Finding]:
    signing = context.app.signing
    assert signing is not None
    if context.app.container is Container.AAB and not signing.certificates:
        title = "The bundle isn't signed: the key that it will be signed with isn't seen."
        yield context.not_seen("signing", title)
        return
    found = list(_of_schemes(context, signing))
    for each in signing.certificates:
        found.extend(_of_certificate(context, each))
    yield from found
    if not found:
        named = ", ".join(signing.schemes)
        yield context.clean(
            "signing",
            f"Signed by {named or 'a certificate'} with a key that is long enough.",
            confidence=Confidence.CERTAIN,
        )


def _of_schemes(context: RuleContext, signing: Signing) -> Iterator[Finding]:
    if context.app.container is Container.AAB:
        # The store signs what it makes of a bundle; the bundle's own signature only says who uploads.
        return
    schemes = set(signing.schemes)
    if not schemes and context.app.coverage.gaps_of(Part.SIGNING):
        yield context.not_seen(
            "unsigned", "No signature was found, and not all of the package was read."
        )
    elif not schemes:
        yield context.exposed("unsigned", "The package isn't signed.", Severity.MEDIUM)
    else:
        yield from _of_v1(context, schemes)
    for scheme in signing.changed:
        title = (
            f"The package isn't the one that was signed by scheme {scheme}: it was changed after that, and "
            f"{SIGNATURE_V2.system} and later refuse it."
        )
        yield context.exposed(f"changed:{scheme}", title, Severity.MEDIUM)


def _of_v1(context: RuleContext, schemes: set[str]) -> Iterator[Finding]:
    """Yield what a v1 signature leaves open: to every phone where it's the only one, else to those that know no other."""
    if "v1" not in schemes:
        return
    alone = schemes == {"v1"}
    where = (JANUS if alone else SIGNATURE_V2).before_on(levels_of(context.app))
    if alone:
        more = {
            Where.OLDER: f", and {JANUS.older_inside} run foreign code that stands in front of it unless they were patched (Janus, CVE-2017-13156)",
            Where.UNKNOWN: ", and older phones run foreign code that stands in front of it (Janus, CVE-2017-13156)",
        }.get(where, "")
        title = f"Signed by scheme v1 only: it leaves parts of the package unsigned{more}."
        yield context.exposed("v1-only", title, Severity.MEDIUM)
    elif where is Where.OLDER:
        title = (
            f"{SIGNATURE_V2.older} verify the v1 signature alone, and run foreign code that stands in front of the package "
            "(Janus, CVE-2017-13156) unless they were patched; the app runs on them."
        )
        yield context.exposed("janus", title, Severity.LOW)
    elif where is Where.UNKNOWN:
        title = "Which phones verify the v1 signature alone isn't known: the manifest names no version of Android, or wasn't read."
        yield context.not_seen("janus", title)


def _of_certificate(context: RuleContext, each: Certificate) -> Iterator[Finding]:
    if each.sha256.lower().replace(":", "") in _PUBLIC_KEYS:
        title = "Signed with Android's public test key: everybody can sign an update."
        yield context.exposed("public-key", title, Severity.HIGH)
    elif "CN=ANDROID DEBUG" in each.subject.upper().replace(" = ", "=").replace(", ", ","):
        title = "Signed with a debug key, whose password everybody knows."
        yield context.exposed("debug-key", title, Severity.MEDIUM)
    kind = each.key.upper().partition("-")[0].strip()
    least = _LEAST_BITS.get(kind)
    if least is not None and each.bits is not None and each.bits < least:
        title = f"The signing key has {each.bits} bits ({kind}); at least {least} were expected."
        yield context.exposed("weak-key", title, Severity.MEDIUM)
    named = (each.signature_hash or "").lower().replace("-", "")
    if named in _WEAK_HASHES:
        title = f"The certificate is signed by {named.upper()}; updates are tied to its key, so this alone opens nothing."
        yield context.info("weak-hash", title, Severity.LOW, confidence=Confidence.CERTAIN)


RULE = AndroidRule(
    id="signing-scheme",
    title="Signature of the package",
    techniques=("MT-A11",),
    protections={},
    todo="Sign by scheme v2 or later, and by v1 only for phones before Android 7 (minSdk below 24). Sign with an RSA "
    "key of 2048 bits or more or an EC key, never with a debug or test key.",
    blind="It compares the package's digest with the signed one, and verifies no signature; apksigner does. It doesn't "
    "compare a digest over a tree of hashes. A store may sign its downloads anew.",
    parts=(Part.SIGNING,),
    reads=NO_CODE,
    check=_check,
)

"""See whether the app pins its servers' keys, in its config or in its code, and where."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.app import Method, Part, Use
from watchword.scan.defaults import NETWORK_CONFIG, USER_AUTHORITIES, Where, levels_of
from watchword.scan.frameworks import OFFLINE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import (
    AndroidRule,
    RuleContext,
    constants,
    hosts_of,
    places,
    starting,
)

_BUILDERS: Final = (
    ("okhttp3.CertificatePinner", "okhttp3.OkHttpClient$Builder"),
    ("com.squareup.okhttp.CertificatePinner", "com.squareup.okhttp.OkHttpClient"),
)
_TRUSTKIT: Final = "com.datatheorem.android.trustkit.TrustKit"
_TRUSTKIT_STARTS: Final = "initializeWithNetworkSecurityConfiguration"
_PIN: Final = re.compile(r"sha(?:256/[A-Za-z0-9+/_-]{43}=?|1/[A-Za-z0-9+/_-]{27}=?)")
_MANAGERS: Final = ("javax.net.ssl.X509TrustManager", "javax.net.ssl.X509ExtendedTrustManager")
_READS_KEY: Final = frozenset({"getPublicKey", "getEncoded"})
_COMPARES: Final = frozenset({"equals", "isEqual", "contains", "equalsIgnoreCase", "areEqual"})


def _check(context: RuleContext) -> Iterator[Finding]:
    found = [*_configured(context)]
    if context.app.code is None:
        yield from found
        if not found:
            yield context.not_seen("pinning", "No pin in the config, and there is no code to read.")
        return
    found += [*_okhttp(context), *_trustkit(context), *_by_hand(context), *_own_authority(context)]
    yield from found
    if not found and context.offline:
        title = "No pins; the app asks for no permission to use the network, so that there is nothing to pin."
        yield context.absent("pinning", title, Severity.INFO)
    elif not found:
        title = "No pins: any authority that a phone trusts vouches for the API."
        yield context.absent("pinning", title, Severity.MEDIUM)
    yield from _user_authorities(context, pinned=bool(found))


def _configured(context: RuleContext) -> Iterator[Finding]:
    config = context.app.network
    if config is None:
        return
    older = NETWORK_CONFIG.before_on(levels_of(context.app)) is not Where.NOWHERE
    # Pins that some phones don't know prove nothing by themselves; those in code hold on every phone.
    sure = Confidence.POSSIBLE if older else Confidence.CERTAIN
    bases = () if config.base is None else (config.base,)
    pinned = False
    for domain in (*bases, *config.domains):
        if domain.pin_set is None or not domain.pin_set.pins:
            continue
        pinned = True
        pins, ends = domain.pin_set.pins, domain.pin_set.expiration
        until = f"until {ends}; after that nothing is pinned" if ends else "without an end"
        at = (Location(file=config.file),)
        name = hosts_of(domain)
        title = f"{hosts_of(domain, below=True)}: {counted(len(set(pins)), 'pin', 'pins')} in the config, {until}."
        yield context.protected(name, title, at=at, confidence=sure)
        if len(set(pins)) == 1:
            title = f"{name} has no backup pin: a change of the server's key locks every user out."
            yield context.info(f"backup:{name}", title, Severity.LOW, at=at)
    # TrustKit reads the same pins and enforces them itself, on older phones too.
    by_library = context.app.code is not None and context.calls(_TRUSTKIT, _TRUSTKIT_STARTS)
    if pinned and older and not by_library:
        title = f"{NETWORK_CONFIG.older} don't know the network security config, and so pin nothing by it; the app runs on them."
        yield context.exposed("older", title, Severity.LOW, at=(Location(file=config.file),))


def _okhttp(context: RuleContext) -> Iterator[Finding]:
    named = False
    for pinner, client in _BUILDERS:
        uses = context.calls(f"{pinner}$Builder", "add")
        # Pins that are made and handed to no client pin nothing, as far as one sees.
        handed = bool(context.calls(client, "certificatePinner", "setCertificatePinner"))
        for by in dict.fromkeys(use.by for use in uses):
            named = True
            hosts, pins = _arguments(context, by, f"{pinner}$Builder")
            of = f" for {', '.join(hosts)}" if hosts else ""
            how = "" if handed else "; no client is seen that takes them"
            title = f"{by} pins by OkHttp{of}, {counted(pins, 'pin', 'pins')} in its code{how}."
            sure = Confidence.CERTAIN if handed else Confidence.POSSIBLE
            yield context.protected(str(by), title, at=places([by]), confidence=sure)
    if not named:
        for by in context.users(*_pins(context)):
            title = f"{by} holds pins as OkHttp writes them; its library is renamed or another one."
            yield context.protected(str(by), title, at=places([by]), confidence=Confidence.LIKELY)


def _pins(context: RuleContext) -> Iterator[str]:
    for prefix in ("sha1/", "sha256/"):
        yield from filter(_PIN.fullmatch, starting(context.code.strings, prefix))


def _arguments(context: RuleContext, by: Method, builder: str) -> tuple[list[str], int]:
    """Return the hosts that are pinned as far as they are constant, and how many pins the method holds."""
    hosts: set[str] = set()
    for arguments in constants(context.code, by, builder, "add"):
        texts = [each for each in arguments if isinstance(each, str)]
        hosts.update(each for each in texts[:1] if not _PIN.fullmatch(each))
    pins = {each for each in context.code.strings_of(by) if _PIN.fullmatch(each)}
    return sorted(hosts), len(pins)


def _trustkit(context: RuleContext) -> Iterator[Finding]:
    uses: tuple[Use, ...] = context.calls(_TRUSTKIT, _TRUSTKIT_STARTS)
    if uses:
        title = "TrustKit enforces the pins of the network security config."
        yield context.protected("trustkit", title, at=places(uses))


def _by_hand(context: RuleContext) -> Iterator[Finding]:
    """Yield a finding for each trust manager of the app's own that compares the server's key with something."""
    for cls in sorted({cls for each in _MANAGERS for cls in context.code.implementers(each)}):
        for method in context.code.methods(cls):
            if method.name != "checkServerTrusted" or not context.own(cls):
                continue
            called = {each.name for each in context.code.calls_of(method)}
            if called & _READS_KEY and called & _COMPARES and "throw" in context.code.body(method):
                title = f"{cls} compares the server's key with one that it knows."
                yield context.protected(cls, title, at=places([method]))


def _own_authority(context: RuleContext) -> Iterator[Finding]:
    """Yield a finding where code trusts only certificates that lie in the package."""
    for use in context.calls("javax.net.ssl.TrustManagerFactory", "init"):
        called = {(each.cls, each.name) for each in context.code.calls_of(use.by)}
        if {
            ("java.security.cert.CertificateFactory", "generateCertificate"),
            ("java.security.KeyStore", "setCertificateEntry"),
        } <= called:
            title = f"{use.by} trusts only certificates that the app brings along."
            yield context.protected(str(use.by), title, at=places([use]))


def _user_authorities(context: RuleContext, *, pinned: bool) -> Iterator[Finding]:
    """Yield a finding for each config that trusts the owner's authorities; pins hold against these, where there are any."""
    yield from _user_authorities_by_default(context, pinned=pinned)
    config = context.app.network
    if config is None:
        return
    bases = () if config.base is None else (config.base,)
    for each in (*bases, *config.domains):
        if each.user_anchors:
            where = " wherever nothing is pinned" if pinned else ""
            title = f"{hosts_of(each)}: authorities that the phone's owner installs are trusted, so that he reads his traffic{where}."
            at = (Location(file=config.file),)
            severity = Severity.LOW if pinned else Severity.MEDIUM
            # Where not all was seen there may be pins, and so this alone doesn't say that there are none.
            sure = Confidence.CERTAIN if pinned or context.whole else Confidence.POSSIBLE
            yield context.exposed(f"user:{hosts_of(each)}", title, severity, at=at, confidence=sure)


def _user_authorities_by_default(context: RuleContext, *, pinned: bool) -> Iterator[Finding]:
    """Yield what the system trusts where no config says so; a config that wasn't read may say anything."""
    manifest, config = context.app.manifest, context.app.network
    if manifest is None or context.offline:
        return
    levels, at = levels_of(context.app), (Location(file="AndroidManifest.xml"),)
    where = USER_AUTHORITIES.before_on(levels)
    stated = manifest.network_config is not None and (config is None or config.base is not None)
    if where is Where.UNKNOWN:
        title = "Whether authorities that the phone's owner installs are trusted depends on a version of Android that nobody knows."
        yield context.not_seen("user:default", title)
    elif where is Where.OLDER:
        title = f"{USER_AUTHORITIES.older} trust authorities that their owner installs, whatever the app states; it runs on them."
        yield context.info("user:older", title, Severity.LOW, at=at, confidence=Confidence.CERTAIN)
    elif where is Where.EVERYWHERE and not stated:
        more = " wherever nothing is pinned" if pinned else ""
        title = (
            "Authorities that the phone's owner installs are trusted by default, so that he reads his traffic"
            f"{more}: targetSdk is {levels.target}, below {USER_AUTHORITIES.target}."
        )
        severity = Severity.LOW if pinned else Severity.MEDIUM
        sure = Confidence.CERTAIN if pinned or context.whole else Confidence.POSSIBLE
        yield context.exposed("user:default", title, severity, at=at, confidence=sure)


RULE = AndroidRule(
    id="pinning",
    title="Pinned server keys",
    techniques=("MT-C01", "MT-C03", "MT-C06", "MT-C07"),
    protections={"PR-C03": "scan:static.pinning"},
    todo="Pin the API's keys with a backup and an end, by a list that can be replaced without a release.",
    blind="It has no clock, so it reports an end as a date even if it has passed. It doesn't compare pins with a "
    "server. A verifier of host names isn't pinning and doesn't count. It doesn't see pinning in native code, a bundle "
    "or a renamed library of another form.",
    parts=(Part.NETWORK_CONFIG, Part.DEX),
    reads=OFFLINE,
    optional=(Part.DEX,),
    check=_check,
)

"""Map what is documented of the apps to what a rule must say, or to a deviation with its reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.unit.scan.real_apps.known import BY_FILE, Fact, app_of, found, secrets

from watchword.scan.interface import Verdict

EXPOSED, PROTECTED, ABSENT, TOLD = (
    Verdict.EXPOSED,
    Verdict.PROTECTED,
    Verdict.ABSENT,
    Verdict.INFO,
)
KEYS: Final = "hard-coded-crypto-key"


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold what tells the vulnerable app of a pair from the mended one.

    :param subject: what the finding's subject ends in.
    """

    rule: str
    subject: str = ""


_BY_NAME: Final = frozenset({"dvba.apk"})
"""Where the documentation tells a key by the name of its constant, which the build has no more."""

PAIRS: Final[Mapping[str, Pair]] = {
    "ecb": Pair("weak-crypto"),
    "constkey": Pair(KEYS),
    "http": Pair("cleartext-urls"),
    "webviewssl": Pair("trust-manager"),
    "rawsocket": Pair("raw-sockets"),
}
"""By pair of the index; of each, the one that is called benign is the vulnerable one."""


def _is(rule: str, verdict: Verdict, subject: str = "") -> Callable[[Fact], bool]:
    """Return a test that a documented thing is there, or isn't, by a rule's verdict."""

    def agrees(fact: Fact) -> bool:
        return bool(found(fact.file, rule, verdict, subject)) is (fact.value is not False)

    return agrees


def _all(*tests: Callable[[Fact], bool]) -> Callable[[Fact], bool]:
    return lambda fact: all(test(fact) for test in tests)


def _pinning(fact: Fact) -> bool:
    verdict = ABSENT if fact.value is False else PROTECTED
    return bool(found(fact.file, "pinning", verdict))


def _obfuscation(fact: Fact) -> bool:
    verdict = ABSENT if fact.value is False else PROTECTED
    return bool(found(fact.file, "obfuscation", verdict))


def _pair(fact: Fact) -> bool:
    told = PAIRS[BY_FILE[fact.file]["group"].partition(":")[2]]
    return _is(told.rule, EXPOSED, told.subject)(fact)


def _key(fact: Fact) -> bool:
    """Tell whether the key that is documented is found as one; of a key without a value, whether any is."""
    keys = secrets(fact.file, KEYS)
    if isinstance(fact.value, bool):
        return bool(found(fact.file, KEYS, EXPOSED)) is fact.value
    if fact.file in _BY_NAME:
        return len(keys) == 1
    return any(key in fact.value and keys[key].startswith("crypto-") for key in keys)


def _strings(fact: Fact) -> bool:
    """Tell whether each of the strings that were looked for is found as a key."""
    return set(BY_FILE[fact.file]["measured"]["string_check"]) <= set(secrets(fact.file, KEYS))


def _exported(fact: Fact) -> bool:
    """Tell whether each component is open, or open for links; of kinds, whether one of each is."""
    rule = "exported-components"
    open_ = (*found(fact.file, rule, EXPOSED), *found(fact.file, rule, TOLD))
    kinds = {"activity", "service", "receiver", "provider"}
    if set(fact.value) <= kinds:
        return all(
            any(f"The {kind} " in each.title for each in found(fact.file, rule, EXPOSED))
            for kind in fact.value
        )
    return all(any(each.subject.endswith(f".{name}") for each in open_) for name in fact.value)


def _scheme(fact: Fact) -> bool:
    signing = app_of(fact.file).signing
    assert signing is not None
    stated = {"v1": ("v1",), "v1+v2": ("v1", "v2"), "v2 only": ("v2",)}
    if fact.value == "v3+v3.1 rotation":
        return {"v3", "v3.1"} <= set(signing.schemes) and len(signing.certificates) == 2
    return signing.schemes == stated.get(fact.value)


def _none(fact: Fact) -> bool:
    rules = ("root", "debugger", "hook", "emulator", "integrity")
    return fact.value == "none" and all(
        found(fact.file, f"{rule}-checks", ABSENT)
        and not found(fact.file, f"{rule}-checks", PROTECTED)
        for rule in rules
    )


def _config(fact: Fact) -> bool:
    return (app_of(fact.file).network is not None) is fact.value


def _native(fact: Fact) -> bool:
    return bool(app_of(fact.file).natives) is fact.value


def _malformed(fact: Fact) -> bool:
    return bool(app_of(fact.file).disagreements) is bool(fact.value)


def _debuggable(fact: Fact) -> bool:
    # By a resource whose value is false: what counts is that the reference was resolved.
    verdict = EXPOSED if fact.value is True else PROTECTED
    return bool(found(fact.file, "debuggable", verdict))


def _same_but_released(fact: Fact) -> bool:
    manifest, other = app_of(fact.file).manifest, app_of("InsecureBankv2.apk").manifest
    assert manifest is not None
    assert other is not None
    return manifest.package == other.package and bool(found(fact.file, "debuggable", PROTECTED))


def _frida(fact: Fact) -> bool:
    (check,) = found(fact.file, "hook-checks", PROTECTED, "native")
    return all(place.file.endswith("libfrida-check.so") for place in check.locations)


_CLEARTEXT = _is("cleartext-traffic", EXPOSED)
AGREES: Final[Mapping[str, Callable[[Fact], bool]]] = {
    "root_detection": _is("root-checks", PROTECTED),
    "debug_detection": _is("debugger-checks", PROTECTED),
    "frida_xposed_detection": _is("hook-checks", PROTECTED),
    "frida_detection": _frida,
    "emulator_detection": _is("emulator-checks", PROTECTED),
    "anti_tamper": _is("integrity-checks", PROTECTED),
    "anti_debug": _is("debugger-checks", PROTECTED),
    "protections": _none,
    "native": _native,
    "secret": _strings,
    "xor_key": _key,
    "hardcoded_key": _key,
    "hardcoded_keys": _is(KEYS, EXPOSED),
    "hardcoded": _is("secret-in-app", EXPOSED),
    "debuggable": _debuggable,
    "backup": _is("backup-allowed", EXPOSED),
    "exported": _exported,
    "cleartext_http": _is("cleartext-urls", EXPOSED),
    "cleartext": _CLEARTEXT,
    "cleartext_socket": _is("raw-sockets", EXPOSED),
    "pinning": _pinning,
    "obfuscation": _obfuscation,
    "network_security_config": _config,
    "weak_hash": _is("weak-crypto", EXPOSED, "MD5:com.htbridge.pivaa.handlers.Authentication"),
    "weak_crypto": _is("weak-crypto", EXPOSED),
    "trust_all": _all(
        _is("trust-manager", EXPOSED, "handlers.API$1"),
        _is("trust-manager", EXPOSED, "handlers.API$2"),
    ),
    "webview_js": _is("webview", TOLD, "javascript"),
    "webview_onReceivedSslError_proceed": _is("trust-manager", EXPOSED),
    "vulnerable": _pair,
    "firebase": _is("third-party-sdks", TOLD, "com.google.firebase"),
    "malformed_zip": _malformed,
    "scheme": _scheme,
    "format": lambda fact: app_of(fact.file).container.value == fact.value.lower(),
    "note": _same_but_released,
    "sqli": lambda _: False,
}
"""Whether our rules agree, by key of the index; a key that isn't here fails the test."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Hold where we differ from the index.

    :param ours: what the scan says.
    :param theirs: what the index says; without what an app keeps secret.
    """

    ours: str
    theirs: str
    reason: str


_TAMPERED: Final = "apkinspector-minimal-def-mod.apk"
DEVIATIONS: Final[Mapping[tuple[str, str], Deviation]] = {
    (_TAMPERED, "apksigner"): Deviation(
        "signed, not verified; two readers disagree",
        "the verifier fails",
        "The tool can't open the archive. Android installs it, so its signing block is read as it stands, and that readers disagree"
        " keeps anything from being proven.",
    ),
    (_TAMPERED, "apksigner_schemes"): Deviation(
        "v2 and v3",
        "none",
        "For the same reason; the same two were measured by another tool (`signature_schemes`).",
    ),
    (_TAMPERED, "aapt2_badging_ok"): Deviation(
        "the manifest is read",
        "the tool fails",
        "For the same reason: its compression method is one that Android takes as none.",
    ),
    ("HelloWorld-JNI.apk", "protections"): Deviation(
        "no check of root, debuggers, hooks or emulators; checks of itself are not seen",
        "no protection",
        "Its own native library may look at its signature: strings and symbols of it are read, and not what it does.",
    ),
    ("UnCrackable-Level1.ipa", "secret"): Deviation(
        "no secret found",
        "a text that a label hides, put together at run time",
        "It's no plain string of the bundle (measured as absent): who reads without running can't find it. The scan's words are"
        ' "no secret was found", and its rule says that what is put together at run time isn\'t seen.',
    ),
    ("UnDebuggable.ipa", "anti_debug"): Deviation(
        "nothing said",
        "the app's name says so; not verified",
        "Neither `ptrace` nor `sysctl` is among its imports or its strings, and the rule over debuggers is for Android. What we do"
        " tell is that this build lets a debugger be attached (`get-task-allow`).",
    ),
    ("pivaa.apk", "exported"): Deviation(
        "service, receiver and provider are open",
        "a service, a receiver, a provider and an activity",
        "No activity but the entrance, which every app has open, states that it's exported or has a filter that implies it.",
    ),
    ("pivaa.apk", "sqli"): Deviation(
        "not looked for",
        "SQL injection",
        "It is in the phone's own database, reached by the user of the app: nothing of the plan opens by it.",
    ),
    ("AndroGoat.apk", "hardcoded"): Deviation(
        "no secret found",
        "a hard-coded value",
        "It's a promotion code of seven characters, compared with what is typed: no form, no name and no cipher tells it from any"
        " other word of the screen.",
    ),
    ("MoviePic.aab", "note"): Deviation(
        "the app names no host of TMDb",
        "a client of TMDb",
        "No string of the package holds that name; what its own code asks is another host.",
    ),
    ("apksig-v1-rsa1024-md5.apk", "scheme"): Deviation(
        "v1 only, RSA of 1,024 bits; MD5 isn't told",
        "v1; weak RSA-1024 and MD5",
        "MD5 is the hash of the signature file's signature; certificates are read, and this one is signed by SHA-256. Version and"
        " key are each told as exposed.",
    ),
    ("apksig-debuggable-resource.apk", "scheme"): Deviation(
        "v1 and v2",
        "v1, v2 and v3",
        "The package holds no v3 block; the same was measured (`signature_schemes`), so the documentation is wrong.",
    ),
}
"""Where we differ, and why: all of it."""

MEASURED_DEVIATIONS: Final[Mapping[tuple[str, str], Deviation]] = {}
"""Where our readers see something else than was measured: nowhere."""


def agrees(fact: Fact) -> bool:
    """Tell whether our rules say what is documented; KeyError for a key that nobody here knows."""
    return AGREES[fact.key](fact)

"""See whether the app's own code uses cryptography that no longer protects."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from watchword.scan.app import ManagedMethod, Method, Op, Part
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, constants, places, short

_CIPHER: Final = "javax.crypto.Cipher"
_BLOCK: Final = frozenset({"AES", "AES_128", "AES_256", "CAMELLIA", "SEED", "ARIA"})
_BROKEN: Final = {
    "DES": "DES, whose keys can be tried out",
    "DESEDE": "3DES, whose blocks are too short",
    "TRIPLEDES": "3DES, whose blocks are too short",
    "RC2": "RC2, which is broken",
    "RC4": "RC4, which is broken",
    "ARC4": "RC4, which is broken",
    "ARCFOUR": "RC4, which is broken",
    "BLOWFISH": "Blowfish, whose blocks are too short",
}
_WEAK_HASHES: Final = frozenset({"MD2", "MD4", "MD5", "SHA1", "SHA-1", "SHA"})
_OF_PASSWORDS: Final = re.compile(r"pass(?:word|wd|phrase)|credential|login", re.IGNORECASE)
_OF_PINS: Final = re.compile(r"(?:^|_|[a-z])P(?:IN|in)(?![a-z])|(?:^|_)(?:pin|pwd)(?![a-z])")
_IV: Final = "javax.crypto.spec.IvParameterSpec"
_FRESH: Final = frozenset(
    {
        "nextBytes",
        "generateSeed",
        "getIV",
        "arraycopy",
        "copyOfRange",
        "copyOf",
        "decode",
        "get",
        "read",
        "generateIv",
    }
)
"""What fills an IV with something that isn't the same each time."""
_KEYS: Final = ("javax.crypto.spec.SecretKeySpec", _IV, "javax.crypto.spec.GCMParameterSpec")
_RANDOM: Final = ("java.util.Random", "java.lang.Math", "kotlin.random.Random")

# Names of .NET by learn.microsoft.com/dotnet/api/system.security.cryptography, read on 2026-11-29.
_DOTNET: Final = re.compile(
    r"System\.Security\.Cryptography\.(DES|TripleDES|RC2|MD5|SHA1)(?:CryptoServiceProvider|Managed|Cng)?\.(?:Create|HashData|\.ctor)"
)
_DOTNET_MODE: Final = re.compile(r"System\.Security\.Cryptography\.\w+\.set_Mode")
_DOTNET_ECB: Final = re.compile(r"System\.Security\.Cryptography\.\w+\.(?:Try)?(?:En|De)cryptEcb")
_ECB: Final = 2
"""``CipherMode.ECB``."""
_DOTNET_JAVA: Final = {
    "Javax.Crypto.Cipher.GetInstance": "cipher",
    "Java.Security.MessageDigest.GetInstance": "hash",
}


def _check(context: RuleContext) -> Iterator[Finding]:
    found = [*_ciphers(context), *_vectors(context), *_randoms(context)]
    hashes = [*_hashes(context)]
    for assembly in context.app.assemblies:
        for each in assembly.methods:
            place = Location(assembly.file, each.method.cls, each.method.name)
            named = dict.fromkeys(_named_in_dotnet(each))
            found += [
                _broken(context, each.method, title, name, place) for title, name in named if title
            ]
            hashes += [
                _hashed(context, each.method, name, _loaded(each), place)
                for title, name in named
                if not title
            ]
    yield from found
    yield from hashes
    if not found and not any(each.severity is not Severity.LOW for each in hashes):
        yield context.clean("crypto", "The app's own code names no cipher that is broken.")


def _ciphers(context: RuleContext) -> Iterator[Finding]:
    for by, name in _named(context, _CIPHER):
        title = _weakness(name)
        if title:
            yield _broken(context, by, title, name, *places([by]))


def _broken(context: RuleContext, by: Method, title: str, name: str, at: Location) -> Finding:
    return context.exposed(f"{name}:{by.cls}", f"{by} uses {title}.", Severity.MEDIUM, at=[at])


def _named_in_dotnet(each: ManagedMethod) -> Iterator[tuple[str, str]]:
    """Yield what a method of .NET encrypts or hashes by: what is wrong with it, empty for a hash, and its name."""
    before = None
    for step in each.steps:
        if step.op in {Op.CALL, Op.NEW}:
            known = _DOTNET.match(step.what)
            if known and known[1].upper() in _WEAK_HASHES:
                yield "", known[1]
            elif known:
                yield _weakness(known[1]), known[1]
            mode = before is not None and before.op is Op.NUMBER and before.number == _ECB
            if _DOTNET_ECB.match(step.what) or (mode and _DOTNET_MODE.match(step.what)):
                yield _weakness("AES/ECB"), "ECB"
            if step.what in _DOTNET_JAVA and before is not None and before.op is Op.STRING:
                hashes = _DOTNET_JAVA[step.what] == "hash"
                title = "" if hashes else _weakness(before.what)
                if title or (hashes and before.what.upper() in _WEAK_HASHES):
                    yield title, before.what
        before = step


def _loaded(each: ManagedMethod) -> tuple[str, ...]:
    return tuple(step.what for step in each.steps if step.op is not Op.NUMBER)


def _named(context: RuleContext, cls: str) -> Iterator[tuple[Method, str]]:
    """Yield what the app's own methods ask ``getInstance`` of a class for; a name from elsewhere by the class's strings or by its callers."""
    for by in dict.fromkeys(use.by for use in context.calls(cls, "getInstance")):
        names = [
            next((each for each in arguments if isinstance(each, str)), None)
            for arguments in constants(context.code, by, cls, "getInstance")
        ]
        known = {name for name in names if name}
        if None in names:
            known.update(
                value.value
                for value in context.code.static_fields
                if value.cls == by.cls and _weakness(value.value)
            )
        for name in sorted(known):
            yield by, name

        if None in names:
            yield from _handed(context, by)


def _handed(context: RuleContext, by: Method) -> Iterator[tuple[Method, str]]:
    """Yield what the app's own code hands to a method that takes the name as an argument, each with who does."""
    found: dict[tuple[Method, str], None] = {}
    for use in context.calls(by.cls, by.name):
        for callee, arguments in context.code.arguments(use.by):
            if callee == by:
                found.update({(use.by, each): None for each in arguments if isinstance(each, str)})
    yield from found


def _weakness(name: str) -> str:
    algorithm, _, rest = name.upper().partition("/")
    mode = rest.partition("/")[0]
    if algorithm in _BROKEN:
        return f"{_BROKEN[algorithm]} ({name})"
    if algorithm in _BLOCK and mode in {"", "ECB", "NONE"}:
        return f"a block cipher in mode ECB, which shows what is equal ({name})"
    return ""


def _hashes(context: RuleContext) -> Iterator[Finding]:
    for by, name in _named(context, "java.security.MessageDigest"):
        if name.upper() not in _WEAK_HASHES:
            continue
        yield _hashed(context, by, name, context.code.strings_of(by), *places([by]))


def _hashed(
    context: RuleContext, by: Method, name: str, strings: Iterable[str], at: Location
) -> Finding:
    around = (short(by.cls), by.name, *strings)
    if any(_OF_PASSWORDS.search(each) or _OF_PINS.search(each) for each in around):
        title = f"{by} hashes by {name}, around passwords."
        sure = Confidence.POSSIBLE
        return context.exposed(f"{name}:{by.cls}", title, Severity.MEDIUM, at=[at], confidence=sure)
    title = (
        f"{by} hashes by {name}: enough for a name in a cache, not for a password or a signature."
    )
    return context.info(f"{name}:{by.cls}", title, Severity.LOW, at=[at])


def _vectors(context: RuleContext) -> Iterator[Finding]:
    for by in dict.fromkeys(use.by for use in context.calls(_IV, "<init>")):
        body = context.code.body(by)
        called = {each.name for each in context.code.calls_of(by)}
        from_text = "getBytes" in called and bool(context.code.strings_of(by))
        from_array = "fill-array-data" in body or any(each.startswith("new-array") for each in body)
        if (from_text or from_array) and not called & _FRESH:
            title = f"{by} encrypts with an IV that looks the same each time."
            yield context.exposed(
                f"iv:{by.cls}",
                title,
                Severity.MEDIUM,
                at=places([by]),
                confidence=Confidence.POSSIBLE,
            )


def _randoms(context: RuleContext) -> Iterator[Finding]:
    makers = {use.by.cls for cls in _KEYS for use in context.calls(cls, "<init>")}
    for cls in _RANDOM:
        names = ("random",) if cls == "java.lang.Math" else ("nextBytes", "nextInt", "nextLong")
        for by in dict.fromkeys(use.by for use in context.calls(cls, *names)):
            if by.cls in makers:
                title = f"{by} takes its random numbers from {cls}, which can be foretold, in a class that makes keys."
                yield context.exposed(
                    f"random:{by.cls}",
                    title,
                    Severity.MEDIUM,
                    at=places([by]),
                    confidence=Confidence.LIKELY,
                )


RULE = AndroidRule(
    id="weak-crypto",
    title="Cryptography that no longer protects",
    techniques=("MT-A10",),
    protections={},
    todo="Encrypt by AES/GCM/NoPadding with a key of the Android key store, and leave the IV to the cipher. Keep "
    "passwords on the server, by Argon2 or scrypt.",
    blind="It sees names in the code, also in .NET code. It can't tell what is encrypted or hashed, or whether it "
    "matters.",
    parts=(Part.DEX,),
    check=_check,
)

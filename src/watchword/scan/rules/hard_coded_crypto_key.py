"""See which constants of the package serve as keys of a cipher."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from watchword.scan.app import Part
from watchword.scan.interface import Finding, Secret, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext
from watchword.scan.secrets.keys import KeyUse, Way, key_uses
from watchword.scan.secrets.patterns import subject_of

_SEVERITIES: Final = {
    "key": Severity.HIGH,
    "password": Severity.HIGH,
    "vector": Severity.LOW,
}
_WAYS: Final = {
    Way.HANDED: "reaches {into}",
    Way.FIELD: "is set in the class that feeds {into}",
    Way.CALLER: "is handed to the method that feeds {into}, as its key or as what the key opens",
    Way.RESOURCE: "is read from a string resource and reaches {into}",
    Way.OWN_CIPHER: "serves a home-made cipher (exclusive or of two texts)",
    Way.NATIVE: "is handed as bytes to native code, {into}",
    Way.SCRIPT: "is handed to a cipher by a script, as the key of {into}",
    Way.NAME: "lies in a field that is named as a key, {into}",
}
_NOUNS: Final = {
    "key": "key",
    "password": "password that a key is made of",
    "vector": "initialisation vector",
}


def _check(context: RuleContext) -> Iterator[Finding]:
    found = False
    for use in key_uses(context.app):
        found = found or use.role != "vector"
        yield _exposed(context, use)
    if not found:
        yield context.clean(
            "crypto-keys", "No constant of the app's own code was seen to reach a cipher."
        )


def _exposed(context: RuleContext, use: KeyUse) -> Finding:
    kind = f"crypto-{use.role}"
    way = _WAYS[use.way].format(into=use.into.rpartition(".")[2])
    where = f"{use.place.cls}.{use.place.member}"
    subject = f"{kind}:{where}" if use.value is None else subject_of(kind, use.value)
    # Which of two constants that one method takes is the key isn't followed.
    noun = "text" if use.way is Way.CALLER else _NOUNS[use.role]
    finding = context.exposed(
        subject,
        f"A constant {noun} {way}: every copy of the app has it.",
        _SEVERITIES[use.role],
        at=(use.place,),
        confidence=use.confidence,
    )
    if use.value is None:
        return finding
    return replace(finding, secret=Secret(kind, use.value, verified=use.way is Way.HANDED))


RULE = AndroidRule(
    id="hard-coded-crypto-key",
    title="Keys of ciphers in the package",
    techniques=("MT-A02", "MT-A10"),
    protections={"PR-B04": "scan:static.secret_found"},
    todo="Make the key in the device's key store, or agree on it with the server at run time; encrypt anew what the old key protects.",
    blind=(
        "It follows constants through straight-line code, the fields of one class and one call; in scripts only "
        "within the call of a known library. It doesn't see a key that is computed, comes through several classes or "
        "stays in native code. It doesn't show a resource's value."
    ),
    parts=(Part.DEX, Part.RESOURCES),
    check=_check,
)

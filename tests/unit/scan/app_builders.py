"""Build whole Android packages: a manifest, a config, code and a signature that signs nothing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.scan.android.builders import (
    File,
    Given,
    Ref,
    Tag,
    Type,
    axml,
    signers,
    table,
    with_signing_block,
)
from tests.unit.scan.archive.builders import built
from tests.unit.scan.dex.assembler import ClassCode, MethodCode, assemble, call, const_string

from watchword.scan.android import attributes as of

PACKAGE = "com.example.clinic"
PINS = (
    "7HIpactkIAq2Y49orFOOQKurWxmmSFZhBCoQYcRhJ3Y=",
    "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
)
CONFIG = "res/xml/network.xml"

_MAIN = "Lcom/example/clinic/MainActivity;"
_STRING = "Ljava/lang/String;"
_V2 = 0x7109871A
_AT = datetime(2026, 1, 1, tzinfo=UTC)


def apk(
    *,
    strings: Sequence[str] = (),
    pins: Sequence[str] = (),
    config: bytes | None = None,
    more: Mapping[str, bytes | None] | None = None,
    declared: Sequence[str] = (),
    application: Mapping[int | str, Given] | None = None,
    root: Mapping[int | str, Given] | None = None,
    classes: Sequence[ClassCode] = (),
    sdk: tuple[int | str | None, int | str | None] = (28, 35),
    code: bytes | None = None,
) -> bytes:
    """Return a package of one activity.

    :param strings: that its code uses.
    :param pins: of ``api.example.com``, in its network security config; none for no pinning.
    :param config: binary XML of another network security config.
    :param more: entries beside these; None takes one out.
    :param declared: classes of services that the manifest declares beside its activity.
    :param application: attributes of the application; ``root`` those of the manifest.
    :param classes: of its code beside its own two.
    :param sdk: the oldest version of Android and the one that is targeted, None for one that isn't stated.
    :param code: another DEX file.
    """
    manifest = _manifest(*sdk, declared, application or {}, root or {})
    entries: dict[str, bytes | None] = {
        "AndroidManifest.xml": axml(manifest),
        "classes.dex": _code(strings, classes) if code is None else code,
        "resources.arsc": table([Type("xml", {"network": File(CONFIG)})]),
        CONFIG: axml(_config(pins)) if config is None else config,
    }
    entries.update(more or {})
    kept = {name: data for name, data in entries.items() if data is not None}
    return with_signing_block(built(kept), [(_V2, signers([_certificate()]))])


def _manifest(
    least: int | str | None,
    target: int | str | None,
    declared: Sequence[str],
    attributes: Mapping[int | str, Given],
    root: Mapping[int | str, Given],
) -> Tag:
    launcher = Tag(
        "intent-filter",
        children=[
            Tag("action", {of.NAME: "android.intent.action.MAIN"}),
            Tag("category", {of.NAME: "android.intent.category.LAUNCHER"}),
        ],
    )
    activity = Tag("activity", {of.NAME: f"{PACKAGE}.MainActivity", of.EXPORTED: True}, [launcher])
    application: dict[int | str, Given] = {
        of.ALLOW_BACKUP: False,
        of.NETWORK_SECURITY_CONFIG: Ref(0x7F010000),
        **attributes,
    }
    services = [Tag("service", {of.NAME: each, of.EXPORTED: False}) for each in declared]
    versions: dict[int | str, Given] = {of.MIN_SDK_VERSION: least, of.TARGET_SDK_VERSION: target}
    children = [
        Tag("uses-sdk", {key: each for key, each in versions.items() if each is not None}),
        Tag("uses-permission", {of.NAME: "android.permission.INTERNET"}),
        Tag("application", application, [activity, *services]),
    ]
    return Tag("manifest", {"package": PACKAGE, of.VERSION_NAME: "1.0", **root}, children)


def _config(pins: Sequence[str]) -> Tag:
    domain = Tag("domain", {"includeSubdomains": "false"}, text="api.example.com")
    children = [domain]
    if pins:
        children.append(
            Tag("pin-set", children=[Tag("pin", {"digest": "SHA-256"}, text=pin) for pin in pins])
        )
    return Tag("network-security-config", children=[Tag("domain-config", children=children)])


def _code(strings: Sequence[str], classes: Sequence[ClassCode]) -> bytes:
    body: list[object] = []
    for each in ("https://api.example.com/v1/patients", *strings):
        body += const_string(0, each)
        body += call(0x71, "Lcom/example/clinic/Api;", "send", f"({_STRING})V", 0)
    send = MethodCode("send", f"({_STRING})V", [0x0E])
    return assemble(
        ClassCode(
            _MAIN,
            [MethodCode("onCreate", "()V", [*body, 0x0E])],
            superclass="Landroid/app/Activity;",
        ),
        ClassCode("Lcom/example/clinic/Api;", [send]),
        *classes,
    )


@cache
def _certificate() -> bytes:
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clinic")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(_AT)
    builder = builder.not_valid_after(_AT + timedelta(days=9125))
    made = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(serialization.Encoding.DER)

"""Make what the targets of the scan begin with: packages, what is in them, descriptions of APIs, and files beside them."""

import datetime as dt
import json
import plistlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.unit.scan.android.builders import (
    File,
    Ref,
    Tag,
    Type,
    axml,
    bundle_table,
    bundle_xml,
    signers,
    table,
    with_signing_block,
)
from tests.unit.scan.api.builders import answer, body, described, parameter, swagger
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.archive.builders import built
from tests.unit.scan.dex.assembler import (
    ClassCode,
    MethodCode,
    assemble,
    call,
    const_string,
    container,
)
from tests.unit.scan.dotnet.builders import (
    Cls,
    Instruction,
    Made,
    assembly,
    library,
    packed,
    store,
)
from tests.unit.scan.elf_builders import Library
from tests.unit.scan.ios_builders import ARM, Image, fat, in_der, info
from tests.unit.scan.texts.hermes_builders import bytecode
from tests.unit.scan.texts.unity_builders import metadata

from watchword.apps.scan.document import document
from watchword.apps.scan.report import Scanned
from watchword.scan.android import attributes as of
from watchword.scan.app import Coverage, Gap, Part, Seen
from watchword.scan.baseline import to_baseline
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.outcome import Package, Report, RuleFacts


def archives() -> Iterator[bytes]:
    """Yield archives: packed, stored, streamed, signed, and one of packages."""
    small = built({"AndroidManifest.xml": b"\x03\0\x08\0" * 4, "classes.dex": b"dex\n035\0" * 4})
    yield built({"a": b"some content " * 9, "b/c": b"", "d": bytes(range(64))}, comment=b"note")
    yield built({"a": b"some content " * 9, "b": b"x"}, streamed=True)
    yield built({"base.apk": small, "config.apk": small}, method=0)
    yield with_signing_block(small, [(0x7109871A, signers([b"certificate"]))])


def documents() -> Iterator[bytes]:
    """Yield manifests and network security configs, in both forms."""
    data = Tag("data", {of.SCHEME: "https", of.HOST: Ref(0x7F010000, "string/host")})
    action = Tag("action", {of.NAME: "android.intent.action.VIEW"})
    activity = Tag(
        "activity",
        {of.NAME: ".Main", of.EXPORTED: True, of.PERMISSION: "p"},
        [Tag("intent-filter", {of.AUTO_VERIFY: True}, [action, data])],
    )
    application = Tag(
        "application",
        {of.DEBUGGABLE: Ref(0x7F010001), of.ALLOW_BACKUP: False},
        [activity, Tag("provider", {of.NAME: "P"})],
    )
    sdk = Tag("uses-sdk", {of.MIN_SDK_VERSION: 21, of.TARGET_SDK_VERSION: 30})
    manifest = Tag("manifest", {"package": "com.example.a"}, [sdk, application])
    pins = Tag(
        "pin-set", {"expiration": "2030-01-01"}, [Tag("pin", {"digest": "SHA-256"}, (), "a")]
    )
    anchors = Tag("trust-anchors", {}, [Tag("certificates", {"src": "user"})])
    domain = Tag("domain", {"includeSubdomains": "true"}, (), "a.example")
    config = Tag(
        "network-security-config",
        {},
        [Tag("domain-config", {"cleartextTrafficPermitted": "true"}, [domain, pins, anchors])],
    )
    for tag in (manifest, config):
        yield axml(tag)
        yield axml(tag, utf8=True)
        yield bundle_xml(tag)


def tables() -> Iterator[bytes]:
    """Yield resource tables, in all their forms."""
    for form in ("wide", "sparse", "short", "compact"):
        types = [
            Type("string", {"host": "a.example", "again": Ref(0x7F010000)}, form=form),
            Type("bool", {"yes": True}, form=form, version=26),
        ]
        yield table(types)
    types = [Type("string", {"host": "a.example", "list": ["a", 1]}), Type("xml", {"f": File("f")})]
    yield bundle_table(types)


def signed() -> Iterator[bytes]:
    """Yield packages with signing blocks."""
    small = built({"a": b"m"})
    yield with_signing_block(
        small, [(0x7109871A, signers([b"old", b"by"])), (0x42726577, bytes(9))]
    )
    yield with_signing_block(
        small, [(0xF05368C0, signers([b"old"])), (0x1B93AD61, signers([b"x"]))]
    )
    yield apk(pins=PINS[:1])


def dexes() -> Iterator[bytes]:
    """Yield DEX files: calls with constants, a try, a switch's worth of numbers, and a container of two."""
    text = "Ljava/lang/String;"
    key = const_string(0, "api-key")
    send = call(0x71, "La/B;", "send", f"({text})V", 0)
    method = MethodCode("run", "()V", [*key, *send, 0x0E], handlers=(2,))
    main = ClassCode(
        "La/Main;", [method], [("KEY", text, "k"), ("N", "I", 7)], interfaces=("La/I;",)
    )
    other = ClassCode("La/B;", [MethodCode("send", f"({text})V", [0x0E])], superclass="La/Main;")
    yield assemble(main, other)
    yield assemble(main, version=b"039")
    yield container((main,), (other,))


def plists() -> Iterator[bytes]:
    """Yield property lists in both forms, and a profile."""
    nested = info(
        NSAppTransportSecurity={"NSAllowsArbitraryLoads": True},
        CFBundleURLTypes=[{"CFBundleURLSchemes": ["shop"]}],
        When=dt.datetime(2026, 1, 1),  # noqa: DTZ001 - property lists know no time zones.
        Data=b"\0\1",
        Number=2**40,
        Real=1.5,
    )
    yield plistlib.dumps(nested)
    yield plistlib.dumps(nested, fmt=plistlib.FMT_BINARY)
    yield b"0\x82signed" + plistlib.dumps({"Entitlements": {"get-task-allow": True}}) + b"more"


def natives() -> Iterator[bytes]:
    """Yield libraries of both systems."""
    yield Library().data()
    yield Library(lookup="hash", symtab=True, relro=False, stack=7, content=b"text").data()
    image = Image(entitlements={"get-task-allow": True}, locals=("_a",), debugging=("a.c",))
    new = Image(der=in_der({"get-task-allow": True, "groups": ["a", {"n": 1}]}))
    old = Image(cpu=ARM, pie=False, encryption=1, text=b"code")
    yield image.data()
    yield fat(image.data(), old.data())
    yield new.data()


def bundles() -> Iterator[bytes]:
    """Yield Hermes bytecode: short strings, one in UTF-16, and one that is so long that it stands in the overflow."""
    yield bytecode(["https://a.example", "k\u00e9y", "x" * 260])
    yield bytecode([])
    put = bytes([109, 1, 1, 0, 55, 0, 1, 0, 0, 0])
    yield bytecode(["password", "secret"], code=[put])
    new = bytes([1, 0, 0, 0, 0, 0, 144, 1, 1, 0, 82, 0, 1, 0])
    buffers = (bytes([0x51, 0, 0]), bytes([0x51, 1, 0]))
    yield bytecode(
        ["password", "secret"],
        version=99,
        code=[new],
        keys=buffers[0],
        values=buffers[1],
        shapes=[(0, 1)],
    )


def assemblies() -> Iterator[bytes]:
    """Yield assemblies of .NET: a loose one, and stores of one that is packed and of one in a library of Android."""
    code: list[Instruction] = [
        ("ldstr", "https://a.example"),
        ("callvirt", "System.Net.Http.HttpClientHandler", "set_Proxy"),
        ("raw", b"\x2a"),
    ]
    cls = Cls(
        "Shop.Net", [Made("Send", code)], {"Key": "value"}, ["cached"], ["System.IDisposable"]
    )
    one = assembly("Shop", [cls, Cls("Inner", inside="Shop.Net")], resources={"a.json": b"{}"})
    yield one
    yield store([packed(one)])
    yield library(store([one], version=2))


def unity() -> Iterator[bytes]:
    """Yield metadata of Unity, with lengths in its table and without."""
    yield metadata(["https://a.example", "", "k\u00e9y"], ["Shop", "Send"])
    yield metadata(["a", "bc"], version=31, lengths=False)


def texts() -> Iterator[bytes]:
    """Yield what is read as text: a script, lines of settings, a property list, UTF-16 and a binary."""
    yield b'var api="https://api.example.test";var key="0123456789abcdef";' + b"a;" * 40
    yield b"\xef\xbb\xbfapi.key=value\r\nurl=http://a.example\rlast"
    yield plistlib.dumps({"API_KEY": "abc", "list": [{"URL": "https://x.example"}], "n": 5})
    yield "\ufeffpassword=secret1".encode("utf-16-le") + b"\0\0binary\0run of text\0"
    yield b"XALZ" + "some text".encode("utf-16-le") + bytes(9) + b"name"


def tokens() -> Iterator[bytes]:
    """Yield texts of each language with comments in literals, literals in comments, and what looks like either."""
    yield b"// a\nvar b='http://c',d=/\\/[/*]\"/g.test(e)/2;/* f */`g${h?`i`:{}}\\`j`"
    yield b"<!DOCTYPE a [<!ENTITY b 'c'>]><!-- d --><script>//e\n</script><style>/*f*/</style><a href='g'>"
    yield b"# a\nb=c # d\n; e\nf: http://g#h\n"
    yield b"a{b:url(c)}/* d"


def secrets() -> Iterator[bytes]:
    """Yield lines in which secrets are looked for: by form, by name, by structure, and what only looks like one."""
    claims = ("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIn0", "c2lnbmF0dXJlLXNpZ25hdHVyZQ")
    yield b"AKIA" + b"IOSFODNN7QRSTUVW\nAIza" + b"SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"
    yield ("token = " + ".".join(claims)).encode()
    yield b'api_key = "d41c8d98f00b204e98a0"\npassword = "Tr0ub4dor!"\nclient_secret: aG9sZCBteSBiZWVyMTIz'
    yield b"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"
    yield b"https://user:pass1word@a.example/x?key=abc123def456ghi789"


def descriptions() -> Iterator[bytes]:
    """Yield descriptions of APIs."""
    user = {
        "type": "object",
        "properties": {"email": {"type": "string"}, "isAdmin": {"type": "boolean"}},
    }
    paths: dict[str, Any] = {
        "/v1/users/{id}": {
            "parameters": [parameter("id", type="integer")],
            "get": answer(user["properties"], deprecated=True),  # type: ignore[arg-type]
            "put": body({"$ref": "#/components/schemas/U"}, security=[]),
        },
        "/admin/reset": {"post": body({"type": "object"}, security=[{"key": []}])},
        "/fetch": {
            "get": {"parameters": [parameter("url", "query", format="uri")], "responses": {}}
        },
    }
    schemes = {"key": {"type": "apiKey", "in": "query", "name": "key"}}
    yield _json(described(paths, schemes=schemes, components={"schemas": {"U": user}}))
    yield _json(
        described(paths, servers=[{"url": "http://{h}/v1", "variables": {"h": {"default": "a"}}}])
    )
    yield _json(swagger(paths, schemes=["http"]))


def reports() -> Iterator[bytes]:
    """Yield a report of ours, its baseline, and reports of other scanners."""
    finding = Finding(
        rule="pinning",
        verdict=Verdict.ABSENT,
        severity=Severity.MEDIUM,
        confidence=Confidence.LIKELY,
        subject="pinning",
        title="No pins.",
        locations=(Location("classes.dex", "a.B", "c", 3),),
    )
    rule = RuleFacts("pinning", "Pins", ("MT-C01",), {"PR-C03": "scan:static.pinning"}, "Pin.", "-")
    coverage = Coverage((Seen(Part.DEX, 1, 2, "classes"),), (Gap(Part.DEX, "a.dex", "damaged"),))
    package = Package("a.apk", "apk", "android", "0f" * 32, 9, "a", "1")
    report = Report(package, (finding,), (rule,), coverage)
    yield _json(document([Scanned.bare(report)]))
    yield _json(to_baseline([report]))
    metadata = {"description": "Weak.", "severity": "WARNING"}
    files = [{"file_path": "A.java", "match_lines": [3, 3]}]
    results = {"weak_hash": {"files": files, "metadata": metadata}}
    yield _json({"results": results, "errors": [], "mobsfscan_version": "1"})
    found = {"ecb": {"files": {"A.java": "3,4"}, "metadata": metadata}}
    facts = {"package_name": "a", "sha256": "0f" * 32, "app_type": "apk", "version": "v4"}
    yield _json({**facts, "code_analysis": {"findings": found}, "secrets": ['"key" : "value"']})


def suppressions() -> Iterator[bytes]:
    """Yield suppressions."""
    entry = {
        "rule": "pinning",
        "subject": "pinning",
        "owner": "Ada",
        "reason": "The gate pins.",
        "expires": "2027-01-01",
    }
    yield _json([entry])
    lines = "".join(f"  {name}: {text}\n" for name, text in entry.items())
    yield f"-{lines[1:]}".encode()
    yield _json([entry, {**entry, "rule": "secret-in-ap"}])


def _json(value: Mapping[str, Any] | list[Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

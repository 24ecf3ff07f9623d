"""The manifest: what the system makes of what is stated, and of what isn't."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.unit.scan.android.builders import File, Given, Ref, Tag, Type, axml, table

from watchword.scan.android import attributes as of
from watchword.scan.android.binary import (
    MOST_ATTRIBUTE,
    AndroidFormatError,
    BinaryTable,
    Reader,
    Resources,
    read_axml,
)
from watchword.scan.android.manifest import MOST_LINKS, PREVIEW, read_manifest
from watchword.scan.app import Component, IntentFilter, Manifest, Part
from watchword.scan.notes import Notes

PACKAGE = "com.example.shop"
VIEW, SEND = "android.intent.action.VIEW", "android.intent.action.SEND"
BROWSABLE = "android.intent.category.BROWSABLE"

TABLE = table(
    [
        Type("bool", {"no": False, "yes": True}),
        Type("string", {"host": "shop.example"}),
        Type("xml", {"file": File("res/xml/file.xml")}),
    ]
)
NO, YES, HOST, FILE = Ref(0x7F010000), Ref(0x7F010001), Ref(0x7F020000), Ref(0x7F030000)
NOWHERE, SYSTEMS = Ref(0x7F090000), Ref(0x01110001)


def _read(
    *components: Tag,
    target: Given = 30,
    application: Mapping[int | str, Given] | None = None,
    root: Mapping[int | str, Given] | None = None,
    beside: Sequence[Tag] = (),
) -> tuple[Manifest, Notes]:
    sdk = Tag("uses-sdk", {} if target is None else {of.TARGET_SDK_VERSION: target})
    tag = Tag(
        "manifest",
        {"package": PACKAGE, **(root or {})},
        [sdk, *beside, Tag("application", application or {}, components)],
    )
    notes = Notes()
    resources = Resources([BinaryTable(TABLE)], notes)
    reader = Reader(Part.MANIFEST, "AndroidManifest.xml", resources, notes)
    return read_manifest(read_axml(axml(tag)), reader), notes


def _one(component: Tag, **more: Any) -> Component:
    found, notes = _read(component, **more)
    assert not notes.coverage().gaps
    (only,) = found.components
    return only


def _filter(*data: Tag, actions: Sequence[str] = (VIEW,), **more: Any) -> Tag:
    named = [Tag("action", {of.NAME: name}) for name in actions]
    return Tag("intent-filter", more.get("attributes", {}), [*named, *data])


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (None, None),
        (True, True),
        (False, False),
        (NO, False),
        (YES, True),
        (1, True),
        (0, False),
        ("true", True),
        ("1", True),
        ("yes", False),
    ],
)
def test_flags_are_taken_as_the_system_takes_them(stated: Given, expected: bool | None) -> None:
    """Shows flags that are stated, referred to, written as numbers or as text, and not stated."""
    keys: tuple[int | str, ...] = (
        of.DEBUGGABLE,
        of.ALLOW_BACKUP,
        of.USES_CLEARTEXT_TRAFFIC,
        of.TEST_ONLY,
    )
    application: dict[int | str, Given] = {} if stated is None else dict.fromkeys(keys, stated)
    found, notes = _read(application=application)
    flags = (found.debuggable, found.allow_backup, found.cleartext, found.test_only)
    assert flags == (expected,) * 4
    assert not notes.coverage().gaps


@pytest.mark.parametrize("reference", [NOWHERE, SYSTEMS])
def test_a_flag_that_cant_be_resolved_is_a_gap(reference: Ref) -> None:
    """Shows that a reference that leads nowhere here isn't taken for false."""
    found, notes = _read(application={of.DEBUGGABLE: reference})
    assert found.debuggable is None
    assert [gap.part for gap in notes.coverage().gaps] == [Part.MANIFEST]


def test_versions_and_permissions() -> None:
    """Shows versions, a long version code, and permissions each once."""
    beside = [
        Tag("uses-permission", {of.NAME: "a.INTERNET"}),
        Tag("uses-permission-sdk-23", {of.NAME: "a.CAMERA"}),
        Tag("uses-permission", {of.NAME: "a.INTERNET"}),
    ]
    root: dict[int | str, Given] = {
        of.VERSION_CODE: 7,
        of.VERSION_CODE_MAJOR: 1,
        of.VERSION_NAME: "1.2",
    }
    found, _ = _read(root=root, beside=beside)
    assert (found.package, found.version_name, found.version_code) == (
        PACKAGE,
        "1.2",
        str(2**32 + 7),
    )
    assert found.permissions == ("a.INTERNET", "a.CAMERA")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (None, None)),
        ({of.MIN_SDK_VERSION: 21}, (21, 21)),
        ({of.MIN_SDK_VERSION: 21, of.TARGET_SDK_VERSION: 33}, (21, 33)),
        ({of.TARGET_SDK_VERSION: "30"}, (None, 30)),
        ({of.TARGET_SDK_VERSION: "Baklava"}, (None, PREVIEW)),
    ],
)
def test_target_is_the_minimum_where_it_isnt_stated(
    attributes: Mapping[int | str, Given], expected: tuple[int | None, int | None]
) -> None:
    """Shows the versions of the system that an app is for; the last of several statements counts."""
    found, _ = _read(beside=[Tag("uses-sdk", attributes)])
    assert (found.min_sdk, found.target_sdk) == expected


@pytest.mark.parametrize(
    ("application", "config", "content", "extraction"),
    [
        ({}, None, None, None),
        ({of.NETWORK_SECURITY_CONFIG: FILE}, "res/xml/file.xml", None, None),
        ({of.FULL_BACKUP_CONTENT: FILE}, None, "res/xml/file.xml", None),
        (
            {of.DATA_EXTRACTION_RULES: FILE, of.FULL_BACKUP_CONTENT: False},
            None,
            None,
            "res/xml/file.xml",
        ),
        ({of.FULL_BACKUP_CONTENT: False}, None, None, None),
    ],
)
def test_files_that_the_application_refers_to(
    application: Mapping[int | str, Given],
    config: str | None,
    content: str | None,
    extraction: str | None,
) -> None:
    """Shows network security config and backup rules by the paths of their files; a flag is no rules."""
    found, _ = _read(application=application)
    assert found.network_config == config
    assert (found.full_backup_content, found.data_extraction_rules) == (content, extraction)


def test_a_network_config_that_leads_nowhere_stays_stated() -> None:
    """Shows that a config that can't be found isn't taken for none."""
    found, notes = _read(application={of.NETWORK_SECURITY_CONFIG: NOWHERE})
    assert found.network_config is not None
    assert notes.coverage().gaps


@pytest.mark.parametrize("kind", ["activity", "activity-alias", "service", "receiver"])
@pytest.mark.parametrize(
    ("stated", "target", "filtered", "exported"),
    [
        (None, 30, True, True),
        (None, 30, False, False),
        (None, 31, True, True),
        (False, 30, True, False),
        (True, 31, False, True),
        (YES, 33, False, True),
        (None, None, True, True),
    ],
)
def test_export_is_stated_or_implied(
    kind: str, stated: Given, target: int | None, filtered: bool, exported: bool
) -> None:
    """Shows that a filter exports on every phone that installs the app, and that a statement always counts."""
    attributes: dict[int | str, Given] = {of.NAME: ".Main"}
    if stated is not None:
        attributes[of.EXPORTED] = stated
    found = _one(Tag(kind, attributes, [_filter()] if filtered else []), target=target)
    assert (found.kind, found.name) == (kind, f"{PACKAGE}.Main")
    assert (found.exported, found.stated) == (exported, stated is not None)


def test_a_filter_exports_nothing_where_no_phone_installs_the_app() -> None:
    """Shows that from Android 12 on a filter alone isn't installed, and before it's exported whatever is targeted."""
    sdk = Tag("uses-sdk", {of.MIN_SDK_VERSION: 31, of.TARGET_SDK_VERSION: 31})
    service = Tag("service", {of.NAME: ".Main"}, [_filter()])
    found, _ = _read(service, beside=[sdk])
    (component,) = found.components
    assert (component.exported, component.stated) == (False, False)


@pytest.mark.parametrize(("kind", "exported"), [("activity", False), ("service", True)])
def test_a_filter_without_an_action_counts_for_services_only(kind: str, exported: bool) -> None:
    """Shows that the system drops such a filter of an activity."""
    found = _one(Tag(kind, {of.NAME: "a.B"}, [_filter(actions=())]))
    assert (found.exported, bool(found.filters)) == (exported, exported)


@pytest.mark.parametrize(("target", "exported"), [(16, True), (17, False), (None, True)])
def test_providers_are_open_below_target_17(target: int | None, exported: bool) -> None:
    """Shows a provider's default."""
    assert _one(Tag("provider", {of.NAME: "a.B"}), target=target).exported is exported


@pytest.mark.parametrize(
    ("attributes", "permission"),
    [
        ({}, None),
        ({of.PERMISSION: "p"}, "p"),
        ({of.READ_PERMISSION: "r"}, None),
        ({of.WRITE_PERMISSION: "w"}, None),
        ({of.READ_PERMISSION: "r", of.WRITE_PERMISSION: "w"}, "r"),
        ({of.PERMISSION: "p", of.READ_PERMISSION: ""}, None),
        ({of.PERMISSION: "p", of.WRITE_PERMISSION: ""}, None),
    ],
)
def test_a_provider_is_guarded_only_if_reading_and_writing_are(
    attributes: Mapping[int | str, Given], permission: str | None
) -> None:
    """Shows that a permission for one of them alone guards nothing."""
    found = _one(Tag("provider", {of.NAME: "a.B", **attributes}))
    assert found.permission == permission


def test_permissions_are_inherited() -> None:
    """Shows that an alias takes its target's permission, others the application's, and that an empty one takes it away."""
    found, _ = _read(
        Tag("activity", {of.NAME: ".A", of.PERMISSION: "a"}),
        Tag("activity-alias", {of.NAME: ".B", of.TARGET_ACTIVITY: ".A"}),
        Tag("activity-alias", {of.NAME: ".C", of.TARGET_ACTIVITY: ".A", of.PERMISSION: ""}),
        Tag("service", {of.NAME: "S"}),
        Tag("provider", {of.NAME: ".P"}),
        Tag("receiver", {of.NAME: "other.R", of.PERMISSION: ""}),
        application={of.PERMISSION: "all"},
    )
    assert [(each.name, each.permission) for each in found.components] == [
        (f"{PACKAGE}.A", "a"),
        (f"{PACKAGE}.B", "a"),
        (f"{PACKAGE}.C", None),
        (f"{PACKAGE}.S", "all"),
        (f"{PACKAGE}.P", "all"),
        ("other.R", None),
    ]


def test_links_are_all_combinations_of_a_filters_data() -> None:
    """Shows schemes, hosts with ports, and paths of several data elements together; kinds of files are no links."""
    each = _filter(
        Tag("category", {of.NAME: BROWSABLE}),
        Tag("data", {of.SCHEME: "https", of.HOST: HOST, of.PORT: 8443, of.PATH_PREFIX: "/a"}),
        Tag("data", {of.SCHEME: "shop"}),
        Tag("data", {0x01010026: "text/plain"}),
        attributes={of.AUTO_VERIFY: True},
    )
    found = _one(Tag("activity", {of.NAME: ".A"}, [each, _filter(actions=[SEND])]))
    links = ("https://shop.example:8443/a*", "shop://shop.example:8443/a*")
    assert found.filters == (
        IntentFilter((VIEW,), (BROWSABLE,), links, verified=True),
        IntentFilter((SEND,), (), ()),
    )


@pytest.mark.parametrize(
    ("data", "link"),
    [
        ({of.SCHEME: "shop"}, "shop://"),
        ({of.SCHEME: "shop", of.PATH: "/x"}, "shop://"),
        ({of.SCHEME: "shop", of.HOST: "*", of.PATH: "x"}, "shop://*/x"),
        ({of.SCHEME: "shop", of.HOST: "h", of.PATH_SUFFIX: "/x"}, "shop://h*/x"),
        ({of.SCHEME: "shop", of.HOST: "h", of.PATH_PATTERN: ".*/x"}, "shop://h.*/x"),
    ],
)
def test_forms_of_paths(data: Mapping[int | str, Given], link: str) -> None:
    """Shows how a link is written; without a host the system doesn't look at the path."""
    found = _one(Tag("activity", {of.NAME: ".A"}, [_filter(Tag("data", data))]))
    assert found.filters[0].data == (link,)


def test_links_are_bounded() -> None:
    """Shows that a filter for a million links lists the first ones, and tells it."""
    data = [
        Tag("data", {of.SCHEME: f"s{n}", of.HOST: f"h{n}", of.PATH: f"/{n}"}) for n in range(100)
    ]
    found, notes = _read(Tag("activity", {of.NAME: ".A"}, [_filter(*data)]))
    assert len(found.components[0].filters[0].data) == MOST_LINKS
    assert notes.coverage().gaps


def test_a_long_attribute_is_cut_and_told() -> None:
    """Shows that a name of ten thousand characters isn't carried on."""
    found, notes = _read(Tag("activity", {of.NAME: "a." + "b" * 10_000}))
    assert len(found.components[0].name) == MOST_ATTRIBUTE
    assert notes.coverage().gaps


def test_what_has_no_name_is_a_gap() -> None:
    """Shows that a component without a name, which the system refuses, is told and left out."""
    found, notes = _read(Tag("activity"), Tag("service", {of.NAME: ".S"}))
    assert [each.kind for each in found.components] == ["service"]
    assert notes.coverage().gaps


def test_another_document_is_refused() -> None:
    """Shows that binary XML that isn't a manifest isn't taken for an empty one."""
    notes = Notes()
    reader = Reader(Part.MANIFEST, "", Resources([], notes), notes)
    with pytest.raises(AndroidFormatError):
        read_manifest(read_axml(axml(Tag("resources"))), reader)

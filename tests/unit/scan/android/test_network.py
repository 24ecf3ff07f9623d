"""The network security config: what counts for a host after all inheritance."""

import pytest
from tests.unit.scan.android.builders import Given, Ref, Tag, axml, bundle_xml

from watchword.scan.android.binary import (
    AndroidFormatError,
    Reader,
    Resources,
    read_axml,
    read_bundle_xml,
)
from watchword.scan.android.manifest import read_network_config
from watchword.scan.app import DomainConfig, NetworkConfig, Part, PinSet
from watchword.scan.notes import Notes

PIN = "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E="
BACKUP = "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
FILE = "res/xml/nsc.xml"


def _config(*children: Tag, target: int = 30, bundle: bool = False) -> tuple[NetworkConfig, Notes]:
    tag = Tag("network-security-config", children=children)
    root = read_bundle_xml(bundle_xml(tag)) if bundle else read_axml(axml(tag))
    notes = Notes()
    reader = Reader(Part.NETWORK_CONFIG, FILE, Resources([], notes), notes)
    return read_network_config(FILE, root, target, reader), notes


def _anchors(*sources: str | Ref) -> Tag:
    return Tag("trust-anchors", children=[Tag("certificates", {"src": each}) for each in sources])


def _domain(name: str, *, below: bool = False) -> Tag:
    return Tag("domain", {"includeSubdomains": below}, text=name)


def _pins(*pins: str, expiration: str | None = None, digest: str = "SHA-256") -> Tag:
    named: dict[int | str, Given] = {} if expiration is None else {"expiration": expiration}
    return Tag("pin-set", named, [Tag("pin", {"digest": digest}, text=pin) for pin in pins])


def _of(
    *domains: tuple[str, bool],
    cleartext: bool | None = None,
    user: bool = False,
    pins: PinSet | None = None,
    custom: bool = False,
) -> DomainConfig:
    return DomainConfig(domains, cleartext, user, pins, custom)


@pytest.mark.parametrize("bundle", [False, True])
def test_a_whole_config_is_read(*, bundle: bool) -> None:
    """Shows base, a domain with pins, and debug overrides, in both forms of XML."""
    found, notes = _config(
        Tag("base-config", {"cleartextTrafficPermitted": False}, [_anchors("system")]),
        Tag(
            "domain-config",
            children=[
                _domain(" API.example.test\n", below=True),
                _domain("b.test"),
                _pins(f" {PIN}\n", BACKUP, expiration="2030-01-01"),
            ],
        ),
        Tag("debug-overrides", children=[_anchors("user")]),
        bundle=bundle,
    )
    pins = PinSet((PIN, BACKUP), "2030-01-01")
    assert found == NetworkConfig(
        FILE,
        _of(cleartext=False),
        (_of(("api.example.test", True), ("b.test", False), pins=pins),),
        debug_user_anchors=True,
    )
    assert not notes.coverage().gaps


def test_nested_configs_inherit() -> None:
    """Shows that a config within another takes what it doesn't say itself, over two levels, and only that."""
    found, _ = _config(
        Tag(
            "domain-config",
            {"cleartextTrafficPermitted": True},
            [
                _domain("a.test"),
                _anchors("user", "system"),
                _pins(PIN),
                Tag(
                    "domain-config",
                    {"cleartextTrafficPermitted": False},
                    [
                        _domain("b.test"),
                        Tag("domain-config", children=[_domain("c.test"), _pins(BACKUP)]),
                    ],
                ),
                Tag("domain-config", children=[_domain("d.test"), _anchors("system")]),
            ],
        ),
        Tag("domain-config", children=[_domain("e.test")]),
    )
    pins, backup = PinSet((PIN,), None), PinSet((BACKUP,), None)
    assert found.base is None
    assert found.domains == (
        _of(("a.test", False), cleartext=True, user=True, pins=pins),
        _of(("b.test", False), cleartext=False, user=True, pins=pins),
        _of(("c.test", False), cleartext=False, user=True, pins=backup),
        _of(("d.test", False), cleartext=True, user=False, pins=pins),
        _of(("e.test", False)),
    )


@pytest.mark.parametrize(
    ("target", "base", "user"),
    [
        (23, None, True),
        (24, None, False),
        (23, Tag("base-config"), True),
        (23, Tag("base-config", children=[_anchors("system")]), False),
        (24, Tag("base-config", children=[_anchors("user")]), True),
        (24, Tag("base-config"), False),
    ],
)
def test_anchors_come_from_the_base_or_the_systems_default(
    target: int, base: Tag | None, user: bool
) -> None:
    """Shows that below targetSdk 24 the user's authorities are trusted unless something says otherwise."""
    domain = Tag("domain-config", children=[_domain("a.test")])
    found, _ = _config(*([] if base is None else [base]), domain, target=target)
    assert found.domains[0].user_anchors is user
    assert base is None or (found.base is not None and found.base.user_anchors is user)


def test_authorities_in_the_package_are_told() -> None:
    """Shows that a certificate of the app's own as an anchor is neither the system's nor the user's."""
    found, _ = _config(Tag("base-config", children=[_anchors(Ref(0x7F010000))]))
    assert found.base == _of(custom=True)


def test_a_pin_of_another_digest_is_no_pin() -> None:
    """Shows that a pin that the system refuses isn't counted, and is told."""
    found, notes = _config(
        Tag("domain-config", children=[_domain("a.test"), _pins(PIN, digest="SHA-1")])
    )
    assert found.domains[0].pin_set == PinSet((), None)
    assert [gap.part for gap in notes.coverage().gaps] == [Part.NETWORK_CONFIG]


def test_another_document_is_refused() -> None:
    """Shows that other XML isn't taken for a config that says nothing."""
    notes = Notes()
    reader = Reader(Part.NETWORK_CONFIG, FILE, Resources([], notes), notes)
    with pytest.raises(AndroidFormatError):
        read_network_config(FILE, read_axml(axml(Tag("manifest"))), 30, reader)

"""KeyDescription of any version is read, the unknown is kept, the malformed is refused."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.attestation.key_description import (
    LENIENT_BOOLEAN,
    LENIENT_ORDER,
    SecurityLevel,
    VerifiedBootState,
    describe,
    read_key_description,
    withhold_identifiers,
)
from watchword.encoding import der
from watchword.reasons import MalformedError, Reason

PACKAGE_OF_THREE = forge.tlv(0x30, forge.tlv(0x04, b"a"), forge.integer(1), forge.integer(2))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 100, 200, 300, 400, 500])
def test_every_version_is_read(version: int) -> None:
    """Versions differ in what they may hold, not in how they are read."""
    hardware = forge.hardware_tags(tag_704=forge.root_of_trust(with_hash=version >= 3))
    found = read_key_description(forge.key_description(version=version, hardware=hardware))
    assert found.attestation_version == found.keymaster_version == version
    assert found.hardware.root_of_trust is not None
    assert (found.hardware.root_of_trust.verified_boot_hash is not None) is (version >= 3)
    assert found.hardware.root_of_trust.state is VerifiedBootState.VERIFIED
    assert found.attestation_security is SecurityLevel.TRUSTED_ENVIRONMENT
    assert found.leniencies == ()


def test_description_uses_the_vendors_names() -> None:
    """Known tags have names, unknown ones stay as DER under their number."""
    described = describe(read_key_description(forge.key_description()))
    hardware = described["hardwareEnforced"]
    assert hardware["purpose"] == [2, 3]
    assert hardware["osPatchLevel"] == 202610
    assert hardware["rootOfTrust"]["verifiedBootState"] == "VERIFIED"
    assert hardware["otherTags"] == {"503": "0500", "4711": "040f" + b"from the future".hex()}
    software = described["softwareEnforced"]["attestationApplicationId"]
    assert software["packages"] == [{"name": forge.PACKAGE, "version": 42}]


def test_unsorted_list_and_odd_boolean_are_let_pass_by_name() -> None:
    """What phones in use get wrong is read, and told."""
    hardware = dict(reversed(forge.hardware_tags().items()))
    assert read_key_description(forge.key_description(hardware=hardware)).leniencies == (
        LENIENT_ORDER,
    )
    hardware = forge.hardware_tags(tag_704=forge.root_of_trust(locked=b"\x01"))
    found = read_key_description(forge.key_description(hardware=hardware))
    assert found.leniencies == (LENIENT_BOOLEAN,)
    assert found.hardware.root_of_trust is not None
    assert found.hardware.root_of_trust.device_locked


def test_odd_content_of_a_tag_that_nothing_hangs_on() -> None:
    """A known tag of another type is kept as DER, and refuses nobody."""
    hardware = forge.hardware_tags(tag_705=forge.tlv(0x04, b"16"))
    described = describe(read_key_description(forge.key_description(hardware=hardware)))
    assert "osVersion" not in described["hardwareEnforced"]
    assert described["hardwareEnforced"]["otherTags"]["705"] == "04023136"


def test_identifiers_are_withheld_and_the_rest_stays() -> None:
    """What tells one device from another of its model is taken out."""
    tags = {number: forge.tlv(0x04, b"secret") for number in (713, 714, 715, 723)}
    hardware = {**forge.hardware_tags(), 710: forge.tlv(0x04, b"google"), **tags}
    described = describe(
        read_key_description(forge.key_description(hardware=hardware, unique_id=b"secret"))
    )
    public = withhold_identifiers(described)
    assert "secret" not in repr(public)
    assert b"secret".hex() not in repr(public)
    assert public["hardwareEnforced"]["attestationId"]["brand"] == "google"
    assert described["hardwareEnforced"]["attestationId"]["imei"] == "secret"


@pytest.mark.parametrize("tag", [713, 714, 715, 723])
def test_lists_that_name_the_device_are_not_kept(tag: int) -> None:
    """A list is read once for all phones that write it alike, and never outlives its chain if it is one's own."""

    def read(extra: Mapping[int, bytes]) -> bool:
        hardware = {**forge.hardware_tags(), 999: forge.integer(tag), **extra}
        content = forge.key_description(hardware=hardware)
        first, second = (read_key_description(content).hardware for _ in range(2))
        assert first == second
        return first is second

    assert read({})
    assert not read({tag: forge.tlv(0x04, b"secret")})


def test_identifiers_of_another_type_are_withheld_too() -> None:
    """An IMEI that a device wrote in another type is still an IMEI."""
    hardware = {**forge.hardware_tags(), 714: forge.tlv(0x0C, b"secret")}
    described = describe(read_key_description(forge.key_description(hardware=hardware)))
    public = withhold_identifiers(described)["hardwareEnforced"]["otherTags"]
    assert public["714"] == "withheld"
    assert public["4711"] == described["hardwareEnforced"]["otherTags"]["4711"]


def test_a_package_twice() -> None:
    """Of two versions of one package a reader may take either, so that neither is taken."""
    row = forge.tlv(0x30, forge.tlv(0x04, forge.PACKAGE.encode()), forge.integer(42))
    for rows in ((row,), (row, row)):
        app = forge.tlv(0x04, forge.tlv(0x30, forge.tlv(0x31, *rows), forge.tlv(0x31)))
        content = forge.key_description(software={709: app})
        if len(rows) == 1:
            assert read_key_description(content).software.application_id is not None
        else:
            with pytest.raises(MalformedError):
                read_key_description(content)


@pytest.mark.parametrize(
    "hardware",
    [
        {704: forge.root_of_trust(state=4)},
        {704: forge.tlv(0x30)},
        {704: forge.root_of_trust()[:1] + b"\x4c" + forge.root_of_trust()[2:] + b"\x05\x00"},
        {704: forge.tlv(0x04, b"x")},
        {704: forge.root_of_trust(locked=b"\xff\xff")},
        {702: forge.tlv(0x05)},
        {709: forge.application_id() + b"\x00"},
    ],
)
def test_what_policy_hangs_on_must_be_readable(hardware: Mapping[int, bytes]) -> None:
    """Boot state, origin and lists that aren't what they should be are malformed."""
    with pytest.raises(MalformedError) as caught:
        read_key_description(forge.key_description(hardware=hardware))
    assert caught.value.reason is Reason.ENCODING_DER


@pytest.mark.parametrize(
    "application",
    [
        forge.tlv(0x30),
        forge.tlv(0x04, forge.tlv(0x30)),
        forge.tlv(0x04, forge.tlv(0x30, *[forge.tlv(0x31)] * 3)),
        forge.tlv(0x04, forge.tlv(0x30, forge.tlv(0x31, PACKAGE_OF_THREE), forge.tlv(0x31))),
        forge.tlv(0x04, forge.tlv(0x30, forge.tlv(0x31, forge.tlv(0x30)), forge.tlv(0x31))),
        forge.tlv(
            0x04,
            forge.tlv(
                0x30,
                forge.tlv(0x31, forge.tlv(0x30, forge.tlv(0x04, b"\xc3\x28"), forge.integer(1))),
                forge.tlv(0x31),
            ),
        ),
    ],
)
def test_malformed_application_id(application: bytes) -> None:
    """The app's identity is read strictly."""
    with pytest.raises(MalformedError):
        read_key_description(forge.key_description(software={709: application}))


def test_malformed_outer_structure() -> None:
    """Levels out of range, members missing, a tag twice, and other classes are refused."""
    good = forge.key_description()
    *head, _hardware = [member.raw for member in der.sequence(der.read(good))]
    twice = forge.tlv(0x30, *[forge.tagged(702, forge.integer(0))] * 2)
    other_class = forge.tlv(0x30, forge.tlv(b"\xff\x85\x3e", forge.integer(0)))
    once = forge.authorization_list({702: forge.integer(0)})
    assert read_key_description(forge.tlv(0x30, *head, once)).hardware.origin == 0
    for bad in (
        forge.key_description(levels=(3, 1)),
        forge.key_description(levels=(1, -1)),
        good[:-1],
        good + b"\x00",
        forge.tlv(0x30, *head),
        forge.tlv(0x30, *head, once, once),
        forge.tlv(0x30, *head, twice),
        forge.tlv(0x30, *head, other_class),
    ):
        with pytest.raises(MalformedError):
            read_key_description(bad)


@given(st.data())
def test_mutations_raise_nothing_but_malformed(data: st.DataObject) -> None:
    """Bytes changed, cut out or put in anywhere end in a description or in our own error."""
    content = bytearray(forge.key_description())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        described = describe(read_key_description(bytes(content)))
    except MalformedError:
        return
    assert withhold_identifiers(described).keys() == described.keys()


def test_a_key_that_needs_a_confirmation_says_so_by_name() -> None:
    """Tag 508 has no value; one that has is shown under its number."""
    hardware = {**forge.hardware_tags(), 508: forge.tlv(0x05)}
    described = describe(read_key_description(forge.key_description(hardware=hardware)))
    assert described["hardwareEnforced"]["trustedConfirmationRequired"] is True
    odd = {**forge.hardware_tags(), 508: forge.integer(1)}
    described = describe(read_key_description(forge.key_description(hardware=odd)))
    assert "trustedConfirmationRequired" not in described["hardwareEnforced"]
    assert described["hardwareEnforced"]["otherTags"]["508"] == forge.integer(1).hex()

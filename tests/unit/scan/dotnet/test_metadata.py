"""The metadata and the code of assemblies of .NET."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.dotnet.builders import (
    ANSWERS_YES,
    ANSWERS_YES_IN_DEBUG,
    RETURNS,
    Cls,
    Instruction,
    Made,
    assembly,
)

from watchword.scan.app import Op, Step
from watchword.scan.dotnet import DotnetError, Metadata, Steps, answer_of, does_nothing

HANDLER = "System.Net.Http.HttpClientHandler"
SHOP = assembly(
    "Shop",
    [
        Cls("<Module>"),
        Cls(
            "Shop.Net",
            [
                Made(
                    "Send",
                    [
                        ("ldstr", "https://api.example.test/Grüße"),
                        ("number", 2),
                        ("raw", b"\x45\x02\0\0\0\0\0\0\0\x01\0\0\0\x21" + b"\x72" * 8 + b"\x26"),
                        ("callvirt", HANDLER, "set_Proxy"),
                        ("ldftn", "Shop.Net", "Yes"),
                        ("stsfld", "Shop.Net", "cached"),
                        ("raw", b"\x2a"),
                    ],
                ),
                Made("Yes", ANSWERS_YES),
                Made("Ring", None),
            ],
            {"ApiKey": "käse"},
            ["cached"],
            ["Javax.Net.Ssl.IHostnameVerifier"],
        ),
        Cls("Shop.Inner", inside="Shop.Net"),
    ],
    resources={"Shop.settings.json": b'{"a": 1}'},
)


def test_what_an_assembly_defines() -> None:
    """Classes, one inside of another, methods with and without code, constants, interfaces, and files that are built in."""
    found = Metadata(SHOP)
    assert found.assembly == "Shop"
    assert list(found.types) == ["<Module>", "Shop.Net", "Shop.Net+Shop.Inner"]
    assert [(each.cls, each.name, each.has_code) for each in found.methods] == [
        ("Shop.Net", "Send", True),
        ("Shop.Net", "Yes", True),
        ("Shop.Net", "Ring", False),
    ]
    assert list(found.constants()) == [("Shop.Net", "ApiKey", "käse")]
    assert list(found.interfaces()) == [("Shop.Net", "Javax.Net.Ssl.IHostnameVerifier")]
    assert list(found.resources()) == [("Shop.settings.json", b'{"a": 1}')]
    assert list(found.user_strings()) == ["https://api.example.test/Grüße"]


def test_steps_of_a_method() -> None:
    """A table of jumps and a number of eight bytes are skipped as a whole, though a string's instruction stands in them."""
    found = Metadata(SHOP)
    steps = Steps(found)
    assert list(steps.of(steps.body(found.methods[0]))) == [
        Step(Op.STRING, "https://api.example.test/Grüße"),
        Step(Op.NUMBER, "", 2),
        Step(Op.CALL, f"{HANDLER}.set_Proxy"),
        Step(Op.METHOD, "Shop.Net.Yes"),
        Step(Op.STORE, "Shop.Net.cached"),
    ]


@pytest.mark.parametrize(
    ("code", "answer", "idle"),
    [
        (ANSWERS_YES, 1, False),
        (ANSWERS_YES_IN_DEBUG, 1, False),
        ([("raw", b"\x16\x2a")], 0, False),
        (RETURNS, None, True),
        ([("raw", b"\x03\x2a")], None, False),
        ([("raw", b"\x17\x26\x02\x2a")], None, False),
    ],
    ids=["yes", "yes-in-debug", "no", "returns", "argument", "more"],
)
def test_a_method_that_always_answers_the_same(
    code: list[Instruction], answer: int | None, idle: bool
) -> None:
    """True in both forms in which compilers write it; an argument that is handed back is no such answer."""
    found = Metadata(assembly("A", [Cls("A.B", [Made("C", code)])]))
    body = Steps(found).body(found.methods[0])
    assert (answer_of(body), does_nothing(body)) == (answer, idle)


def test_every_instruction_is_known() -> None:
    """Each that a program may hold is skipped or told with its operand; what isn't one is refused."""
    widths = {1: (*range(0x0E, 0x14), *range(0x2B, 0x38), 0x1F, 0xDE), 8: (0x21, 0x23)}
    wide = (0x20, 0x22, 0x27, 0x28, 0x29, *range(0x38, 0x45), 0x6F, 0x70, 0x71, *range(0x73, 0x76))
    wide = (*wide, 0x79, *range(0x7B, 0x82), 0x8C, 0x8D, 0x8F, 0xA3, 0xA4, 0xA5, 0xC2, 0xC6)
    widths[4] = (*wide, 0xD0, 0xDD)
    operands = {code: width for width, codes in widths.items() for code in codes}
    unknown = {0x24, 0x77, 0x78, *range(0xA6, 0xB3), *range(0xBB, 0xC2), 0xC4, 0xC5}
    unknown |= {*range(0xC7, 0xD0), *range(0xE1, 0xFE), 0xFF}
    found = Metadata(SHOP)
    for code in sorted({*range(0x100)} - {0x45, 0x72, 0xFE}):
        body = bytes([code]) + b"\1" * operands.get(code, 0) + b"\x16"
        if code in unknown:
            with pytest.raises(DotnetError, match="isn't known"):
                list(Steps(found).of(body))
        else:
            assert list(Steps(found).of(body))[-1] == Step(Op.NUMBER, "", 0), hex(code)


def test_a_method_that_ends_within_an_instruction() -> None:
    """Half an instruction is refused, not guessed."""
    found = Metadata(SHOP)
    for body in (b"\x28\1\0", b"\x45\xff\xff\xff\xff", b"\x1f", b"\xfe"):
        with pytest.raises(DotnetError):
            list(Steps(found).of(body))


def test_names_that_overlap_are_bounded() -> None:
    """Each name may begin a byte further in one and the same text: all together are read up to a bound."""
    data = assembly("Shop", [Cls("Shop." + "L" * 100)])
    with pytest.raises(DotnetError, match="more names"):
        list(Metadata(data, most=40).types)


def test_strings_that_overlap_are_bounded() -> None:
    """Code may load strings from anywhere in their heap, each a byte further in the one before."""
    text = "".join(map(chr, range(0x20, 0x7F))) * 4
    code: list[Instruction] = [("ldstr", text)]
    code += [("raw", b"\x72" + struct.pack("<I", 0x70000000 | at)) for at in range(1, 400)]
    found = Metadata(assembly("Shop", [Cls("Shop.Net", [Made("Send", code)])]), most=3_000)
    steps = Steps(found)
    body = steps.body(found.methods[0])
    with pytest.raises(DotnetError, match="more names or strings"):
        list(steps.of(body))


def test_code_that_overlaps_is_bounded() -> None:
    """Methods whose code lies in one and the same place can't make a small file take for ever."""
    found = Metadata(assembly("A", [Cls("A.B", [Made("C", [("raw", b"\0" * 40_000 + b"\x2a")])])]))
    steps = Steps(found)
    for _ in range(4):
        steps.body(found.methods[0])
    with pytest.raises(DotnetError):
        steps.body(found.methods[0])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"MZ", b"ZM", "no assembly"),
        (b"BSJB", b"BSJA", "isn't where it says"),
        (b"#~\0\0", b"#-\0\0", "isn't read here"),
        (b"PE\0\0", b"NE\0\0", "no assembly"),
    ],
)
def test_what_is_no_assembly(old: bytes, new: bytes, why: str) -> None:
    """It's refused with what is wrong."""
    with pytest.raises(DotnetError, match=why):
        Metadata(SHOP.replace(old, new, 1))


def test_tables_beyond_the_end() -> None:
    """A count of rows that doesn't fit is refused before any row is read."""
    at = SHOP.index(struct.pack("<IBBBB", 0, 2, 0, 0, 1)) + 24
    with pytest.raises(DotnetError, match="beyond its end"):
        Metadata(SHOP[:at] + struct.pack("<I", 60_000) + SHOP[at + 4 :])
    with pytest.raises(DotnetError, match="more than"):
        Metadata(SHOP[:at] + struct.pack("<I", 2**32 - 1) + SHOP[at + 4 :])


@given(st.data())
def test_changed_bytes_raise_nothing_foreign(data: st.DataObject) -> None:
    """Whatever bytes are changed or cut: an assembly is read, or refused by an error of ours."""
    changed = bytearray(SHOP)
    first = SHOP.index(b"BSJB") - 100 if data.draw(st.booleans()) else 0
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(first, len(changed) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.integers(len(changed) // 2, len(changed)))
    refused = refusal_of(bytes(changed[:kept]))
    assert refused is None or str(refused)


def refusal_of(data: bytes) -> DotnetError | None:
    """Ask all that the reader of assemblies asks; return the error that it ends with, None for none.  Any other is raised."""
    try:
        found = Metadata(data)
        _ = found.assembly, found.types, list(found.constants()), list(found.interfaces())
        list(found.user_strings())
        list(found.initial_values())
        list(found.resources())
        steps = Steps(found)
        for each in found.methods:
            if each.has_code:
                list(steps.of(steps.body(each)))
    except DotnetError as error:
        return error
    return None


def test_an_assembly_without_classes() -> None:
    """It defines nothing, and that is no damage."""
    found = Metadata(assembly("Empty"))
    assert (list(found.types), list(found.methods), list(found.fields)) == ([], [], [])

"""Test the reader of DEX files on tiny ones made here."""

import struct
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scan.dex.assembler import (
    ClassCode,
    MethodCode,
    assemble,
    call,
    const_string,
    container,
    seal,
    string_of,
)

from watchword.scan.app import Code, Method, Part
from watchword.scan.dex import decode, read_code, signed
from watchword.scan.notes import Notes

MAIN = "Lcom/example/Main;"
INNER = "Lcom/example/Main$Inner;"
LISTENER = "Lcom/example/Listener;"
STRING = "Ljava/lang/String;"
RUN = Method("com.example.Main", "run", "()V")
RETURN = 0x0E


def read(*dexes: bytes) -> tuple[Code, Notes]:
    """Read DEX files as ``classes.dex``, ``classes2.dex``."""
    notes = Notes()
    names = [f"classes{n or ''}.dex" for n in range(len(dexes))]
    return read_code(list(zip(names, dexes, strict=True)), notes), notes


def gaps(notes: Notes) -> int:
    """Count what wasn't seen."""
    return len(notes.coverage().gaps_of(Part.DEX))


def running(*code: object, handlers: tuple[int, ...] = ()) -> bytes:
    """Return a DEX file whose only method has this code."""
    method = MethodCode("run", "()V", list(code), handlers)
    return assemble(ClassCode(MAIN, [method]))


def sample() -> bytes:
    """Return a DEX file with two classes, calls, strings and static fields."""
    body = [
        *const_string(0, "secret"),
        *call(0x71, INNER, "hide", f"({STRING})V", 0),
        *const_string(1, "other"),
        *call(0x71, INNER, "hide", f"({STRING})V", 1),
        RETURN,
    ]
    hide = MethodCode("hide", f"({STRING})V", [*const_string(0, "secret"), RETURN])
    return assemble(
        ClassCode(
            MAIN,
            [MethodCode("run", "()V", body)],
            [("API_KEY", STRING, "k-123"), ("NUMBER", "I", 7), ("NONE", STRING, None)],
            interfaces=(LISTENER,),
        ),
        ClassCode(INNER, [hide, MethodCode("empty", "()V", [RETURN])], superclass=MAIN),
    )


def test_answers_every_question() -> None:
    """Classes, members, callers and users of strings are told as they were written."""
    code, notes = read(sample())
    hide = Method("com.example.Main$Inner", "hide", f"({STRING})V")
    assert code.classes == ("com.example.Main", "com.example.Main$Inner")
    assert {"secret", "other", "k-123"} <= set(code.strings)
    assert list(code.strings) == sorted(set(code.strings))
    assert [(f.cls, f.name, f.value) for f in code.static_fields] == [
        ("com.example.Main", "API_KEY", "k-123")
    ]
    assert code.superclass("com.example.Main$Inner") == "com.example.Main"
    assert code.superclass("com.example.Listener") is None
    assert code.interfaces("com.example.Main") == ("com.example.Listener",)
    assert code.implementers("com.example.Listener") == ("com.example.Main",)
    assert code.implementers("com.example.Main") == ("com.example.Main$Inner",)
    assert code.methods("com.example.Main") == (RUN,)
    assert code.refers_to("com.example.Listener")
    assert not code.refers_to("com.example.Nothing")
    assert [use.by for use in code.calls("com.example.Main$Inner", "hide")] == [RUN]
    assert code.calls("com.example.Main$Inner") == code.calls("com.example.Main$Inner", "hide")
    assert not code.calls("com.example.Main$Inner", "hid")
    assert code.calls_of(RUN) == (hide, hide)
    assert code.strings_of(RUN) == ("secret", "other")
    assert set(code.users("secret")) == {RUN, hide}
    assert not code.users("k-123")
    assert code.body(Method("com.example.Main$Inner", "empty", "()V")) == ("return-void",)
    assert code.arguments(RUN) == ((hide, ("secret",)), (hide, ("other",)))
    (seen,) = notes.coverage().seen
    assert (seen.read, seen.defined, gaps(notes)) == (2, 2, 0)


def test_asks_of_nothing() -> None:
    """What isn't defined has no members, no code and no callers."""
    code, _ = read(sample())
    nobody = Method("com.example.Nobody", "x", "()V")
    assert not any(
        (code.methods("x"), code.calls_of(nobody), code.body(nobody), code.arguments(nobody))
    )


def test_data_between_instructions_is_skipped() -> None:
    """Payloads that look like instructions are no instructions; those after them are."""
    payload: list[object] = [0x0300, 1, 8, 0, *[0x1A1A] * 4]
    switch: list[object] = [0x0100, 1, 0, 0, 4, 0]
    sparse: list[object] = [0x0200, 1, 5, 0, 4, 0]
    first = [*const_string(0, "before"), 0x0028 | 23 << 8]
    data = running(*first, *payload, 0, *switch, *sparse, 0, *const_string(0, "after"), RETURN)
    code, notes = read(data)
    assert code.strings_of(RUN) == ("before", "after")
    assert code.users("after") == (RUN,)
    assert code.body(RUN)[-2:] == ("const-string", "return-void")
    assert not gaps(notes)


def test_odd_data_ends_at_a_whole_unit() -> None:
    """Three bytes of an array take two units: the instruction behind them is found."""
    jump = 0x0028 | 7 << 8
    data = running(jump, 0x0300, 1, 3, 0, 0x1A1A, 0x001A, *const_string(0, "after"), RETURN)
    code, notes = read(data)
    assert code.users("after") == (RUN,)
    assert code.body(RUN) == ("goto", "const-string", "return-void")
    assert not gaps(notes)


def test_several_files_are_one() -> None:
    """Callers and strings are found over all files; a class that comes twice is the first one, and that's told."""
    other = [*call(0x71, INNER, "hide", f"({STRING})V", 0), RETURN]
    second = assemble(
        ClassCode("Lcom/example/Second;", [MethodCode("go", "()V", other)]),
        ClassCode(MAIN, [MethodCode("evil", "()V", [RETURN])]),
    )
    code, notes = read(sample(), second)
    assert [use.by.cls for use in code.calls("com.example.Main$Inner", "hide")] == [
        "com.example.Main",
        "com.example.Second",
    ]
    assert code.methods("com.example.Main") == (RUN,)
    (gap,) = notes.coverage().gaps
    assert gap.where == "classes1.dex"


def test_container_holds_several() -> None:
    """All DEX files of a container are read, offsets counted from its begin."""
    other = [*const_string(0, "in the second"), RETURN]
    data = container(
        (ClassCode(MAIN, [MethodCode("run", "()V", [*const_string(0, "first"), RETURN])]),),
        (ClassCode(INNER, [MethodCode("go", "()V", other)]),),
    )
    code, notes = read(data)
    assert code.classes == ("com.example.Main", "com.example.Main$Inner")
    assert code.users("in the second") == (Method("com.example.Main$Inner", "go", "()V"),)
    assert not gaps(notes)


@pytest.mark.parametrize("version", [b"035", b"036", b"037", b"038", b"039", b"040", b"041"])
def test_all_formats(version: bytes) -> None:
    """Every format from 035 to 041 is read."""
    code, notes = read(assemble(ClassCode(MAIN), version=version))
    assert code.classes == ("com.example.Main",)
    assert not gaps(notes)


@pytest.mark.parametrize(
    ("text", "read_as"),
    [("käse", "käse"), ("a\0b", "a\0b"), ("\U0001f511", "\U0001f511"), ("x\ud800", "x\ufffd")],
)
def test_strings_of_all_kinds(text: str, read_as: str) -> None:
    """NUL and pairs of surrogates are read; half a pair can't be written anywhere and is replaced."""
    assert read_as in read(assemble(ClassCode(MAIN), strings=(text,)))[0].strings


@given(st.binary(max_size=40))
def test_any_bytes_are_some_text(raw: bytes) -> None:
    """Whatever the bytes, the text can be written as UTF-8."""
    text = decode(raw)
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("raw", "value"), [(b"\x00", 0), (b"\x7f", -1), (b"\x80\x7f", -128), (b"\x3f", 63)]
)
def test_signed_numbers(raw: bytes, value: int) -> None:
    """Signed numbers of variable length are as the format's own examples."""
    assert signed(raw, 0) == (value, len(raw))


def test_jumbo_strings() -> None:
    """A string that is loaded by 32 bits is found like any other."""
    code, _ = read(running(0x001B, string_of("far"), 0, RETURN))
    assert code.users("far") == (RUN,)
    assert code.strings_of(RUN) == ("far",)


def broken(data: bytes, at: int, form: str, value: int) -> bytes:
    """Return the file with one number changed and its checksum made right again."""
    raw = bytearray(data)
    struct.pack_into(form, raw, at, value)
    return seal(bytes(raw))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"dex\n035\0",
        b"cdex001\0" + bytes(200),
        b"dex\n034\0" + bytes(200),
        sample()[:-40],
        sample()[:200],
        sample() + b"more",
        sample()[:8] + b"\1\2\3\4" + sample()[12:],
        broken(sample(), 0x28, "<I", 0x78563412),
        broken(sample(), 0x38, "<I", 0xFFFFFFFF),
        broken(sample(), 0x3C, "<I", 0xFFFFFFF0),
        broken(sample(), 0x60, "<I", 0xFFFFFFFF),
        running(0x0073),
        running(0x001A),
        running(0x0300, 1, 0xFFFF, 0xFFFF),
    ],
    ids=range(15),
)
def test_damage_is_told(data: bytes) -> None:
    """Whatever is broken is a gap."""
    _, notes = read(data)
    assert gaps(notes)


def test_damaged_class_leaves_the_others() -> None:
    """A class whose data lies outside the file isn't counted as read; the other one is, with its code."""
    data = sample()
    classes_at = struct.unpack_from("<I", data, 0x64)[0]
    code, notes = read(broken(data, classes_at + 24, "<I", len(data) + 5))
    (seen,) = notes.coverage().seen
    assert (seen.read, seen.defined) == (1, 2)
    assert code.methods("com.example.Main") == ()
    assert len(code.methods("com.example.Main$Inner")) == 2


def test_members_of_another_class_are_refused() -> None:
    """A class can't point at another's members: thousands that do would multiply the work."""
    data = sample()
    classes_at = struct.unpack_from("<I", data, 0x64)[0]
    other = struct.unpack_from("<I", data, classes_at + 32 + 24)[0]
    code, notes = read(broken(data, classes_at + 24, "<I", other))
    assert code.methods("com.example.Main") == ()
    assert gaps(notes) == 1


def test_overlapping_strings_are_bounded() -> None:
    """A hundred thousand strings that are one and the same long run of letters are cut off, quickly."""
    count, length = 100_000, 1_000_000
    table = struct.pack("<I", 0x70 + 4 * count) * count
    raw = b"\x05" + b"a" * length + b"\0"
    head = struct.pack("<III", 0x70 + 4 * count + len(raw), 0x70, 0x12345678) + bytes(12)
    head += struct.pack("<14I", count, 0x70, *[0] * 12)
    start = time.process_time()
    code, notes = read(seal(b"dex\n035\0" + bytes(24) + head + table + raw))
    assert time.process_time() - start < 20
    assert gaps(notes)
    assert sum(map(len, code.strings)) <= length


def test_shared_code_is_bounded() -> None:
    """A thousand methods that share one long code are cut off, and later questions aren't slow either."""
    long: list[object] = [*[0] * 30_000, RETURN]
    data = assemble(ClassCode(MAIN, [MethodCode(f"m{n}", "()V", long) for n in range(1000)]))
    assert len(data) < 150_000
    start = time.process_time()
    code, notes = read(data)
    for method in code.methods("com.example.Main"):
        code.arguments(method)
    assert time.process_time() - start < 30
    assert gaps(notes)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_bytes_raise_nothing(changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are mutated, reading and asking raise nothing, and text stays text."""
    data = bytearray(sample())
    for at, value in changes:
        data[at % len(data)] = value
    raw = bytes(data[:8]) + struct.pack("<I", zlib.adler32(data[12:])) + bytes(data[12:])
    assert_all_is_answered(read(raw)[0])


def assert_all_is_answered(code: Code) -> None:
    """Ask every question of every class."""
    for text in code.strings:
        text.encode()
    for cls in code.classes:
        code.superclass(cls)
        code.interfaces(cls)
        code.implementers(cls)
        code.calls(cls)
        for method in code.methods(cls):
            code.calls_of(method)
            code.arguments(method)
            code.body(method)
            for text in code.strings_of(method):
                code.users(text)
    assert all(field.value is not None for field in code.static_fields)

"""Test which constants are followed to the calls that they are handed to."""

import pytest
from tests.unit.scan.dex.assembler import (
    ClassCode,
    MethodCode,
    assemble,
    call,
    const_string,
    field_of,
    type_of,
)
from tests.unit.scan.dex.test_reader import INNER, MAIN, RETURN, RUN, STRING, gaps, read, running

KEY_SPEC = "Ljavax/crypto/spec/SecretKeySpec;"


def key_spec(*registers: int) -> list[object]:
    """Call ``SecretKeySpec(bytes, String)``."""
    return call(0x70, KEY_SPEC, "<init>", f"([B{STRING})V", *registers)


def key_arguments(data: bytes) -> tuple[str | int | None, ...]:
    """Return what is known of the arguments of the one key that is made."""
    code, notes = read(data)
    assert not gaps(notes)
    (found,) = [
        arguments
        for method, arguments in code.arguments(RUN)
        if method.cls == "javax.crypto.spec.SecretKeySpec"
    ]
    return found


def test_key_of_text() -> None:
    """A string whose bytes are taken straight before is known as the key."""
    get = call(0x6E, STRING, "getBytes", "()[B", 0)
    data = running(
        *const_string(0, "k3y"), *get, 0x000C, *const_string(1, "AES"), *key_spec(2, 0, 1), RETURN
    )
    assert key_arguments(data) == ("k3y", "AES")


def test_the_name_of_an_encoding_is_no_key() -> None:
    """What ``getBytes`` gets says how a text is written; of a text that isn't known, its bytes aren't either."""
    get = call(0x6E, STRING, "getBytes", f"({STRING})[B", 4, 0)
    head = [*const_string(0, "UTF-8"), *get, 0x000C, *const_string(1, "AES")]
    assert key_arguments(running(*head, *key_spec(2, 0, 1), RETURN)) == (None, "AES")


@pytest.mark.parametrize(
    ("opcode", "cls", "name", "descriptor", "registers"),
    [
        (0x71, "Ljava/util/Arrays;", "copyOf", "([BI)[B", (0, 3)),
        (0x6E, "Ljava/security/MessageDigest;", "digest", "([B)[B", (3, 0)),
    ],
)
def test_a_key_that_is_cut_or_hashed_stays_a_constant(
    opcode: int, cls: str, name: str, descriptor: str, registers: tuple[int, ...]
) -> None:
    """Whoever has the app makes the same of it."""
    get = call(0x6E, STRING, "getBytes", "()[B", 0)
    made = call(opcode, cls, name, descriptor, *registers)
    head = [*const_string(0, "k3y"), *get, 0x000C, *made, 0x000C, *const_string(1, "AES")]
    assert key_arguments(running(*head, *key_spec(2, 0, 1), RETURN)) == ("k3y", "AES")


def test_key_of_array_data() -> None:
    """An array that is filled with data is known by its bytes."""
    code: list[object] = [0x4012, 0x0023, type_of("[B"), 0x0026, 10, 0]
    code += [
        *const_string(1, "AES"),
        *key_spec(2, 0, 1),
        RETURN,
        0,
        0,
        0x0300,
        1,
        4,
        0,
        0x4241,
        0x4443,
    ]
    code[4] = code.index(0x0300) - 3
    assert key_arguments(running(*code)) == ("ABCD", "AES")


def test_key_of_single_bytes() -> None:
    """An array that is filled element by element is known; one element unknown, none of it is."""
    head: list[object] = [
        0x2012,
        0x0023,
        type_of("[B"),
        0x0312,
        0x0413,
        0x41,
        0x004F | 4 << 8,
        0x0300,
    ]
    tail = [*const_string(1, "AES"), *key_spec(2, 0, 1), RETURN]
    assert key_arguments(running(*head, *tail)) == ("A\0", "AES")
    head[-2] = 0x004F | 9 << 8
    assert key_arguments(running(*head, *tail)) == (None, "AES")


def test_array_that_is_filled_by_somebody() -> None:
    """Zeros that go through a generator of random bytes are no constant."""
    head: list[object] = [0x2012, 0x0023, type_of("[B")]
    tail = [*const_string(1, "AES"), *key_spec(2, 0, 1), RETURN]
    fill = call(0x6E, "Ljava/security/SecureRandom;", "nextBytes", "([B)V", 3, 0)
    assert key_arguments(running(*head, *tail)) == ("\0\0", "AES")
    assert key_arguments(running(*head, *fill, *tail)) == (None, "AES")


def test_nothing_is_known_where_ways_meet() -> None:
    """A string that is loaded on one of two ways isn't told."""
    get = call(0x6E, STRING, "getBytes", "()[B", 0)
    code = [0x0538, 6, *const_string(0, "k3y"), 0, 0, 0, 0]
    code[1] = len(code)
    joined = [*code, *get, 0x000C, *const_string(1, "AES"), *key_spec(2, 0, 1), RETURN]
    assert key_arguments(running(*joined)) == (None, "AES")
    straight = [0, 0, *code[2:], *joined[len(code) :]]
    assert key_arguments(running(*straight)) == ("k3y", "AES")


def test_nothing_is_known_in_a_handler() -> None:
    """A string from before an exception isn't told in its handler."""
    code = [*const_string(0, "AES"), *const_string(1, "AES"), *key_spec(2, 1, 0), RETURN]
    assert key_arguments(running(*code)) == ("AES", "AES")
    assert key_arguments(running(*code, handlers=(2,))) == ("AES", None)


def test_what_is_overwritten_is_forgotten() -> None:
    """A register that something unknown is written to holds no constant, nor does the one behind a wide one."""
    code = [*const_string(0, "AES"), *const_string(1, "k"), 0x000A | 1 << 8]
    assert key_arguments(running(*code, *key_spec(2, 1, 0), RETURN)) == (None, "AES")
    wide = [*const_string(0, "AES"), *const_string(1, "k"), 0x000B]
    assert key_arguments(running(*wide, *key_spec(2, 1, 0), RETURN)) == (None, None)


def test_wide_arguments_take_two_registers() -> None:
    """An argument behind a long is the right one."""
    code = [
        *(0x0016, 5),
        *const_string(2, "x"),
        *call(0x71, INNER, "at", f"(J{STRING})V", 0, 1, 2),
        RETURN,
    ]
    assert [arguments for _, arguments in read(running(*code))[0].arguments(RUN)] == [(5, "x")]


@pytest.mark.parametrize("stated", [True, False])
def test_static_fields_are_constants(*, stated: bool) -> None:
    """A static field is known by its initial value, or by what its class's initializer writes once."""
    load: list[object] = [0x0062, field_of(MAIN, "KEY", STRING)]
    load += call(0x6E, STRING, "getBytes", "()[B", 0)
    run = MethodCode(
        "run", "()V", [*load, 0x000C, *const_string(1, "AES"), *key_spec(2, 0, 1), RETURN]
    )
    put: list[object] = [*const_string(0, "k"), 0x0069, field_of(MAIN, "KEY", STRING)]
    once = MethodCode("<clinit>", "()V", [RETURN] if stated else [*put, RETURN])
    fields: list[tuple[str, str, str | int | None]] = [("KEY", STRING, "k" if stated else None)]
    assert key_arguments(assemble(ClassCode(MAIN, [run, once], fields))) == ("k", "AES")
    twice = MethodCode("<clinit>", "()V", [*put, *put, RETURN])
    fields = [("KEY", STRING, None)]
    assert key_arguments(assemble(ClassCode(MAIN, [run, twice], fields))) == (None, "AES")

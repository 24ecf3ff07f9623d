"""Mutate certificates, chains and what was expected of them; used for both platforms."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from tests.unit.attestation import forge
from tests.unit.attestation.mutants import Case, Meaning, Mutant

from watchword.attestation.interface import AppRegistration
from watchword.encoding import der

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384_ORDER = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
    16,
)


def flips(data: bytes, start: int, end: int, positions: int) -> Iterator[bytes]:
    """Yield copies with one bit flipped, spread over a region; small regions are flipped all over."""
    for at in flipped_bits(start, end, positions):
        mutated = bytearray(data)
        mutated[at // 8] ^= 1 << at % 8
        yield bytes(mutated)


def flipped_bits(start: int, end: int, positions: int) -> Iterator[int]:
    """Yield the bits of a region that are flipped, evenly spread, so that counts don't hang on keys."""
    bits = (end - start) * 8
    for index in range(min(positions, bits)):
        yield start * 8 + index * bits // min(positions, bits)


def certificate_regions(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where the parts of a certificate begin and end."""
    tbs, algorithm, signature = der.sequence(der.read(data))
    key = der.sequence(tbs)[6].raw
    begin = data.index(tbs.raw)
    middle = begin + len(tbs.raw)
    end = middle + len(algorithm.raw)
    return {
        "header": (0, begin),
        "signed": (begin, middle),
        "algorithm": (middle, end),
        "signature": (end, end + len(signature.raw)),
        "key": (data.index(key), data.index(key) + len(key)),
    }


def orders(chain: Sequence[bytes]) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Yield the chain with certificates dropped, repeated and swapped."""
    for at in range(len(chain)):
        last = at == len(chain) - 1
        yield "root dropped" if last else "dropped", (*chain[:at], *chain[at + 1 :])
        yield "repeated", (*chain[: at + 1], *chain[at:])
        for other in range(at + 1, len(chain)):
            swapped = list(chain)
            swapped[at], swapped[other] = chain[other], chain[at]
            if swapped != list(chain):
                yield "swapped", tuple(swapped)


def with_extensions_of(data: bytes, donor: bytes) -> bytes:
    """Return a certificate with the extensions of another one, under its own old signature."""
    tbs, algorithm, signature = der.sequence(der.read(data))
    donated = der.sequence(der.sequence(der.read(donor))[0])[-1]
    members = [member.raw for member in der.sequence(tbs)[:-1]]
    signed = forge.tlv(0x30, *members, donated.raw)
    return forge.tlv(0x30, signed, algorithm.raw, signature.raw)


def with_signature(data: bytes, bits: bytes) -> bytes:
    """Return a certificate with another signature."""
    tbs, algorithm, _ = der.sequence(der.read(data))
    return forge.tlv(0x30, tbs.raw, algorithm.raw, forge.tlv(0x03, b"\0", bits))


def with_long_length(data: bytes) -> bytes:
    """Return a certificate whose outer length takes a byte more than it needs."""
    content = der.read(data).content
    return b"\x30\x84" + len(content).to_bytes(4, "big") + content


def negated(signature: bytes) -> bytes | None:
    """Return the other ECDSA signature that verifies where this one does, None for one of RSA."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return None
    order = P256_ORDER if max(r, s).bit_length() <= 256 else P384_ORDER
    return encode_dss_signature(r, order - s)


@cache
def own_key() -> Any:
    """Return a key of the attacker's."""
    return forge.p256()


def key_of(data: bytes) -> bytes:
    """Return a certificate's public key."""
    return der.sequence(der.sequence(der.read(data))[0])[6].raw


def serial_of(data: bytes) -> str:
    """Return a certificate's serial in hex."""
    return format(
        int.from_bytes(der.sequence(der.sequence(der.read(data))[0])[1].content, "big"), "x"
    )


def with_own_key(data: bytes) -> bytes:
    """Return a certificate with the attacker's key in place of its own, under its old signature."""
    tbs, algorithm, signature = der.sequence(der.read(data))
    members = [member.raw for member in der.sequence(tbs)]
    members[6] = forge.spki(own_key())
    return forge.tlv(0x30, forge.tlv(0x30, *members), algorithm.raw, signature.raw)


def signed_by_own_key(data: bytes) -> bytes:
    """Return a certificate signed anew with the attacker's key, under its issuer's name."""
    tbs, _, _ = der.sequence(der.read(data))
    members = [member.raw for member in der.sequence(tbs)]
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    members[2 if members[0][0] == 0xA0 else 1] = algorithm
    signed = forge.tlv(0x30, *members)
    signature = own_key().sign(signed, ECDSA(SHA256()))
    return forge.tlv(0x30, signed, algorithm, forge.tlv(0x03, b"\0", signature))


def issued_under(forged: bytes, issuer: bytes) -> bytes:
    """Return a certificate that names ``issuer`` as its own, signed with the attacker's key."""
    tbs, _, _ = der.sequence(der.read(forged))
    members = [member.raw for member in der.sequence(tbs)]
    members[3] = der.sequence(der.sequence(der.read(issuer))[0])[5].raw
    unsigned = forge.tlv(0x30, *members)
    empty = forge.tlv(0x03, b"\0")
    return signed_by_own_key(forge.tlv(0x30, unsigned, members[2], empty))


def with_member(data: bytes, at: int, member: bytes) -> bytes:
    """Return a certificate with another member of its signed part (3 is the issuer, 5 the subject), under its old signature."""
    tbs, algorithm, signature = der.sequence(der.read(data))
    members = [each.raw for each in der.sequence(tbs)]
    members[at if members[0][0] == 0xA0 else at - 1] = member
    return forge.tlv(0x30, forge.tlv(0x30, *members), algorithm.raw, signature.raw)


def subject_of(data: bytes) -> list[bytes]:
    """Return the relative names of a certificate's subject."""
    return [each.raw for each in der.sequence(der.sequence(der.sequence(der.read(data))[0])[5])]


def certificate_mutants(data: bytes, positions: int) -> Iterator[tuple[str, bytes, Meaning]]:
    """Yield mutants of a certificate that somebody signed, by kind."""
    for region, (start, end) in certificate_regions(data).items():
        for mutated in flips(data, start, end, positions):
            yield f"certificate {region}", mutated, Meaning.SIGNED
    yield "length rewritten", with_long_length(data), Meaning.UNSIGNED
    other = negated(der.bits(der.sequence(der.read(data))[2]))
    if other is not None:
        yield "ECDSA s negated", with_signature(data, other), Meaning.UNSIGNED
    for name, signature in (("empty", b""), ("zero", bytes.fromhex("3006020100020100"))):
        yield f"signature {name}", with_signature(data, signature), Meaning.SIGNED
    yield "other key", with_own_key(data), Meaning.SIGNED
    yield "signed by another", signed_by_own_key(data), Meaning.SIGNED


def mutated_expectations(case: Case, other_app: AppRegistration) -> Iterator[Mutant]:
    """Yield the evidence as it is, where something else was expected."""
    binding = case.expected.binding or b""
    for other in (b"", b"\x00" * 32, binding[:-1], binding + b"\x00", binding[::-1]):
        if other != binding:
            mutated = replace(case.expected, binding=other)
            yield Mutant("expected: other challenge", case.evidence, mutated)
    for other in flips(binding, 0, len(binding), 16):
        mutated = replace(case.expected, binding=other)
        yield Mutant("expected: other challenge", case.evidence, mutated)
    yield Mutant("expected: other app", case.evidence, replace(case.expected, app=other_app))

"""Bend Android chains."""

from collections.abc import Iterator, Sequence
from functools import cache

from tests.attestation import forge
from tests.attestation.bending import (
    bent_expectations,
    certificate_mutants,
    certificate_regions,
    flipped_bits,
    flips,
    issued_under,
    key_of,
    orders,
    own_key,
    signed_by_own_key,
    with_extensions_of,
    with_own_key,
)
from tests.attestation.mutants import Case, Meaning, Mutant

from watchword.attestation.interface import AndroidApp, AndroidKeyChain, AppRegistration

OTHER_ANDROID = AppRegistration("x", AndroidApp("org.example.x", frozenset({forge.SIGNER})))


def chain_mutants(
    case: Case, roots: frozenset[bytes], positions: int, others: Sequence[Case] = ()
) -> Iterator[Mutant]:
    """Yield mutants of an Android chain.

    :param roots: the keys that are trusted; a certificate of one is a root.
    :param others: cases whose certificates are spliced in.
    """
    assert isinstance(case.evidence, AndroidKeyChain)
    chain = case.evidence.chain
    signed = [data for data in chain if key_of(data) not in roots]
    for at, data in enumerate(chain):

        def put(bent: bytes, at: int = at) -> AndroidKeyChain:
            return AndroidKeyChain((*chain[:at], bent, *chain[at + 1 :]))

        bend = certificate_mutants if at < len(signed) else _root_mutants
        for kind, bent, meaning in bend(data, positions):
            yield Mutant(kind, put(bent), case.expected, meaning)
        for size in range(0, len(data), 1 + len(data) // positions):
            yield Mutant("truncated", put(data[:size]), case.expected)
        yield Mutant("bytes behind", put(data + b"\x00"), case.expected)
        for donor in chain if at < len(signed) else ():
            moved = with_extensions_of(data, donor)
            if moved != data:
                yield Mutant("extensions moved", put(moved), case.expected)
    for kind, order in orders(chain):
        free = kind == "root dropped" and len(signed) < len(chain)
        meaning = Meaning.UNSIGNED if free else Meaning.SIGNED
        yield Mutant(kind, AndroidKeyChain(order), case.expected, meaning)
    yield from _forged_chains(case, chain)
    yield from _spliced_chains(case, chain, others)
    yield from bent_expectations(case, OTHER_ANDROID)


def _root_mutants(data: bytes, positions: int) -> Iterator[tuple[str, bytes, Meaning]]:
    regions = certificate_regions(data)
    start, end = regions.pop("key")
    for bent in flips(data, start, end, positions):
        yield "root key", bent, Meaning.SIGNED
    yield "root other key", with_own_key(data), Meaning.SIGNED
    for region, bounds in regions.items():
        for at in flipped_bits(*bounds, positions):
            if not start <= at // 8 < end:
                flipped = bytearray(data)
                flipped[at // 8] ^= 1 << at % 8
                yield f"root {region}, not its key", bytes(flipped), Meaning.UNSIGNED


def _forged_chains(case: Case, chain: Sequence[bytes]) -> Iterator[Mutant]:
    """Yield chains with certificates that the attacker made: leaf as a CA, own vendor, own issuer."""
    binding = case.expected.binding or b""
    description = forge.key_description(challenge=binding)
    leaf = forge.certify(
        forge.name(common_name="Android Keystore Key"),
        None,
        key=own_key(),
        extensions=[(forge.KEY_DESCRIPTION, description)],
    ).der
    named = issued_under(leaf, chain[0])
    for forged in (leaf, named):
        yield Mutant("leaf used as a CA", AndroidKeyChain((forged, *chain)), case.expected)
        for at in range(1, len(chain)):
            bent = AndroidKeyChain((forged, *chain[at:]))
            yield Mutant("forged leaf under an issuer", bent, case.expected)
    for at in range(1, len(chain)):
        # An issuer with the attacker's key, which really signed what is below it.
        below = signed_by_own_key(chain[at - 1])
        order = (*chain[: at - 1], below, with_own_key(chain[at]), *chain[at + 1 :])
        yield Mutant("issuer replaced", AndroidKeyChain(order), case.expected)
    ours = _own_vendor()
    evidence = ours.evidence(ours.leaf(description))
    yield Mutant("own vendor", evidence, case.expected)
    yield Mutant("own vendor", AndroidKeyChain((*evidence.chain[:-1], chain[-1])), case.expected)


@cache
def _own_vendor() -> forge.Google:
    return forge.google()


def _spliced_chains(case: Case, chain: Sequence[bytes], others: Sequence[Case]) -> Iterator[Mutant]:
    """Yield chains whose lower part is of this case and whose upper part is of another, and back."""
    for other in others:
        assert isinstance(other.evidence, AndroidKeyChain)
        theirs = other.evidence.chain
        for at in range(1, len(chain)):
            for spliced in {(*chain[:at], *theirs[at:]), (*theirs[:at], *chain[at:])}:
                if spliced in {tuple(chain), tuple(theirs), tuple(chain[:-1]), tuple(theirs[:-1])}:
                    continue
                # Another copy of a root with the same key is as good as this one.
                if _is_rewrapped(spliced, theirs):
                    continue
                meaning = Meaning.UNSIGNED if _is_rewrapped(spliced, chain) else Meaning.SIGNED
                kind = "root of another copy" if meaning is Meaning.UNSIGNED else "spliced"
                yield Mutant(kind, AndroidKeyChain(spliced), case.expected, meaning)
        if other.expected.binding != case.expected.binding:
            yield Mutant("evidence of another", other.evidence, case.expected)


def _is_rewrapped(chain: Sequence[bytes], other: Sequence[bytes]) -> bool:
    """Tell whether only the last certificates of two chains differ, and those have the same key."""
    same = len(chain) == len(other) and tuple(chain[:-1]) == tuple(other[:-1])
    return same and key_of(chain[-1]) == key_of(other[-1])

"""Mutate Android chains."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product

from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.unit.attestation import forge
from tests.unit.attestation.mutants import Case, Meaning, Mutant
from tests.unit.attestation.mutations import (
    certificate_mutants,
    certificate_regions,
    flipped_bits,
    flips,
    issued_under,
    key_of,
    mutated_expectations,
    orders,
    own_key,
    signed_by_own_key,
    subject_of,
    with_extensions_of,
    with_member,
    with_own_key,
)

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

        def put(mutated: bytes, at: int = at) -> AndroidKeyChain:
            return AndroidKeyChain((*chain[:at], mutated, *chain[at + 1 :]))

        mutate = certificate_mutants if at < len(signed) else _root_mutants
        for kind, mutated, meaning in mutate(data, positions):
            yield Mutant(kind, put(mutated), case.expected, meaning)
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
    yield from _renamed_chains(case, chain, len(signed))
    yield from _deeper_chains(case, chain)
    yield from _spliced_chains(case, chain, others)
    yield from mutated_expectations(case, OTHER_ANDROID)


def _root_mutants(data: bytes, positions: int) -> Iterator[tuple[str, bytes, Meaning]]:
    regions = certificate_regions(data)
    start, end = regions.pop("key")
    for mutated in flips(data, start, end, positions):
        yield "root key", mutated, Meaning.SIGNED
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
            mutated = AndroidKeyChain((forged, *chain[at:]))
            yield Mutant("forged leaf under an issuer", mutated, case.expected)
    for at in range(1, len(chain)):
        # An issuer with the attacker's key, which really signed what is below it.
        below = signed_by_own_key(chain[at - 1])
        order = (*chain[: at - 1], below, with_own_key(chain[at]), *chain[at + 1 :])
        yield Mutant("issuer replaced", AndroidKeyChain(order), case.expected)
    ours = _own_vendor()
    evidence = ours.evidence(ours.leaf(description))
    yield Mutant("own vendor", evidence, case.expected)
    yield Mutant("own vendor", AndroidKeyChain((*evidence.chain[:-1], chain[-1])), case.expected)


TITLE = bytes.fromhex("060355040c")
"""The object identifier of ``title``, as it stands in a name."""


def _renamed_chains(case: Case, chain: Sequence[bytes], signed: int) -> Iterator[Mutant]:
    """Yield chains in which a name says less, or StrongBox: the title rule and the vendor's word for a level."""
    strongbox = forge.name(title="StrongBox", serial_number="1").public_bytes()
    for at in range(signed):
        names = subject_of(chain[min(at + 1, len(chain) - 1)])
        fewer = [[each for each in names if TITLE not in each], names[:1], names[::-1], []]
        renamed = [("title rule", 3, forge.tlv(0x30, *each)) for each in fewer]
        renamed.append(("StrongBox in a name", 5, strongbox))
        for kind, member, name in renamed:
            mutated = with_member(chain[at], member, name)
            for data in (mutated, signed_by_own_key(mutated)):
                order = (*chain[:at], data, *chain[at + 1 :])
                if mutated != chain[at]:
                    yield Mutant(kind, AndroidKeyChain(order), case.expected)


def _deeper_chains(case: Case, chain: Sequence[bytes]) -> Iterator[Mutant]:
    """Yield chains with a keybox of the attacker's at each place, named as its issuer's, signed by the attacker."""
    leaf, keybox = _own_keybox(case.expected.binding or b"")
    for at in range(1, len(chain)):
        own = issued_under(keybox, chain[at])
        for below in ((leaf,), tuple(chain[:at])):
            order = (*below, own, *chain[at:])
            yield Mutant("depth: own keybox", AndroidKeyChain(order), case.expected)


@cache
def _own_keybox(binding: bytes) -> tuple[bytes, bytes]:
    """Return a leaf under a keybox of the attacker's, and that."""
    keybox = forge.certify(forge.name(title="TEE", serial_number="own"), None, key=own_key())
    leaf = forge.certify(
        forge.name(common_name="Android Keystore Key"),
        keybox,
        extensions=[(forge.KEY_DESCRIPTION, forge.key_description(challenge=binding))],
        ca=None,
        signs=False,
    )
    return leaf.der, keybox.der


def leaked_key_mutants(case: Case, vendor: forge.Google) -> Iterator[Mutant]:
    """Yield what the owner of a vendor's attestation key makes of it, each signature in order.

    :param vendor: whose root is trusted, with the key that leaked.
    """
    for description, root in product(_descriptions(case), (True, False)):
        for deeper in _sub_keyboxes(vendor):
            evidence = deeper.evidence(deeper.leaf(description), root=root)
            yield Mutant("depth: sub-keybox", evidence, case.expected)
        attester = vendor.attester.certificate
        without = [each for each in attester.subject if each.oid != NameOID.TITLE]
        for name in (
            without[:0],
            [*without, *without],
            [*attester.subject][::-1],
            [*without, EXTRA],
        ):
            leaf = vendor.leaf(description, names=x509.Name(name))
            yield Mutant("title rule: other name", vendor.evidence(leaf, root=root), case.expected)
        above = forge.certify(
            attester.subject,
            (*vendor.between, vendor.intermediate)[0],
            key=vendor.attester.key,
            names=forge.name(serial_number="batch"),
        )
        titled = replace(vendor, attester=above)
        evidence = titled.evidence(titled.leaf(description), root=root)
        yield Mutant("title rule: link above", evidence, case.expected)
    for levels, root in product(((2, 2), (2, 1), (1, 2)), (True, False)):
        binding = case.expected.binding or b""
        leaf = vendor.leaf(forge.key_description(challenge=binding, levels=levels))
        yield Mutant("StrongBox claimed", vendor.evidence(leaf, root=root), case.expected)


EXTRA = x509.NameAttribute(NameOID.COMMON_NAME, "x")


def _descriptions(case: Case) -> Iterator[bytes]:
    binding = case.expected.binding or b""
    for version, levels in product((2, 3, 4, 100, 200, 300, 400, 500), ((1, 1), (2, 2))):
        yield forge.key_description(challenge=binding, version=version, levels=levels)


def _sub_keyboxes(vendor: forge.Google) -> Iterator[forge.Google]:
    """Yield what an owner of the attestation key sees: one keybox below it, and two."""
    info = [(forge.PROVISIONING_INFO, b"\xa1\x01\x08")]
    for title, extensions in product(("TEE", "StrongBox"), ([], info)):
        deeper = vendor
        while len(deeper.between) < 3:
            sub = forge.certify(
                forge.name(title=title, serial_number=f"sub-{len(deeper.between)}"),
                deeper.attester,
                extensions=extensions,
            )
            deeper = replace(deeper, attester=sub, between=(deeper.attester, *deeper.between))
            yield deeper


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

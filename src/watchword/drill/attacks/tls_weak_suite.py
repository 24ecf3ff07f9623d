"""Ask over connections whose suites lack what TLS is for."""

from watchword.drill.channel import weakly
from watchword.drill.interface import Arena, Attack, Attempts, Need, Variant
from watchword.drill.wire import Weakness


def _no_encryption(arena: Arena) -> Attempts:
    return weakly(arena, Weakness.NO_ENCRYPTION)


def _no_authentication(arena: Arena) -> Attempts:
    return weakly(arena, Weakness.NO_AUTHENTICATION)


def _no_forward_secrecy(arena: Arena) -> Attempts:
    return weakly(arena, Weakness.NO_FORWARD_SECRECY)


def _short_blocks(arena: Arena) -> Attempts:
    return weakly(arena, Weakness.SHORT_BLOCKS)


ATTACK = Attack(
    id="tls-weak-suite",
    title="Ask the API over a cipher suite that protects too little",
    techniques=("MT-C03", "MT-C07"),
    protections={"PR-C01": "live:tls.grade"},
    needs=(Need.TLS,),
    sends="The genuine app's request to each route, over a connection for which nothing is offered but suites without encryption, without a "
    "certificate, without forward secrecy, or with blocks of 64 bits.",
    must="The handshake fails.",
    blind="A server with a certificate for ECDSA alone has no suite without forward secrecy to begin with. What this machine's library was built without isn't tried.",
    variants=(
        Variant("without-encryption", _no_encryption),
        Variant("without-a-certificate", _no_authentication),
        Variant("without-forward-secrecy", _no_forward_secrecy),
        Variant("blocks-of-64-bits", _short_blocks),
    ),
    exploits=False,  # Whoever reads on the way learns.
)

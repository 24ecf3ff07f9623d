"""Ask over connections whose suites lack what TLS is for."""

from watchword.drill.channel import weakly
from watchword.drill.interface import Attack, Need, Variant
from watchword.drill.wire import Weakness

ATTACK = Attack(
    id="tls-weak-suite",
    title="Ask the API over a cipher suite that protects too little",
    techniques=("MT-C03", "MT-C07"),
    protections={"PR-C01": "live:tls.grade"},
    needs=(Need.TLS,),
    sends="The genuine app's request to each route, over a connection that offers only weak suites: without "
    "encryption, a certificate or forward secrecy, or with blocks of 64 bits.",
    must="The handshake fails.",
    blind="A server that has only an ECDSA certificate has no suite without forward secrecy anyway. It doesn't try "
    "what this machine's library was built without.",
    variants=(
        Variant("without-encryption", weakly(Weakness.NO_ENCRYPTION)),
        Variant("without-a-certificate", weakly(Weakness.NO_AUTHENTICATION)),
        Variant("without-forward-secrecy", weakly(Weakness.NO_FORWARD_SECRECY)),
        Variant("blocks-of-64-bits", weakly(Weakness.SHORT_BLOCKS)),
    ),
    exploits=False,  # Whoever reads on the way learns.
)

"""Ask over versions of TLS that are forbidden."""

from watchword.drill.channel import weakly
from watchword.drill.interface import Attack, Need, Variant
from watchword.drill.wire import Weakness

ATTACK = Attack(
    id="tls-old-version",
    title="Ask the API over an old version of TLS",
    techniques=("MT-C03", "MT-C04"),
    protections={"PR-C01": "live:tls.grade"},
    needs=(Need.TLS,),
    sends="The genuine app's request to each route, over a connection that offers nothing newer than TLS 1.0 or 1.1.",
    must="The handshake fails (RFC 8996).",
    blind="This machine's library can't offer SSL 3, nor what it was built without.",
    variants=(
        Variant("tls-1-0", weakly(Weakness.TLS_1_0)),
        Variant("tls-1-1", weakly(Weakness.TLS_1_1)),
    ),
    exploits=False,  # Whoever reads on the way learns.
)

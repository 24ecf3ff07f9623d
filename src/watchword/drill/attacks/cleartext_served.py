"""Ask without TLS where TLS is spoken."""

from watchword.drill.channel import weakly
from watchword.drill.interface import Attack, Need, Variant
from watchword.drill.wire import Weakness

ATTACK = Attack(
    id="cleartext-served",
    title="Ask the API in cleartext",
    techniques=("MT-C03", "MT-C07"),
    protections={"PR-C01": "live:tls.grade"},
    needs=(Need.TLS,),
    sends="The genuine app's request to each route, without TLS, to the port at which TLS is spoken.",
    must="No route is served.",
    blind="Other ports aren't asked, port 80 among them: nobody agreed to that. Whether the app itself speaks cleartext is seen by a scan of it.",
    variants=(Variant("without-tls", weakly(Weakness.CLEARTEXT)),),
    exploits=False,  # Whoever reads on the way learns.
)

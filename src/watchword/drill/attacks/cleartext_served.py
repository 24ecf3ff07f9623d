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
    sends="The genuine app's request to each route, without TLS, to the TLS port.",
    must="No route is served.",
    blind="It doesn't ask other ports, port 80 among them, because nobody agreed to that. A scan of the app shows "
    "whether the app itself uses cleartext.",
    variants=(Variant("without-tls", weakly(Weakness.CLEARTEXT)),),
    exploits=False,  # Whoever reads on the way learns.
)

"""Make answers as gates and APIs give them."""

import json

from watchword.drill.interface import Sample
from watchword.drill.wire import Answer
from watchword.public_classes import PROBLEM_TYPE
from watchword.reasons import Reason
from watchword.vocabulary import Level, Mode, Proof

SAMPLE = Sample("GET", "/v1/patients/7", "clinic[0]", Proof.BEARER, Level.HARDWARE, Mode.ENFORCE)
"""What the genuine app is served."""


def refusal(reason: Reason, *, told: bool = True) -> Answer:
    """Return a refusal of Watchword's; a lab tells its reason."""
    document: dict[str, object] = {
        "type": PROBLEM_TYPE + reason.public.slug,
        "status": reason.public.status,
    }
    if told:
        document["reasons"] = [reason.code]
    headers = (("content-type", "application/problem+json"),)
    return Answer(reason.public.status, headers, json.dumps(document).encode())


def api(status: int) -> Answer:
    """Return an answer of the API's own."""
    return Answer(status, (("content-type", "application/json"),), b"{}")

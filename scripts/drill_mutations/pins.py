"""Drill a deployment that publishes pins by whatever source is on the path, and print each attack's verdict as JSON.

Ids of attacks as arguments choose some.
"""

import json
import sys

from tests.unit.drill.channel_rig import Deployment, context, publishing, verdicts
from tests.unit.pins.builders import HOST, NOW, pin_set, spki

from watchword.drill.attacks import (
    pin_roots_forged,
    pins_forged,
    pins_frozen,
    pins_intercepted,
)
from watchword.drill.channel import delivered
from watchword.drill.judgements import Verdict
from watchword.pins.installed import judge

_ATTACKS = (
    pins_intercepted.ATTACK,
    pins_frozen.ATTACK,
    pins_forged.ATTACK,
    pin_roots_forged.ATTACK,
)
_WORST = (Verdict.OPEN, Verdict.UNSURE, Verdict.STOPPED)


def main() -> None:
    """Run the attacks once; the genuine app is the installation before the genuine key."""
    published = publishing(pin_set())
    found = {
        each.id: next(
            verdict
            for verdict in _WORST
            if verdict in verdicts(each, Deployment(published)).values()
        ).value
        for each in _ATTACKS
        if each.id in (sys.argv[1:] or {attack.id for attack in _ATTACKS})
    }
    (held,) = delivered(context(Deployment(published)))
    served = judge(held.installed, HOST, (spki("A"), spki("root")), NOW).passes
    json.dump({"verdicts": found, "genuine": [int(served), 1]}, sys.stdout)


if __name__ == "__main__":
    main()

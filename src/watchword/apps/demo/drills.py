"""Attack the demo's own deployment, from its gate or around it."""

from collections.abc import Sequence

from watchword.adapters.drill_wire import resolve
from watchword.apps.demo.stage import API, Stage
from watchword.apps.drill.arena import Reach, open_stage
from watchword.apps.drill.course import urls_of
from watchword.apps.drill.running import Course, Told, run_drill
from watchword.apps.settings.plan import load_plan
from watchword.drill.interface import Attack
from watchword.drill.outcome import Report
from watchword.drill.registry import ATTACKS
from watchword.drill.wire import Part


def drilled(
    stage: Stage,
    *,
    gate: str | None = None,
    attacks: Sequence[Attack] = tuple(ATTACKS.values()),
    genuine: int = 60,
    told: Told = lambda _: None,
) -> Report:
    """Return the report of a run against the demo's clinic; call it from a thread beside the stage's loop.

    :param gate: URL of what is attacked; None for the proxy that the stage started.
    """
    settings = stage.settings
    api = settings.apis[API]
    urls = urls_of(settings, api, gate)
    reach = Reach({part: resolve(url) for part, url in urls.items()}, loopback=True)
    assets = tuple(load_plan(settings.path).assets.values())
    with open_stage(settings, api, reach, stage.clock, stage.entropy, assets) as opened:
        return run_drill(
            opened,
            Course(attacks, genuine),
            urls[Part.GATE],
            loopback=True,
            now=stage.clock.now,
            told=told,
        )

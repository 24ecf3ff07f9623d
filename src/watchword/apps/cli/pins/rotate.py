"""Take the next step of a rotation."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.pins.options import CA, RESOLVE, TIMEOUT


@click.command(epilog="Example: watchword pins rotate api.example.com")
@click.argument("host")
@RESOLVE
@CA
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, /, *, host: str, as_json: bool, **options: Any) -> None:
    """Look which key HOST shows, and take the next step of its rotation; say what comes after it.

    A planned key (next), or the backup after a loss, becomes the current one once it is live at all places, and not before.
    Run it as often as you like.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.pin_workspace import who_runs
    from watchword.apps.cli.paragraphs import show, wrapped
    from watchword.apps.cli.pins.options import vantage_of
    from watchword.apps.pins.bench import Bench, open_bench
    from watchword.apps.pins.editing import edit
    from watchword.apps.pins.hosts import read_host
    from watchword.apps.pins.looking import look_at
    from watchword.apps.pins.pinned_keys import PinnedKeys
    from watchword.apps.pins.rotating import Turn, turn
    from watchword.apps.pins.steps import step

    name = read_host(host)
    open_bench(config).host_named(name)
    look = look_at([name], vantage_of(options))[name]
    turns: list[Turn] = []
    now = SystemClock().timestamp()

    def change(bench: Bench, pinned: PinnedKeys) -> PinnedKeys:
        taken = turn(bench, pinned, look, now)
        turns.append(taken)
        if taken.moved:
            keys = {str(each.pin): each.pin.role.value for each in taken.keys}
            bench.workspace.log.append(step(now, who_runs(), "rotate", name, detail={"keys": keys}))
        return pinned.with_keys(name, taken.keys)

    edit(config, change)
    (taken,) = turns
    if as_json:
        print_json(
            {
                "host": name,
                "moved": taken.moved,
                "said": list(taken.said),
                "then": list(taken.then),
                "keys": [{"pin": str(k.pin), "role": k.pin.role.value} for k in taken.keys],
            }
        )
        return
    for line in taken.said:
        show(wrapped(line))
    for line in taken.then:
        show(wrapped(line, first="next", indent=6))

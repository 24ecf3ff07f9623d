"""Show the main job from end to end."""

import asyncio
import time

import click

from watchword.apps.terminal.console import EXIT_REFUSED, fail, leave, print_json


@click.command(epilog="Example: watchword demo --json | jq '.[] | select(.ok | not)'")
@click.option("--json", "as_json", is_flag=True, help="Print the list of acts as JSON.")
def command(*, as_json: bool) -> None:
    """Play the whole story on this machine: attack, monitor, enforce, genuine and bad phones.

    Starts a sample clinic API, the service and the gate on free loopback ports, and sends
    real requests.  Exit code 0 only if every act went as expected; nothing stays running.
    """
    from rich.console import Console

    from watchword.apps.demo.run import play
    from watchword.apps.demo.view import LiveView
    from watchword.apps.terminal.process import silence_logs

    silence_logs()
    started = time.monotonic()  # noqa: TID251 - how long a person waited.
    view = LiveView(Console(highlight=False))
    if not as_json:
        view.open()
    try:
        acts = asyncio.run(play(lambda _act: None if as_json else view.show(_act)))
    except Exception as error:  # noqa: BLE001 - reported like any other error, then we leave.
        leave(fail(error))
    if as_json:
        print_json([act.as_dict() for act in acts])
    else:
        view.close(acts, time.monotonic() - started)  # noqa: TID251
    leave(0 if acts and all(act.ok for act in acts) else EXIT_REFUSED)

"""Show the main job from end to end."""

import click

from watchword.apps.terminal.lazy import body_in

_body = body_in("watchword.apps.demo.scenario")


@click.command(epilog="Example: watchword demo --json | jq '.[] | select(.ok | not)'")
@click.option("--json", "as_json", is_flag=True, help="Print the list of acts as JSON.")
@_body
def command() -> None:
    """Play the whole story on this machine: attack, monitor, enforce, genuine and bad phones.

    Starts a sample clinic API, the service and the gate on free loopback ports, and sends
    real requests.  Exit code 0 only if every act went as expected; nothing stays running.
    """

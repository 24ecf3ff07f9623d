"""Manage pins through their whole life; each subcommand is one file under ``cli/pins`` and a line here."""

import click

from watchword.apps.cli.lazy import LazyGroup

SUBCOMMANDS = {
    "init": ("watchword.apps.cli.pins.init", "Make the workspace and the key that signs sets."),
    "root": ("watchword.apps.cli.pins.root.group", "Root lists: made and signed offline."),
    "add": ("watchword.apps.cli.pins.add", "Pin a key of a host."),
    "remove": ("watchword.apps.cli.pins.remove", "Pin a key no more."),
    "show": ("watchword.apps.cli.pins.show", "Show keys, published sets and app versions."),
    "check": ("watchword.apps.cli.pins.check", "Hold what is live against what is pinned."),
    "rehearse": ("watchword.apps.cli.pins.rehearse", "Play a rotation: who survives it."),
    "rotate": ("watchword.apps.cli.pins.rotate", "Take the next step of a rotation."),
    "publish": ("watchword.apps.cli.pins.publish", "Sign and publish, unless it locks out."),
    "release": ("watchword.apps.cli.pins.release", "Write what an app version ships with."),
    "render": ("watchword.apps.cli.pins.render", "Write the set in a platform's own format."),
    "reports": ("watchword.apps.cli.pins.reports", "Show what apps reported to the service."),
    "watch": ("watchword.apps.cli.pins.watch", "Check again and again; metrics and alerts."),
    "log": ("watchword.apps.cli.pins.log", "Show each step, forced ones with their reason."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    short_help="Pins that never brick an app.",
    epilog="Example: watchword pins init, then docs/pins.md: how to start, to rotate, and what to do at 3 a.m.",
)
def command() -> None:
    """Manage the keys that your apps accept of your servers, through their whole life.

    Keys are pinned in a workspace, checked against what is live, signed as a set, published by the service and taken by apps.
    A set that would lock an app out isn't published, unless you force it and say why.

    Exit code 0: done.  1: refused, or not as it should be.  2: wrong usage, or faults in a file.  3: not reachable.
    """

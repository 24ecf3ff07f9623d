"""Make, sign and change root lists, offline; each subcommand is one file here and a line below."""

import click

from watchword.apps.cli.lazy import LazyGroup

SUBCOMMANDS = {
    "init": ("watchword.apps.cli.pins.root.init", "Make root keys and the first root list."),
    "key": ("watchword.apps.cli.pins.root.key", "Make the key of one more holder."),
    "sign": ("watchword.apps.cli.pins.root.sign", "Add a holder's signature to a list."),
    "rotate": ("watchword.apps.cli.pins.root.rotate", "Write the next list: keys, floors."),
    "show": ("watchword.apps.cli.pins.root.show", "Say what a list says, and who signed it."),
    "accept": ("watchword.apps.cli.pins.root.accept", "Bring a signed list into the workspace."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    invoke_without_command=True,
    short_help="Root lists: made and signed offline.",
    epilog="Example: watchword pins root init -d /media/stick/clinic-roots --keys 3 --pin-key pin-key.jwk",
)
@click.option("--json", "as_json", is_flag=True, help="Print the newest list as JSON.")
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool) -> None:
    """Make and change root lists: they say which keys may sign pin sets, and ship inside the app.

    Their keys are made, kept and used offline, best by several people.  A list counts once as many keys as its threshold
    says have signed it, of the list before it too.  Without a subcommand the workspace's newest list is shown.
    """
    if ctx.invoked_subcommand is not None:
        return
    from watchword.apps.cli.pins.root.showing import show_newest

    show_newest(ctx.obj, as_json=as_json)

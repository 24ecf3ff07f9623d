"""Manage pins through their whole life: ``watchword pins`` and each of its subcommands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in

_HERE: Final = "watchword.apps.pins"
command = LazyGroup(
    "pins",
    short_help="Pins that never brick an app.",
    help="""Manage the keys that your apps accept of your servers, through their whole life.

Keys are pinned in a workspace, checked against what is live, signed as a set, published by the service and taken by apps.
A set that would lock an app out isn't published, unless you force it and say why.

Exit code 0: done.  1: refused, or not as it should be.  2: wrong usage, or faults in a file.  3: not reachable.""",
    epilog="Example: watchword pins init; docs/pins-emergency.md is for 3 a.m., docs/pins.md for all else.",
)

# What may not be read is told when it is read: that is no wrong usage.
FILE: Any = click.Path(dir_okay=False, readable=False, path_type=Path)

PREVIOUS = click.option(
    "--previous", type=FILE, help="The list before it, to see whether its keys signed."
)
PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=FILE, help="Take it from this file (mode 0600)."
)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_PROBING = (
    click.option(
        "--resolve",
        multiple=True,
        metavar="HOST=ADDR[:PORT]",
        help="Look at a host there instead of at every address of its name; may be given several times.",
    ),
    click.option("--cafile", type=FILE, help="Trust these authorities (PEM), not the platform's."),
    click.option(
        "--timeout",
        type=click.FloatRange(0.1, 60),
        default=5.0,
        show_default=True,
        help="Seconds for each handshake.",
    ),
)


def _probing(function: Callable[[], None]) -> Callable[[], None]:
    """Add the options that say from where, by whom and how long servers are looked at."""
    for option in reversed(_PROBING):
        function = option(function)
    return function


_Place = tuple[click.Group, str]
"""A group, and the module beside this one that its commands run in."""

_KEYS: Final[_Place] = (command, "session")
_CHECKS: Final[_Place] = (command, "checks")
_ROTATIONS: Final[_Place] = (command, "rotations")
_SETS: Final[_Place] = (command, "publication")


def _command(
    place: _Place, name: str, short: str, example: str, json: str = "Print one JSON object."
) -> Callable[[Callable[[], None]], None]:
    """Return a decorator that declares a command whose last option is ``--json``; it is handed the path of watchword.yaml."""
    group, module = place

    def declare(function: Callable[[], None]) -> None:
        body = click.pass_obj(body_in(f"{_HERE}.{module}")(function))
        made = group.command(name, short_help=short, epilog=f"Example: {example}")(body)
        made.params.append(click.Option(["--json", "as_json"], is_flag=True, help=json))

    return declare


@_command(
    (command, "root_lists"),
    "init",
    "Make the workspace and the key that signs sets.",
    "watchword pins init",
)
@click.option(
    "-d",
    "--directory",
    type=_DIRECTORY,
    help="The workspace; left out: the one that watchword.yaml names, or pins beside it.",
)
@click.option("-o", "--output", type=FILE, help="Write the section to this new file too.")
@click.option(
    "--new-pin-key", is_flag=True, help="Make a new key only: the old one is lost or stolen."
)
def init_command() -> None:
    """Make the workspace: pinned keys, sets, a log, and the key that signs sets (mode 0600).

    watchword.yaml isn't changed: the section that belongs into it is printed.  Nothing is overwritten.
    """


@command.group(
    "root",
    short_help="Root lists: made and signed offline.",
    cls=LazyGroup,
    invoke_without_command=True,
    epilog="Example: watchword pins root init -d /media/stick/clinic-roots --keys 3 --pin-key pin-key.jwk",
)
@click.option("--json", "as_json", is_flag=True, help="Print the newest list as JSON.")
@click.pass_obj
@body_in(f"{_HERE}.root_lists")
def root() -> None:
    """Make and change root lists: they say which keys may sign pin sets, and ship inside the app.

    Make, keep and use their keys offline, best by several people.  A list is valid once enough keys of it have
    signed it, and enough of the list before it.  Without a subcommand the workspace's newest list is shown.
    """


@_command(
    _KEYS,
    "add",
    "Pin a key of a host.",
    "watchword pins add api.example.com --from-live --role current, "
    "then: watchword pins add api.example.com --key backup.pub --role backup",
    json="Print the host's keys as JSON.",
)
@click.argument("host")
@click.option("--from-live", is_flag=True, help="The key that the server shows now, everywhere.")
@click.option("--cert", type=FILE, help="A certificate (PEM or DER); of a chain, the first.")
@click.option("--key", type=FILE, help="A public key or a signing request (PEM or DER).")
@click.option("--spki", metavar="PIN", help="A pin: sha256/..., base64, base64url or hex.")
@click.option("--ca-bundle", type=FILE, help="Each authority in a file (PEM), as role ca.")
@click.option(
    "--role",
    type=click.Choice(["current", "next", "backup", "ca"]),
    help="current: shown now; next: a planned swap brings it; backup: lies offline; ca: an authority's.",
)
@_probing
def add_command() -> None:
    """Pin a key of HOST in the workspace; apps learn of it with the next `watchword pins publish`.

    Say where the key is: --from-live, --cert, --key, --spki or --ca-bundle.  A key that is pinned already takes the new role.
    With --from-live and --role ca it is the last authority of the verified chain.
    """


@_command(
    _KEYS,
    "remove",
    "Pin a key no more.",
    "watchword pins remove api.example.com next",
    json="Print what is left as JSON.",
)
@click.argument("host")
@click.argument("key")
def remove_command() -> None:
    """Unpin KEY of HOST: a pin, the beginning of one, or a role that one key has.

    Apps go on with the published set until the next `watchword pins publish`.
    """


@_command(
    _KEYS,
    "show",
    "Show keys, published sets and app versions.",
    "watchword pins show --json",
)
def show_command() -> None:
    """Show which keys are pinned, what is published for each app, and which app versions are out there."""


@_command(
    _CHECKS,
    "check",
    "Hold what is live against what is pinned.",
    "watchword pins check --fail-within 30d --sign ci.pem --api clinic",
)
@click.option("--app", metavar="NAME", help="Only this app; left out: all that pin hosts.")
@click.option(
    "--fail-within",
    metavar="DURATION",
    help="Exit with 1 also where a set, a certificate or the root list expires within: for CI.",
)
@_probing
@click.option("--offline", is_flag=True, help="Connect to nothing; look at the sets alone.")
@click.option("--sign", type=FILE, help="Record what is found, signed by this observer's key.")
@click.option("--api", metavar="NAME", help="Which API of watchword.yaml it is, with --sign.")
def check_command() -> None:
    """Shake hands with each pinned host, at every address of it, and compare its key with the published set and the draft.

    Nothing but the handshake is sent.  From other vantage points: run it there too, or name addresses with --resolve.

    Exit code 0: as it should be.  1: something is bad.  3: nothing is bad, but a host can't be reached.
    """


@_command(
    _ROTATIONS,
    "rehearse",
    "Play a rotation: who survives it.",
    "watchword pins rehearse api.example.com --scenario lost-key, or in CI: watchword pins rehearse --fail-on renewal "
    "--fail-on swap-next --fail-on lost-key",
)
@click.argument("host", required=False)
@click.option("--app", metavar="NAME", help="Only this app.")
@click.option(
    "--scenario", "names", multiple=True, metavar="NAME", help="Only this one, step by step."
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="NAME",
    help="Exit with 1 if this scenario locks an installed app out; may be given several times.",
)
@click.option(
    "--offline", is_flag=True, help="Connect to nothing: each host shows its current key."
)
@_probing
def rehearse_command() -> None:
    """Play rotations and accidents with the draft as if it were published and enforced: which installed apps survive.

    Renewal with the same key, planned swaps, changes of the authority, lost and stolen keys, expiry, rollback, freeze, wrong
    clocks.  Each app version of `watchword pins release` takes part twice: one phone fetches at every step, one never did.
    Nothing is changed anywhere.
    """


@_command(
    _ROTATIONS,
    "rotate",
    "Take the next step of a rotation.",
    "watchword pins rotate api.example.com",
)
@click.argument("host")
@_probing
def rotate_command() -> None:
    """Look which key HOST shows, and take the next step of its rotation; say what comes after it.

    A planned key (next), or the backup after a loss, becomes the current one once it is live at all places, and not before.
    Run it as often as you like.
    """


@_command(
    _SETS,
    "publish",
    "Sign and publish, unless it locks out.",
    'watchword pins publish, or at 3 a.m.: watchword pins publish --force --reason "key stolen, backup is live, '
    'new backup comes tomorrow"',
)
@click.option("--app", "apps", multiple=True, metavar="NAME", help="Only this app; several times.")
@click.option("--dry-run", is_flag=True, help="Show what would be published, and what prevents it.")
@click.option("--force", is_flag=True, help="Publish in spite of an obstacle that can be forced.")
@click.option("--reason", metavar="TEXT", help="Why, with --force; kept in the log for good.")
@click.option("--actor", metavar="NAME", help="Who publishes; left out: the user and the machine.")
@click.option(
    "--above",
    type=click.IntRange(0, 2**53 - 2),
    default=0,
    help="A version that apps may have seen, after a workspace was lost.",
)
@_probing
def publish_command() -> None:
    """Look at the servers, make the set of each app, and publish it: the service hands it out from then on.

    A set is refused if it would lock out the live key or a supported app version, has no backup, or wasn't
    reported on first.  Forcing needs a reason, which is kept with your name in a log that can't be edited
    unnoticed.  All apps are published, or none.
    """


@_command(
    _SETS,
    "release",
    "Write what an app version ships with.",
    "watchword pins release clinic-android 4.2.0 -o app/src/main/res/raw/watchword_pins.json",
)
@click.argument("app")
@click.argument("version")
@click.option("-o", "--output", type=FILE, help="Write it here too, for the app's package.")
@click.option("--withdraw", is_flag=True, help="This version isn't supported any more.")
def release_command() -> None:
    """Write what VERSION of APP ships with: the newest root list and set, and the floor below which it takes no set.

    It is remembered: from now on no set is published that would lock this version out, until it is withdrawn.
    """


@_command(
    _SETS,
    "render",
    "Write the set in a platform's own format.",
    "watchword pins render android -o app/src/main/res/xml/network_security_config.xml",
)
@click.argument(
    "platform", type=click.Choice(["android", "ios", "okhttp", "trustkit", "typescript"])
)
@click.option("--app", metavar="NAME", help="The app, if several pin hosts.")
@click.option(
    "--draft", is_flag=True, help="The set that would be published, not the published one."
)
@click.option("-o", "--output", type=FILE, help="Write it here; an earlier one is written over.")
def render_command() -> None:
    """Write the published set of an app in a platform's own format, for apps that don't fetch sets, or until they have.

    What is built into an app can't be taken back: hosts that only report are left out where the platform can't report, and each
    thing that the format can't say is told on stderr.
    """


@_command(
    (command, "reports"),
    "reports",
    "Show what apps reported to the service.",
    "watchword pins reports --host api.example.com",
)
@click.option("--app", help="Only of this app.")
@click.option("--host", help="Only of this host.")
def reports_command() -> None:
    """Show what apps reported since the service started, grouped by host and by the key that they saw; times are UTC.

    Anyone can send a report: it is a claim. A key that you know is a certificate of yours that isn't pinned, or an app with old
    pins; one that nobody knows, on many phones, is somebody in between.
    """


@_command(
    _CHECKS,
    "watch",
    "Check again and again; metrics and alerts.",
    "watchword pins watch --interval 1h --textfile /var/lib/node_exporter/watchword_pins.prom",
    json="Print one JSON object a line for each finding.",
)
@click.option("--once", is_flag=True, help="Check once and exit like `watchword pins check`.")
@click.option("--interval", default="1h", show_default=True, metavar="DURATION")
@click.option(
    "--alert-within",
    default="30d",
    show_default=True,
    metavar="DURATION",
    help="Report what expires within.",
)
@click.option("--textfile", type=FILE, help="Write metrics here after each check.")
@click.option("--listen", metavar="ADDR:PORT", help="Serve metrics there, on loopback: /metrics.")
@_probing
def watch_command() -> None:
    """Check all pinned hosts again and again, and report each finding when it appears and when it is gone.

    Metrics are for Prometheus: a file for its node exporter, or an address on loopback.  Ends by Ctrl-C or a signal.
    """


@_command(
    _KEYS,
    "log",
    "Show each step, forced ones with their reason.",
    "watchword pins log --forced",
    json="Print one JSON object a line.",
)
@click.option("--forced", is_flag=True, help="Only steps that were forced.")
def log_command() -> None:
    """Show each step, the oldest first: who did what, when, and why where it was forced.

    Each line is chained to the one before: where one was changed or taken out, this command fails and names it.
    """


_ROOTS: Final[_Place] = (root, "root_lists")


@_command(
    _ROOTS,
    "init",
    "Make root keys and the first root list.",
    "watchword pins root init -d /media/stick/clinic-roots --keys 3 --threshold 2 --pin-key pin-key.jwk",
)
@click.option(
    "-d",
    "--directory",
    required=True,
    type=_DIRECTORY,
    help="Where the keys are written, mode 0600; a machine or a stick that is offline.",
)
@click.option(
    "--keys", type=click.IntRange(0, 16), default=3, show_default=True, help="Keys to make here."
)
@click.option(
    "--public",
    multiple=True,
    type=FILE,
    help="Public key (.jwk) of a holder who made it elsewhere: `watchword pins root key`.",
)
@click.option("--threshold", type=click.IntRange(1, 16), help="How many sign; more than half.")
@click.option(
    "--pin-key",
    "pin_keys",
    multiple=True,
    required=True,
    type=FILE,
    help="Public key (.jwk) that may sign pin sets, from `watchword pins init`.",
)
@click.option("--expires", default="365d", show_default=True, metavar="DURATION")
@click.option("--passphrase", is_flag=True, help="Ask for one that encrypts the keys.")
@PASSPHRASE_FILE
def root_init() -> None:
    """Make root keys and the first root list, signed by each key that is made here.

    Do it offline.  Give the keys to as many people as there are; with one of them lost or stolen the others make the next list.
    No file is overwritten, and a directory of the running deployment is refused.
    """


@_command(
    _ROOTS,
    "key",
    "Make the key of one more holder.",
    "watchword pins root key -o bob.pem --passphrase",
)
@click.option("-o", "--output", required=True, type=FILE, help="File for the private key.")
@click.option("--passphrase", is_flag=True, help="Ask for one that encrypts the key.")
@PASSPHRASE_FILE
def root_key() -> None:
    """Make one key pair, on its holder's own machine: the private key stays there, the .jwk beside it goes into the next list."""


@_command(
    _ROOTS,
    "sign",
    "Add a holder's signature to a list.",
    "watchword pins root sign roots-2.json --key alice.pem --previous roots-1.json",
    json="Print what the list says as JSON.",
)
@click.argument("file", type=FILE)
@click.option("--key", required=True, type=FILE, help="Your root key.")
@PREVIOUS
@click.option("--passphrase-file", type=FILE, help="Of the key; asked for if it's left out.")
def root_sign() -> None:
    """Show what a root list says and add your signature to it, in place.

    Read what is shown: with your signature you say that these keys may sign pins, and that those which are gone may not.
    """


@_command(
    _ROOTS,
    "rotate",
    "Write the next list: keys, floors.",
    "watchword pins root rotate roots-1.json --add-pin-key new.jwk --remove-pin-key 1xYk --key root-1.pem "
    "--key root-2.pem",
    json="Print what the list says as JSON.",
)
@click.argument("file", type=FILE)
@click.option("--add-key", multiple=True, type=FILE, help="Public root key of a new holder.")
@click.option(
    "--remove-key",
    multiple=True,
    metavar="KID|FILE",
    help="Root key to remove: the beginning of its id, or its .jwk.",
)
@click.option("--add-pin-key", multiple=True, type=FILE, help="Public key that may sign pin sets.")
@click.option(
    "--remove-pin-key",
    multiple=True,
    metavar="KID|FILE",
    help="Public key that may no longer sign pin sets.",
)
@click.option(
    "--only-pin-key",
    type=FILE,
    help="The one key that may sign pin sets from now on: all others are lost or stolen.",
)
@click.option(
    "--floor",
    multiple=True,
    metavar="APP=VERSION",
    help="Lowest version of an app's sets that still counts. Where a pin key is taken out: the newest that the workspace published.",
)
@click.option("--threshold", type=click.IntRange(1, 16), help="As before, if left out.")
@click.option("--expires", default="365d", show_default=True, metavar="DURATION")
@click.option("--key", "keys", multiple=True, type=FILE, help="Root key that signs at once.")
@click.option("--passphrase-file", type=FILE, help="Of the keys; asked for if it's left out.")
@click.option("-o", "--output", type=FILE, help="roots-N.json beside FILE, if left out.")
def root_rotate() -> None:
    """Write the list after FILE: the same, renewed, with the changes that you name.  Do it offline.

    It counts once enough keys of FILE and enough of its own have signed it; a key that goes may sign its own removal.  Where no
    workspace is at hand, taking out a pin key needs --floor for each app: older sets by the other keys would count again.
    """


@_command(
    _ROOTS,
    "show",
    "Say what a list says, and who signed it.",
    "watchword pins root show roots-2.json --previous roots-1.json",
    json="Print it as JSON.",
)
@click.argument("file", type=FILE, required=False)
@PREVIOUS
def root_show() -> None:
    """Say what a root list says and who signed it; without FILE, the workspace's newest."""


@_command(
    _ROOTS,
    "accept",
    "Bring a signed list into the workspace.",
    "watchword pins root accept roots-1.json",
    json="Print what the list says as JSON.",
)
@click.argument("file", type=FILE)
@click.option(
    "--force",
    is_flag=True,
    help="Take a list that takes a pin key out and doesn't raise the floors for it, or names none of this workspace.",
)
@click.option("--reason", metavar="TEXT", help="Why, with --force; kept in the log for good.")
def root_accept() -> None:
    """Put a completely signed root list into the workspace, from which the service delivers it.

    It is verified as an app would: enough keys of the list before it signed, and enough of its own.  There is no way back:
    from then on apps take it, one after the other.
    """

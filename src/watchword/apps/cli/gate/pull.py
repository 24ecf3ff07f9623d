"""Fetch a gate's bundle from the service of another machine, and keep it up to date."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.terminal.console import fail, print_json

if TYPE_CHECKING:
    from watchword.gate.bundle import GateBundle

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries while the service can't be reached; doubled each time."""

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog="Example: watchword gate pull --url https://watchword.internal:8443 --api clinic "
    "--certificate gate.pem --key gate.key --ca service-ca.pem -o gates/clinic.jws"
)
@click.option("--url", required=True, help="https://host:port of `gates: listen:`.")
@click.option("--api", required=True, help="Name of the API under `apis:`.")
@click.option("--certificate", required=True, type=_FILE, help="PEM of this gate's certificate.")
@click.option("--key", required=True, type=_FILE, help="PEM of its key.")
@click.option("--ca", required=True, type=_FILE, help="PEM of who signed the service's.")
@click.option("-o", "--output", required=True, type=_FILE, help="The file to keep up to date.")
@click.option(
    "--signer",
    type=_FILE,
    help="The service's public key, copied once from its state directory; signer.jwk beside the "
    "output if left out.",
)
@click.option("--once", is_flag=True, help="Fetch once and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(
    url: str,
    api: str,
    certificate: Path,
    key: Path,
    ca: Path,
    output: Path,
    signer: Path | None,
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Fetch the bundle of an API's gate over mutual TLS, verify it, and replace the file.

    Goes on until it is stopped: what the service changes is in the file within a second.  While
    the service can't be reached or the file can't be written, and when what it sends isn't signed by
    it or is older, the file stays as it is.  Ends with an error when one of the two certificates isn't believed, or this
    gate may not fetch this API.
    """
    from watchword.adapters.gate_bundle import read_signer
    from watchword.adapters.gate_bundle.follower import BundleFollower
    from watchword.adapters.gate_bundle.remote import BundleSource, FetchError, client_tls
    from watchword.adapters.keyring.private_file import PrivateFileError
    from watchword.gate.bundle import GateBundleError

    if not url.startswith("https://"):
        raise click.BadParameter("expected https://host:port", param_hint="--url")
    if not api.replace("-", "").isalnum():
        raise click.BadParameter("expected the name of an API", param_hint="--api")
    public_key = read_signer(signer or output.parent / "signer.jwk")
    source = BundleSource(url, api, client_tls(certificate, key, ca))
    follower = BundleFollower(source, api, output, public_key)
    pause, wait = FIRST_PAUSE, False
    while True:
        try:
            bundle = follower.turn(wait=wait)
        except (FetchError, GateBundleError, PrivateFileError) as error:
            # A full disk too passes: whoever gave up for it would never hear of a revocation again.
            if once:
                raise
            fail(error)
            time.sleep(pause)
            pause, wait = min(2 * pause, LONGEST_PAUSE), False
            continue
        _tell(api, bundle, first=not wait, as_json=as_json)
        if once:
            return
        pause, wait = FIRST_PAUSE, True


def _tell(api: str, bundle: "GateBundle | None", *, first: bool, as_json: bool) -> None:
    """Say what was written; that nothing is new is worth a line only at first."""
    if bundle is None:
        if first:
            told = {"api": api, "generation": None}
            print_json(told) if as_json else click.echo(f"{api}: the file is up to date")
        return
    counts = {
        "generation": bundle.generation,
        "routes": len(bundle.policy.routes),
        "keys": len(bundle.keys),
        "epochs": len(bundle.secrets),
        "revoked": len(bundle.revoked),
    }
    if as_json:
        print_json({"api": api, **counts})
    else:
        click.echo(f"{api}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))

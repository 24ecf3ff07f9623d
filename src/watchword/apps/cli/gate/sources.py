"""Find what an engine's configuration is written from: the bundle, and where everything is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.terminal.paragraphs import printable_lines

if TYPE_CHECKING:
    from watchword.adapters.gate_bundle import GateBundleFile
    from watchword.engines.interface import EngineOptions


def following(
    config: Path, output: Path, given: Mapping[str, Any], *, engine: str, required: bool = False
) -> tuple["GateBundleFile", "EngineOptions"]:
    """Return the bundle that is followed, and where everything is.

    :param given: the options ``api``, ``bundle``, ``signer``, ``listen``, ``authz``, ``access_log``.
    :param engine: which one; the API's own ``/authz`` is used where it is asked in this engine's way.
    :param required: whether the bundle has to be there now.
    :raises UnavailableError: when it has to be there, and isn't.
    """
    from watchword.adapters.gate_bundle import GateBundleFile
    from watchword.apps.engines.places import api_of, engine_options
    from watchword.apps.settings import load_settings
    from watchword.engines.registry import ENGINES
    from watchword.reasons import Reason, UnavailableError

    settings = load_settings(config)
    api = api_of(settings, given["api"])
    authz = given["authz"]
    if authz is None and api.authz is not None and api.authz.style == ENGINES[engine].asks:
        listen = api.authz.listen
        socket = settings.service.authz_socket(api.name)
        authz = f"unix:{socket}" if listen is None else f"{listen.host}:{listen.port}"
    elif authz is not None and api.authz is not None and api.authz.style != ENGINES[engine].asks:
        own = settings.service.authz_socket(api.name)
        _require_another(authz, own, api.name, api.authz.style, ENGINES[engine].asks)
    options = engine_options(
        api,
        output,
        authz=authz,
        listen=given["listen"],
        access_log=given["access_log"],
        over_tls=ENGINES[engine].over_tls,
    )
    for notice in notices(options, engine):
        click.echo(printable_lines(notice), err=True)
    bundle = given["bundle"] or settings.service.gate_bundle(api.name)
    if required and not bundle.exists():
        detail = f"{bundle}: isn't there yet; `watchword up` or `watchword gate pull` writes it"
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, detail)
    signer = given["signer"] or settings.service.bundle_key
    return GateBundleFile(bundle, signer, api=api.name), options


def notices(options: "EngineOptions", engine: str) -> Sequence[str]:
    """Return what a person should know before starting an engine with these places."""
    if options.user != "root":
        return ()
    workers = f"root runs this, and so would {engine} with every worker that reads requests"
    return (f"{workers}: run Watchword and {engine} as a user of their own",)


def _require_another(named: str, own: Path, api: str, style: str, asks: str) -> None:
    """Refuse the API's own socket where it is asked in another way, since every question would be refused there.

    :raises PlacesError: when it is that one.
    """
    from watchword.apps.engines.places import PlacesError

    if named.startswith("unix:") and Path(named.removeprefix("unix:")).resolve() == own.resolve():
        raise PlacesError(
            f"apis.{api}.authz.style: got {style}, expected {asks}, in which this engine asks; "
            "change the file and start `watchword up` again"
        )

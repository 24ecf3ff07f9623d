"""Work out from settings and command line where an engine, its API and its files are."""

import os
import pwd
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, EngineOptions, UnsupportedError
from watchword.reasons import WatchwordError


class PlacesError(WatchwordError):
    """Report what is missing or can't be used, for a person."""


def api_of(settings: Settings, name: str | None) -> ApiSettings:
    """Return the API that is meant: the named one, or the only one.

    :raises PlacesError: when there isn't exactly one.
    """
    known = ", ".join(settings.apis)
    if name is None and len(settings.apis) == 1:
        return next(iter(settings.apis.values()))
    if name is None:
        raise PlacesError(f"expected --api, one of: {known}")
    if name not in settings.apis:
        raise PlacesError(f"--api: got {name!r}, expected one of: {known}")
    return settings.apis[name]


def endpoint(text: str, option: str) -> Endpoint:
    """Return where something listens: ``unix:PATH``, or ``HOST:PORT``.

    :raises PlacesError: when it is neither.
    """
    try:
        if text.startswith("unix:"):
            return Endpoint(socket=str(Path(text.removeprefix("unix:")).resolve()))
        host, _, port = text.rpartition(":")
        number = int(port)
        if not host or not 0 < number < 65536:
            raise ValueError("expected a host and a port")  # noqa: TRY301
        return Endpoint(host.strip("[]"), number)
    except ValueError as error:
        raise PlacesError(
            f"{option}: got {text!r}, expected unix:PATH or HOST:PORT ({error})"
        ) from None


def engine_options(
    api: ApiSettings,
    directory: Path,
    *,
    authz: str | None,
    listen: str | None,
    access_log: Path | None,
    over_tls: bool = False,
) -> EngineOptions:
    """Return what a configuration needs beside the bundle.

    :param over_tls: whether the engine asks forward auth over mutual TLS, and so at a host and port.

    :raises PlacesError: when the API has no upstream or no address, or a path is too long.
    :raises UnsupportedError: when forward auth would need a secret in the engine's configuration.
    """
    if api.upstream is None:
        raise PlacesError(f"apis.{api.name}.upstream: expected where the API answers")
    if listen is None and api.listen is None:
        raise PlacesError(f"apis.{api.name}.listen: expected where clients come in, or --listen")
    upstream = urlsplit(api.upstream)
    tls = upstream.scheme == "https"
    asked = None if authz is None else endpoint(authz, "--authz")
    if asked is not None and over_tls and asked.socket:
        raise UnsupportedError(
            api.name,
            "--authz",
            "this engine knows no Unix sockets",
            "give the API's authz a listener with certificate, key and client_ca: --authz HOST:PORT",
        )
    if asked is not None and not over_tls and not asked.socket:
        raise UnsupportedError(
            api.name,
            "--authz",
            "over TCP it needs a credential, which the engine's configuration would show",
            "name its Unix socket: --authz unix:PATH",
        )
    place = directory.resolve()
    try:
        return EngineOptions(
            directory=str(place),
            listen=endpoint(listen or str(api.listen), "--listen"),
            upstream=Endpoint(upstream.hostname or "", upstream.port or (443 if tls else 80)),
            tls=tls,
            authz=asked,
            signed_verdict=api.signed_verdict,
            access_log="/dev/stdout" if access_log is None else str(access_log.resolve()),
            user=pwd.getpwuid(os.geteuid()).pw_name,
        )
    except ValueError as error:
        raise PlacesError(f"-o {directory}: {error}") from None


def envoy_options(given: EngineOptions) -> EnvoyOptions:
    """Return the options of an Envoy, whose admin endpoint is in its directory.

    :raises PlacesError: when the path of its socket is too long.
    """
    try:
        common = {each.name: getattr(given, each.name) for each in fields(given)}
        return EnvoyOptions(**common, admin=Endpoint(socket=given.path("admin.sock")))
    except ValueError as error:
        raise PlacesError(f"-o {given.directory}: {error}") from None

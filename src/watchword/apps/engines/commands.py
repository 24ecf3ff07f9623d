"""Run what :mod:`watchword.apps.engines.cli` declares."""

import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fcntl import F_GETFL, F_SETFL, fcntl
from pathlib import Path
from typing import Any, Final

import click

from watchword.adapters.gate_bundle import GateBundleFile, read_signer
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.gate_bundle.follower import BundleFollower
from watchword.adapters.gate_bundle.remote import (
    BundleSource,
    DeniedError,
    FetchError,
    client_tls,
)
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.system import SystemClock
from watchword.apps.engines.envoy import (
    LOOK_SECONDS,
    ControlPlane,
    EnvoyProcess,
    Origins,
    find_envoy,
    system_resolver,
)
from watchword.apps.engines.follower import EngineFollower, RunningEngine, write_files
from watchword.apps.engines.haproxy import RunningHaproxy
from watchword.apps.engines.nginx import Nginx, NginxAuthz
from watchword.apps.engines.places import PlacesError, api_of, engine_options, envoy_options
from watchword.apps.settings.document import read_document
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_REFUSED, fail, print_json
from watchword.apps.terminal.paragraphs import printable_lines
from watchword.engines.envoy.generation import BOOTSTRAP, generate, stands_still
from watchword.engines.envoy.injection import injected_rules
from watchword.engines.envoy.options import START_OPTIONS, EnvoyOptions
from watchword.engines.interface import Endpoint, EngineOptions, Files, UnsupportedError
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import GateBundle, GateBundleError
from watchword.reasons import Reason, UnavailableError

_RESOLVING_PATIENCE = 5.0
"""Seconds for which the addresses of all origins are waited for."""

_CHECK_EVERY = 5
"""Envoy is asked what it rejected at every fifth look."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries while the service can't be reached; doubled each time."""

MakeRunning = Callable[[EngineOptions, Path | None, bool, Callable[[str], None]], RunningEngine]
"""From places, the engine's binary where it is named, whether to run it, and who is told of faults."""

RUNNING: Final[Mapping[str, MakeRunning]] = {
    "haproxy": RunningHaproxy,
    "nginx": Nginx,
    "nginx-authz": NginxAuthz,
}
"""Each by the engine's name."""


def following(
    config: Path, output: Path, given: Mapping[str, Any], *, engine: str, required: bool = False
) -> tuple[GateBundleFile, EngineOptions]:
    """Return the bundle that is followed, and where everything is.

    :param given: the options ``api``, ``bundle``, ``signer``, ``listen``, ``authz``, ``access_log``.
    :param engine: which one; the API's own ``/authz`` is used where it is asked in this engine's way.
    :param required: whether the bundle has to be there now.
    :raises UnavailableError: when it has to be there, and isn't.
    """
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
    if required and not (bundle.exists() or chain_path(bundle).exists()):
        detail = f"{bundle}: isn't there yet; `watchword up` or `watchword gate pull` writes it"
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, detail)
    signer = given["signer"] or settings.service.bundle_key
    return GateBundleFile(bundle, signer, api=api.name), options


def notices(options: EngineOptions, engine: str) -> Sequence[str]:
    """Return what a person should know before starting an engine with these places."""
    if options.user != "root":
        return ()
    workers = f"root runs this, and so would {engine} with every worker that reads requests"
    return (f"{workers}: run Watchword and {engine} as a user of their own",)


def _require_another(named: str, own: Path, api: str, style: str, asks: str) -> None:
    """Refuse the API's own socket where it is asked in another way, since every question would be refused there.

    :raises PlacesError: when it is that one.
    """
    if named.startswith("unix:") and Path(named.removeprefix("unix:")).resolve() == own.resolve():
        raise PlacesError(
            f"apis.{api}.authz.style: got {style}, expected {asks}, in which this engine asks; "
            "change the file and start `watchword up` again"
        )


def append_to_output() -> None:
    """Write standard output and errors at the end of their files from now on.

    An engine that logs to ``/dev/stdout`` opens the file behind it again, with a place of its own in it; each
    would write over lines of the other.  Pipes and terminals have no places, and nothing changes for them.
    """
    for descriptor in (1, 2):
        # One that is closed, or can't be appended to, is none of our business.
        with suppress(OSError):
            fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | os.O_APPEND)


def config_command(
    config: Path, /, *, engine: str, output: Path, as_json: bool, **given: str | None
) -> None:
    """See ``watchword gate config``."""
    source, options = following(config, output, given, engine=engine, required=True)
    bundle, now = source.bundle, SystemClock().timestamp()
    described = ENGINES[engine]
    try:
        if described.generate is None:
            files, start, still = _envoy(bundle, options, now)
        else:
            files = described.generate(bundle, options, now)
            start = "" if described.start is None else described.start(options)
            still = [described.unfollowed] * described.follows
    except UnsupportedError as error:
        raise _placed(error, config, bundle.policy.api) from None
    write_files(output, files)
    if as_json:
        names = [file.name for file in files]
        print_json({"engine": engine, "directory": output, "files": names, "start": start})
        return
    click.echo(f"Wrote {len(files)} files for {engine} into {output}.")
    click.echo(f"  start   {start}")
    if described.generate is None or described.follows:
        verb = "envoy" if described.generate is None else f"follow --engine {engine}"
        click.echo(f"  follow  watchword gate {verb} {_repeated(output, given)}")
    for what in still:
        click.echo(f"  until you follow, {what}")
    if given["listen"] is None:
        where = _where(options.listen)
        click.echo(f"  `watchword up` takes {where} itself where it runs; --listen names another")


def _placed(error: UnsupportedError, config: Path, api: str) -> UnsupportedError:
    """Return the error with the file's line, where the setting that an engine can't carry out stands there for the API."""
    # What stands behind the first word is more of it: `replay shared`, or what it lacks.
    setting = error.setting.partition(" ")[0]
    line = read_document(config).lines.get(("apis", api, setting))
    return error if line is None else error.at(f"{config}:{line}  apis.{api}")


def _repeated(output: Path, given: Mapping[str, object]) -> str:
    """Return the options as they were given: without --listen, say, a follower would write another address."""
    words = ["-o", str(output)]
    for name, value in given.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _envoy(
    bundle: GateBundle, given: EngineOptions, now: float
) -> tuple[Files, str, Sequence[str]]:
    """Return Envoy's files, how it is started, and what stays as it is; it needs addresses beside the bundle."""
    options = envoy_options(given)
    origins = _new_origins()
    addresses: Mapping[str, Sequence[str]] = origins.look(
        injected_rules(bundle.policy), _RESOLVING_PATIENCE
    )
    for fault in origins.faults():
        click.echo(printable_lines(fault), err=True)
    files = generate(bundle, options, now, addresses)
    start = f"envoy -c {options.path(BOOTSTRAP)} {' '.join(START_OPTIONS)}"
    return files, start, stands_still(bundle)


def envoy_command(
    ctx: click.Context,
    /,
    *,
    output: Path,
    as_json: bool,
    runs: bool,
    envoy: Path | None,
    workers: int,
    **given: Any,
) -> None:
    """See ``watchword gate envoy``."""
    binary = find_envoy(envoy) if runs else None
    if runs:
        append_to_output()
    source, places = following(ctx.obj, output, given, engine="envoy")
    options = envoy_options(places)
    plane = ControlPlane(source, options, SystemClock().timestamp, _notify, _new_origins())
    stopped = _stopped_by_signals()
    process: EnvoyProcess | None = None
    looks, told = 0, None
    try:
        while not stopped.is_set():
            if plane.step():
                # Addresses that changed and windows that ended are written without a word.
                if source.generation != told:
                    told = source.generation
                    _tell_written(told, output, as_json=as_json)
                if binary is not None and process is None:
                    process = _started(binary, options, workers, as_json=as_json)
            if process is not None:
                process.keep_running()
            looks += 1
            if looks % _CHECK_EVERY == 0:
                plane.check()
            stopped.wait(LOOK_SECONDS)
    finally:
        if process is not None:
            process.stop()
    ctx.exit(EXIT_REFUSED if plane.faults else 0)


def _stopped_by_signals() -> threading.Event:
    """Return what is set once somebody asks for the end."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _tell_written(
    generation: int, output: Path, engine: str | None = None, *, as_json: bool
) -> None:
    if as_json:
        named = {} if engine is None else {"engine": engine}
        print_json({**named, "generation": generation, "directory": output})
    else:
        what = "" if engine is None else f" for {engine}"
        click.echo(f"Wrote generation {generation}{what} into {output}.")


def _where(listen: Endpoint) -> str:
    return listen.socket or f"{listen.host}:{listen.port}"


def _new_origins() -> Origins:
    """Return what finds the addresses of the origins that keys are sent to."""
    return Origins(system_resolver, time.monotonic)  # noqa: TID251 - how old an answer is.


def _notify(text: str) -> None:
    click.echo(printable_lines(text), err=True)


def _started(binary: Path, options: EnvoyOptions, workers: int, *, as_json: bool) -> EnvoyProcess:
    monotonic = time.monotonic  # noqa: TID251 - how long a process has run.
    command = (binary, Path(options.path(BOOTSTRAP)), workers)
    process = EnvoyProcess(command, options.listen, Path(options.admin.socket), _notify, monotonic)
    where = _where(options.listen)
    if as_json:
        print_json({"envoy": "adopted" if process.adopted else "started", "listen": where})
        return process
    found = "An Envoy runs here already and is taken over" if process.adopted else "Envoy starts"
    click.echo(f"{found}; clients come in at {where}. Ctrl-C ends both.")
    return process


def follow_command(
    ctx: click.Context,
    /,
    *,
    engine: str,
    output: Path,
    runs: bool,
    binary: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """See ``watchword gate follow``."""
    source, options = following(ctx.obj, output, given, engine=engine)
    if runs:
        append_to_output()
    running = RUNNING[engine](options, binary, runs, _notify)
    now = SystemClock().timestamp
    follower = EngineFollower(source, ENGINES[engine], options, running, now, _notify)
    stopped = _stopped_by_signals()
    written, told = False, False
    try:
        while not stopped.is_set():
            if follower.step():
                written = True
                _tell_written(source.generation, output, engine, as_json=as_json)
            if written and runs:
                running.keep_running()
                if not told:
                    _tell_where(engine, options.listen, as_json=as_json)
                told = True
            stopped.wait(LOOK_SECONDS)
    finally:
        running.stop()
    ctx.exit(EXIT_REFUSED if follower.faults else 0)


def _tell_where(engine: str, listen: Endpoint, *, as_json: bool) -> None:
    where = _where(listen)
    if as_json:
        print_json({"engine": engine, "listen": where})
    else:
        click.echo(
            f"Clients come in at {where}. Ctrl-C ends this, and {engine} if it was started here."
        )


def pull_command(
    url: str,
    api: str,
    certificate: Path,
    key: Path,
    ca: Path,
    output: Path,
    signer: Path | None,
    *,
    once: bool,
    chain_only: bool,
    as_json: bool,
) -> None:
    """See ``watchword gate pull``."""
    if not url.startswith("https://"):
        raise click.BadParameter("expected https://host:port", param_hint="--url")
    if not api.replace("-", "").isalnum():
        raise click.BadParameter("expected the name of an API", param_hint="--api")
    public_key = read_signer(signer or output.parent / "signer.jwk")
    source = BundleSource(url, api, client_tls(certificate, key, ca))
    follower = BundleFollower(source, api, output, public_key, chain_only=chain_only)
    pause, wait, first = FIRST_PAUSE, False, True
    while True:
        try:
            bundle = follower.turn(wait=wait)
        except (FetchError, DeniedError, GateBundleError, PrivateFileError) as error:
            # A full disk too passes, and a clock on either side that is wrong for the certificates: whoever gave up for it
            # would never hear of a revocation again.  What is denied from the start is somebody's to mend.
            if once or (first and isinstance(error, DeniedError)):
                raise
            fail(error)
            time.sleep(pause)
            pause, wait = min(2 * pause, LONGEST_PAUSE), False
            continue
        _tell_fetched(api, bundle, first=not wait, as_json=as_json)
        if once:
            return
        pause, wait, first = FIRST_PAUSE, True, False


def _tell_fetched(api: str, bundle: GateBundle | None, *, first: bool, as_json: bool) -> None:
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
        "revoked": bundle.revoked_count,
    }
    if as_json:
        print_json({"api": api, **counts})
    else:
        click.echo(f"{api}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))

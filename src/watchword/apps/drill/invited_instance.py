"""Keep the test instance of a deployment in a file, and bring it to a drill as its genuine side."""

import os
import secrets  # noqa: TID251 - jitter of a client that enrols once.
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx

from watchword.adapters.address_kinds import is_loopback
from watchword.adapters.drill_wire import parse_target
from watchword.adapters.drill_wire.stream import tls_context
from watchword.adapters.keyring.private_file import read_private, write_private
from watchword.apps.drill.run_plan import RunPlanError
from watchword.apps.settings.schema import Settings
from watchword.client import TestInstanceDevice, WatchwordClient
from watchword.client.session import HeldToken
from watchword.drill.interface import Held, MissingError, Need, Phone
from watchword.encoding import strict_json
from watchword.encoding.phrases import other_format
from watchword.ports import Clock
from watchword.reasons import ExitCode, MalformedError, WatchwordError
from watchword.vocabulary import Platform

KIND: Final = "test-instance"

_VERSION: Final = 1
_MAX_BYTES: Final = 16 * 1024
_MEMBERS: Final = {"v", "app", "platform", "instance", "audiences", "device"}


class InstanceFileError(WatchwordError):
    """Report a file that holds no test instance, and what to do about it."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class InvitedInstance:
    """Hold an enrolled test instance.

    :param app: its app's name under ``apps``.
    :param audiences: those that it enrolled for, and may renew tokens for.
    :param device: as :meth:`watchword.client.TestInstanceDevice.export` gives it.
    """

    app: str
    platform: Platform
    instance: str = field(repr=False)
    audiences: tuple[str, ...]
    device: Mapping[str, Any] = field(repr=False)

    def held(self) -> Held:
        """Return it as attacks hold instances, with tokens that ended long ago: it has to be renewed first."""
        device = TestInstanceDevice.from_export(self.device)
        phone = Phone(KIND, self.app, self.platform, device)
        ended = {audience: HeldToken("", 0.0, 0.0) for audience in self.audiences}
        return Held(phone, self.instance, tokens=ended, statement=b"", body={})


def enrolled(
    settings: Settings,
    app: str,
    code: str,
    service: str,
    clock: Clock,
    ca: Path | None = None,
) -> InvitedInstance:
    """Enrol a test instance by an operator's code, for all APIs of its app.

    :param service: where the service is.
    :param ca: file of the certificates that are believed instead of the public authorities'.
    :raises AddressError: when the service has no such address.
    :raises RunPlanError: when it isn't reached over TLS, nor on this machine.
    :raises ServiceRefusedError: when the code isn't good, or not for this app.
    :raises ServiceUnavailableError: when the service doesn't answer.
    """
    target = parse_target(service)
    if target.scheme == "http" and target.host != "localhost" and not is_loopback(target.host):
        raise RunPlanError(
            f"{target.text}: got a service without TLS, expected https: the code would be read on the way"
        )
    device = TestInstanceDevice(code)
    audiences = tuple(api.audience for api in settings.apis.values() if app in api.apps)
    client = WatchwordClient(
        service,
        app,
        device,
        audiences,
        clock=clock.timestamp,
        jitter=lambda: secrets.randbelow(1000) / 1000,
        issuer=settings.service.issuer,
        transport=None if ca is None else httpx.HTTPTransport(verify=tls_context(ca)),
    )
    with client:
        client.enrol()
        assert client.instance is not None
        platform = settings.apps[app].platform
        return InvitedInstance(app, platform, client.instance, audiences, device.export())


def reserve(path: Path) -> None:
    """Make an empty file of mode 0600 where nothing is yet, a link to nowhere included.

    :raises InstanceFileError: when something is there, or the disk refuses.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise InstanceFileError(
            f"{path}: {error.strerror}, expected a place for a new file; name another with -o"
        ) from None


def write_instance(path: Path, instance: InvitedInstance) -> None:
    """Write it into a file of mode 0600: who has the file is this instance until that ends."""
    members = {
        "v": _VERSION,
        "app": instance.app,
        "platform": instance.platform.value,
        "instance": instance.instance,
        "audiences": list(instance.audiences),
        "device": dict(instance.device),
    }
    write_private(path, strict_json.dumps(members))


def read_instance(path: Path) -> InvitedInstance:
    """Read it back.

    :raises InstanceFileError: when it isn't one, or can be read by others.
    """
    data = read_private(path, _MAX_BYTES)
    if data is None:
        _refuse(path, "there is no such file")
    try:
        members = strict_json.loads(data, _MAX_BYTES)
        if members.get("v") != _VERSION:
            raise InstanceFileError(f"{path}: {other_format(members.get('v'), _VERSION)}")
        if set(members) != _MEMBERS:
            _refuse(path, "it has other members than expected")
        found = InvitedInstance(
            str(members["app"]),
            Platform(members["platform"]),
            str(members["instance"]),
            tuple(str(each) for each in members["audiences"]),
            members["device"],
        )
        TestInstanceDevice.from_export(found.device)
    except (MalformedError, ValueError, TypeError):
        # Its text isn't quoted: it holds keys.
        _refuse(path, "it doesn't hold a test instance")
    return found


class NoPhones:
    """Implement :class:`watchword.drill.interface.Phones` where there is one test instance and nothing else."""

    def genuine(self, platform: Platform | None = None) -> Phone:
        """Refuse: its code is spent, so that attacks share the one that is enrolled."""
        del platform
        raise MissingError(Need.GENUINE, "this attack needs one of its own")

    def of_kind(self, kind: str) -> Phone:
        """Refuse: a service outside of the lab believes no simulated phone."""
        raise MissingError(Need.PHONES, kind)


def _refuse(path: Path, why: str) -> NoReturn:
    raise InstanceFileError(
        f"{path}: {why}, expected a test instance; make one: watchword drill enrol -o {path}"
    )

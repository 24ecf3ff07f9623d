"""Bring to a drill what only a lab on this machine has: simulated phones, and the deployment's own keys."""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.store_mark import StoreMark
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings import ApiSettings, Settings
from watchword.attestation.interface import AppleApp, AppRegistration
from watchword.broker.interface import LentValue
from watchword.drill.interface import Canary, KeptSecret, Phone
from watchword.drill.needs import MissingError, Need
from watchword.enrolment.challenges import epoch_key
from watchword.gate.interface import GatePolicy, GateState
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.lab.phones.interface import PhoneModel
from watchword.lab.phones.iphone import IPhoneModel
from watchword.policy.interface import Policy, leaves_of
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.ports import Clock, Entropy, Signer
from watchword.reasons import RefusedError, UnavailableError
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Level, Platform

_INVITED_SECONDS = 120
_OF_A_DRILL = "drill-"
"""What the names of canaries that drills plant begin with."""

_ENDED = frozenset({"ended", "revoked", "withheld"})
_GENUINE = {Platform.ANDROID: "genuine-android", Platform.IOS: "genuine-iphone"}
_IN_OWN_CHIP = {**_GENUINE, Platform.ANDROID: "strongbox-android"}


def wants_own_chip(policy: Policy) -> bool:
    """Tell whether a policy takes keys in a chip of their own alone, at every level that key attestation gets."""
    judging = [
        rule
        for level in policy.levels.values()
        for rule in leaves_of(level)
        if isinstance(rule, HardwareSecurity)
    ]
    return bool(judging) and all(rule.strongbox for rule in judging)


class LabPhones:
    """Implement :class:`watchword.drill.interface.Phones` by the lab's."""

    def __init__(
        self,
        settings: Settings,
        api: ApiSettings,
        authorities: LabAuthorities,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Prepare; a phone is made when it's asked for."""
        self._apps = {name: settings.apps[name] for name in api.apps}
        self._routes = api.routes
        self._genuine = _IN_OWN_CHIP if wants_own_chip(settings.policy) else _GENUINE
        self._authorities = authorities
        self._clock = clock
        self._entropy = entropy
        self._numbers = itertools.count()

    def genuine(self, platform: Platform | None = None) -> Phone:
        """See :meth:`watchword.drill.interface.Phones.genuine`."""
        wanted = list(self._genuine) if platform is None else [platform]
        for each in wanted:
            if self._app(each) is not None:
                return self.of_kind(self._genuine[each])
        raise MissingError(Need.GENUINE, f"no app of the API is for {wanted[0].value}")

    def of_kind(self, kind: str) -> Phone:
        """See :meth:`watchword.drill.interface.Phones.of_kind`."""
        model = PHONES[kind]
        app = self._app(model.platform)
        if app is None:
            raise MissingError(Need.PHONES, f"no app of the API is for {model.platform.value}")
        if isinstance(app.identity, AppleApp) and _is_listed(model, app.identity):
            raise MissingError(Need.PHONES, f"{app.id} lists what a {kind} is")
        # A phone's keys follow from its name: each is one that nobody has seen.
        name = f"drill-{kind}-{next(self._numbers)}-{self._entropy.token_bytes(8).hex()}"
        setup = PhoneSetup(authorities=self._authorities, clock=self._clock, name=name)
        return Phone(kind, app.id, model.platform, model.build(self._installed(app), setup))

    def _app(self, platform: Platform) -> AppRegistration | None:
        return next((app for app in self._apps.values() if app.platform is platform), None)

    def _installed(self, app: AppRegistration) -> InstalledApp:
        """Return an app as it stands on a phone, in the lowest version that every route lets in."""
        asked = [route.minimum_versions.get(app.id, "1") for route in self._routes]
        version = max([app.minimum_version or "1", *asked], key=_numbers)
        if isinstance(app.identity, AppleApp):
            return InstalledIosApp(
                app.identity.team_id, app.identity.bundle_id, version, app.identity.environment
            )
        digests = tuple(sorted(app.identity.signing_digests))
        return InstalledAndroidApp(app.identity.package, digests, _numbers(version)[0])


def _is_listed(model: PhoneModel, app: AppleApp) -> bool:
    """Tell whether a kind of phone that most apps refuse is one that this app takes."""
    listed = model.listed_as if isinstance(model, IPhoneModel) else None
    return listed in {*app.platforms, *app.distributed_by}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class LentKeys:
    """Implement :class:`watchword.drill.interface.Keys` by the key ring of this machine's service."""

    def __init__(self, ring: FileKeyRing, gate: GateState, mark: StoreMark) -> None:
        """Lend the keys of an open ring, and what the API's gate on this machine knows.

        :param mark: of the service's store, which says whose challenges count.
        """
        self._ring = ring
        self._mark = mark
        self._gate = gate

    def policy(self) -> GatePolicy | None:
        """Return what the API's gate goes by now, None where it knows nothing yet."""
        with suppress(UnavailableError):
            _ = self._gate.generation  # Looks whether there is something newer.
            return self._gate.policy
        return None

    def token_signer(self) -> Signer:
        """See :meth:`watchword.drill.interface.Keys.token_signer`."""
        return self._ring.signer()

    def bundle_signer(self) -> Signer:
        """See :meth:`watchword.drill.interface.Keys.bundle_signer`."""
        return self._ring.bundle_signer()

    def gate_secret(self, audience: str) -> GateSecret:
        """See :meth:`watchword.drill.interface.Keys.gate_secret`."""
        return self._ring.gate_secret(audience)

    def challenge_key(self) -> bytes:
        """See :meth:`watchword.drill.interface.Keys.challenge_key`."""
        return epoch_key(self._ring.ring.challenge_key, self._mark.number)

    def lent(self, secret: str) -> LentValue | None:
        """See :meth:`watchword.drill.interface.Keys.lent`."""
        try:
            _ = self._gate.generation  # Looks whether there is something newer.
            return self._gate.lent(secret)
        except UnavailableError:
            return None


class SocketOperator:
    """Implement :class:`watchword.drill.interface.Operator` over the operator's socket."""

    def __init__(
        self, client: OperatorClient, because: str, clock: Clock, entropy: Entropy
    ) -> None:
        """Act in the operator's name.

        :param because: stands in the audit trail beside what is done.
        :param clock: tells when something was planted.
        """
        self._clock = clock
        self._client = client
        self._because = because
        self._entropy = entropy
        self._planted: Canary | None = None

    def close(self) -> None:
        """Take out what was planted; what it raised stays on record."""
        planted, self._planted = self._planted, None
        if planted is not None:
            # A service that is gone by now is no reason to lose the report; the canary opens nothing.
            with suppress(RefusedError, UnavailableError):
                self._client.post(f"/v1/canaries/{planted.name}/remove")

    def revoke(self, instance: str) -> None:
        """See :meth:`watchword.drill.interface.Operator.revoke`."""
        self._client.post(f"/v1/instances/{instance}/revoke", {"because": self._because})

    def counted(self) -> Mapping[str, int]:
        """See :meth:`watchword.drill.interface.Operator.counted`."""
        found: dict[str, int] = {}
        for row in self._client.get("/v1/refusals")["counts"]:
            found[row["reason"]] = found.get(row["reason"], 0) + row["count"]
        return found

    def invite(self, app: str, level: Level) -> str:
        """See :meth:`watchword.drill.interface.Operator.invite`."""
        wanted = {"app": app, "level": level.value, "because": self._because}
        lives = {"expires_in": _INVITED_SECONDS, "instance_for": _INVITED_SECONDS}
        try:
            return str(self._client.post("/v1/test-codes", {**wanted, **lives})["code"])
        except RefusedError:
            raise MissingError(Need.GENUINE, f"a test instance of level {level.value}") from None

    def decoys(self) -> int:
        """See :meth:`watchword.drill.interface.Operator.decoys`."""
        try:
            rows = self._client.get("/v1/canaries")["canaries"]
        except (RefusedError, UnavailableError):
            raise MissingError(Need.OPERATOR, "who can plant canary keys") from None
        return sum(not each["name"].startswith(_OF_A_DRILL) for each in rows)

    def plant(self) -> Canary:
        """See :meth:`watchword.drill.interface.Operator.plant`."""
        if self._planted is not None:
            return self._planted
        # A name of its own in each run: what an earlier one raised stays on record.
        name = f"{_OF_A_DRILL}{self._entropy.token_bytes(8).hex()}"
        wanted = {"name": name, "like": "generic", "note": self._because}
        try:
            made = self._client.post("/v1/canaries", wanted)
        except (RefusedError, UnavailableError):
            raise MissingError(Need.OPERATOR, "who can plant canary keys") from None
        self._planted = Canary(name, str(made["key"]), self._clock.timestamp())
        return self._planted

    def alarms(self, canary: Canary) -> int:
        """See :meth:`watchword.drill.interface.Operator.alarms`."""
        told = self._client.get("/v1/canaries/alarms", canary=canary.name)
        return int(told["totals"].get(canary.name, 0))

    def secrets(self) -> Sequence[KeptSecret]:
        """See :meth:`watchword.drill.interface.Operator.secrets`."""
        try:
            rows = self._client.get("/v1/secrets")["secrets"]
        except RefusedError:
            raise MissingError(Need.DELIVERY, "or one that is lent") from None
        return [_kept(row) for row in rows]


def _kept(row: Mapping[str, Any]) -> KeptSecret:
    current = [each["made_at"] for each in row["versions"] if each["state"] == "current"]
    made_at = datetime.fromisoformat(current[0]).timestamp() if current else None
    ended = frozenset(each["version"] for each in row["versions"] if each["state"] in _ENDED)
    return KeptSecret(row["name"], made_at, ended)

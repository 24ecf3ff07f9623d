"""Turn ``watchword.yaml`` as written into validated settings, or into all of its faults."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from watchword.adapters.enrolment_limits import EnrolmentRates
from watchword.apps.settings.consistency import Readable, inconsistencies
from watchword.apps.settings.document import read_document
from watchword.apps.settings.drill_forms import drill_settings, unknown_apis
from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.apps.settings.likelihood import likelihoods
from watchword.apps.settings.limits_forms import between_limits, limits_of
from watchword.apps.settings.pins_forms import between_pins, pins_settings
from watchword.apps.settings.places import misplaced
from watchword.apps.settings.policies import read_policy, unreachable
from watchword.apps.settings.secrets_forms import between_secrets, secrets_settings
from watchword.apps.settings.translation import translated
from watchword.apps.settings.validated import (
    Address,
    ApiSettings,
    AuthzSettings,
    GatesSettings,
    PlaySettings,
    ReceiptSettings,
    RecordSettings,
    ReplaySettings,
    RevocationSettings,
    ServiceSettings,
    Settings,
    TlsFiles,
)
from watchword.apps.settings.written import (
    WrittenAndroidApp,
    WrittenEnrolments,
    WrittenFile,
    WrittenGates,
    WrittenIosApp,
    WrittenPlayIntegrity,
    WrittenReceipts,
    WrittenRevocation,
    WrittenService,
    WrittenTrust,
)
from watchword.apps.settings.written_apis import WrittenApi, WrittenAuthz, WrittenRoute
from watchword.apps.settings.written_types import (
    Written,
    seconds,
    split_address,
)
from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration
from watchword.gate.interface import Canary, Rate, Route
from watchword.policy.interface import Policy
from watchword.vocabulary import (
    AppAttestEnvironment,
    ApplePlatform,
    Distribution,
    Environment,
    Level,
    Mode,
    Proof,
    ReplayMode,
)


def load_settings(file: Path) -> Settings:
    """Read and validate a configuration file.

    :raises ConfigurationError: with every fault at once; nothing was started.
    """
    document = read_document(file)
    data = document.data if isinstance(document.data, dict) else {}
    faults = [*document.faults, *likelihoods(document, data.get("plan"), ("plan",))]
    written: WrittenFile | None = None
    try:
        written = WrittenFile.model_validate(document.data)
    except ValidationError as error:
        told = {fault.path for fault in faults}
        faults += [fault for fault in translated(document, error) if fault.path not in told]
    faults += [
        Fault(join(path), document.line(path), got, expected)
        for path, got, expected in inconsistencies(_readable(document.data))
    ]
    policy, found_in_policy = read_policy(data.get("policy"))
    between = list(found_in_policy)
    if written is not None:
        between += misplaced(file, written)
        between += unknown_apis(written.drill, written.apis)
        if written.pins is not None:
            between += between_pins(written.pins, written.apps)
        between += between_secrets(written.secrets, written.apis, written.apps, written.environment)
        between += between_limits(written.apis)
        if policy is not None:
            between += unreachable(policy, written.apis)
    faults += [
        Fault(join(path), document.line(path), got, expected) for path, got, expected in between
    ]
    if written is None or policy is None or faults:
        raise ConfigurationError(file, faults)
    return _validated(file, written, policy)


def _readable(data: Any) -> Readable:
    """Return the parts that are well formed, so that faults between them show at once too."""
    if not isinstance(data, dict):
        return Readable(None, _fields(WrittenService, None), _fields(WrittenTrust, None), {}, {})
    apps, apis = data.get("apps"), data.get("apis")
    environment = data.get("environment")
    return Readable(
        environment=environment if environment in {"prod", "lab"} else None,
        service=_fields(WrittenService, data.get("service")),
        trust=_fields(WrittenTrust, data.get("trust")),
        apps=apps if isinstance(apps, dict) else {},
        apis={name: _fields(WrittenApi, api) for name, api in apis.items()}
        if isinstance(apis, dict)
        else {},
        gates=_fields(WrittenGates, data.get("gates")),
    )


def _fields(model: type[Written], data: Any) -> dict[str, Any]:
    """Return each field of a section that is well formed, or its default; the rest are left out."""
    given = data if isinstance(data, dict) else {}
    bad: set[Any] = set()
    try:
        model.model_validate(given)
    except ValidationError as error:
        bad = {details["loc"][0] for details in error.errors(include_url=False) if details["loc"]}
    return {
        name: given.get(name, field.default)
        for name, field in model.model_fields.items()
        if name not in bad
    }


def _validated(file: Path, written: WrittenFile, policy: Policy) -> Settings:
    """Build the settings from a file that is whole and consistent."""
    base = file.resolve().parent
    service = written.service
    lab = written.environment == "lab"
    anchors: Sequence[str] = written.trust.anchors if written.trust else []
    return Settings(
        path=file.resolve(),
        environment=Environment(written.environment),
        service=ServiceSettings(
            issuer=service.issuer,
            listen=Address(*split_address(service.listen)),
            token_lifetime=seconds(service.token_lifetime),
            state_dir=(base / service.state).resolve(),
            trusted_proxies=tuple(map(ipaddress.ip_network, service.trusted_proxies)),
            enrolments=_enrolments(service.enrolments),
        ),
        apps={name: _app(name, app) for name, app in written.apps.items()},
        apis={name: _api(base, name, api) for name, api in written.apis.items()},
        trust_vendors="vendors" in anchors or not (anchors or lab),
        trust_lab=lab and ("lab" in anchors or not anchors),
        revocation=_revocation(base, written),
        formats=tuple(written.trust.formats) if written.trust else (),
        receipts={
            name: _receipts(base, app.team_id, app.receipts)
            for name, app in written.apps.items()
            if isinstance(app, WrittenIosApp) and app.receipts is not None
        },
        play={
            name: _play(base, app.package, app.play_integrity)
            for name, app in written.apps.items()
            if isinstance(app, WrittenAndroidApp) and app.play_integrity is not None
        },
        records=None
        if written.records is None
        else RecordSettings(seconds(written.records.keep), written.records.max_megabytes * 10**6),
        policy=policy,
        gates=None if written.gates is None else _gates(base, written.gates),
        drill={name: drill_settings(base, each) for name, each in written.drill.items()},
        pins=None if written.pins is None else pins_settings(base, written.pins),
        secrets=None
        if written.secrets is None
        else secrets_settings(base, (base / service.state).resolve(), written.secrets),
    )


def _enrolments(written: WrittenEnrolments) -> EnrolmentRates:
    given = {
        name: Rate(rate.requests, seconds(rate.per))
        for name, rate in (("address", written.address), ("app", written.app))
        if rate is not None
    }
    return EnrolmentRates()._replace(**given)


def _gates(base: Path, gates: WrittenGates) -> GatesSettings:
    return GatesSettings(
        listen=Address(*split_address(gates.listen)),
        tls=TlsFiles(
            certificate=(base / gates.certificate).resolve(),
            key=(base / gates.key).resolve(),
            client_ca=(base / gates.client_ca).resolve(),
        ),
        clients={name: tuple(apis) for name, apis in gates.clients.items()},
    )


def _revocation(base: Path, written: WrittenFile) -> RevocationSettings:
    trust = written.trust or WrittenTrust(
        anchors=["lab" if written.environment == "lab" else "vendors"]
    )
    revocation = trust.revocation or WrittenRevocation()
    fetch = revocation.fetch
    if fetch is None:
        fetch = written.environment == "prod" and "vendors" in trust.anchors
    return RevocationSettings(
        fetch=fetch,
        url=revocation.url,
        max_age=seconds(revocation.max_age),
        snapshots=tuple((base / entry).resolve() for entry in trust.revocation_lists),
    )


def _receipts(base: Path, team_id: str, receipts: WrittenReceipts) -> ReceiptSettings:
    key = (base / receipts.key).resolve()
    return ReceiptSettings(team_id, receipts.key_id, key, receipts.server)


def _play(base: Path, package: str, play: WrittenPlayIntegrity) -> PlaySettings:
    def place(file: str | None) -> Path | None:
        return None if file is None else (base / file).resolve()

    return PlaySettings(
        package,
        place(play.decryption_key),
        place(play.verification_key),
        place(play.service_account),
    )


def _app(name: str, app: WrittenIosApp | WrittenAndroidApp) -> AppRegistration:
    if isinstance(app, WrittenIosApp):
        environment = AppAttestEnvironment[app.app_attest.upper()]
        identity = AppleApp(
            app.team_id,
            app.bundle_id,
            environment,
            frozenset(map(ApplePlatform, app.platforms)),
            frozenset(map(Distribution, app.distribution or ())),
        )
        return AppRegistration(name, identity, app.minimum_version)
    digests = frozenset(bytes.fromhex(text.replace(":", "")) for text in app.signing_digests)
    minimum = None if app.minimum_version is None else str(app.minimum_version)
    return AppRegistration(name, AndroidApp(app.package, digests), minimum)


def _api(base: Path, name: str, api: WrittenApi) -> ApiSettings:
    routes = tuple(_route(name, index, route) for index, route in enumerate(api.routes))
    listen = Address(*split_address(api.listen)) if api.listen else None
    replay = api.replay
    return ApiSettings(
        name=name,
        audience=api.audience,
        apps=tuple(api.apps),
        upstream=api.upstream,
        listen=listen,
        routes=routes,
        replay=ReplaySettings(
            ReplayMode(replay.mode),
            replay.url,
            None if replay.password is None else (base / replay.password).resolve(),
        ),
        rate=None if api.rate is None else Rate(api.rate.requests, seconds(api.rate.per)),
        binding_header=None if api.binding_header is None else api.binding_header.lower(),
        authz=None if api.authz is None else _authz(base, api.authz),
        signed_verdict=api.signed_verdict,
        limits=limits_of(routes, api.limits),
        case_sensitive=api.case == "sensitive",
    )


def _authz(base: Path, authz: WrittenAuthz) -> AuthzSettings:
    def place(file: str) -> Path:
        return (base / file).resolve()

    tls = None
    if authz.certificate and authz.key and authz.client_ca:
        tls = TlsFiles(place(authz.certificate), place(authz.key), place(authz.client_ca))
    return AuthzSettings(
        style=authz.style,
        listen=Address(*split_address(authz.listen)) if authz.listen else None,
        credential=place(authz.credential) if authz.credential else None,
        tls=tls,
    )


def _route(api: str, index: int, route: WrittenRoute) -> Route:
    canary = route.canary
    return Route(
        name=f"{api}[{index}] {route.path}",
        pattern=route.path,
        methods=frozenset(route.methods or ()),
        level=Level(route.level),
        proof=Proof(route.proof),
        mode=Mode(route.mode),
        dpop=route.dpop,
        max_body=route.max_body,
        minimum_versions=dict(route.minimum_versions),
        canary=None
        if canary is None
        else Canary(canary.share, dict(canary.from_versions), canary.budget),
        secret=route.secret,
    )

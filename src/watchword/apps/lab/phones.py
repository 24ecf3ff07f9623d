"""Bring the lab's phones to the command line: which app and API, where a phone is kept, how it proves a request, and what became of it."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import httpx

from watchword.adapters.anchors import AnchorSet, read_lab_anchors
from watchword.adapters.lab_store import (
    SEED_BYTES,
    StoredPhone,
    kept_phones,
    load_or_create,
    occupied_slot,
)
from watchword.adapters.revocation import StatusList, read_status_list
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Expected,
    PlayKeys,
    Trust,
)
from watchword.attestation.registry import examine, find_format
from watchword.client import WatchwordAuth, WatchwordClient
from watchword.encoding import strict_json
from watchword.encoding.phrases import nearest
from watchword.gate.hygiene import compile_routes, find_route, read_path
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    Phone,
    PhoneSetup,
)
from watchword.lab.google_play import GooglePlay
from watchword.lab.phones.android import AndroidModel
from watchword.lab.status_list import LabStatusList
from watchword.policy.interface import Circumstances, Policy, Verdict
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Environment, Level, Proof


def lab_settings(config: Path) -> Settings:
    """Return the settings; refuse to play vendor anywhere but in a lab.

    :raises click.ClickException: in any other environment.
    """
    settings = load_settings(config)
    if settings.environment is not Environment.LAB:
        raise click.ClickException(
            f"{config} says environment: {settings.environment.value}; "
            "lab phones exist only with environment: lab"
        )
    return settings


def authorities_of(settings: Settings) -> LabAuthorities:
    """Return this deployment's simulated vendors; the first call makes them."""
    return load_or_create(settings.service.state_dir, SystemEntropy())


def installed_app(app: AppRegistration) -> InstalledApp:
    """Return a registered app as it stands on a phone, in the lowest version that is accepted."""
    version = app.minimum_version or "1"
    if isinstance(app.identity, AppleApp):
        return InstalledIosApp(
            app.identity.team_id, app.identity.bundle_id, version, app.identity.environment
        )
    digests = tuple(sorted(app.identity.signing_digests))
    return InstalledAndroidApp(app.identity.package, digests, int(version))


def build_phone(
    authorities: LabAuthorities, kind: str, app: AppRegistration, stored: StoredPhone
) -> Phone:
    """Return the phone that was stored, as it was."""
    setup = PhoneSetup(
        authorities=authorities,
        clock=SystemClock(),
        name=stored.name,
        generation=stored.generation,
        counter=stored.counter,
    )
    return PHONES[kind].build(installed_app(app), setup)


def new_phone(kind: str) -> StoredPhone:
    """Return a phone that nobody has seen before."""
    return StoredPhone(f"{kind}-{SystemEntropy().token_bytes(8).hex()}", generation=0, counter=0)


@dataclass(frozen=True, slots=True)
class JudgedKind:
    """Hold what a policy makes of new phones of one kind.

    :param reasons: what stands against them, the first one first.
    """

    level: Level
    reasons: tuple[Reason, ...]


def judged_kinds(policy: Policy, apps: Sequence[AppRegistration]) -> dict[str, JudgedKind]:
    """Return by kind what a policy makes of a new phone with one of these apps; of a platform without one, with a sample.

    Phones of a lab that is made for this are attested and verified here; nothing is asked, and nothing kept.
    """
    clock = SystemClock()
    authorities = LabAuthorities.from_seed(bytes(SEED_BYTES))
    google = GooglePlay(authorities.seed)
    keys = PlayKeys(google.decryption_key, google.verification_key)
    registered = {app.platform: app for app in (*_SAMPLES, *reversed(apps))}
    trust = Trust(
        AnchorSet(read_lab_anchors(strict_json.dumps(authorities.anchors_document()), "lab")),
        StatusList(
            read_status_list(
                strict_json.dumps(LabStatusList.first_of(authorities).document()), "lab"
            )
        ),
        play_keys={app.app_id: keys for app in registered.values()},
    )
    circumstances = Circumstances(clock.now(), enrolled_today=0)
    found = {}
    for kind, model in PHONES.items():
        app = registered[model.platform]
        phone = build_phone(authorities, kind, app, StoredPhone(kind, generation=0, counter=0))
        evidence = phone.attest(_BINDING)
        attestation = find_format(evidence["format"]).read_attestation(evidence)
        examined = examine(attestation, Expected(_BINDING, app), trust, clock.now())
        verdict = Verdict(Level.NONE)
        if examined.claims is not None:
            verdict = appraise_unverified(examined.claims, app, policy, circumstances)
        reasons = dict.fromkeys(each.reason for each in (*examined.refusals, *verdict.refusals))
        level = Level.NONE if examined.refusals else verdict.level
        found[kind] = JudgedKind(level, tuple(reasons))
    return found


_BINDING: Final = bytes(32)
_SAMPLES: Final = (
    AppRegistration("ios", AppleApp("ABCDE12345", "com.example.clinic")),
    AppRegistration(
        "android", AndroidApp("com.example.clinic", frozenset({bytes(range(32))})), "100"
    ),
)


def attestation_serials(settings: Settings, authorities: LabAuthorities, target: str) -> list[str]:
    """Return the serials, in hex, of the certificates by which phones of a kind attest.

    :param target: a kind, or a serial, which is returned as it is.
    :raises click.UsageError: for kinds of which the vendor has no status list, and for those whose
        phones have keys of their own while none is kept.
    """
    model = PHONES.get(target)
    if model is None:
        return [target]
    if not isinstance(model, AndroidModel):
        raise click.UsageError(f"got {target}: only Android's attestation keys are on the list")
    stored = kept_phones(settings.service.state_dir, target)
    if model.own_key and not stored:
        raise click.UsageError(f"no {target} is kept; first: watchword lab request {target} URL")
    app = InstalledAndroidApp("any.app", ())
    names = [phone.name for phone in stored] if model.own_key else [target]
    setups = [PhoneSetup(authorities, SystemClock(), name) for name in names]
    return [model.build(app, setup).attestation_serial for setup in setups]


@contextmanager
def kept_client(
    settings: Settings, kind: str, app: AppRegistration, api: ApiSettings, *, new: bool
) -> Iterator[WatchwordClient]:
    """Return a client on the phone of last time, and keep the phone afterwards.

    :param new: take a phone that nobody has seen before instead.
    """
    entropy, clock = SystemEntropy(), SystemClock()
    authorities = authorities_of(settings)
    with occupied_slot(settings.service.state_dir, f"{kind}.{app.id}.{api.name}") as slot:
        stored = None if new else slot.load()
        stored = stored or new_phone(kind)
        phone = build_phone(authorities, kind, app, stored)
        client = WatchwordClient(
            # A lab service listens on this machine, whatever its issuer is called.
            f"http://{settings.service.listen}",
            app.id,
            phone,
            [api.audience],
            clock=clock.timestamp,
            jitter=lambda: int.from_bytes(entropy.token_bytes(4), "big") / 2**32,
            issuer=settings.service.issuer,
        )
        if stored.session is not None:
            client.import_session(stored.session)
        try:
            with client:
                yield client
        finally:
            session = client.export_session()
            if session is not None:
                # Who tries another policy asks again at once.
                session["refusal"] = None
            # Also after a failure: a counter that went up must not come down again.
            slot.save(StoredPhone(stored.name, phone.generation, phone.counter, session))


def choose_app(settings: Settings, kind: str, name: str | None) -> AppRegistration:
    """Return the named app, or the only one that runs on this kind of phone.

    :raises click.UsageError: if there is no such kind or app, or more than one app.
    """
    if kind not in PHONES:
        near = nearest(kind, PHONES)
        meant = "." if near is None else f"; did you mean {near!r}?"
        raise click.UsageError(
            f"got phone {kind!r}{meant} `watchword lab phones` lists all {len(PHONES)} kinds."
        )
    platform = PHONES[kind].platform
    fitting = {app.id: app for app in settings.apps.values() if app.platform is platform}
    names = ", ".join(fitting) or "there is none"
    if name is not None and name not in fitting:
        raise click.UsageError(f"got app {name!r}, expected one for {platform.value}: {names}")
    if name is None and len(fitting) != 1:
        raise click.UsageError(f"name an app for {platform.value} with --app: {names}")
    return fitting[name or next(iter(fitting))]


def choose_target(settings: Settings, app: AppRegistration, text: str) -> tuple[str, ApiSettings]:
    """Return the URL, and the API that is meant: by its listener, or the app's only one.

    :param text: a whole URL, or a path of the API.
    :raises click.UsageError: if it can't be told which API is meant, or where it is.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise click.UsageError(f"got URL {text!r}: {error}") from None
    apis = [api for api in settings.apis.values() if app.id in api.apps]
    listening = [
        api
        for api in apis
        if api.listen is not None and (api.listen.host, api.listen.port) == (url.host, url.port)
    ]
    chosen = listening or apis
    if len(chosen) != 1:
        names = ", ".join(f"{api.name} on {api.listen}" for api in apis) or "there is none"
        raise click.UsageError(f"can't tell which API is meant by {text!r}; {app.id} uses: {names}")
    if not url.is_relative_url:
        return text, chosen[0]
    if chosen[0].listen is None:
        raise click.UsageError(
            f"API {chosen[0].name} has no listener; give the whole URL, which begins with http:// or https://"
        )
    return f"http://{chosen[0].listen}/{text.lstrip('/')}", chosen[0]


AUTO: Final = "auto"
DPOP: Final = "dpop"

_ALGORITHMS: Final = (
    ('alg="hmac-sha256"', Proof.SESSION),
    ('alg="ecdsa-p256-sha256"', Proof.DEVICE),
)


def auth_of(client: WatchwordClient, api: ApiSettings, choice: str) -> WatchwordAuth:
    """Return what attaches token and proof.

    :param choice: a proof by its name, ``dpop``, or ``auto``: the proof of the route.
    """
    if choice == AUTO:
        return WatchwordAuth(client, api.audience, proof=_proof_of_route(api))
    return _OneProof(client, api.audience, choice)


def sent_proof(request: httpx.Request) -> str:
    """Return the kind of proof that a request carries: a proof by its name, or ``dpop``."""
    if "dpop" in request.headers:
        return DPOP
    parameters = request.headers.get("signature-input", "")
    for algorithm, proof in _ALGORITHMS:
        if algorithm in parameters:
            return proof.value
    return Proof.BEARER.value


def _proof_of_route(api: ApiSettings) -> Callable[[httpx.Request], Proof]:
    """Return a function that finds a request's route as the gate does."""
    table = compile_routes(api.routes)

    def choose(request: httpx.Request) -> Proof:
        path = read_path(request.url.raw_path.partition(b"?")[0])
        route = None if isinstance(path, Refusal) else find_route(table, request.method, path)
        # A session proof costs nothing, and a route that asks for none ignores it.
        return Proof.DEVICE if route and route.proof is Proof.DEVICE else Proof.SESSION

    return choose


class _OneProof(WatchwordAuth):
    """Send one kind of proof only: a route that wants another one refuses, and that is the answer."""

    def __init__(self, client: WatchwordClient, audience: str, choice: str) -> None:
        """Take the kind: a proof by its name, or ``dpop``."""
        dpop = choice == DPOP
        proof = Proof.DEVICE if dpop else Proof(choice)
        super().__init__(client, audience, proof=proof, dpop=dpop)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Go on after a refusal, but never with another kind of proof."""
        flow = super().sync_auth_flow(request)
        attempt = next(flow)
        kind = sent_proof(attempt)
        while sent_proof(attempt) == kind:
            # A copy: the next attempt is prepared in the same request, and may never be sent.
            response = yield _copy(attempt)
            try:
                attempt = flow.send(response)
            except StopIteration:
                return


def _copy(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )

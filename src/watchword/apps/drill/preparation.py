"""Prepare a run: which API, where it is, which attacks, and by whose leave."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from watchword.adapters.drill_wire import (
    Origin,
    Resolver,
    fetch_consent,
    read_drill_key,
    resolve,
    system_resolver,
)
from watchword.apps.drill.harness import Targets
from watchword.apps.drill.invited_instance import read_instance
from watchword.apps.drill.run_plan import RunPlanError, attacks_of, urls_of
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.drill.consent import (
    MAX_RATE,
    PATH,
    RUN_HEADER,
    RUN_SECONDS,
    Consent,
    ConsentError,
    ConsentFault,
    Permission,
    allowed,
    read_consent,
    refuse_unlisted,
    sign_run,
)
from watchword.drill.interface import Attack, Held
from watchword.drill.wire import Call, Headers, Part
from watchword.encoding import base64url
from watchword.ports import Clock, Entropy, Signer

_SIGN_AGAIN: Final = RUN_SECONDS / 2
"""Seconds after which a run is signed anew: a header that just went out holds for a while yet."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Hold what a run may do: where, how fast, with which attacks, until when.

    :param origins: by part, resolved once and pinned.
    :param loopback: every part is this machine, and was written so; nobody else was asked.
    :param rate: most requests a second over all parts; None for no bound, on this machine alone.
    :param attacks: ids that every owner agreed to, None for all.
    :param parts: what may be attacked, the same as the keys of ``origins``.
    :param expires: when the first consent ends, None on this machine; nothing may be sent after it.
    :param permissions: what each part's owner agreed to; parts of this machine aren't among them.
    """

    origins: Mapping[Part, Origin]
    loopback: bool
    rate: float | None
    attacks: frozenset[str] | None
    parts: frozenset[Part]
    expires: datetime | None = None
    permissions: Mapping[Part, Permission] = field(default_factory=dict)


def permitted(
    urls: Mapping[Part, str],
    *,
    key: Signer | None,
    attacks: Collection[str] | None,
    now: datetime,
    named: Collection[str] = (),
    rate: float | None = None,
    ca: Path | None = None,
    resolver: Resolver = system_resolver,
) -> Agreement:
    """Return what may be done to these parts; raise where anything isn't agreed to, and skip nothing.

    1. Each target is read and resolved, once, and its address judged (:func:`resolve`), before anything is sent.
    2. A part on this machine, written so, is free.  For any other the drill needs its key, and the consent that the part's
       own origin serves at its pinned address: of this key, origin and part, and not expired.
    3. The rate is the least of all consents', of ``rate`` and of :data:`MAX_RATE`.
    4. An attack is allowed when every consent lists it.

    :param urls: by part, ``scheme://host[:port]``.
    :param key: of the drill; its ``kid`` is the thumbprint that consents name.
    :param attacks: ids that the run was asked for by name; each must be agreed to.  None for those that are.
    :param now: aware.
    :param named: IP addresses that aren't on the internet and may be spoken to (``--address``).
    :param rate: that the run was asked to keep to.
    :param ca: file of the certificates that are believed instead of the public authorities'.
    :raises ConsentError: when a target's owner doesn't agree, with what to put where.
    :raises AddressError: when a target may not be spoken to at all.
    """
    once = _once(resolver)
    origins = {part: resolve(url, named=named, resolver=once) for part, url in urls.items()}
    strangers = {part: origin for part, origin in origins.items() if not origin.free}
    if not strangers:
        return Agreement(origins, True, rate, None, frozenset(origins))  # noqa: FBT003 - it is named in the class.
    if key is None:
        raise _without_key(next(iter(strangers.values())))
    documents: dict[str, bytes] = {}
    permissions: dict[Part, Permission] = {}
    for part, origin in strangers.items():
        if origin.text not in documents:
            documents[origin.text] = _fetched(origin, part, ca)
        consent = _read(origin, documents[origin.text])
        permissions[part] = allowed(consent, origin.text, key.kid, part, now)
        refuse_unlisted(permissions[part], attacks or ())
    return Agreement(
        origins=origins,
        loopback=False,
        rate=min(MAX_RATE, *(each.rate for each in permissions.values()), rate or MAX_RATE),
        attacks=_by_all(permissions.values()),
        parts=frozenset(origins),
        expires=min(each.expires for each in permissions.values()),
        permissions=permissions,
    )


class RunSigner:
    """Name a run on each of its requests; hand one to ``HttpWire(signed=...)``.

    A signature is made per origin, and again during a long run.  Once the first consent has ended nothing is signed, and
    so nothing more is sent: an owner who agreed until noon is left alone at noon.
    """

    def __init__(
        self, agreement: Agreement, key: Signer, run: str, now: Callable[[], float]
    ) -> None:
        """Keep what is needed.

        :param run: id of the run, 8 to 64 characters of base64url that no other run has.
        :param now: returns seconds since 1970.
        """
        self._agreement = agreement
        self._key = key
        self._run = run
        self._now = now
        self._lock = threading.Lock()
        self._signed: dict[str, tuple[float, Headers]] = {}

    def __call__(self, call: Call) -> Headers:
        """Return the headers of a request.

        :raises ConsentError: with :attr:`ConsentFault.EXPIRED`, or :attr:`ConsentFault.PART` for a part that isn't agreed to.
        """
        now = self._now()
        origin = self._agreement.origins.get(call.part)
        if origin is None:
            raise ConsentError(
                ConsentFault.PART,
                "the run",
                f"a request to {call.part}",
                ", ".join(sorted(self._agreement.parts)),
                "name its address, so that its owner is asked",
            )
        expires = self._agreement.expires
        if expires is not None and expires.timestamp() <= now:
            raise ConsentError(
                ConsentFault.EXPIRED,
                "the run",
                f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
                f"a time before {expires:%Y-%m-%dT%H:%M:%SZ}, when the consent ended",
                "the owner serves a new document, and you drill again",
            )
        with self._lock:
            made = self._signed.get(origin.text)
            # Also anew when the clock was set back: it'd be signed for a time to come.
            if made is None or not 0 <= now - made[0] < _SIGN_AGAIN:
                value = sign_run(self._key, run=self._run, origin=origin.text, now=now)
                made = self._signed[origin.text] = (now, ((RUN_HEADER, value),))
        return made[1]


def _fetched(origin: Origin, part: Part, ca: Path | None) -> bytes:
    """Return the document that an origin serves, or say which command makes the one that is missing."""
    try:
        return fetch_consent(origin, ca=ca)
    except ConsentError as error:
        if part is Part.GATE:
            raise
        more = f"this origin is the {part}: add --part {part}"
        raise ConsentError(
            error.fault, f"{origin.text}{PATH}", str(error), "a consent", more
        ) from None


def _once(resolver: Resolver) -> Resolver:
    """Return a resolver that asks for each name once: two parts of one name are at one address."""
    known: dict[str, Sequence[str]] = {}

    def resolved(name: str, port: int) -> Sequence[str]:
        if name not in known:
            known[name] = resolver(name, port)
        return known[name]

    return resolved


def _without_key(origin: Origin) -> ConsentError:
    return ConsentError(
        ConsentFault.NO_KEY,
        origin.text,
        "no key",
        "the drill's key, since this isn't 127.0.0.1, [::1] or localhost",
        "make one (watchword drill keygen -o drill.pem), have the owner serve at "
        f"{origin.text}{PATH} what `watchword drill consent --key drill.jwk --origin {origin.text}` "
        "prints, and pass --key drill.pem",
    )


def _read(origin: Origin, document: bytes) -> Consent:
    """Return a consent, or say at whose document the fault is."""
    try:
        return read_consent(document)
    except ConsentError as error:
        raise ConsentError(
            error.fault, f"{origin.text}{PATH}", "a document with a fault", "a consent", str(error)
        ) from None


def _by_all(permissions: Collection[Permission]) -> frozenset[str] | None:
    """Return the attacks that every owner agreed to.

    :raises ConsentError: with :attr:`ConsentFault.ATTACK`, when that is none.
    """
    lists = [each.attacks for each in permissions if each.attacks is not None]
    if not lists:
        return None
    both = frozenset.intersection(*lists)
    if not both:
        where = ", ".join(f"{each.origin}{PATH}" for each in permissions)
        raise ConsentError(
            ConsentFault.ATTACK,
            where,
            "no attack that all of them list",
            "at least one",
            "the owners agree to the same attacks (watchword drill consent --attacks ...)",
        )
    return both


_RUN_BYTES = 12


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Hold what the command line says of a run.

    :param only: ids of attacks, techniques or protections; all attacks where there are none.
    :param key: file of the drill's key.
    :param named: private addresses that are meant.
    :param instance: file of the test instance.
    """

    target: str | None = None
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    key: Path | None = None
    named: Sequence[str] = ()
    ca: Path | None = None
    rate: float | None = None
    instance: Path | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Hold a run that may begin.

    :param url: of the gate.
    :param attacks: those that will be tried; ``left_out`` says of the others why they won't be.
    """

    url: str
    targets: Targets
    agreement: Agreement
    attacks: tuple[Attack, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_this_machine(self) -> bool:
        """Tell whether any part is reached on this machine, by whatever name: that proves nothing of what stands elsewhere."""
        return self.targets.loopback or any(
            origin.is_loopback for origin in self.targets.origins.values()
        )


def prepared(
    settings: Settings,
    api: ApiSettings,
    options: RunOptions,
    clock: Clock,
    entropy: Entropy,
    resolver: Resolver = system_resolver,
) -> Prepared:
    """Return what may be run, by everybody's leave; nothing is attacked yet.

    :param resolver: finds the addresses of a name.

    :raises RunPlanError: when an order can't be followed.
    :raises ConsentError: when a target's owner doesn't agree.
    :raises AddressError: when a target may not be spoken to at all.
    :raises InstanceFileError: when the test instance can't be read.
    """
    attacks = attacks_of(options.only, options.without)
    urls = urls_of(settings, api, options.target)
    key = None if options.key is None else read_drill_key(options.key)
    invited = None if options.instance is None else _invited(options.instance, api)
    agreement = permitted(
        urls,
        key=key,
        attacks=[each.id for each in attacks] if options.only else None,
        now=clock.now(),
        named=options.named,
        rate=options.rate,
        ca=options.ca,
        resolver=resolver,
    )
    targets = Targets(
        agreement.origins,
        loopback=agreement.loopback,
        rate=agreement.rate,
        invited=invited,
        ca=options.ca,
    )
    if key is not None and not agreement.loopback:
        run = base64url.encode(entropy.token_bytes(_RUN_BYTES))
        targets = Targets(
            agreement.origins,
            loopback=False,
            rate=agreement.rate,
            invited=invited,
            ca=options.ca,
            signed=RunSigner(agreement, key, run, clock.timestamp),
        )
    allowed = agreement.attacks
    left_out = {
        each.id: "the target's consent doesn't list it"
        for each in attacks
        if allowed is not None and each.id not in allowed
    }
    chosen = tuple(each for each in attacks if each.id not in left_out)
    return Prepared(urls[Part.GATE], targets, agreement, chosen, left_out)


def _invited(file: Path, api: ApiSettings) -> Held:
    """Return the test instance in a file, which must be one of this API.

    :raises RunPlanError: when it is of another app, or wasn't enrolled for this API.
    """
    found = read_instance(file)
    if found.app not in api.apps or api.audience not in found.audiences:
        raise RunPlanError(
            f"{file}: got an instance that isn't for API {api.name}, expected one of "
            f"{', '.join(api.apps)} for {api.audience}; enrol another: watchword drill enrol"
        )
    return found.held()

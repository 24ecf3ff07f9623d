"""Write a draft as a commented file.

Strangers' text stands in comments on one line each, and in values as quoted text, so that no description can
write a line of its own into the file.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from watchword.plan.catalogue.reading import load_catalogue
from watchword.plan.drafts.interface import Draft, DraftAsset, DraftRoute, DraftThreat
from watchword.plan.drafts.wording import one_line
from watchword.plan.interface import Actor, Component, Stage, Trait

_WIDTH: Final = 100
_BARE: Final = re.compile(r"[a-z][a-z0-9-]*")
_BARE_PATH: Final = re.compile(r"/[A-Za-z0-9._~/*-]*")
_NOT_BARE: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})

STARTER: Final = """\
# A plan to start from, for `watchword plan`. Copy `plan:` into watchword.yaml, or keep this file.
version: 1
plan:
  assets:
    # What would hurt to lose: data, a service, a use case. Name each as you like.
    patient-records:
      kind: data                # data, service or use-case
      # On the business, 1 to 5, whatever the odds: 5 is the worst that can happen to it.
      # There is no likelihood here: a stolen coat is likelier than a stolen car.
      impact: 3
      because: "TODO: say what its loss would do to the business"
      # Where it can be taken: app (the device), channel (the way between), backend.
      lives_in: [app, channel, backend]
      # What an attacker is after: records, live-data, account, stored-value, payment, inventory,
      # third-party-key, availability, app-logic, internal-network, fraud-rule.
      traits: [records, live-data]
      # Who calls it: user (with the app), partner (another organisation's server, by mutual TLS).
      # actors: [user]
      # Where your APIs serve it, by the name under `apis`:
      # routes: [{api: clinic, path: /v1/patients/**}]
      # What stands behind the impact, for people; nothing is computed from it:
      # quantities: {users: 120000, records: 900000, money: 900000 EUR, downtime: 4h}
    login:
      kind: use-case
      impact: 3
      because: "TODO: say what a stolen login would do to the business"
      lives_in: [app, channel, backend]
      traits: [account]
  scenarios:
    # Paths are built from what each technique needs and gives. Yours can be added or struck:
    derive: true
    # strike: [{technique: MT-A15, because: "why such a path can't be taken"}]
"""


def render(draft: Draft, sources: Iterable[str], api: str) -> str:
    """Return the text of the file.

    :param sources: names of the files that were read, for the first lines.
    :param api: name of the API that drafted routes belong to; fit for ``watchword.yaml``.
    """
    lines = [
        *_head(draft, sources),
        "version: 1",
        "plan:",
        "  assets:",
        *(line for asset in draft.assets for line in _asset(asset, api)),
        "  scenarios:",
        "    derive: true",
        *_accepted(draft.assets),
        *_threats(draft.threats),
    ]
    if draft.routes:
        lines += ["", *_api(draft, api)]
    return "\n".join(lines) + "\n"


def _head(draft: Draft, sources: Iterable[str]) -> Iterator[str]:
    yield from _comment(f"A DRAFT, made by `watchword plan init` from {', '.join(sources)}.")
    yield from _comment(
        "Every impact in it is a guess that YOU have to set: what the loss would do to the business, "
        "1 to 5, whatever the odds. Say why under because. Kinds, traits and places are guessed from "
        "names alone: correct them, take out what is no asset, add what no description tells."
    )
    read = ", ".join(draft.read)
    if read:
        yield from _comment(f"Read: {read}.")
    for note in draft.notes:
        yield from _comment(f"Note: {note}.")
    for each in draft.left_out:
        yield from _comment(f"Left out: {each}.")


def _comment(text: str, indent: int = 0) -> Iterator[str]:
    """Yield a comment, wrapped; a stranger's line ends are gone by then."""
    mark = " " * indent + "# "
    for line in textwrap.wrap(one_line(text, 1000), _WIDTH - len(mark), break_on_hyphens=False):
        yield mark + line


def _asset(asset: DraftAsset, api: str) -> Iterator[str]:
    lives_in = ", ".join(each for each in Component if each in asset.lives_in)
    traits = ", ".join(each for each in Trait if each in asset.traits)
    yield f"    {quoted(asset.id)}:"
    for note in asset.notes:
        yield from _comment(note, 6)
    yield f"      kind: {asset.kind}"
    yield f"      impact: {asset.impact}   # a guess: set it, 1 to 5"
    yield f"      because: {json.dumps(one_line(asset.because, 300), ensure_ascii=False)}"
    yield f"      lives_in: [{lives_in}]"
    yield f"      traits: [{traits}]"
    if asset.actors != {Actor.USER}:
        actors = ", ".join(each for each in Actor if each in asset.actors)
        yield f"      actors: [{actors}]"
    if asset.routes:
        yield "      routes:"
        for path in asset.routes:
            yield f"        - {{api: {quoted(api)}, path: {quoted(path)}}}"


def _accepted(assets: Iterable[DraftAsset]) -> Iterator[str]:
    """Yield the risks that nothing in the catalogue closes for these assets, ready to be accepted by name."""
    drafted = list(assets)
    found = [
        each
        for each in load_catalogue().techniques.values()
        if each.accepted
        and each.stage is Stage.EXPLOIT
        and any(
            each.harms & asset.traits
            and each.actors & asset.actors
            and each.component in asset.lives_in
            for asset in drafted
        )
    ]
    if not found:
        return
    yield from _comment(
        "Nothing in the catalogue closes these ways in. Who accepts such a risk strikes it, with a name and a reason:",
        4,
    )
    yield "    # strike:"
    for each in found:
        yield f'    #   - {{technique: {each.id}, because: "TODO: who accepts it, and why"}}   # {each.name}'


def quoted(text: str) -> str:
    """Return a name or a path as a YAML value, in quotes wherever it could be read as something else."""
    bare = (_BARE.fullmatch(text) and text not in _NOT_BARE) or _BARE_PATH.fullmatch(text)
    return text if bare else json.dumps(text, ensure_ascii=False)


def _threats(threats: Iterable[DraftThreat]) -> Iterator[str]:
    """Yield the threats as comments: derived paths hold what is mapped, by the traits above."""
    mapped = [threat for threat in threats if threat.technique is not None]
    unmapped = [threat for threat in threats if threat.technique is None]
    if mapped:
        yield from _comment(
            "Threats of the imported model, each with the technique that it is here. Paths with it are "
            "derived from the traits above; nothing needs to be written for them.",
            4,
        )
    for threat in mapped:
        at = f" at {', '.join(threat.assets)}" if threat.assets else " at no asset"
        yield from _comment(f"{threat.technique}{at}: {_named(threat)}", 4)
    if unmapped:
        yield from _comment("Not mapped: no technique here is clearly the same.", 4)
    for threat in unmapped:
        yield from _comment(f"- {_named(threat)}", 4)


def _named(threat: DraftThreat) -> str:
    times = f" (x{threat.count})" if threat.count > 1 else ""
    return f"{one_line(threat.name, 160)}{times}"


def _api(draft: Draft, api: str) -> Iterator[str]:
    """Yield the API's section, which watchword.yaml takes once its TODOs are done."""
    yield from _comment(
        "Routes for the gate: copy them under `apis:` of watchword.yaml. The first that matches "
        "decides; what matches none is refused. They start in mode monitor, which counts and lets "
        "pass; docs/rollout.md says how to go on to enforce."
    )
    yield from _comment(
        "`watchword plan` reads this file as it is. `watchword check` and `watchword up` will still want "
        "what a draft can't know: `environment`, `service`, and under `apps` each app that is named in "
        "place of your-app; `watchword init` writes a watchword.yaml with all of it."
    )
    if any(route.actors == {Actor.PARTNER} for route in draft.routes):
        yield from _comment(
            "Routes of partners are in mode off: the gate asks them for nothing, and mutual TLS has to be "
            "checked in front of it, best on a host of their own. Then take them out here."
        )
    if all(route.probe or route.actors == {Actor.PARTNER} for route in draft.routes):
        yield from _comment(
            "Partners alone call this API: no app of yours does, and no token is ever for it. audience and apps "
            "stand here because the file wants them; in front of the gate it needs nothing but mutual TLS."
        )
    yield "apis:"
    yield f"  {quoted(api)}:"
    yield f"    audience: https://{api}.example   # TODO: the name that tokens for it carry"
    yield "    apps: [your-app]   # TODO: the names of your apps, as under apps:"
    yield "    routes:"
    for route in draft.routes:
        yield from _route(route)


def _route(route: DraftRoute) -> Iterator[str]:
    yield from _comment(route.about, 6)
    yield f"      - path: {quoted(route.path)}"
    if route.probe:
        yield "        mode: off"
        return
    if route.actors == {Actor.PARTNER}:
        yield "        mode: off         # partners have no app: mutual TLS in front checks them (PR-B34)"
        return
    if Actor.PARTNER in route.actors:
        yield from _comment(
            "Partners call it too and have no app: what is asked of phones here locks them out. Give them a "
            "path or a host of their own before this route enforces.",
            8,
        )
    yield "        mode: monitor"
    if route.staff:
        yield from _comment(
            "For staff by its path, who have no app: give them a host of their own that the internet doesn't "
            "reach, and take the asset's route and this one out. What no route matches is refused.",
            8,
        )
        return
    if route.public:
        yield from _comment(
            "Anybody may read it: no proof is asked; mode: off, or a token all the same, against scripts.",
            8,
        )
        return
    yield "        # level: verified   # lets Play Integrity in; left out: hardware"
    if route.writes:
        yield "        # proof: device     # signs each request: fit for what changes something"
    else:
        yield "        # proof: session    # ties each request to the instance, at next to no cost"

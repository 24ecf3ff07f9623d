"""Draft a plan from the files that a user names: read them, write the text, put it where nothing is yet.

Unlike ``watchword.yaml`` the files of others have anchors, merge keys and keys given twice, and are large: aliases are
followed while what they expand to stays bounded, and the last of two keys counts, as for every tool that wrote them.
Their text stands in comments on one line each, and in values as quoted text, so that no description can write a line of
its own into the draft.
"""

import json
import re
import textwrap
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
import yaml

from watchword.apps.settings.document import parse_document, read_bytes, unusable
from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.output import write_new_file
from watchword.apps.terminal.paragraphs import hanging, wrapped
from watchword.plan.catalogue import load_catalogue
from watchword.plan.drafts import (
    Draft,
    DraftAsset,
    DraftRoute,
    DraftThreat,
    counted,
    merged,
    one_line,
    slug,
)
from watchword.plan.drafts.openapi import draft_from_openapi
from watchword.plan.drafts.otm import draft_from_otm
from watchword.plan.drafts.scanned import draft_from_scan, is_scan
from watchword.plan.drafts.threat_dragon import draft_from_threat_dragon, is_threat_dragon
from watchword.plan.interface import UNJUDGED, Actor, Component, ModelFault, Stage, Trait

MAX_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of a description; a large one has about 5 MB."""

MAX_DEPTH: Final = 100
"""Most levels of nesting in YAML."""

MAX_NODES: Final = 4_000_000
"""Most values that a YAML file may hold, each alias counted as all that it stands for."""

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Its events alone are used: they come one by one, however deep the file nests."""

_SCALARS: Final[tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...]] = (
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"~|null|Null|NULL|"), lambda _text: None),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})"), int),
    (re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"), float),
)


def read_description(file: Path) -> Any:
    """Read a file.

    :raises ConfigurationError: when it can't be read, is too large, or is neither JSON nor YAML.
    """
    return parse_description(
        file, read_bytes(file, "an OpenAPI document or a threat model", MAX_BYTES)
    )


def parse_description(file: Path, raw: bytes) -> Any:
    """Parse the bytes of a description.

    :param file: names it in messages.
    :raises ConfigurationError: when it is too large, or is neither JSON nor YAML.
    """
    if len(raw) > MAX_BYTES:
        raise unusable(file, f"more than {MAX_BYTES} bytes", f"at most {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise unusable(file, "bytes that aren't UTF-8", "UTF-8 text") from None
    return _parsed(file, text)


def _parsed(file: Path, text: str) -> Any:
    """Parse a text as JSON where it looks like it, else as YAML."""
    not_json: json.JSONDecodeError | None = None
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            # Its YAML may still begin with a brace.
            not_json = error
        except (RecursionError, ValueError):
            raise unusable(file, "JSON that nests too deep", "a document") from None
    try:
        return _Builder().build(text)
    except _BoundsError as error:
        raise unusable(file, error.got, error.expected, error.line) from None
    except yaml.MarkedYAMLError as error:
        if not_json is not None:
            raise unusable(file, "invalid JSON", "valid JSON", not_json.lineno) from None
        raise _not_yaml(file, text, error) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise unusable(file, "neither JSON nor YAML", "valid JSON or YAML") from None


def _not_yaml(file: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigurationError:
    """Say what is wrong and where; what is never closed is noticed at the end, and began before."""
    last = text.count("\n", 0, len(text.rstrip())) + 1
    line = min(error.problem_mark.line + 1, last) if error.problem_mark else None
    begun = error.context_mark.line + 1 if error.context_mark else line
    where = f" of what begins on line {begun}" if begun != line else ""
    got = f"neither JSON nor YAML: {one_line(error.problem or 'no reason')}{where}"
    return unusable(file, got, "valid JSON or YAML", line)


class _BoundsError(Exception):
    """Say that a file holds more than is read."""

    def __init__(self, got: str, expected: str, line: int) -> None:
        super().__init__(got)
        self.got, self.expected, self.line = got, expected, line


@dataclass(slots=True)
class _Open:
    """Hold a mapping or list that isn't at its end yet.

    :param key: of a mapping: the key whose value comes next; ``_NO_KEY`` where a key comes next.
    :param size: values within, aliases expanded.
    """

    value: dict[str, Any] | list[Any]
    anchor: str | None
    key: Any
    size: int = 1
    merges: list[Any] = field(default_factory=list)


_NO_KEY: Final = object()
_MERGE: Final = object()
"""The merge key; in quotes ``<<`` is a name like any other."""


class _Builder:
    """Build plain values from YAML's events, without recursion."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._root: Any = None

    def build(self, text: str) -> Any:
        """Return the value of the first document.

        :raises _BoundsError: on more levels or values than are read, or an alias within itself.
        """
        for event in yaml.parse(text, Loader=_Loader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentEndEvent):
                break
            if isinstance(event, yaml.ScalarEvent):
                merges = self._awaits_key() and _merges(event)
                self._anchored(event.anchor, _MERGE if merges else _scalar(event), 1, line)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor or "", line)
            elif isinstance(event, yaml.MappingStartEvent):
                self._begin({}, event.anchor, line)
            elif isinstance(event, yaml.SequenceStartEvent):
                self._begin([], event.anchor, line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._end(line)
        return self._root

    def _awaits_key(self) -> bool:
        """Tell whether what comes next is a key of a mapping."""
        around = self._stack[-1] if self._stack else None
        return around is not None and around.key is _NO_KEY and isinstance(around.value, dict)

    def _begin(self, value: dict[str, Any] | list[Any], anchor: str | None, line: int) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _BoundsError("deeper nesting", f"at most {MAX_DEPTH} levels", line)
        self._stack.append(_Open(value, anchor, _NO_KEY))

    def _end(self, line: int) -> None:
        done = self._stack.pop()
        if isinstance(done.value, dict):
            for merge in done.merges:
                for each in merge if isinstance(merge, list) else [merge]:
                    for key, value in each.items() if isinstance(each, dict) else ():
                        done.value.setdefault(key, value)
        self._anchored(done.anchor, done.value, done.size, line)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            expected = "an anchor that ended before"
            raise _BoundsError(f"the alias {anchor[:40]!r} of nothing", expected, line)
        self._place(*self._anchors[anchor], line)

    def _anchored(self, anchor: str | None, value: Any, size: int, line: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        self._place(value, size, line)

    def _place(self, value: Any, size: int, line: int) -> None:
        """Put a finished value where it belongs."""
        if not self._stack:
            self._root = value
            return
        around = self._stack[-1]
        around.size += size
        if around.size > MAX_NODES:
            expected = f"at most {MAX_NODES} values, each alias counted in full"
            raise _BoundsError("more values", expected, line)
        if isinstance(around.value, list):
            around.value.append(value)
        elif around.key is _NO_KEY:
            if isinstance(value, dict | list):
                raise _BoundsError("a key that isn't text", "a text key", line)
            around.key = value if isinstance(value, Hashable) else str(value)
        else:
            key, around.key = around.key, _NO_KEY
            if key is _MERGE:
                around.merges.append(value)
            else:
                around.value[_key_text(key)] = value


def _key_text(key: Any) -> str:
    """Return a key as JSON would write it: the answers of an API are keyed by numbers."""
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    return str(key)


def _merges(event: Any) -> bool:
    plain = event.implicit[0] and not event.style and event.anchor is None
    return bool(plain) and event.value == "<<"


def _scalar(event: Any) -> Any:
    """Return a scalar as YAML 1.2 reads it: a plain one may be a number, a truth value or null."""
    text = str(event.value)
    if event.implicit[0] and not event.style:
        for pattern, made in _SCALARS:
            if pattern.fullmatch(text):
                return made(text)
    return text


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


_Drafter: TypeAlias = Callable[[Any], tuple[Draft, list[ModelFault]]]

_FALLBACK_API: Final = "api"

TEMPLATES: Final[Mapping[str, str]] = {
    "bank": "Retail bank",
    "health": "Health service",
    "game": "Game",
    "retail": "Shop with loyalty points",
    "saas": "Business service (SaaS)",
    "iot": "Companion app of devices at home",
}
"""The argued templates by name, in the order in which they are offered."""


def template_text(name: str) -> str:
    """Return a template as the text of a file, with the comments that argue its impacts.

    :param name: one of :data:`TEMPLATES`.
    """
    return (files("watchword.apps.plan") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")


def template_section(name: str) -> dict[str, Any]:
    """Return the plan section of a template as plain values."""
    return dict(section_of(template_text(name)))


def section_of(text: str) -> Mapping[str, Any]:
    """Return the plan section of a drafted text as plain values."""
    section: Mapping[str, Any] = parse_document(Path("draft.yaml"), text.encode()).data["plan"]
    return section


def drafter_of(document: Any) -> "_Drafter":
    """Return what drafts from a document: by what it says it is."""
    if is_threat_dragon(document):
        return draft_from_threat_dragon
    if is_scan(document):
        return draft_from_scan
    if isinstance(document, dict) and "otmVersion" in document:
        return draft_from_otm
    return draft_from_openapi


@dataclass(frozen=True, slots=True)
class Drafted:
    """Hold a draft with the text of its file.

    :param api: the name that its routes have under ``apis``.
    """

    draft: Draft
    text: str
    api: str


def draft_plan(
    openapi: Path | None, otm: Path | None, api: str | None = None, scan: Path | None = None
) -> Drafted:
    """Draft from an API description, a threat model, a scan or several; without any, a plan to start from.

    :param otm: an Open Threat Model, or a model as Threat Dragon 2 keeps it.
    :param scan: what `watchword scan --json` printed.
    :param api: name of the API under ``apis``; left out, it is made from the description's title.
    :raises ConfigurationError: when a file can't be read, or isn't what it should be.
    """
    drafts: list[Draft] = []
    sources: list[str] = []
    named: tuple[tuple[Path | None, _Drafter], ...] = (
        (openapi, draft_from_openapi),
        (otm, _draft_from_model),
        (scan, draft_from_scan),
    )
    for file, drafter in named:
        if file is not None:
            drafts.append(_drafted(file, drafter))
            sources.append(one_line(file.name, 60))
    if not drafts:
        return Drafted(Draft(), STARTER, api or _FALLBACK_API)
    draft = merged(drafts)
    name = api or _api_name(drafts[0].title if openapi is not None else "")
    return Drafted(draft, render(draft, sources, name), name)


def _draft_from_model(document: Any) -> tuple[Draft, list[ModelFault]]:
    drafter = draft_from_threat_dragon if is_threat_dragon(document) else draft_from_otm
    return drafter(document)


def write_new(file: Path, text: str) -> None:
    """Write a file that isn't there yet.

    :raises ConfigurationError: when it is; nothing is overwritten.
    :raises OSError: when it can't be written; nothing is left behind, so that the next try isn't in its own way.
    """
    try:
        write_new_file(file, text)
    except FileExistsError:
        fault = Fault("", None, "a file that is there already", "a new file: -o FILE, or -o -")
        raise ConfigurationError(file, [fault]) from None


def _drafted(file: Path, drafter: _Drafter) -> Draft:
    draft, faults = drafter(read_description(file))
    if faults:
        found = [Fault(join(each.where), None, each.got, each.expected) for each in faults]
        raise ConfigurationError(file, found)
    return draft


def _api_name(title: str) -> str:
    """Return a name for the API: ``Clinic API`` becomes ``clinic``."""
    name = slug(title)
    return name.removesuffix("-api") or _FALLBACK_API


_STDOUT: Final = Path("-")


def init_command(
    ctx: click.Context,
    *,
    openapi: Path | None,
    otm: Path | None,
    scan: Path | None,
    template: str | None,
    interview: bool,
    api: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Draft a plan."""
    if (template or interview) and (openapi or otm or scan or (template and interview)):
        raise click.UsageError(
            "expected --template, --interview or files to draft from, and one of these alone"
        )
    if interview and not output.exists():
        drafted = Drafted(Draft(), _interviewed(output), api or _FALLBACK_API)
    elif template:
        drafted = Drafted(Draft(), template_text(template), api or _FALLBACK_API)
    else:
        drafted = draft_plan(openapi, otm, api, scan)
    to_stdout = output == _STDOUT
    if not to_stdout:
        write_new(output, drafted.text)
    elif not as_json:
        click.echo(drafted.text, nl=False)
    if as_json:
        print_json(_draft_as_dict(drafted, None if to_stdout else output))
    config: Path = ctx.obj or Path("watchword.yaml")
    for line in _draft_summary(drafted, None if to_stdout else output, config):
        for part in wrapped(line):
            click.echo(part, err=True)


def _interviewed(output: Path) -> str:
    """Ask the method's questions in the terminal, and return the text of the file."""
    # The workshop's words are loaded for whoever wants them alone.
    from watchword.apps.plan.interview import Prompt, Starts, interview  # noqa: PLC0415
    from watchword.apps.plan.workshop.section import PlanFile  # noqa: PLC0415

    def ask(prompt: Prompt) -> str | None:
        click.echo(err=True)
        for line in prompt.said:
            for part in hanging(line) if line.startswith("  ") else wrapped(line):
                click.echo(part, err=True)
        shown = f" [{prompt.default}]" if prompt.default else ""
        try:
            answer: str = click.prompt(
                f"{prompt.ask}{shown}", default="", show_default=False, prompt_suffix=": ", err=True
            )
        except click.Abort:
            return None
        return answer

    click.echo(
        "Write `back` to take the last answer back; the end of the input (Ctrl-D) keeps what you answered.",
        err=True,
    )
    starts = Starts(TEMPLATES, template_section)
    section = interview(ask, lambda said: click.echo(said, err=True), starts)
    if not section.get("assets"):
        raise click.UsageError("nothing was named, so there is nothing to write")
    guesses = [name for name, each in section["assets"].items() if each["because"] == UNJUDGED]
    if guesses:
        click.echo(f"Still guesses: {', '.join(guesses)}.", err=True)
    return PlanFile.parse(output, b"").with_section(section).decode()


def _draft_summary(drafted: Drafted, written: Path | None, config: Path) -> list[str]:
    """Return what was read, drafted and left out, and what to do next."""
    draft = drafted.draft
    lines = []
    if draft.assets:
        routes = counted(len(draft.routes), "routes")
        made = counted(len(draft.assets), "assets")
        more = f" and {routes} for {drafted.api}" if draft.routes else ""
        lines.append(f"Read {', '.join(draft.read)}; drafted {made}{more}.")
    if draft.threats:
        mapped = sum(threat.technique is not None for threat in draft.threats)
        lines.append(f"{mapped} of {len(draft.threats)} different threats are techniques here.")
    lines += [f"Left out: {each}." for each in draft.left_out]
    where = "the text above" if written is None else str(written)
    if written is not None:
        lines.append(f"Wrote {written}.")
    lines.append(f"Next: set each impact and say why in {where}.")
    if config.exists():
        routes = ", and its routes under `apis:`" if draft.routes else ""
        lines.append(
            f"{config} stays as it is: copy the assets into its section `plan:`, or the section "
            f"whole where it has none{routes}. Then `watchword plan`."
        )
    elif written is not None:
        lines.append(f"Then `watchword -c {written} plan`.")
    return lines


def _draft_as_dict(drafted: Drafted, written: Path | None) -> dict[str, Any]:
    """Return the draft for scripts."""
    draft = drafted.draft
    return {
        "file": None if written is None else str(written),
        "api": drafted.api,
        "read": draft.read,
        "assets": [
            {
                "name": asset.id,
                "kind": asset.kind,
                "impact": asset.impact,
                "lives_in": sorted(asset.lives_in),
                "traits": sorted(asset.traits),
                "actors": sorted(asset.actors),
                "routes": asset.routes,
                "notes": asset.notes,
            }
            for asset in draft.assets
        ],
        "routes": [
            {"path": route.path, "about": route.about, "actors": sorted(route.actors)}
            for route in draft.routes
        ],
        "threats": [
            {
                "name": threat.name,
                "technique": threat.technique,
                "assets": threat.assets,
                "count": threat.count,
            }
            for threat in draft.threats
        ],
        "notes": draft.notes,
        "left_out": draft.left_out,
    }

"""Show the workshop's pages: a question of the method each, the plan beside them, and what becomes of it.

A page is made from one :class:`State`; its forms say which revision they were made from, so that two answers to one
question are noticed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from watchword.apps.plan import words
from watchword.apps.plan.html import curve, lanes, picture
from watchword.apps.plan.workshop import ends
from watchword.apps.plan.workshop.session import (
    Planned,
    State,
    Workshop,
    WorkshopError,
    moves,
    turns,
)
from watchword.apps.plan.workshop.starts import (
    arguments,
    begin_from,
    draft_of,
    templates,
)
from watchword.apps.reports.text import in_sentence
from watchword.apps.web.frame import Action, page, query
from watchword.apps.web.frame import action as form_route
from watchword.apps.web.kit import Kit, go
from watchword.plan.catalogue import load_catalogue
from watchword.plan.drafts import DRAFT_IMPACT
from watchword.plan.interface import (
    UNJUDGED,
    Actor,
    AssetKind,
    Catalogue,
    Component,
    Intelligence,
    Stage,
    Trait,
)
from watchword.plan.interface import is_guess as because_is_guess
from watchword.plan.outcome import Item, PathState, Phase, Plan
from watchword.plan.questions import NO_LIKELIHOOD, questions
from watchword.plan.service import Question
from watchword.plan.workshop import (
    ConflictError,
    Edit,
    Section,
    SetEntry,
    SetValue,
    difference,
    value_at,
)
from watchword.reasons import WatchwordError

A_PAGE: Final = 40
"""Assets, ways in or protections on one page; more are found by search and by turning the page."""

MAX_TEXT: Final = 1000
MAX_STEPS: Final = 6
_QUANTITIES: Final = ("users", "records", "money", "downtime")
_KEY_BREAK: Final = "\x1f"
"""Joins the parts of a key in a form; no name holds this character."""

_MACHINERY: Final = frozenset({"csrf", "revision", "to", "page", "seen", "key", "number"})
"""Fields of forms that nobody typed."""

_WHO: Final = "who"
_NOBODY: Final = "somebody"


@dataclass(frozen=True, slots=True)
class Way:
    """Hold one way into an asset, for the page of scenarios.

    :param variants: how many paths differ from it only in how intelligence is gathered.
    """

    asset: str
    steps: tuple[str, ...]
    exposure: str
    variants: int


class Pages:
    """Answer the requests of one workshop."""

    def __init__(self, workshop: Workshop, kit: Kit) -> None:
        """Keep what is shown."""
        self._workshop = workshop
        self._kit = kit
        self._words = questions()
        kit.let(
            options=_options,
            levels_of=_levels,
            technique_options=_technique_options,
            intelligence_options=_intelligence_options,
            joined=_KEY_BREAK.join,
            query_of=urlencode,
            said=_said,
        )

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of all pages and forms."""

        def action(path: str, answer: Action, *, upload: bool = False) -> BaseRoute:
            return form_route(path, self._or_returned(answer), upload=upload)

        return [
            page("/", self._home),
            page("/start", self._start),
            action("/start", self._take_template),
            action("/upload", self._take_upload, upload=True),
            page("/parts", self._parts),
            page("/assets", self._assets),
            action("/assets", self._add_asset),
            page("/assets/{name}", self._asset),
            action("/assets/{name}", self._change_asset),
            action("/assets/{name}/remove", self._remove_asset),
            page("/scenarios", self._scenarios),
            action("/scenarios/strike", self._strike),
            action("/scenarios/add", self._add_path),
            action("/scenarios/remove", self._remove_entry),
            action("/scenarios/derive", self._derive),
            page("/impact", self._impact),
            action("/impact/{name}", self._judge),
            page("/today", self._today),
            page("/plan", self._plan),
            action("/budget", self._budget),
            page("/plan/{protection}", self._why),
            page("/paths/{name}", self._paths),
            page("/compare", self._compare),
            page("/changes", self._changes),
            action("/undo", self._undo),
            action("/redo", self._redo),
            action("/save", self._save),
            action("/choose", self._choose),
            action("/who", self._name),
            *ends.routes(self._workshop, self.shown),
        ]

    # What every page shows.

    def shown(self, request: Request, template: str, step: str, **values: Any) -> Response:
        """Return a page with the plan beside it."""
        state = values.pop("state", None) or self._workshop.state()
        planned = values.pop("planned", None) or self._workshop.plan()
        return self._kit.page(
            template,
            styles=["kit.css", "picture.css", "workshop.css"],
            step=step,
            question=next((each for each in self._words.steps if each.id == step), None),
            state=state,
            who=who(request),
            file=self._workshop.file.name,
            ask=self._words,
            no_likelihood=NO_LIKELIHOOD,
            **self._beside(state, planned),
            **values,
        )

    def _beside(self, state: State, planned: Planned | None) -> dict[str, Any]:
        plan = None if planned is None else planned.plan
        previous = self._workshop.previous()
        before = None if previous is None else previous.plan
        return {
            "planned": planned,
            "plan": plan,
            "words": words,
            "quoted": quote,
            "listed": in_sentence,
            "verdict": [] if plan is None else words.verdict(plan),
            "moved": [] if plan is None else moves(before, plan),
            "turned": [] if plan is None else turns(before, plan),
            "guesses": unjudged(state.section),
        }

    def _or_returned(self, answer: Action) -> Action:
        """Let a form be answered; one that can't be taken is given back, so that nothing typed is lost."""

        def answered(request: Request, form: FormData) -> Response:
            try:
                return answer(request, form)
            except WatchwordError as error:
                return self._returned(request, form, error)

        return answered

    def _returned(self, request: Request, form: FormData, error: WatchwordError) -> Response:
        path = request.url.path
        step = "plan" if path == "/budget" else path.split("/")[1]
        step = "start" if path == "/upload" else step
        if step not in {each.id for each in self._words.steps}:
            step, again = "changes", back(form)
        else:
            # Whoever takes an asset out is shown it again before the next try.
            page_of = path.removesuffix("/remove")
            again = quote(page_of) if path.startswith("/assets/") else f"/{step}"
        state = self._workshop.state()
        both: dict[str, Any] = {}
        if isinstance(error, ConflictError):
            other = next(
                (
                    each
                    for each in reversed(state.done)
                    if any(edit.key == error.key[: len(edit.key)] for edit in each.edits)
                ),
                None,
            )
            both = {"mine": error.mine, "theirs": error.theirs, "other": other}
            both["about"] = " · ".join(error.key[1:] or error.key)
        answer = self.shown(
            request, "returned.html.j2", step, state=state, both=both, cause=str(error),
            sent=sent_by(form), again=again, status=409 if both else 400,
        )  # fmt: skip
        # The address of a form is no page: a reload of it would fail.
        answer.headers["hx-push-url"] = "false"
        # The form may have stood far down; the cause stands at the top.
        answer.headers["hx-reswap"] = "innerHTML show:window:top"
        return answer

    def _home(self, request: Request) -> Response:
        del request
        return go("/assets" if self._workshop.state().section.get("assets") else "/start")

    # The steps.

    def _start(self, request: Request) -> Response:
        return self.shown(request, "start.html.j2", "start", templates=templates())

    def _parts(self, request: Request) -> Response:
        state = self._workshop.state()
        assets = assets_of(state.section)
        counts = {
            part: [name for name, each in assets.items() if part.value in lives_in(each)]
            for part in Component
        }
        return self.shown(request, "parts.html.j2", "parts", state=state, counts=counts)

    def _assets(self, request: Request) -> Response:
        state = self._workshop.state()
        wanted = query(request, "q").lower()
        found = {
            name: each
            for name, each in assets_of(state.section).items()
            if wanted in f"{name} {each.get('because', '')}".lower()
        }
        return self.shown(
            request, "assets.html.j2", "assets", state=state, q=wanted, **paged(request, found)
        )

    def _asset(self, request: Request) -> Response:
        state, name = self._workshop.state(), request.path_params["name"]
        asset = assets_of(state.section).get(name)
        if asset is None:
            raise WorkshopError(f"there is no asset {name} any more; somebody may have renamed it")
        return self.shown(
            request, "asset.html.j2", "assets", state=state, name=name, asset=asset,
            routes="\n".join(f"{each['api']} {each['path']}" for each in asset.get("routes") or []),
            quantities=asset.get("quantities") or {},
        )  # fmt: skip

    def _scenarios(self, request: Request) -> Response:
        state, planned = self._workshop.state(), self._workshop.plan()
        wanted = query(request, "asset")
        ways = [] if planned is None else ways_in(planned.plan)
        ways = [each for each in ways if wanted in {"", each.asset}]
        catalogue = load_catalogue() if planned is None else planned.plan.catalogue
        scenarios = state.section.get("scenarios") or {}
        return self.shown(
            request, "scenarios.html.j2", "scenarios", state=state, planned=planned, asset=wanted,
            techniques=catalogue.techniques, by_part=by_part(catalogue),
            scenarios=scenarios, derive=scenarios.get("derive", True),
            max_steps=MAX_STEPS, **paged(request, dict(enumerate(ways))),
        )  # fmt: skip

    def _impact(self, request: Request) -> Response:
        state = self._workshop.state()
        found = assets_of(state.section)
        order = sorted(found, key=lambda name: (not is_guess(found[name]), name))
        return self.shown(
            request, "impact.html.j2", "impact", state=state, is_guess=is_guess,
            arguments=arguments(),
            **paged(request, {name: found[name] for name in order}),
        )  # fmt: skip

    def _today(self, request: Request) -> Response:
        return self.shown(request, "today.html.j2", "today")

    def _plan(self, request: Request) -> Response:
        question = asked(request)
        planned = self._workshop.plan(question)
        now = planned if question is None else self._workshop.plan()
        phases: list[tuple[Phase, list[Item]]] = []
        if planned is not None:
            phases = [(phase, words.of_phase(planned.plan, phase)) for phase in Phase]
        known = load_catalogue() if now is None else now.plan.catalogue
        everything = sorted(known.protections.values(), key=lambda each: each.name)
        return self.shown(
            request, "plan.html.j2", "plan", planned=now, asked_plan=None if planned is None else planned.plan,
            phases=phases, asked=question, protections=everything,
            curves=[] if planned is None else [
                ("wide", curve(planned.plan, width=860, name="curve-wide")),
                ("narrow", curve(planned.plan, width=350, name="curve-narrow")),
            ],
            what_if="" if planned is None else words.what_if(planned.plan),
            most=0 if now is None else max(most_effort(self._workshop), 1),
        )  # fmt: skip

    def _why(self, request: Request) -> Response:
        planned, wanted = self._workshop.plan(), request.path_params["protection"]
        if planned is None:
            raise WorkshopError("there is no plan yet: answer the questions before it")
        plan = planned.plan
        protection = plan.catalogue.protections.get(wanted)
        if protection is None:
            raise WorkshopError(f"there is no protection {wanted} in the catalogue")
        item = next((each for each in plan.items if each.protection.id == wanted), None)
        return self.shown(
            request, "why.html.j2", "plan", planned=planned, item=item, protection=protection,
            reasons=not_first(plan, wanted), first=plan.items[0] if plan.items else None,
        )  # fmt: skip

    def _paths(self, request: Request) -> Response:
        planned, name = self._workshop.plan(), request.path_params["name"]
        if planned is None:
            raise WorkshopError("there is no plan yet: answer the questions before it")
        plan = of_asset(planned.plan, name)
        drawn = [
            (said, kind, lanes(plan, after=after))
            for said, kind, after in (("Today", "now", False), ("After the plan", "after", True))
        ]
        return self.shown(
            request, "paths.html.j2", "plan", planned=planned, name=name,
            pictures=[(said, each, picture(each, name=kind, title=f"{name}: {said}")) for said, kind, each in drawn],
        )  # fmt: skip

    def _compare(self, request: Request) -> Response:
        planned, kept = self._workshop.plan(), self._workshop.earlier()
        wanted = query(request, "with", "file")
        other = next((each for each in kept if str(each.revision) == wanted), None)
        if wanted == "file":
            other = self._workshop.of_file()
        return self.shown(
            request, "compare.html.j2", "plan", planned=planned, other=other, wanted=wanted,
            kept=[each for each in kept if planned is None or each.revision != planned.revision],
            moved_between=[] if planned is None or other is None else moves(other.plan, planned.plan),
            turned_between=[] if planned is None or other is None else turns(other.plan, planned.plan),
        )  # fmt: skip

    def _changes(self, request: Request) -> Response:
        state = self._workshop.state()
        return self.shown(
            request, "changes.html.j2", "", state=state, diff=self._workshop.diff(), seen=self._workshop.seen(),
            saved=query(request, "saved"),
        )  # fmt: skip

    # The answers.

    def _answered(
        self, request: Request, form: FormData, said: str, *edits: Edit, to: str = ""
    ) -> Response:
        self._workshop.answer(edits, who(request), said)
        return go(to or back(form))

    def _section_before(self, form: FormData) -> Section:
        """Return the section as the page with this form showed it."""
        revision = text(form, "revision")
        return self._workshop.section_at(int(revision) if revision.isdigit() else -1)

    def _take_template(self, request: Request, form: FormData) -> Response:
        name = text(form, "template")
        return self._begun(request, form, begin_from(name), f"began from the template {name}")

    def _take_upload(self, request: Request, form: FormData) -> Response:
        upload = form.get("file")
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise WorkshopError("got no file: choose one, then press the button again")
        section = draft_of(upload.filename, upload.file.read())
        return self._begun(request, form, section, f"began from {upload.filename[:80]}")

    def _begun(
        self, request: Request, form: FormData, new: Mapping[str, Any], said: str
    ) -> Response:
        """Add what a template or a file brings; what is answered already stays."""
        before = self._section_before(form)
        merged = {**new, **before}
        merged["assets"] = {**new.get("assets", {}), **(before.get("assets") or {})}
        return self._answered(request, form, said, *difference(before, merged), to="/assets")

    def _add_asset(self, request: Request, form: FormData) -> Response:
        name = asset_name(text(form, "name"))
        asset: dict[str, Any] = {
            "kind": member(form, "kind", AssetKind, "data"),
            "impact": DRAFT_IMPACT,
            "because": UNJUDGED,
        }
        asset |= parts_of(form)
        if asset["kind"] == AssetKind.USE_CASE and "traits" not in asset:
            asset["traits"] = [Trait.FRAUD_RULE.value]
        edit = SetValue(("assets", name), None, asset)
        return self._answered(request, form, f"{name} was added", edit, to=f"/assets/{name}")

    def _change_asset(self, request: Request, form: FormData) -> Response:
        old, name = request.path_params["name"], asset_name(text(form, "name"))
        shown = assets_of(self._section_before(form)).get(old)
        if shown is None:
            raise WorkshopError(f"there is no asset {old} any more; somebody may have renamed it")
        wanted: dict[str, Any] = {"kind": member(form, "kind", AssetKind, "data")} | parts_of(form)
        wanted["routes"] = routes_of(text(form, "routes", MAX_TEXT * 20)) or None
        wanted["quantities"] = quantities_of(form) or None
        edits = changes(
            ("assets", old),
            shown,
            wanted,
            ("kind", "lives_in", "traits", "actors", "routes", "quantities"),
        )
        if edits:
            self._workshop.answer(edits, who(request), f"{old}: what it is")
        if name != old:
            self._workshop.rename(old, name, who(request))
        return go(f"/assets/{name}")

    def _remove_asset(self, request: Request, form: FormData) -> Response:
        name, before = request.path_params["name"], self._section_before(form)
        edits: list[Edit] = [SetValue(("assets", name), assets_of(before).get(name), None)]
        for kind in ("strike", "add", "pin"):
            key = ("scenarios", kind)
            edits += [
                SetEntry(key, each, None)
                for each in value_at(before, key) or []
                if isinstance(each, dict) and each.get("asset") == name
            ]
        return self._answered(request, form, f"{name} was taken out", *edits, to="/assets")

    def _judge(self, request: Request, form: FormData) -> Response:
        name = request.path_params["name"]
        shown = assets_of(self._section_before(form)).get(name)
        if shown is None:
            raise WorkshopError(f"there is no asset {name} any more; somebody may have renamed it")
        impact = text(form, "impact")
        wanted = {
            "impact": int(impact) if impact in {"1", "2", "3", "4", "5"} else shown.get("impact"),
            "because": text(form, "because") or shown.get("because"),
        }
        edits = changes(("assets", name), shown, wanted, ("impact", "because"))
        said = f"{name}: impact {wanted['impact']}, because {wanted['because']}"
        return self._answered(
            request, form, said, *edits, to=f"/impact{at_page(form)}#asset-{name}"
        )

    def _strike(self, request: Request, form: FormData) -> Response:
        entry: dict[str, Any] = {}
        if asset := text(form, "asset"):
            entry["asset"] = asset
        if steps := text(form, "steps"):
            entry["steps"] = steps.split(",")
        elif technique := text(form, "technique"):
            entry["technique"] = technique
        entry["because"] = reason(form)
        for each in ("owner", "until"):
            if value := text(form, each):
                entry[each] = value
        if ("owner" in entry) != ("until" in entry):
            raise WorkshopError(
                "an accepted risk needs both: who owns it, and the day on which it ends"
            )
        said = f"struck: {in_sentence(entry.get('steps') or [entry.get('technique', asset)])}"
        edit = SetEntry(("scenarios", "strike"), None, entry)
        return self._answered(request, form, said, edit)

    def _add_path(self, request: Request, form: FormData) -> Response:
        steps = [step for number in range(MAX_STEPS) if (step := text(form, f"step-{number}"))]
        if not steps:
            raise WorkshopError("got no step: choose at least the one that does the damage")
        entry: dict[str, Any] = {"asset": text(form, "asset"), "steps": steps}
        if assumes := [
            each.value for each in Intelligence if each.value in form.getlist("assumes")
        ]:
            entry["assumes"] = assumes
        entry["because"] = reason(form)
        kind = "pin" if text(form, "pin") else "add"
        said = f"a way into {entry['asset']} was added: {in_sentence(steps)}"
        return self._answered(request, form, said, SetEntry(("scenarios", kind), None, entry))

    def _remove_entry(self, request: Request, form: FormData) -> Response:
        kind, number = text(form, "kind"), text(form, "number")
        entries = value_at(self._section_before(form), ("scenarios", kind)) or []
        if not number.isdigit() or int(number) >= len(entries):
            raise WorkshopError("there is no such entry any more; look at the page again")
        edit = SetEntry(("scenarios", kind), entries[int(number)], None)
        return self._answered(request, form, f"an entry of {kind} was taken out", edit)

    def _derive(self, request: Request, form: FormData) -> Response:
        before = value_at(self._section_before(form), ("scenarios", "derive"))
        wanted = None if text(form, "derive") else False
        said = "only ways that we write" if wanted is False else "all ways that can be derived"
        edit = SetValue(("scenarios", "derive"), before, wanted)
        return self._answered(request, form, said, edit)

    def _budget(self, request: Request, form: FormData) -> Response:
        before, written = self._section_before(form).get("budget"), text(form, "budget")
        wanted = int(written) if written.isdigit() and int(written) else None
        said = "no limit of effort" if wanted is None else f"budget: effort {wanted}"
        return self._answered(
            request, form, said, SetValue(("budget",), before, wanted), to="/plan"
        )

    def _undo(self, request: Request, form: FormData) -> Response:
        self._workshop.undo(who(request))
        return go(back(form))

    def _redo(self, request: Request, form: FormData) -> Response:
        self._workshop.redo(who(request))
        return go(back(form))

    def _save(self, request: Request, form: FormData) -> Response:
        self._workshop.save(text(form, "seen"), who(request))
        return go("/changes?saved=yes")

    def _choose(self, request: Request, form: FormData) -> Response:
        sent = form.get("key")
        key = tuple(sent.split(_KEY_BREAK)) if isinstance(sent, str) else ()
        self._workshop.choose(key, file=text(form, "take") == "file", by=who(request))
        return go("/changes")

    def _name(self, request: Request, form: FormData) -> Response:
        del request
        answer = go(back(form))
        name = quote(text(form, "name", 60))
        answer.set_cookie(_WHO, name, httponly=True, samesite="strict", max_age=60 * 60 * 24 * 30)
        return answer


# What forms say.


def text(form: FormData, name: str, most: int = MAX_TEXT) -> str:
    """Return a field as one line of text, without what a file can't hold; empty where there is none."""
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    if name != "routes":
        value = " ".join(value.split())
    return "".join(each for each in value if each.isprintable() or each == "\n")[:most].strip()


def member(form: FormData, name: str, kind: type[AssetKind], default: str) -> str:
    """Return a field that holds one word of a vocabulary."""
    value = text(form, name)
    return value if value in {each.value for each in kind} else default


def reason(form: FormData) -> str:
    """Return why: an entry without a reason can't be defended later."""
    found = text(form, "because")
    if not found:
        raise WorkshopError("got no reason: say why, so that somebody else can follow it later")
    return found


def asset_name(written: str) -> str:
    """Return a name as the file takes it: ``Patient records`` becomes ``patient-records``."""
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in written.lower())
    name = "-".join(part for part in plain.split("-") if part)[:63].strip("-")
    if not name:
        raise WorkshopError("got no name: give one in letters and digits, such as patient records")
    return name


def parts_of(form: FormData) -> dict[str, Any]:
    """Return where an asset lives, what an attacker is after and who calls it, as far as it was said."""
    found: dict[str, Any] = {}
    for name, kind in (("lives_in", Component), ("traits", Trait), ("actors", Actor)):
        sent = set(form.getlist(name))
        chosen = [each.value for each in kind if each.value in sent]
        if name == "actors" and chosen == [Actor.USER.value]:
            chosen = []
        if chosen:
            found[name] = chosen
    return found


def routes_of(written: str) -> list[dict[str, str]]:
    """Return routes out of lines such as ``clinic /v1/records/**``."""
    lines = (line.split(None, 1) for line in written.splitlines() if line.strip())
    return [{"api": line[0], "path": line[1].strip() if len(line) > 1 else ""} for line in lines]


def quantities_of(form: FormData) -> dict[str, Any]:
    """Return what stands behind an impact, as far as it was said."""
    found: dict[str, Any] = {}
    for name in _QUANTITIES:
        if value := text(form, name, 60):
            number = value.replace(",", "").replace(" ", "")
            found[name] = (
                int(number) if name in {"users", "records"} and number.isdigit() else value
            )
    return found


def changes(
    key: tuple[str, ...], shown: Mapping[str, Any], wanted: Mapping[str, Any], names: Iterable[str]
) -> list[Edit]:
    """Return the edits of those members that the form says otherwise than the page did.

    A list with the same words in another order says the same.
    """
    edits: list[Edit] = []
    for name in names:
        before, after = shown.get(name), wanted.get(name)
        same = (
            isinstance(before, list)
            and isinstance(after, list)
            and _sorted(before) == _sorted(after)
        )
        if before != after and not same:
            edits.append(SetValue((*key, name), before, after))
    return edits


def _sorted(values: list[Any]) -> list[str]:
    return sorted(map(repr, values))


def back(form: FormData) -> str:
    """Return the page of ours that a form came from."""
    to = text(form, "to")
    return to if to.startswith("/") and not to.startswith("//") and "\\" not in to else "/"


def sent_by(form: FormData) -> list[tuple[str, str]]:
    """Return what somebody typed or chose in a form, to be shown: nothing typed is lost by a refusal."""
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str) and value and name not in _MACHINERY:
            found.setdefault(name, []).append(value)
    return [(name.replace("_", " "), in_sentence(values)) for name, values in found.items()]


def at_page(form: FormData) -> str:
    """Return the query of the page that a form stood on."""
    number = text(form, "page")
    return f"?page={number}" if number.isdigit() and number != "1" else ""


def who(request: Request) -> str:
    """Return who answers, as that person said."""
    return unquote(request.cookies.get(_WHO, ""))[:60] or _NOBODY


# What pages show.


def assets_of(section: Section) -> Mapping[str, Any]:
    """Return the assets of a section; those that are no mappings are left to its faults."""
    found = section.get("assets") or {}
    return {name: each for name, each in found.items() if isinstance(each, dict)}


def lives_in(asset: Mapping[str, Any]) -> set[str]:
    """Return the parts in which an asset can be taken; routes imply the backend."""
    return {*(asset.get("lives_in") or []), *(["backend"] if asset.get("routes") else [])}


def is_guess(asset: Mapping[str, Any]) -> bool:
    """Tell whether nobody has judged an asset's impact yet."""
    return because_is_guess(str(asset.get("because", "")))


def unjudged(section: Section) -> list[str]:
    """Return the assets whose impact is a guess."""
    return [name for name, each in assets_of(section).items() if is_guess(each)]


def paged(request: Request, found: Mapping[Any, Any]) -> dict[str, Any]:
    """Return one page of what was found, and how many pages there are."""
    written = query(request, "page", "1")
    pages = max(1, -(-len(found) // A_PAGE))
    number = min(max(int(written) if written.isdigit() else 1, 1), pages)
    names = list(found)[(number - 1) * A_PAGE : number * A_PAGE]
    return {
        "rows": {name: found[name] for name in names},
        "page_number": number,
        "pages": pages,
        "total": len(found),
        "asked_for": [each for each in request.query_params.multi_items() if each[0] != "page"],
    }


def ways_in(plan: Plan) -> list[Way]:
    """Return the ways into all assets, the worst first."""
    found: dict[tuple[str, tuple[str, ...]], list[PathState]] = {}
    for each in words.worst_first(plan.paths):
        found.setdefault(plan.catalogue.way_in(each.path.id), []).append(each)
    return [
        Way(each[0].path.asset, each[0].path.steps, each[0].now.value, len(each))
        for each in found.values()
    ]


def by_part(catalogue: Catalogue) -> Sequence[tuple[str, list[Any]]]:
    """Return the techniques for a list to choose from: those that do the damage first, by part."""
    return [
        (f"{questions().parts[part].name}: {said}", [
            each for each in catalogue.techniques.values() if each.component is part and each.stage is stage
        ])
        for stage, said in ((Stage.EXPLOIT, "does the damage"), (Stage.RECON, "gathers intelligence"))
        for part in Component
    ]  # fmt: skip


def of_asset(plan: Plan, name: str) -> Plan:
    """Return a plan with one asset's paths alone, to be drawn."""
    return replace(
        plan,
        paths=tuple(each for each in plan.paths if each.path.asset == name),
        assets=tuple(each for each in plan.assets if each.asset.id == name),
    )


def asked(request: Request) -> Question | None:
    """Return what is asked beyond the answers, by the switches of the page; None where nothing is."""
    known = load_catalogue().protections
    found = {
        name: frozenset(each for each in request.query_params.getlist(name) if each in known)
        for name in ("plus", "minus")
    }
    if not any(found.values()):
        return None
    return Question(added=found["plus"] - found["minus"], removed=found["minus"])


def most_effort(workshop: Workshop) -> int:
    """Return the effort of the whole list without a budget: the end of the slider."""
    planned = workshop.whole()
    return 0 if planned is None else planned.plan.effort


def not_first(plan: Plan, wanted: str) -> list[str]:
    """Return why a protection doesn't stand first, in sentences."""
    item = next((each for each in plan.items if each.protection.id == wanted), None)
    first = plan.items[0] if plan.items else None
    if any(each.protection == wanted for each in plan.proven):
        return ["It is proven already, so there is nothing to do for it."]
    if item is None:
        touched = {step for each in plan.paths for step in each.path.steps}
        if not touched & plan.catalogue.protections[wanted].cuts.keys():
            return ["It acts on no step of any way into your assets."]
        return ["It isn't in the list: others do what it would do, or the budget ends before it."]
    if first is None or item is first:
        return ["It does stand first."]
    said = [item.why]
    if item.phase is not Phase.PREVENT:
        said.append(
            f"{first.protection.name} prevents the attack where the damage is done. This one only makes it harder to get there."
        )
    elif item.level < first.level:
        said.append(
            f"It serves assets of impact {item.level}; {first.protection.name} serves impact {first.level}, which comes first."
        )
    else:
        said.append(
            f"{first.protection.name} closes {len(first.closes)} paths, this one {len(item.closes)} more; of two that close as many, the one for "
            "less effort comes first."
        )
    if item.ties:
        said.append("Something else would do as well for the same effort: they are a tie.")
    return said


def _options(words_of: Mapping[Any, Any]) -> list[tuple[str, str, str]]:
    return [(each.value, said.name, said.about) for each, said in words_of.items()]


def _levels(levels: Iterable[Any]) -> list[tuple[str, str, str]]:
    return [(str(each.level), f"{each.level} · {each.name}", "") for each in levels]


def _technique_options(
    steps: Iterable[str], techniques: Mapping[str, Any]
) -> list[tuple[str, str]]:
    return [(each, techniques[each].name if each in techniques else each) for each in steps]


def _intelligence_options(said: Mapping[Any, str]) -> list[tuple[str, str, str]]:
    return [(each.value, text_, "") for each, text_ in said.items()]


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_said(each)}" for name, each in value.items())
    return in_sentence(map(_said, value)) if isinstance(value, list) else str(value)

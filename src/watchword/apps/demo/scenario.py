"""Tell the demo's story: play it on its stage, act by act, and show it.

The short story holds one act or a few of each chapter and :data:`EIGHT` attacks; the full one has every act and every attack.
Eight acts are decisive, and told in both: each is what changes between an API with Watchword and one without.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from watchword.adapters.lab_store import load_or_create
from watchword.apps.demo.stage import RECORDS, Stage
from watchword.apps.demo.steps import (
    KEYS,
    Act,
    Decisions,
    Forger,
    Handset,
    Keys,
    Outcome,
    PhoneShop,
    Wire,
    drain,
    drilled,
    forge_token,
    replay_under_new_challenge,
    sent_again,
    until_refused,
    with_token_alone,
)
from watchword.apps.service.client import OperatorClient
from watchword.apps.terminal.console import EXIT_REFUSED, fail, leave, print_json
from watchword.apps.terminal.process import mute_logs
from watchword.drill.judgements import Report, Verdict
from watchword.drill.registry import ATTACKS
from watchword.vocabulary import Mode

PLAN: Final = "What to protect first: by impact, never by likelihood"
OPEN: Final = "The API as it is: its key is in every copy of the app"
MONITOR: Final = "Watchword in front, mode monitor: no request is refused, all is seen"
ENFORCE: Final = "Mode enforce: the script gets nothing, genuine phones notice nothing"
PROVE: Final = "Attack it yourself: only what holds is proven, and counts in the plan"
PHONES: Final = "Phones that can't be trusted"
REPLAY: Final = "What was recorded can't be used again"
THEFT: Final = "A stolen token, on routes that ask for a proof: session or device"
ENDINGS: Final = "Tokens end, instances can be revoked"

_REPACKAGED: Final = "repackaged-android"
_BAD_PHONES: Final = (
    ("unlocked-android", "unlocked phone", "policy.bootloader_unlocked"),
    ("emulator", "emulator", "attestation.anchor_software"),
    (_REPACKAGED, "repackaged app", "policy.signing_digest"),
    ("wrong-app-iphone", "other app", "policy.app_id"),
)
"""Kind of phone, who that is for people, and why it can't enrol."""

_SHORT_BAD_PHONES: Final = frozenset({"unlocked-android", _REPACKAGED})

EIGHT: Final = (
    "script-with-key",
    "token-unsigned",
    "token-foreign-key",
    "token-alone",
    "proof-changed-body",
    "phone-repackaged",
    "enrolment-replayed",
    "path-confusion",
)
"""Attacks of the short story: one on each thing that a script could try first."""

_GENUINE, _GENUINE_OF_ALL = 20, 60
"""Requests of genuine phones beside the attacks, of the short and the full story."""

_SERVED: Final = "served 200"
_RECORDS: Final = "patient-records"
_SHIELD: Final = "PR-B01"
"""The protection that closes it: attestation checked at the API."""

_PAY: Final = "/v1/payments/7"
_PAYMENT: Final = b'{"sum": 40, "to": "DE89"}'
_MUTATED_PAYMENT: Final = b'{"sum": 99, "to": "AT61"}'
_TOKEN_LIFE_AND_LEEWAY: Final = 331
"""Seconds after which a token of five minutes is refused, clocks being allowed 30 s."""


@dataclass(slots=True)
class Story:
    """Tell the story on a stage; call :meth:`play` from a thread beside the stage's loop.

    :param full: with every act and every attack, not those of the short story alone.
    """

    stage: Stage
    loop: asyncio.AbstractEventLoop
    notify: Callable[[Act], None]
    full: bool = False
    _closing: ExitStack = field(default_factory=ExitStack)

    def play(self) -> None:
        """Play every chapter; each finished act goes to ``notify``."""
        with self._closing:
            self._plan()
            self._open_api()
            self._monitor(self._deploy(Mode.MONITOR))
            watched = self._drilled()
            shop = self._deploy(Mode.ENFORCE)
            iphone, android = shop.get("genuine-iphone"), shop.get("genuine-android")
            self._enforce(shop.wire, iphone, android)
            self._bad_phones(shop)
            self._replays(shop.wire, iphone)
            self._theft(shop.wire, android)
            tell = partial(self._act, KEYS)
            Keys(self.stage, shop.wire, tell, full=self.full).play(iphone, android)
            self._prove(watched)
            self._endings(shop.wire, iphone, android)

    def _act(
        self,
        chapter: str,
        actor: str,
        act: str,
        expected: str,
        got: Outcome,
        *,
        decisive: bool = False,
    ) -> None:
        self.notify(Act(chapter, act, actor, expected, got, decisive=decisive))

    def _deploy(self, mode: Mode) -> PhoneShop:
        """Restart the deployment in another mode, as an operator does, and visit it."""
        asyncio.run_coroutine_threadsafe(self.stage.deploy(mode), self.loop).result()
        settings = self.stage.settings
        operator = self._closing.enter_context(OperatorClient(settings.service.operator_socket))
        wire = Wire(operator)
        self._closing.callback(wire.http.close)
        authorities = load_or_create(settings.service.state_dir, self.stage.entropy)
        return PhoneShop(settings, authorities, self.stage.clock, wire, self._closing)

    def _drilled(self) -> Report:
        """Attack what is deployed."""
        if self.full:
            return drilled(self.stage, genuine=_GENUINE_OF_ALL)
        return drilled(self.stage, attacks=[ATTACKS[each] for each in EIGHT], genuine=_GENUINE)

    def _patient(self, api: str = "clinic") -> str:
        return self._url("/v1/patients/7", api)

    def _url(self, path: str, api: str = "clinic") -> str:
        return f"http://{self.stage.settings.apis[api].listen}{path}"

    def _audience(self, api: str = "clinic") -> str:
        return self.stage.settings.apis[api].audience

    def _plan(self) -> None:
        decisions = Decisions(self.stage.write(Mode.OFF), self.stage.clock)
        act = partial(self._act, PLAN, "team")
        act("asks what comes first", f"first: {_SHIELD}", decisions.first())
        if self.full:
            got = decisions.after_it(["PR-C03", "PR-A01"])
            act("asks when pinning comes", "after it: PR-C03, PR-A01", got)
            got = decisions.with_likelihood()
            act("adds how likely it is", "refused: likelihood", got)
        got = decisions.claim(_SHIELD, "live:shield.enforced_ratio")
        act("says attestation is on", f"to verify: {_SHIELD}", got)

    def _open_api(self) -> None:
        act, expected = f"reads all {RECORDS}, unguarded", f"served {RECORDS} of {RECORDS}"
        self._act(OPEN, "script", act, expected, drain(self.stage.open_url), decisive=True)

    def _monitor(self, shop: PhoneShop) -> None:
        wire, phone = shop.wire, shop.get("genuine-iphone")
        self._act(MONITOR, "script", "reads a patient", _SERVED, wire.get(self._patient()))
        seen = wire.operator.get("/v1/refusals")["counts"]
        found = [row["reason"] for row in seen if row["reason"] == "token.missing"]
        got = Outcome("counted", found[0]) if found else Outcome("not counted")
        self._act(MONITOR, "operator", "looks at the counters", "counted: token.missing", got)
        got = phone.get(self._patient(), self._audience())
        self._act(MONITOR, "genuine iPhone", "enrols, reads a patient", _SERVED, got)
        if self.full:
            got = shop.get("unlocked-android").get_anyway(self._patient(), self._audience())
            self._act(MONITOR, "unlocked phone", "asks without a token", _SERVED, got)

    def _enforce(self, wire: Wire, iphone: Handset, android: Handset) -> None:
        url = self._patient()
        got, act = drain(url.removesuffix("/v1/patients/7")), f"tries all {RECORDS}, enforced"
        self._act(ENFORCE, "script", act, f"served 0 of {RECORDS}", got, decisive=True)
        if self.full:
            got = wire.get(url)
            self._act(ENFORCE, "script", "sends no token", "refused 401: token.missing", got)
            got = wire.get(url, "eyJhbGciOiJub25lIn0.e30.")
            expected = "refused 401: token.malformed"
            self._act(ENFORCE, "script", "sends a token, alg none", expected, got)
            got = wire.get(url, forge_token(self.stage, wire, self._audience(), own_name=True))
            expected = "refused 401: token.key_unknown"
            self._act(ENFORCE, "script", "signs a token itself", expected, got)
        got = wire.get(url, forge_token(self.stage, wire, self._audience(), own_name=False))
        self._act(ENFORCE, "script", "forges a token", "refused 401: token.signature", got)
        phones = [("genuine iPhone", iphone), ("genuine Android", android)]
        for actor, phone in phones if self.full else phones[:1]:
            self._act(ENFORCE, actor, "enrols by attestation", "served 201", phone.enrol())
            got, decisive = phone.get(url, self._audience()), phone is iphone
            self._act(ENFORCE, actor, "reads a patient", _SERVED, got, decisive=decisive)
        if self.full:
            headers = self.stage.clinic.seen_headers[-1]
            told = "watchword-level" in headers and "watchword-token" not in headers
            got = Outcome("told" if told else "not told", "level, not token")
            self._act(ENFORCE, "clinic API", "reads who is there", "told: level, not token", got)

    def _bad_phones(self, shop: PhoneShop) -> None:
        for kind, actor, reason in _BAD_PHONES:
            if self.full or kind in _SHORT_BAD_PHONES:
                got, expected = shop.get(kind).enrol(), f"refused 403: {reason}"
                decisive = kind == _REPACKAGED
                self._act(PHONES, actor, "tries to enrol", expected, got, decisive=decisive)

    def _replays(self, wire: Wire, iphone: Handset) -> None:
        service = self.stage.settings.service.issuer
        got = wire.post(f"{service}/v1/attestations", iphone.recorded("/v1/attestations"))
        act = partial(self._act, REPLAY, "script")
        act("replays an enrolment", "refused 409: challenge.used", got)
        if self.full:
            got = replay_under_new_challenge(wire, service, iphone)
            act("adds a new challenge", "refused 403: attestation.binding", got)

    def _theft(self, wire: Wire, phone: Handset) -> None:
        audience, records, pay = self._audience(), self._url("/v1/records/7"), self._url(_PAY)
        before = len(self.stage.clinic.written)
        thief = Forger(self.stage.clock, self.stage.entropy)
        act, missing = partial(self._act, THEFT), "refused 401: proof.missing"
        got, recorded = phone.write(records, audience, _PAYMENT)
        act("genuine Android", "writes, session proof", _SERVED, got)
        got, _ = phone.write(pay, audience, _PAYMENT)
        act("genuine Android", "pays, hardware proof", _SERVED, got)
        stolen = phone.client.credential(audience)
        if self.full:
            got = wire.send(with_token_alone(records, stolen.token, _PAYMENT))
            act("token thief", "writes, token alone", missing, got)
        got = wire.send(with_token_alone(pay, stolen.token, _PAYMENT))
        act("token thief", "pays, token alone", missing, got)
        got = wire.send(sent_again(recorded))
        what, expected = "replays a request", "refused 401: proof.replayed"
        act("token thief", what, expected, got, decisive=True)
        held_up = phone.held_up(pay, audience, _PAYMENT)
        got = wire.send(sent_again(held_up, _MUTATED_PAYMENT))
        act("interceptor", "changes a payment's sum", "refused 401: proof.body", got)
        if self.full:
            got = wire.send(thief.by_own_key(pay, stolen.token, _PAYMENT))
            act("token thief", "pays, signs by own key", "refused 401: proof.key", got)
            got = wire.send(thief.by_session_key(pay, stolen, _PAYMENT))
            act("token thief", "pays by session key", "refused 401: proof.algorithm", got)
            got = Outcome(f"served {len(self.stage.clinic.written) - before} of 8")
            act("clinic API", "counts what reached it", "served 2 of 8", got)

    def _prove(self, watched: Report) -> None:
        decisions = Decisions(self.stage.settings.path, self.stage.clock)
        act = partial(self._act, PROVE)
        ran = sum(each.ran > 0 for each in watched.results)
        got = Outcome(f"served {watched.count(Verdict.OPEN)} of {ran}")
        act("drill", f"{ran} attacks, monitor", f"served {ran} of {ran}", got)
        report = self._drilled()
        got, what = (
            Outcome(f"served {report.count(Verdict.OPEN)} of {ran}"),
            f"{ran} attacks, enforce",
        )
        act("drill", what, f"served 0 of {ran}", got, decisive=True)
        served, sent = report.genuine.served, report.genuine.sent
        wanted = _GENUINE_OF_ALL if self.full else _GENUINE
        got = Outcome(f"served {served} of {sent}")
        act("genuine phones", "use the API meanwhile", f"served {wanted} of {wanted}", got)
        decisions.record(report)
        if not self.full:
            # A choice of attacks proves nothing, be all of them stopped: the plan wants it verified as before.
            ran, every = (
                sum(_SHIELD in each.protections for each in some)
                for some in ([result.attack for result in report.results], ATTACKS.values())
            )
            proven = decisions.to_verify(_SHIELD).what != "to verify"
            share = f"{ran} of {every} attacks"
            got = Outcome("proven" if proven else "not proven", share)
            act("team", "takes this for a proof", f"not proven: {share}", got)
            return
        act("team", "asks for the plan again", "is: closed", decisions.state_of(_RECORDS))
        self.stage.write(Mode.MONITOR)
        act("team", "goes back to monitor", f"first: {_SHIELD}", decisions.first())
        act("team", "looks at the records", "is: open", decisions.state_of(_RECORDS))
        self.stage.write(Mode.ENFORCE)

    def _endings(self, wire: Wire, iphone: Handset, android: Handset) -> None:
        act = partial(self._act, ENDINGS)
        if self.full:
            self._expiries(wire, iphone)
        token = iphone.client.token(self._audience())
        assert iphone.client.instance is not None
        because = {"because": "the phone was reported stolen"}
        wire.operator.post(f"/v1/instances/{iphone.client.instance}/revoke", because)
        got = until_refused(lambda: wire.get(self._patient(), token))
        expected = "refused 401: token.instance_revoked"
        act("revoked iPhone", "uses its token again", expected, got, decisive=True)
        if self.full:
            expected = "refused 403: instance.revoked"
            act("revoked iPhone", "asks for a new token", expected, iphone.renew())
        got = android.get(self._patient(), self._audience())
        act("genuine Android", "reads a patient", _SERVED, got)

    def _expiries(self, wire: Wire, iphone: Handset) -> None:
        """Use a token elsewhere and after its end, and let a challenge go by."""
        service, act = self.stage.settings.service.issuer, partial(self._act, ENDINGS)
        stolen = iphone.client.token(self._audience())
        got = wire.get(self._patient("billing"), stolen)
        act("script", "uses it at another API", "refused 401: token.audience", got)
        late = replay_under_new_challenge(wire, service, iphone, hold=self._wait)
        act("script", "answers too late", "refused 409: challenge.expired", late)
        got = wire.get(self._patient(), stolen)
        act("script", "uses the ended token", "refused 401: token.expired", got)
        got = iphone.get(self._patient(), self._audience())
        act("genuine iPhone", "renews, reads a patient", _SERVED, got)

    def _wait(self) -> None:
        """Let five minutes and a half pass for phones, service and gate."""
        self.stage.clock.move(_TOKEN_LIFE_AND_LEEWAY)


ACTOR_WIDTH = 16
ACT_WIDTH = 25
OUTCOME_WIDTH = 12
"""Columns of a line of 80; one that is too wide has its outcome further left, and then its reason below."""

REASON_BELOW = 5 + ACTOR_WIDTH


def line_of(act: Act, width: int) -> Text:
    """Return an act as people read it.

    :param width: columns of the terminal.
    """
    head = 5 + max(ACTOR_WIDTH, len(act.actor) + 1)
    reason = act.got.reason
    outcome = len(act.got.what) if reason is None else OUTCOME_WIDTH + len(reason)
    column = max(len(act.act) + 2, min(ACT_WIDTH, width - head - outcome))
    below = head + column + outcome > width
    line = Text()
    line.append(" ok  " if act.ok else "FAIL ", style="green" if act.ok else "bold red")
    line.append(f"{act.actor:<{head - 5}}", style="bold")
    line.append(f"{act.act:<{column}}", style="bold" if act.decisive else "")
    bad = act.got.what.startswith(("refused", "served 0"))
    line.append(act.got.what, style="yellow" if bad else "green")
    if reason is not None:
        gap = " " * max(1, OUTCOME_WIDTH - len(act.got.what))
        line.append("\n" + " " * REASON_BELOW if below else gap)
        line.append(reason, style="magenta")
    return line


class LiveView:
    """Print acts one by one."""

    def __init__(self, console: Console, *, full: bool = False) -> None:
        """Start with an empty page.

        :param full: whether it is the full story.
        """
        self._console = console
        self._full = full
        self._chapter = ""

    def open(self) -> None:
        """Print the title."""
        self._console.print()
        self._console.print(Text("Watchword: only your genuine app gets through", style="bold"))
        self._console.print(
            Text("Everything here is real but the phones: sockets, keys, store, gate.", style="dim")
        )

    def show(self, act: Act) -> None:
        """Print one act, and its chapter's heading before the first."""
        if act.chapter != self._chapter:
            self._chapter = act.chapter
            self._console.print()
            self._console.print(Text(act.chapter, style="bold cyan"))
        self._console.print(line_of(act, self._console.width), soft_wrap=True)
        if not act.ok:
            self._console.print(Text(f"       expected {act.expected}", style="red"))

    def close(self, acts: Sequence[Act], seconds: float) -> None:
        """Print the summary."""
        good = sum(act.ok for act in acts)
        style = "bold green" if good == len(acts) else "bold red"
        self._console.print()
        self._console.print(
            Text(f"{good} of {len(acts)} acts as expected, in {seconds:.1f} s.", style=style)
        )
        if not self._full:
            self._console.print("Every act and attack:  watchword demo --full")
        self._console.print("Protect your own API:  watchword init, check, up")
        self._console.print("Why was it refused?    watchword explain REF")


async def play(notify: Callable[[Act], None], *, full: bool) -> list[Act]:
    """Play the demo in a temporary directory; return its acts.

    :param notify: is called with each act as it ends.
    :param full: every act and every attack.
    """
    acts: list[Act] = []

    def note(act: Act) -> None:
        acts.append(act)
        notify(act)

    with tempfile.TemporaryDirectory(prefix="watchword-demo-") as directory:
        stage = Stage.in_directory(Path(directory))
        try:
            await stage.set_up()
            story = Story(stage, asyncio.get_running_loop(), note, full)
            await asyncio.to_thread(story.play)
        finally:
            await stage.tear_down()
    return acts


def demo_command(*, full: bool, as_json: bool) -> None:
    """Play the demo for ``watchword demo``, and leave the process."""
    mute_logs()
    started = time.monotonic()  # noqa: TID251 - how long a person waited.
    view = LiveView(Console(highlight=False), full=full)
    if not as_json:
        view.open()
    try:
        acts = asyncio.run(play(lambda _act: None if as_json else view.show(_act), full=full))
    except Exception as error:  # noqa: BLE001 - reported like any other error, then we leave.
        leave(fail(error))
    if as_json:
        print_json([act.as_dict() for act in acts])
    else:
        view.close(acts, time.monotonic() - started)  # noqa: TID251
    leave(0 if acts and all(act.ok for act in acts) else EXIT_REFUSED)

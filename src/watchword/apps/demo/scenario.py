"""Tell the whole story of the demo: play it on its stage, act by act, and show it."""

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

_BAD_PHONES: Final = (
    ("unlocked-android", "policy.bootloader_unlocked"),
    ("emulator", "attestation.anchor_software"),
    ("repackaged-android", "policy.signing_digest"),
    ("wrong-app-iphone", "policy.app_id"),
)
_SERVED: Final = "served 200"
_RECORDS: Final = "patient-records"
_PAY: Final = "/v1/payments/7"
_PAYMENT: Final = b'{"sum": 40, "to": "DE89"}'
_MUTATED_PAYMENT: Final = b'{"sum": 99, "to": "AT61"}'
_TOKEN_LIFE_AND_LEEWAY: Final = 331
"""Seconds after which a token of five minutes is refused, clocks being allowed 30 s."""


@dataclass(slots=True)
class Story:
    """Tell the story on a stage; call :meth:`play` from a thread beside the stage's loop."""

    stage: Stage
    loop: asyncio.AbstractEventLoop
    notify: Callable[[Act], None]
    _closing: ExitStack = field(default_factory=ExitStack)

    def play(self) -> None:
        """Play every chapter; each finished act goes to ``notify``."""
        with self._closing:
            self._plan()
            self._open_api()
            self._monitor(self._deploy(Mode.MONITOR))
            watched = drilled(self.stage)
            shop = self._deploy(Mode.ENFORCE)
            iphone, android = shop.get("genuine-iphone"), shop.get("genuine-android")
            self._enforce(shop.wire, iphone, android)
            self._bad_phones(shop)
            self._replays(shop.wire, iphone)
            self._theft(shop.wire, android)
            Keys(self.stage, shop.wire, partial(self._act, KEYS)).play(iphone, android)
            self._prove(watched)
            self._endings(shop.wire, iphone, android)

    def _act(self, chapter: str, actor: str, act: str, expected: str, got: Outcome) -> None:
        self.notify(Act(chapter, act, actor, expected, got))

    def _deploy(self, mode: Mode) -> PhoneShop:
        """Restart the deployment in another mode, as an operator does, and visit it."""
        asyncio.run_coroutine_threadsafe(self.stage.deploy(mode), self.loop).result()
        settings = self.stage.settings
        operator = self._closing.enter_context(OperatorClient(settings.service.operator_socket))
        wire = Wire(operator)
        self._closing.callback(wire.http.close)
        authorities = load_or_create(settings.service.state_dir, self.stage.entropy)
        return PhoneShop(settings, authorities, self.stage.clock, wire, self._closing)

    def _patient(self, api: str = "clinic") -> str:
        return self._url("/v1/patients/7", api)

    def _url(self, path: str, api: str = "clinic") -> str:
        return f"http://{self.stage.settings.apis[api].listen}{path}"

    def _audience(self, api: str = "clinic") -> str:
        return self.stage.settings.apis[api].audience

    def _plan(self) -> None:
        decisions = Decisions(self.stage.write(Mode.OFF), self.stage.clock)

        def act(what: str, expected: str, got: Outcome) -> None:
            self._act(PLAN, "team", what, expected, got)

        act("asks what to protect first", "first: PR-B01", decisions.first())
        got = decisions.after_it(["PR-C03", "PR-A01"])
        act("looks for pinning, obfuscation", "after it: PR-C03, PR-A01", got)
        got = decisions.with_likelihood()
        act("writes down how likely it is", "refused: likelihood", got)
        got = decisions.claim("PR-B01", "live:shield.enforced_ratio")
        act("claims that attestation is on", "to verify: PR-B01", got)

    def _open_api(self) -> None:
        act = f"reads all {RECORDS} patients with its key"
        got = drain(self.stage.open_url)
        self._act(OPEN, "script", act, f"served {RECORDS} of {RECORDS}", got)

    def _monitor(self, shop: PhoneShop) -> None:
        wire, phone = shop.wire, shop.get("genuine-iphone")
        self._act(MONITOR, "script", "reads a patient", _SERVED, wire.get(self._patient()))
        seen = wire.operator.get("/v1/refusals")["counts"]
        found = [row["reason"] for row in seen if row["reason"] == "token.missing"]
        got = Outcome("counted", found[0]) if found else Outcome("not counted")
        self._act(MONITOR, "operator", "looks at the counters", "counted: token.missing", got)
        got = phone.get(self._patient(), self._audience())
        self._act(MONITOR, "genuine iPhone", "enrols and reads a patient", _SERVED, got)
        got = shop.get("unlocked-android").get_anyway(self._patient(), self._audience())
        act = "can't enrol, asks without a token"
        self._act(MONITOR, "unlocked-android", act, _SERVED, got)

    def _enforce(self, wire: Wire, iphone: Handset, android: Handset) -> None:
        url, proxy = self._patient(), self._patient().removesuffix("/v1/patients/7")
        got = drain(proxy)
        act = f"tries all {RECORDS} patients again"
        self._act(ENFORCE, "script", act, f"served 0 of {RECORDS}", got)
        got = wire.get(url)
        self._act(ENFORCE, "script", "sends no token", "refused 401: token.missing", got)
        got = wire.get(url, "eyJhbGciOiJub25lIn0.e30.")
        expected = "refused 401: token.malformed"
        self._act(ENFORCE, "script", "sends a token with alg none", expected, got)
        for own_name, reason in ((True, "token.key_unknown"), (False, "token.signature")):
            token = forge_token(self.stage, wire, self._audience(), own_name=own_name)
            act = "signs a token itself" if own_name else "signs one in the service's name"
            self._act(ENFORCE, "script", act, f"refused 401: {reason}", wire.get(url, token))
        for actor, phone in (("genuine iPhone", iphone), ("genuine Android", android)):
            self._act(ENFORCE, actor, "enrols with its attestation", "served 201", phone.enrol())
            got = phone.get(url, self._audience())
            self._act(ENFORCE, actor, "reads a patient", _SERVED, got)
        headers = self.stage.clinic.seen_headers[-1]
        told = "watchword-level" in headers and "watchword-token" not in headers
        got = Outcome("told" if told else "not told", "level, not token")
        self._act(ENFORCE, "clinic API", "reads who is there", "told: level, not token", got)

    def _bad_phones(self, shop: PhoneShop) -> None:
        for kind, reason in _BAD_PHONES:
            got = shop.get(kind).enrol()
            self._act(PHONES, kind, "tries to enrol", f"refused 403: {reason}", got)

    def _replays(self, wire: Wire, iphone: Handset) -> None:
        service = self.stage.settings.service.issuer
        got = wire.post(f"{service}/v1/attestations", iphone.recorded("/v1/attestations"))
        act = "replays the recorded enrolment"
        self._act(REPLAY, "script", act, "refused 409: challenge.used", got)
        got = replay_under_new_challenge(wire, service, iphone)
        act = "replays it with a new challenge"
        self._act(REPLAY, "script", act, "refused 403: attestation.binding", got)

    def _theft(self, wire: Wire, phone: Handset) -> None:
        audience, records, pay = self._audience(), self._url("/v1/records/7"), self._url(_PAY)
        before = len(self.stage.clinic.written)
        thief = Forger(self.stage.clock, self.stage.entropy)

        def act(actor: str, what: str, expected: str, got: Outcome) -> None:
            self._act(THEFT, actor, what, expected, got)

        got, recorded = phone.write(records, audience, _PAYMENT)
        act("genuine Android", "writes a record, session proof", _SERVED, got)
        got, _ = phone.write(pay, audience, _PAYMENT)
        act("genuine Android", "pays, signed by its hardware", _SERVED, got)
        stolen = phone.client.credential(audience)
        missing = "refused 401: proof.missing"
        for url, what in ((records, "writes a record, token alone"), (pay, "pays, token alone")):
            got = wire.send(with_token_alone(url, stolen.token, _PAYMENT))
            act("token thief", what, missing, got)
        got = wire.send(sent_again(recorded))
        act("token thief", "sends a recorded request again", "refused 401: proof.replayed", got)
        held_up = phone.held_up(pay, audience, _PAYMENT)
        got = wire.send(sent_again(held_up, _MUTATED_PAYMENT))
        act("man in the middle", "changes the sum of a payment", "refused 401: proof.body", got)
        got = wire.send(thief.by_own_key(pay, stolen.token, _PAYMENT))
        act("token thief", "signs a payment by his own key", "refused 401: proof.key", got)
        got = wire.send(thief.by_session_key(pay, stolen, _PAYMENT))
        what = "pays, has stolen its session key"
        act("token thief", what, "refused 401: proof.algorithm", got)
        got = Outcome(f"served {len(self.stage.clinic.written) - before} of 8")
        act("clinic API", "counts what reached it", "served 2 of 8", got)

    def _prove(self, watched: Report) -> None:
        decisions = Decisions(self.stage.settings.path, self.stage.clock)

        def act(actor: str, what: str, expected: str, got: Outcome) -> None:
            self._act(PROVE, actor, what, expected, got)

        ran = sum(each.ran > 0 for each in watched.results)
        got = Outcome(f"served {watched.count(Verdict.OPEN)} of {ran}")
        act("drill", "all attacks, in mode monitor", f"served {ran} of {ran}", got)
        report = drilled(self.stage)
        got = Outcome(f"served {report.count(Verdict.OPEN)} of {ran}")
        act("drill", "all attacks, in mode enforce", f"served 0 of {ran}", got)
        served, sent = report.genuine.served, report.genuine.sent
        act(
            "genuine phones",
            "use the API meanwhile",
            "served 60 of 60",
            Outcome(f"served {served} of {sent}"),
        )
        decisions.record(report)
        act("team", "asks for the plan again", "is: closed", decisions.state_of(_RECORDS))
        self.stage.write(Mode.MONITOR)
        act("team", "puts the routes back to monitor", "first: PR-B01", decisions.first())
        act("team", "looks at the patients' records", "is: open", decisions.state_of(_RECORDS))
        self.stage.write(Mode.ENFORCE)

    def _endings(self, wire: Wire, iphone: Handset, android: Handset) -> None:
        service = self.stage.settings.service.issuer
        stolen = iphone.client.token(self._audience())
        got = wire.get(self._patient("billing"), stolen)
        act = "uses the token at another API"
        self._act(ENDINGS, "script", act, "refused 401: token.audience", got)
        late = replay_under_new_challenge(wire, service, iphone, hold=self._wait)
        act = "answers a challenge too late"
        self._act(ENDINGS, "script", act, "refused 409: challenge.expired", late)
        got = wire.get(self._patient(), stolen)
        act = "uses the token after it ended"
        self._act(ENDINGS, "script", act, "refused 401: token.expired", got)
        got = iphone.get(self._patient(), self._audience())
        self._act(ENDINGS, "genuine iPhone", "renews and reads a patient", _SERVED, got)
        token = iphone.client.token(self._audience())
        assert iphone.client.instance is not None
        because = {"because": "the phone was reported stolen"}
        wire.operator.post(f"/v1/instances/{iphone.client.instance}/revoke", because)
        got = until_refused(lambda: wire.get(self._patient(), token))
        expected = "refused 401: token.instance_revoked"
        self._act(ENDINGS, "revoked iPhone", "uses its token within a second", expected, got)
        got = iphone.renew()
        expected = "refused 403: instance.revoked"
        self._act(ENDINGS, "revoked iPhone", "asks for a new token", expected, got)
        got = android.get(self._patient(), self._audience())
        self._act(ENDINGS, "genuine Android", "renews and reads a patient", _SERVED, got)

    def _wait(self) -> None:
        """Let five minutes and a half pass for phones, service and gate."""
        self.stage.clock.move(_TOKEN_LIFE_AND_LEEWAY)


ACTOR_WIDTH = 20
ACT_WIDTH = 34
OUTCOME_WIDTH = 12
"""Columns of a line; with the reason it may be too wide for a terminal, and then takes two."""

REASON_AT = 5 + ACTOR_WIDTH + ACT_WIDTH + 2 + OUTCOME_WIDTH
REASON_BELOW = 5 + ACTOR_WIDTH


class LiveView:
    """Print acts one by one."""

    def __init__(self, console: Console) -> None:
        """Start with an empty page."""
        self._console = console
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
        line = Text()
        line.append(" ok  " if act.ok else "FAIL ", style="green" if act.ok else "bold red")
        line.append(f"{act.actor:<{ACTOR_WIDTH}}", style="bold")
        line.append(f"{act.act:<{ACT_WIDTH}}  ")
        bad = act.got.what.startswith(("refused", "served 0"))
        line.append(act.got.what, style="yellow" if bad else "green")
        if act.got.reason is not None:
            fits = REASON_AT + len(act.got.reason) <= self._console.width
            gap = OUTCOME_WIDTH - len(act.got.what)
            line.append(" " * gap if fits else "\n" + " " * REASON_BELOW)
            line.append(act.got.reason, style="magenta")
        self._console.print(line, soft_wrap=True)
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
        self._console.print("Protect your own API:  watchword init, check, up")
        self._console.print("Why was it refused?    watchword explain REF")


async def play(notify: Callable[[Act], None]) -> list[Act]:
    """Play the whole demo in a temporary directory; return its acts.

    :param notify: is called with each act as it ends.
    """
    acts: list[Act] = []

    def note(act: Act) -> None:
        acts.append(act)
        notify(act)

    with tempfile.TemporaryDirectory(prefix="watchword-demo-") as directory:
        stage = Stage.in_directory(Path(directory))
        try:
            await stage.set_up()
            story = Story(stage, asyncio.get_running_loop(), note)
            await asyncio.to_thread(story.play)
        finally:
            await stage.tear_down()
    return acts


def demo_command(*, as_json: bool) -> None:
    """Play the demo for ``watchword demo``, and leave the process."""
    mute_logs()
    started = time.monotonic()  # noqa: TID251 - how long a person waited.
    view = LiveView(Console(highlight=False))
    if not as_json:
        view.open()
    try:
        acts = asyncio.run(play(lambda _act: None if as_json else view.show(_act)))
    except Exception as error:  # noqa: BLE001 - reported like any other error, then we leave.
        leave(fail(error))
    if as_json:
        print_json([act.as_dict() for act in acts])
    else:
        view.close(acts, time.monotonic() - started)  # noqa: TID251
    leave(0 if acts and all(act.ok for act in acts) else EXIT_REFUSED)

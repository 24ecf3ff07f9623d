"""Break the rules of the client one at a time, and show that a scenario notices: ``python -m scripts.client_mutants``.

Each row takes a rule of docs/client.md out of a copy of the package, or turns it round, and runs docs/sdk-scenarios.json.
"""

import sys
from typing import Final

from scripts.evidence_mutants import Mutant, run

SCENARIOS: Final = ("tests/unit/client/test_scenarios.py",)


def _mutant(file: str, old: str, new: str) -> Mutant:
    return Mutant(f"client/{file}", old, new, SCENARIOS)


MUTANTS: Final = (
    _mutant("attempts.py", '_IDEMPOTENT: Final = _SAFE | {"PUT", "DELETE"}', '_IDEMPOTENT: Final = _SAFE | {"PUT", "DELETE", "POST"}'),
    _mutant("attempts.py", "if isinstance(error, httpx.TimeoutException) or not", "if not"),
    _mutant("attempts.py", "if self._client.speaks_1_1 and not self._redirected:", "if self._client.speaks_1_1:"),
    _mutant("attempts.py", "if self._client.speaks_1_1 and not self._redirected:", "if not self._redirected:"),
    _mutant("attempts.py", "for name in (TOKEN_HEADER, STATUS_HEADER, *_PROOF_HEADERS):", "for name in (TOKEN_HEADER, *_PROOF_HEADERS):"),
    _mutant("attempts.py", "if told is None or not self._client.believes(told):", "if told is None:"),
    _mutant("attempts.py", "if problem.now is None else float(problem.now)", "if True else 0.0"),
    _mutant("attempts.py", "and self._dpop and self._wanted is Proof.DEVICE:", "and self._dpop:"),
    _mutant("attempts.py", 'if error.kind is not DeviceErrorKind.KEY_LOST or not self._once("keys"):', "if True:"),
    _mutant("attempts.py", 'return "refused" if isinstance(error, ServiceRefusedError) else "device"', 'return "device"'),
    _mutant("attempts.py", "isinstance(error, ServiceUnavailableError | UnreadableAnswerError | ChannelRefusedError)", "isinstance(error, ServiceUnavailableError)"),
    _mutant("attempts.py", "MAX_REPETITIONS: Final = 2", "MAX_REPETITIONS: Final = 3"),
    _mutant("attempts.py", "MAX_UNKNOWN: Final = 2", "MAX_UNKNOWN: Final = 3"),
    _mutant("attempts.py", 'return fresh and self._once("nonce")', 'return self._once("nonce")'),
    _mutant("transport.py", "return sent if sent.origin == origin else None", "return sent"),
    _mutant("clock.py", "isinstance(told, int) and not isinstance(told, bool) and 0 < told < _MAX_TIME", "False"),
    _mutant("clock.py", "return self._wall() if ahead is None else self._boot() + ahead", "return self._wall()"),
    _mutant("clock.py", "self.ahead is None or abs(told - self.now()) <= MAX_GATE_SKEW", "abs(told - self.now()) <= MAX_GATE_SKEW"),
    _mutant("clock.py", "MAX_GATE_SKEW: Final = 120.0", "MAX_GATE_SKEW: Final = 119.0"),
    _mutant("clock.py", "MAX_GATE_SKEW: Final = 120.0", "MAX_GATE_SKEW: Final = 124.0"),
    _mutant("cooldown.py", "COOL_DOWN: Final = 3600.0", "COOL_DOWN: Final = 3601.0"),
    _mutant("cooldown.py", "COOL_DOWN: Final = 3600.0", "COOL_DOWN: Final = 3599.0"),
    _mutant("cooldown.py", " or not hold.error.signed:", ":"),
    _mutant("cooldown.py", "if pause > MAX_PAUSE:", "if False:"),
    _mutant("cooldown.py", "if pause > MAX_PAUSE:", "if pause >= MAX_PAUSE:"),
    _mutant("cooldown.py", "min(pause, COOL_DOWN))", "pause)"),
    _mutant("client.py", "if self._cooldown.holds:\n            return\n        try:\n            self._renew(attempts=1)", "try:\n            self._renew(attempts=1)"),
    _mutant("client.py", "        except ClientError:\n            if self._session is None:", "        except ServiceUnavailableError:\n            if self._session is None:"),
    _mutant("client.py", "session.next_challenge if self._speaks_1_1 else None", "session.next_challenge"),
    _mutant("cooldown.py", "(error.retry_after or 0.0) + own", "own"),
    _mutant("cooldown.py", "self._busy = min(self._busy + 1, _MAX_DOUBLINGS)", "pass"),
    _mutant("cooldown.py", "{DeviceErrorKind.UNSUPPORTED, DeviceErrorKind.KEY_LOST, DeviceErrorKind.FAULT}", "{DeviceErrorKind.UNSUPPORTED, DeviceErrorKind.KEY_LOST}"),
    _mutant("cooldown.py", "{DeviceErrorKind.UNSUPPORTED, DeviceErrorKind.KEY_LOST, DeviceErrorKind.FAULT}", "{DeviceErrorKind.UNSUPPORTED, DeviceErrorKind.KEY_LOST, DeviceErrorKind.FAULT, DeviceErrorKind.LOCKED}"),
    _mutant("exchange.py", '                    body = {**body, "place": later.place}\n', ""),
    _mutant("exchange.py", "                    hear_place(later.place)\n", ""),
    _mutant("exchange.py", "{1,128}", "{1,129}"),
    _mutant("exchange.py", "{1,128}", "{1,127}"),
    _mutant("exchange.py", "place=place if is_place(place) else None,", "place=place,"),
    _mutant("phrases.py", 'brought = {**asked, "place": self.waiting.place}', "brought = asked"),
    _mutant("phrases.py", "if purpose is not Purpose.ENROL:", "if False:"),
    _mutant("phrases.py", "            self.waiting.place = None\n", ""),
    _mutant("phrases.py", "            return self._challenge(asked, attempts, self.waiting.hear)\n\n    def _challenge", "            raise\n\n    def _challenge"),
    _mutant("client.py", "                self._waiting.place = None\n                raise", "                raise"),
    _mutant("client.py", "        self._waiting.place = None\n        pins =", "        pins ="),
    _mutant("client.py", "            self._waiting.place = stored.place\n", ""),
    _mutant("session.py", '            "place": self.place,\n', ""),
    _mutant("signed_refusals.py", '        "binding": base64url.encode(binding),\n', ""),
    _mutant("signed_refusals.py", '        "type": problem.slug,\n', ""),
    _mutant("signed_refusals.py", '        "app": app,\n', ""),
    _mutant("signed_refusals.py", '        "iss": issuer,\n', ""),
    _mutant("signed_refusals.py", "if not is_signed_by(key, jws.signature, jws.signing_input):", "if False:"),
    _mutant("device.py", "if not self._unattested:", "if True:"),
    _mutant("device.py", "self._unattested = keys_stay", "self._unattested = True"),
    _mutant("device.py", "if error.kind is DeviceErrorKind.OFFLINE:", "if False:"),
    _mutant("device.py", "if error.kind is not DeviceErrorKind.TRANSIENT or is_last:", "if True:"),
    _mutant("device.py", " or error.retry_after is not None", ""),
    _mutant("device.py", "        if not self.can_open:\n            return None\n", ""),
    _mutant("client.py", "if ahead is None or self.uptime() >= ahead.expires_at:", "if ahead is None:"),
    _mutant("client.py", "if ahead is None or self.uptime() >= ahead.expires_at:", "if True:"),
    _mutant("client.py", "        except (*_FINAL, InstanceUnknownError):\n            raise\n        except ServiceRefusedError:", "        except ChallengeRefusedError:"),
    _mutant("client.py", "self._session = session = replace(session, next_challenge=None)", "pass"),
    _mutant("client.py", "return self._speaks_1_1 and (unopened or not self._device.can_open)", "return unopened or not self._device.can_open"),
    _mutant("client.py", "return self._speaks_1_1 and (unopened or not self._device.can_open)", "return self._speaks_1_1 and not self._device.can_open"),
    _mutant("client.py", "return self._speaks_1_1 and (unopened or not self._device.can_open)", "return self._speaks_1_1 and unopened"),
    _mutant("client.py", "self._session, self._speaks_1_1 = session, stored.protocol", "self._session = session"),
    _mutant("client.py", "self._speaks_1_1 = isinstance(told, str)", "self._speaks_1_1 = self._speaks_1_1 or isinstance(told, str)"),
    _mutant("client.py", "session = session.outdated()", "pass"),
    _mutant("client.py", "self._cooldown.restore(stored.refusal if same_boot else None)", "self._cooldown.restore(stored.refusal)"),
    _mutant("client.py", "self._cooldown.restore(stored.refusal if same_boot else None)", "self._cooldown.restore(None)"),
    _mutant("client.py", "clock.ahead = stored.ahead if same_boot else None", "clock.ahead = stored.ahead"),
    _mutant("client.py", "clock.ahead = stored.ahead if same_boot else None", "pass"),
    _mutant("client.py", "if attempts == 1 or error.kind not in _NEW_KEYS_HELP:", "if error.kind not in _NEW_KEYS_HELP:"),
    _mutant("client.py", "if error.kind is DeviceErrorKind.FAULT:\n            self._backoff.rest(0)", "if False:\n            self._backoff.rest(0)"),
    _mutant("client.py", "        self._session = None\n        statement", "        statement"),
    _mutant("client.py", "error.signed = self._is_signed(error.problem, statement)", "error.signed = True"),
    _mutant("client.py", "with self._cooling(devices=attempts > 1):", "with self._cooling():"),
    _mutant("client.py", "RENEW_FROM: Final = 0.6", "RENEW_FROM: Final = 0.55"),
    _mutant("client.py", "POSTPONED_SHARE: Final = 0.2", "POSTPONED_SHARE: Final = 0.1"),
    _mutant("client.py", 'sent_at = self.uptime()\n        try:\n            answer = self._exchange.post(\n                path, {"statement": base64url.encode(statement), **body}, attempts\n            )', 'try:\n            answer = self._exchange.post(\n                path, {"statement": base64url.encode(statement), **body}, attempts\n            )\n            sent_at = self.uptime()'),
    _mutant("session.py", "return NextChallenge(challenge, sent_at + life, ", "return NextChallenge(challenge, sent_at + life + 1, "),
    _mutant("session.py", "next_challenge=None,\n        )\n\n    def moved", ")\n\n    def moved"),
    _mutant("session.py", "unopened or (key is None and (sealed is not None or asked))", "unopened or key is None"),
    _mutant("session.py", '"unopened": self.unopened,', '"unopened": False,'),
    _mutant("exchange.py", "MAX_ANSWER_BYTES: Final = 64 * 1024", "MAX_ANSWER_BYTES: Final = 128 * 1024"),
    _mutant("exchange.py", 'if response.headers.get("content-encoding", "identity").strip().lower() != "identity":', "if False:"),
    _mutant("exchange.py", 'if media_type != "application/problem+json":', "if False:"),
    _mutant("exchange.py", "MAX_PAUSE: Final = 8.0", "MAX_PAUSE: Final = 100.0"),
    _mutant("phrases.py", 'self.hear_protocol(answer.get("protocol"))', "pass"),
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(MUTANTS))

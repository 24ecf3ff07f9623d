"""Play the chapter on keys: a third party is called without its key in the app, and nobody else gets to use it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from watchword.apps.demo.actors import Handset, Wire
from watchword.apps.demo.acts import Outcome
from watchword.apps.demo.attacks import until
from watchword.apps.demo.stage import MAPS_QUOTA, Stage

KEYS: Final = "A third party's key is in no copy of the app: the gate adds it for genuine phones"

_SERVED: Final = "served 200"
_PLACE: Final = "/maps/geocode/homburg"
_ROTATED_UNDER: Final = 60
"""How many calls a phone makes while the key is rotated."""

_OVERLAP: Final = 60
"""Seconds for which the older key counts beside the newer one."""

_FORBIDDEN: Final = frozenset(
    {"watchword-token", "watchword-instance", "signature", "cookie", "x-api-key", "x-forwarded-for"}
)
"""What of app, phone and gate is nothing to a third party."""

Tell = Callable[[str, str, str, Outcome], None]
"""Take actor, act, what was expected and what happened."""


@dataclass(slots=True)
class Keys:
    """Play the chapter on a stage whose routes enforce."""

    stage: Stage
    wire: Wire
    tell: Tell

    def play(self, iphone: Handset, android: Handset) -> None:
        """Play it; both phones are enrolled."""
        maps, operator = self.stage.maps, self.wire.operator
        key = maps.give_out(self.stage.entropy)
        kept = operator.post("/v1/secrets", {"name": "maps", "value": key})
        got = Outcome("kept", "shown to nobody" if key not in str(kept) else "shown")
        self.tell("team", "hands the map key to the gate", "kept: shown to nobody", got)
        # The gate lends it within a second, as it learns all that the service publishes.
        until(lambda: self._ask(android), lambda outcome: outcome.what == _SERVED, patience=5.0)
        self.tell("genuine iPhone", "asks the map service, no key", _SERVED, self._ask(iphone))
        clean = "authorization" in maps.headers and not _FORBIDDEN & maps.headers
        got = Outcome("told", "its key and no more" if clean else "too much")
        self.tell("map service", "reads what reached it", "told: its key and no more", got)
        got = self.wire.get(self._url(_PLACE))
        self.tell("script", "asks the same, without a token", "refused 401: token.missing", got)
        got = self._ask(iphone, "/maps/account")
        self.tell("genuine iPhone", "asks for more than is lent", "refused 403: secret.path", got)
        self._rotate(android)
        maps.keys.discard(key)
        got = self._ask(android)
        self.tell("genuine Android", "calls when the old key has ended", _SERVED, got)
        self._spend(iphone)
        self._canary()

    def _ask(self, phone: Handset, path: str = _PLACE) -> Outcome:
        return phone.read(self._url(path), self.stage.settings.apis["clinic"].audience)

    def _rotate(self, phone: Handset) -> None:
        """Rotate while calls go on."""
        maps, served = self.stage.maps, 0
        for number in range(_ROTATED_UNDER):
            if number == _ROTATED_UNDER // 3:
                new = {"value": maps.give_out(self.stage.entropy), "overlap": _OVERLAP}
                self.wire.operator.post("/v1/secrets/maps/rotate", new)
            served += self._ask(phone).what == _SERVED
        got = Outcome(f"served {served} of {_ROTATED_UNDER}")
        expected = f"served {_ROTATED_UNDER} of {_ROTATED_UNDER}"
        self.tell("genuine Android", "calls while the key is rotated", expected, got)

    def _spend(self, phone: Handset) -> None:
        """Use the quota up; one call was made above."""
        for _ in range(MAPS_QUOTA - 2):
            self._ask(phone)
        got = self._ask(phone)
        self.tell("genuine iPhone", f"makes call {MAPS_QUOTA} of the day", _SERVED, got)
        got = self._ask(phone)
        what, expected = f"makes call {MAPS_QUOTA + 1} of the day", "refused 429: secret.quota"
        self.tell("genuine iPhone", what, expected, got)

    def _canary(self) -> None:
        """Plant a key that opens nothing, and have the script find it and use it."""
        operator = self.wire.operator
        planted = operator.post("/v1/canaries", {"name": "old-key", "like": "google"})
        url = self._url("/v1/patients/7")
        headers = {"x-goog-api-key": planted["key"]}

        got = self.wire.outcome(self.wire.http.get(url, headers=headers))
        what = "uses a decoy key from the package"
        self.tell("script", what, "refused 401: token.missing", got)

        def alarms() -> Outcome:
            self.wire.http.get(url, headers=headers)
            found = operator.get("/v1/canaries/alarms", canary="old-key")["alarms"]
            return Outcome("alarmed", found[0]["canary"]) if found else Outcome("quiet")

        got = until(alarms, lambda outcome: outcome.what == "alarmed", patience=5.0)
        self.tell("operator", "looks at the alarms", "alarmed: old-key", got)

    def _url(self, path: str) -> str:
        return f"http://{self.stage.settings.apis['clinic'].listen}{path}"

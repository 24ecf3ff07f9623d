"""Name what attacks can't do without, and the error of one that lacks it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from watchword.reasons import WatchwordError


class Need(StrEnum):
    """Name what an attack can't do without; one that lacks it isn't run, and its report says so."""

    SAMPLE = "sample"
    SERVICE = "service"
    GENUINE = "genuine"
    PHONES = "phones"
    KEYS = "keys"
    OPERATOR = "operator"
    UPSTREAM = "upstream"
    SESSION_ROUTE = "session-route"
    DEVICE_ROUTE = "device-route"
    BODY_ROUTE = "body-route"
    OFF_ROUTE = "off-route"
    ECHO = "echo"
    LOGIN = "login"
    OTHER_API = "other-api"
    RATE = "rate"
    VERSION_RULE = "version-rule"
    OWN_CHIP_RULE = "own-chip-rule"
    BINDING = "binding"
    TLS = "tls"
    WEAK_TLS = "weak-tls"
    PINS = "pins"
    LENT_ROUTE = "lent-route"
    DELIVERY = "delivery"
    QUOTA = "quota"
    LIMIT = "limit"
    DECOY = "decoy"
    PROOF = "proof"
    ADDRESSES = "addresses"


NEEDED: Final[Mapping[Need, str]] = {
    Need.SAMPLE: "a sample request that the API serves (`drill: requests`)",
    Need.SERVICE: "the service that enrols, beside the API",
    Need.GENUINE: "a genuine instance: a lab phone here, a test instance elsewhere",
    Need.PHONES: "the lab's phones, which a service in environment lab on this machine believes",
    Need.KEYS: "the deployment's own keys, which are borrowed in a lab on this machine alone",
    Need.OPERATOR: "the operator's socket of this machine",
    Need.UPSTREAM: "the address of the API itself, behind the gate",
    Need.SESSION_ROUTE: "a sample request on a route with proof: session",
    Need.DEVICE_ROUTE: "a sample request on a route with proof: device",
    Need.BODY_ROUTE: "a sample request with a body, on a route with a proof",
    Need.OFF_ROUTE: "a route in mode off beside an enforced one",
    Need.ECHO: "a sample request whose answer repeats the headers that the API saw (echo: true)",
    Need.LOGIN: "a sample request that signs in (login: true)",
    Need.OTHER_API: "a second API of the same service",
    Need.RATE: "a rate limit per instance on the API",
    Need.VERSION_RULE: "a lowest app version on the app or the route",
    Need.OWN_CHIP_RULE: "a policy that wants keys in a chip of their own, at each level of key attestation",
    Need.BINDING: "a header that the API binds tokens to, in its sample requests",
    Need.TLS: "an API that is reached over https",
    Need.WEAK_TLS: "a TLS library on this machine that can still be made so weak",
    Need.PINS: "a root list and a pin set that the service publishes for an app (`watchword pins publish`)",
    Need.DECOY: "a canary key that is planted where thieves look (`watchword secrets canary add`)",
    Need.PROOF: "a proof that the route asks for (`proof: session` or `proof: device`)",
    Need.LENT_ROUTE: "a sample request on a route that lends a key (`secret:`)",
    Need.DELIVERY: "a secret that is handed to an app of the API (`deliver:`) and has a value",
    Need.QUOTA: "a quota or a spend cap on a lent key that so few calls exceed",
    Need.LIMIT: "one of the API's `limits` that a sample falls under and so few requests exceed",
    Need.ADDRESSES: "a lab whose service trusts this machine as its proxy (`service.trusted_proxies`), and a limit of enrolments by "
    "address that so few exceed",
}
"""What each need is, for people."""


class MissingError(WatchwordError):
    """Say that an attack can't be run here, and for want of what."""

    begins = "needs"

    def __init__(self, need: Need, detail: str = "") -> None:
        self.need = need
        super().__init__(f"{self.begins} {NEEDED[need]}" + (f": {detail}" if detail else ""))


class AbsentError(MissingError):
    """Say that the deployment lacks the very thing that has to stop an attack: a finding, where nothing was tried."""

    begins = "not there:"

"""Tell by kind what a secret opens, and which are made to be in apps."""

import hashlib

from watchword.scan.interface import Severity
from watchword.scan.secrets.patterns import GENERIC, Pattern
from watchword.scan.secrets.structure import claims_of

_PUBLIC = frozenset(
    {
        "adobe-client-id",
        "asana-client-id",
        "bitbucket-client-id",
        "discord-client-id",
        "flutterwave-public-key",
        "linkedin-client-id",
        "lob-pub-api-key",
        "looker-client-id",
        "mailgun-pub-key",
        "mapbox-api-token",
        "messagebird-client-id",
        "new-relic-browser-api-token",
        "plaid-client-id",
        "sendbird-access-id",
        "sumologic-access-id",
    }
)

_CRITICAL = (
    "private-key",
    "gcp-service-account",
    "aws-",
    "azure-",
    "alibaba-secret",
    "github-",
    "gitlab-",
    "digitalocean-",
    "heroku-",
    "stripe-access-token",
    "square-access-token",
    "shopify-",
    "anthropic-admin",
    "hashicorp-",
    "vault-",
    "openshift-",
    "databricks-",
    "planetscale-",
    "npm-access-token",
    "pypi-",
    "rubygems-",
    "1password-",
    "firebase-server-key",
    "paypal-",
)
"""Begins of kinds that open data or accounts of many."""

BY_LOOKS = frozenset((GENERIC, "password", "compared-secret", "bearer-token", "key-in-url"))
"""Kinds that have neither a form of their own nor a structure: by their name, or by where they stand."""

_NAMES_ONLY = frozenset(("twilio-account-sid", "gcp-service-account-key-id"))
"""Kinds that name an account or a key and open nothing without what belongs to them."""

_OF_TESTS = ("access_token$sandbox", "sk_test", "rk_test", "eztk", "flwseck_test", "duffel_test")


def is_public(pattern: Pattern, secret: str) -> bool:
    """Tell whether a kind is made to be in apps: its owner restricts what it may do, not who may read it."""
    if pattern.public or pattern.kind in _PUBLIC:
        return True
    if pattern.kind != "jwt":
        return False
    # Supabase gives each project a token for everybody, which row rules restrict.
    claims = claims_of(secret)
    return claims is not None and claims.get("role") == "anon"


def severity_of(kind: str, secret: str) -> Severity:
    """Return what a secret of this kind opens."""
    if secret.lower().startswith(_OF_TESTS) or kind in _NAMES_ONLY:
        return Severity.LOW
    if kind.startswith(_CRITICAL):
        return Severity.CRITICAL
    return Severity.MEDIUM if kind in {"password", "compared-secret", "jwt"} else Severity.HIGH


def subject_of(kind: str, secret: str) -> str:
    """Return what tells a secret from others without holding it: its kind, and 48 bits of a hash of it."""
    digest = hashlib.sha256(b"watchword scan secret\0" + secret.encode("utf-8", "replace"))
    return f"{kind}:{digest.hexdigest()[:12]}"

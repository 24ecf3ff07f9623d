"""Test the rules on two real descriptions of weak APIs, where they lie beside the clone."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from watchword.apps.plan.drafts import read_description
from watchword.scan.api.registry import look_at
from watchword.scan.interface import Severity, Verdict

SPECS = Path(__file__).parents[5] / "shared" / "apps" / "specs"

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="no real descriptions beside the clone")

OPEN = "api-no-authentication"
IDS = "api-enumerable-ids"
STAFF = "api-admin-without-scope"
FIELDS = "api-excessive-properties"
GUESSING = "api-unlimited-guessing"
ADDRESSES = "api-url-parameters"

VAMPI = {
    "GET /createdb": {"api-no-authentication-on-write"},
    "GET /users/v1": {OPEN},
    "GET /users/v1/_debug": {OPEN, STAFF, FIELDS},
    "POST /users/v1/register": {GUESSING},
    "POST /users/v1/login": {GUESSING},
    "GET /users/v1/{username}": {OPEN, IDS},
    "DELETE /users/v1/{username}": {STAFF, IDS},
    "PUT /users/v1/{username}/email": {IDS},
    "PUT /users/v1/{username}/password": {IDS},
    "GET /books/v1": {OPEN},
    "GET /books/v1/{book_title}": {IDS, FIELDS},
}
"""What its description gives away; left alone are the entrance, one's own profile and adding a book."""

AUTH = "/identity/api/auth"
USER = "/identity/api/v2/user"
SHOP = "/workshop/api/shop"
MECHANIC = "/workshop/api/mechanic"
CRAPI = {
    f"POST {AUTH}/signup": {GUESSING},
    f"POST {AUTH}/login": {GUESSING},
    f"POST {AUTH}/forget-password": {GUESSING},
    f"POST {AUTH}/v3/check-otp": {GUESSING},
    f"POST {AUTH}/v2/check-otp": {GUESSING, "api-old-versions"},
    f"POST {AUTH}/v4.0/user/login-with-token": {GUESSING},
    f"POST {AUTH}/v2.7/user/login-with-token": {GUESSING, "api-old-versions"},
    f"GET {USER}/videos/{{video_id}}": {IDS},
    f"PUT {USER}/videos/{{video_id}}": {IDS, ADDRESSES},
    f"DELETE {USER}/videos/{{video_id}}": {IDS},
    f"GET {USER}/videos/convert_video": {IDS},
    "DELETE /identity/api/v2/admin/videos/{video_id}": {STAFF, IDS},
    "GET /identity/api/v2/vehicle/vehicles": {FIELDS},
    "GET /community/api/v2/community/posts/recent": {FIELDS},
    "POST /community/api/v2/coupon/validate-coupon": {GUESSING},
    f"POST {SHOP}/apply_coupon": {GUESSING},
    f"POST {SHOP}/products": {FIELDS, ADDRESSES},
    f"GET {SHOP}/orders/{{order_id}}": {IDS},
    f"PUT {SHOP}/orders/{{order_id}}": {IDS},
    f"GET {SHOP}/orders/all": {FIELDS},
    f"POST {SHOP}/orders/return_order": {IDS},
    f"GET {SHOP}/return_qr_code": {OPEN},
    "GET /workshop/api/management/users/all": {STAFF, FIELDS},
    f"GET {MECHANIC}/": {FIELDS},
    "POST /workshop/api/merchant/contact_mechanic": {ADDRESSES},
    f"GET {MECHANIC}/receive_report": {OPEN},
    f"GET {MECHANIC}/mechanic_report": {IDS},
    f"GET {MECHANIC}/service_requests": {FIELDS},
    f"POST {MECHANIC}/signup": {GUESSING},
}


def by_operation(name: str) -> dict[str, set[str]]:
    """Return by operation the rules that something of it is exposed by."""
    said: defaultdict[str, set[str]] = defaultdict(set)
    for each in look_at(read_description(SPECS / name), name):
        if each.verdict is Verdict.EXPOSED:
            for place in each.locations:
                said[place.member].add(each.rule)
    return dict(said)


@pytest.mark.parametrize(("name", "expected"), [("vampi.yml", VAMPI), ("crapi.json", CRAPI)])
def test_what_matters_is_told_by_operation_and_nothing_else(name: str, expected: Any) -> None:
    """All of it, and no template such as limits of texts or answers to errors."""
    assert by_operation(name) == expected


def test_what_is_worst_in_vampi_is_critical() -> None:
    """Passwords of all users to anybody, the database made anew by anybody, mail addresses to anybody."""
    said = look_at(read_description(SPECS / "vampi.yml"), "vampi.yml")
    critical = {f.locations[0].member for f in said if f.severity is Severity.CRITICAL}
    assert critical == {
        "GET /createdb",
        "GET /users/v1",
        "GET /users/v1/_debug",
        "GET /users/v1/{username}",
        "GET /books/v1/{book_title}",
    }


@pytest.mark.parametrize("name", ["vampi.yml", "crapi.json"])
def test_both_are_read_whole(name: str) -> None:
    """Only where they are served, and the app, isn't told."""
    said = look_at(read_description(SPECS / name), name)
    unseen = {f.rule for f in said if f.verdict is Verdict.NOT_SEEN}
    assert unseen == {"api-plain-http", "api-unknown-hosts", "api-unknown-paths"}

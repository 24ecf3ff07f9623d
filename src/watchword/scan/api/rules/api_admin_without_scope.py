"""See which functions for administrators ask for nothing that other callers don't have."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect
from watchword.scan.api.paths import for_staff, signs_in
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    staff = [each for each in context.operations if for_staff(each) and not signs_in(each)]
    others = frozenset(
        scope for each in context.operations if not for_staff(each) for scope in each.access.scopes
    )
    for each in staff:
        if not each.access.known:
            continue
        if each.access.anonymous:
            who = "has the app's key" if each.access.key_only else "finds it"
            title = f"{each.name} is for staff by its name, and whoever {who} may call it."
            yield context.exposed(
                each.name, title, Severity.CRITICAL, at=[each], confidence=Confidence.LIKELY
            )
        elif not each.access.scopes - others:
            none = not each.access.scopes
            what = "no scope or role" if none else "only scopes that others ask for too"
            title = f"{each.name} is for staff by its name, and asks for {what}: any user's session may do."
            yield context.exposed(
                each.name, title, Severity.HIGH, at=[each], confidence=Confidence.POSSIBLE
            )


RULE = ApiRule(
    id="api-admin-without-scope",
    title="Functions for administrators without a scope",
    techniques=("MT-B09",),
    protections={"PR-B08": "scan:api.bfla_test"},
    todo="In the description, name the scope or role that each function for staff asks for. Refuse all others at the "
    "API, and try it with a plain user's session. Better, serve these functions at a host that the app doesn't know.",
    blind="It doesn't see roles that only the code checks, or functions for staff whose names don't say so.",
    aspects=(Aspect.ACCESS,),
    check=_check,
    nothing="No function is for staff by its name, or each asks for a scope of its own.",
)

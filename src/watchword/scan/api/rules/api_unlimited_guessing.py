"""See where passwords, codes and vouchers may be tried, and nothing says that tries are counted."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect
from watchword.scan.api.paths import signs_in, tries_codes
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        enters, codes = signs_in(each), tries_codes(each)
        if not enters and not codes:
            continue
        what = "passwords or codes" if enters else "vouchers"
        if each.limits_told:
            title = f"{each.name} takes {what}, and says that tries are limited."
            yield context.info(each.name, title, at=[each], confidence=Confidence.LIKELY)
        else:
            title = f"{each.name} takes {what}, and nothing says that tries are limited."
            yield context.exposed(
                each.name, title, Severity.HIGH, at=[each], confidence=Confidence.POSSIBLE
            )


RULE = ApiRule(
    id="api-unlimited-guessing",
    title="Guessing without a limit",
    techniques=("MT-B05", "MT-B06", "MT-B07", "MT-B15"),
    protections={},
    todo="Count tries by account, device and app instance. Slow down and lock, and say so in the description (429, "
    "Retry-After).",
    blind="It doesn't see a limit that isn't described, and doesn't try one that is.",
    aspects=(Aspect.ACCESS, Aspect.REQUESTS),
    check=_check,
    nothing="No operation that takes passwords, codes or vouchers is described without a limit.",
)

"""See answers that hold what no app shows, and requests that may set what no app sends."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Kind, Operation, several, with_pairs, words_of
from watchword.scan.api.paths import for_staff, signs_in
from watchword.scan.api.rule import ApiRule, ApiRuleContext, named, of_kind
from watchword.scan.interface import Confidence, Finding, Severity

_TOKENS = several("token jwt sessionid otp")


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        yield from _answers(context, each)
        if each.writes:
            yield from _requests(context, each)


def _answers(context: ApiRuleContext, operation: Operation) -> Iterator[Finding]:
    # A token is what one signs in for.
    secrets = [
        field
        for field in of_kind(operation.answered, Kind.SECRET)
        if not field.write_only and not (signs_in(operation) and _is_token(field.path))
    ]
    if secrets:
        many = any(field.listed for field in secrets)
        title = (
            f"{operation.name} answers with {named(secrets)}{', of many at once' if many else ''}."
        )
        severity = Severity.CRITICAL if many or operation.access.open else Severity.HIGH
        yield context.exposed(
            f"{operation.name} answer",
            title,
            severity,
            at=[operation],
            confidence=Confidence.LIKELY,
        )
    people = [
        field
        for field in of_kind(operation.answered, Kind.PERSONAL)
        if field.listed and not field.write_only
    ]
    # What anybody may read is told as that.
    if people and operation.reads and not secrets and not operation.access.open:
        title = f"{operation.name} answers with {named(people)}, of many at once."
        yield context.exposed(
            f"{operation.name} people",
            title,
            Severity.HIGH,
            at=[operation],
            confidence=Confidence.POSSIBLE,
        )


def _requests(context: ApiRuleContext, operation: Operation) -> Iterator[Finding]:
    more = of_kind(operation.asked, Kind.OPEN)
    if more:
        title = f"{operation.name} takes any other field beside the listed ones (in {named(more)})."
        yield context.exposed(
            f"{operation.name} open",
            title,
            Severity.HIGH,
            at=[operation],
            confidence=Confidence.LIKELY,
        )
    rights = [field for field in of_kind(operation.asked, Kind.PRIVILEGE) if not field.read_only]
    if rights and not for_staff(operation):
        title = f"{operation.name} lets its caller set {named(rights)}."
        yield context.exposed(
            f"{operation.name} request",
            title,
            Severity.HIGH,
            at=[operation],
            confidence=Confidence.POSSIBLE,
        )


def _is_token(path: str) -> bool:
    return bool(with_pairs(words_of(path.rpartition(".")[2])) & _TOKENS)


RULE = ApiRule(
    id="api-excessive-properties",
    title="Fields that shouldn't leave or enter",
    techniques=("MT-B10", "MT-B04"),
    protections={"PR-B09": "scan:api.schema_excess"},
    todo="For each caller, list the fields that each answer returns and each request accepts. Never return passwords, "
    "hashes or codes, and set roles, owners, prices and balances on the server.",
    blind="It recognises fields by their names, and sees only described ones: objects that list no fields may hold "
    "anything.",
    aspects=(Aspect.ANSWERS, Aspect.REQUESTS),
    check=_check,
    nothing="By their names the described fields hold no secrets, and set no rights.",
)
